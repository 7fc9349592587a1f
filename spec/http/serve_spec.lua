-- Of: http, http/body, http/connection, http/input, http/json, http/pieces, http/reply,
--   http/request, http/serve, http/status, http/sweep, http/types
-- The server, by raw sockets and by curl.
local tide = require "moontide"
local child = require "spec.support.child"
local files = require "spec.support.files"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local peers = require "spec.support.peers"
local raised = require("spec.support.raised").raised
local with_server = require("spec.support.server").run

local await, sleep = tide.await, tide.sleep

local has_parser = pcall(require, "moontide.llhttp_core")

--- What the server says to the text, up to the end; the client says no more if `half` is given.
local function say(port, text, half)
  local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
  await(stream:write(text))
  if half then
    await(stream:shutdown())
  end
  return await(tide.timeout(20000, function()
    local pieces = {}
    pcall(function()
      for piece in stream:chunks() do
        pieces[#pieces + 1] = piece
      end
    end)
    return table.concat(pieces)
  end))
end

local function get(target, ...)
  local lines = { "GET " .. (target or "/") .. " HTTP/1.1", "Host: a", ... }
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function post(body, ...)
  local lines = { "POST / HTTP/1.1", "Host: a", ... }
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

local LAST = "Connection: close"

--- The statuses of replies in a text.
local function statuses(text)
  local list = {}
  for status in text:gmatch("HTTP/1%.1 (%d+) ") do
    list[#list + 1] = status
  end
  return table.concat(list, " ")
end

local function body_of(text)
  return (text:match("\r\n\r\n(.*)$"))
end

--- What becomes of one request, with a connection of its own.
local function reply_to(text, handler, options)
  local reply
  with_server(options or {}, handler, function(port)
    reply = say(port, text)
  end)
  return reply
end

--- The reasons that on_error is told.
local function noting_errors(list)
  return { on_error = function(reason, request)
    list[#list + 1] = tostring(reason)
    list.request = request
  end }
end

local function over()
  files.remove()
  leak.check()
end

if not has_parser then
  describe("http.serve", function()
    it("says which package is missing", function()
      assert.matches("built without llhttp", raised(http.serve, {}, print))
    end)
  end)
  return
end

describe("http.serve", function()
  after_each(over)

  it("replies with a string", function()
    local reply = reply_to(get("/", LAST), function() return "hello" end)
    assert.matches("^HTTP/1.1 200 OK\r\n", reply)
    assert.matches("\r\nContent%-Type: text/plain; charset=utf%-8\r\n", reply)
    assert.matches("\r\nContent%-Length: 5\r\n", reply)
    assert.matches("\r\nDate: %a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT\r\n", reply)
    assert.matches("\r\nConnection: close\r\n", reply)
    assert.equal("hello", body_of(reply))
  end)

  it("replies with a table", function()
    local reply = reply_to(get("/", LAST), function()
      local headers = { Location = "/a", ["Set-Cookie"] = { "a", "b" } }
      return { status = 201, body = "x", headers = headers }
    end)
    assert.matches("^HTTP/1.1 201 Created\r\n", reply)
    assert.matches("\r\nLocation: /a\r\n", reply)
    assert.matches("\r\nSet%-Cookie: a\r\nSet%-Cookie: b\r\n", reply)
    assert.not_matches("Content%-Type", reply)
  end)

  it("replies with JSON and HTML", function()
    local reply = reply_to(get("/", LAST), function() return { json = { a = 1 } } end)
    assert.matches("\r\nContent%-Type: application/json\r\n", reply)
    assert.equal('{"a":1}', body_of(reply))
    reply = reply_to(get("/", LAST), function() return { html = "<p>" } end)
    assert.matches("\r\nContent%-Type: text/html; charset=utf%-8\r\n", reply)
    reply = reply_to(get("/", LAST), function()
      return { html = "<p>", headers = { ["content-type"] = "text/x" } }
    end)
    assert.matches("\r\ncontent%-type: text/x\r\n", reply)
    assert.not_matches("Content%-Type", reply)
  end)

  it("replies with a file, and 404 where there is none", function()
    local path = files.directory() .. "/file.css"
    files.write(path, ("x"):rep(100000))
    local function handler(request)
      return { file = request.path == "/a" and path or path .. request.path }
    end
    local reply = reply_to(get("/a", LAST), handler)
    assert.matches("\r\nContent%-Type: text/css; charset=utf%-8\r\n", reply)
    assert.matches("\r\nContent%-Length: 100000\r\n", reply)
    assert.equal(100000, #body_of(reply))
    assert.matches("^HTTP/1.1 404 ", reply_to(get("/b", LAST), handler))
    assert.equal(0, child.shell("mkfifo " .. path .. "_").code)
    assert.matches("^HTTP/1.1 404 ", reply_to(get("/", LAST), function()
      return { file = path .. "_" }
    end))
    reply = reply_to(get("/a", LAST):gsub("GET", "HEAD"), handler)
    assert.matches("\r\nContent%-Length: 100000\r\n", reply)
    assert.equal("", body_of(reply))
  end)

  it("replies with what is asked for of a file", function()
    local path = files.directory() .. "/file.txt"
    files.write(path, "0123456789")
    local function handler(request)
      if request.path == "/error" then
        return { status = 404, file = path }
      end
      return { file = path, headers = { ["content-type"] = "text/x", ["Cache-Control"] = "a" } }
    end
    local reply = reply_to(get("/", LAST), handler)
    local tag = reply:match('\r\nETag: ("[^"]+")\r\n')
    assert.matches("\r\nLast%-Modified: ", reply)
    assert.matches("\r\ncontent%-type: text/x\r\n", reply)
    assert.not_matches("Content%-Type", reply)
    reply = reply_to(get("/", "If-None-Match: " .. tag, LAST), handler)
    assert.equal("304", statuses(reply))
    assert.matches("\r\nCache%-Control: a\r\n", reply)
    assert.equal("", body_of(reply))
    reply = reply_to(get("/", "Range: bytes=2-4", "If-Range: " .. tag, LAST), handler)
    assert.equal("206", statuses(reply))
    assert.matches("\r\nContent%-Range: bytes 2%-4/10\r\n", reply)
    assert.equal("234", body_of(reply))
    assert.equal("416", statuses(reply_to(get("/", "Range: bytes=10-", LAST), handler)))
    assert.equal("412", statuses(reply_to(get("/", 'If-Match: "x"', LAST), handler)))
    reply = reply_to(get("/", "Range: bytes=2-4", LAST):gsub("GET", "HEAD"), handler)
    assert.equal("200", statuses(reply))
    -- another status is that of the whole
    reply = reply_to(get("/error", "Range: bytes=2-4", "If-None-Match: *", LAST), handler)
    assert.equal("404", statuses(reply))
    assert.not_matches("ETag", reply)
    assert.equal("0123456789", body_of(reply))
    reply = reply_to(post("", "If-None-Match: *", "Content-Length: 0", LAST), handler)
    assert.equal("200", statuses(reply))
    assert.equal("0123456789", body_of(reply))
  end)

  it("replies with what an iterator gives, in chunks", function()
    local function handler()
      local i = 0
      return { body = function()
        i = i + 1
        await(sleep(1))
        return ({ "a", "", "bc" })[i]
      end }
    end
    local reply = reply_to(get("/", LAST), handler)
    assert.matches("\r\nTransfer%-Encoding: chunked\r\n", reply)
    assert.equal("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", body_of(reply))
    reply = reply_to("GET / HTTP/1.0\r\n\r\n", handler)
    assert.not_matches("Transfer%-Encoding", reply)
    assert.equal("abc", body_of(reply))
  end)

  it("closes a generator when the client has left", function()
    local closed = tide.event()
    with_server({}, function()
      return { body = tide.generator(function(yield)
        local _ <close> = setmetatable({}, { __close = function() closed:set() end })
        while true do
          yield(("x"):rep(100000))
        end
      end)() }
    end, function(port)
      local stream = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write(get()))
      await(stream:read())
      stream:destroy()
      await(closed:wait())
    end)
  end)

  describe("of which the body is not sent", function()
    --- A body of one piece, which notes in the list that it was closed.
    local function body_noting(closed)
      local is_given = false
      return setmetatable({}, {
        __call = function()
          is_given = not is_given
          return is_given and "x" or nil
        end,
        __close = function()
          closed[#closed + 1] = true
          error("cannot be closed", 0)
        end,
      })
    end

    it("closes that, and tells on_error if it fails", function()
      local closed, errors = {}, {}
      local reply = reply_to("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" .. get("/", LAST),
        function(request)
          return request.method == "HEAD" and { body = body_noting(closed) } or "x"
        end, noting_errors(errors))
      assert.equal("200 200", statuses(reply))
      assert.same({ true }, closed)
      assert.equal("cannot be closed", errors[1])
    end)

    it("closes that of a handler that was too late", function()
      local closed, errors = {}, {}
      local options = noting_errors(errors)
      options.handler_timeout = 40
      assert.equal("503", statuses(reply_to(get(), function()
        pcall(await, sleep(1e6))
        return { body = body_noting(closed) }
      end, options)))
      assert.same({ true }, closed)
      assert.equal("cannot be closed", errors[1])
    end)

    it("closes that for which the client has not waited", function()
      local closed, left = {}, tide.event()
      with_server(noting_errors({}), function(request)
        request.signal:on_abort(function() left:set() end)
        await(left:wait())
        return { body = body_noting(closed), headers = { a = ("x"):rep(1e7) } }
      end, function(port, service)
        local stream = await(net.connect({ host = "127.0.0.1", port = port }))
        await(stream:write(get()))
        await(sleep(5))
        stream:destroy()
        await(left:wait())
        await(service:close())
      end)
      assert.same({ true }, closed)
    end)
  end)

  it("takes a client that leaves with half of its body for no failure of the handler's", function()
    local errors, left = {}, tide.event()
    local options = noting_errors(errors)
    function options.on_request() left:set() end
    with_server(options, function(request)
      return { body = request:chunks() }
    end, function(port)
      assert.equal("200", statuses(say(port, post("ab", "Content-Length: 3"), true)))
      await(left:wait())
    end)
    assert.same({}, errors)
  end)

  it("is held back by a client that does not read", function()
    local given = 0
    with_server({}, function()
      return { body = function()
        given = given + 1
        return ("x"):rep(65536)
      end }
    end, function(port)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write(get()))
      await(stream:read())
      local before
      repeat
        before = given
        await(sleep(100))
      until given == before
      assert.is_true(given < 1000)
      stream:destroy()
    end)
  end)

  it("takes a length for a body in pieces, and sees that it is right", function()
    local function handler(pieces)
      return function()
        local i = 0
        return { headers = { ["Content-Length"] = 4 }, body = function()
          i = i + 1
          return pieces[i]
        end }
      end
    end
    assert.equal("abcd", body_of(reply_to(get("/", LAST), handler({ "ab", "cd" }))))
    for wrong, message in pairs({ a = "shorter", abcde = "longer" }) do
      local seen = {}
      reply_to(get("/", LAST), handler({ wrong }), noting_errors(seen))
      assert.matches(message, seen[1])
    end
  end)

  it("replies to HEAD, and with 204 and 304, without a body", function()
    local reply = reply_to("HEAD / HTTP/1.1\r\nHost: a\r\n" .. LAST .. "\r\n\r\n",
      function() return "hello" end)
    assert.matches("\r\nContent%-Length: 5\r\n", reply)
    assert.equal("", body_of(reply))
    for _, status in ipairs({ 204, 304 }) do
      reply = reply_to(get("/", LAST), function() return { status = status, body = "x" } end)
      assert.not_matches("Content%-Length", reply)
      assert.equal("", body_of(reply))
    end
  end)

  it("keeps the connection, and answers in order what comes at once", function()
    local reply = reply_to(get("/1") .. get("/2") .. post("body", "Content-Length: 4")
      .. get("/3", LAST) .. get("/4"), function(request)
      await(sleep(request.path == "/1" and 10 or 0))
      return request.path .. ";"
    end)
    assert.equal("200 200 200 200", statuses(reply))
    assert.matches("/1;.*/2;.*/;.*/3;$", reply)
  end)

  it("keeps a connection of HTTP/1.0 only when it is asked to", function()
    local function handler() return "x" end
    assert.equal("200", statuses(reply_to(("GET / HTTP/1.0\r\n\r\n"):rep(2), handler)))
    local kept = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    local reply = reply_to(kept .. "GET / HTTP/1.0\r\n\r\n", handler)
    assert.equal("200 200", statuses(reply))
    assert.matches("\r\nConnection: keep%-alive\r\n", reply)
  end)

  it("closes when the handler wants that", function()
    local reply = reply_to(get() .. get(), function()
      return { body = "x", headers = { Connection = "close" } }
    end)
    assert.equal("200", statuses(reply))
  end)

  it("answers what is no request, and says no more", function()
    local function handler() return "x" end
    for text, status in pairs({
      ["G(T / HTTP/1.1\r\n\r\n"] = "400", [get("/", "Host: a")] = "400",
      ["BREW / HTTP/1.1\r\nHost: a\r\n\r\n"] = "501", ["GET / HTTP/3.0\r\n\r\n"] = "505",
      [get("/" .. ("a"):rep(20000))] = "414", [get("/", "A: " .. ("b"):rep(20000))] = "431",
      [get() .. "\0" .. get()] = "200 400",
    }) do
      assert.equal(status, statuses(reply_to(text .. get(), handler)))
    end
    assert.equal("431", statuses(reply_to(get("/", "A: " .. ("b"):rep(200)), handler,
      { max_header_size = 100 })))
  end)

  it("answers a failure with 500, and tells on_error of it, not the client", function()
    local seen, reason = {}, { secret = true }
    local reply = reply_to(get("/x") .. get("/y", LAST), function(request)
      if request.path == "/x" then
        error(reason)
      end
      return "x"
    end, { on_error = function(err, request)
      seen = { err, request.path }
    end })
    assert.equal("500 200", statuses(reply))
    assert.not_matches("secret", reply)
    assert.equal(reason, seen[1])
    assert.equal("/x", seen[2])
  end)

  it("prints a failure with its trace where there is no on_error", function()
    local script = [[
      local tide, http, net = require "moontide", require "moontide.http", require "moontide.net"
      local function broken() error("no such thing") end
      local service = tide.await(http.serve({ host = "127.0.0.1" }, function()
        broken()
        return ""
      end))
      local port = service:address().port
      local stream <close> = tide.await(net.connect({ host = "127.0.0.1", port = port }))
      tide.await(stream:write("GET / HTTP/1.0\r\n\r\n"))
      io.write(tide.await(stream:read_all()))
      tide.await(service:close())
    ]]
    local result = child.lua_source(script)
    assert.matches("^HTTP/1.1 500 ", result.out)
    assert.not_matches("no such thing", result.out)
    assert.matches("no such thing", result.err)
    assert.matches("in upvalue 'broken'", result.err)
  end)

  it("does not mind fields of a reply that are none of its own", function()
    local reply = reply_to(get("/", LAST), function()
      return { body = "a", outgoing = true, ready = 1, [1] = 2 }
    end)
    assert.matches("^HTTP/1.1 200 OK\r\n.*\r\n\r\na$", reply)
  end)

  it("answers with 500 what is no reply", function()
    for _, result in ipairs({
      false, 1, { status = "x" }, { status = 100 }, { body = true }, { headers = 1 },
      { html = 1 }, { file = 1 }, { body = "a", html = "b" }, { headers = { ["a b"] = "c" } },
      { headers = { a = "b\r\nc: d" } }, { headers = { { "a\r\nb", "c" } } },
      { headers = { ["Transfer-Encoding"] = "chunked" } }, { headers = { Connection = "x" } },
      { body = "x", headers = { ["Content-Length"] = 2 } },
      { headers = { ["content-length"] = 2 } }, { headers = { ["content-length"] = "1x" } },
      { headers = { ["content-length"] = -1 } },
    }) do
      local seen = {}
      local reply = reply_to(get("/", LAST), function() return result end, noting_errors(seen))
      assert.equal("500", statuses(reply))
      assert.equal(1, #seen)
      assert.matches("^TypeError: ", seen[1])
    end
    local seen = {}
    reply_to(get("/", LAST), function() end, noting_errors(seen))
    assert.matches("has returned nil", seen[1])
  end)

  it("has a request with what was sent", function()
    local seen
    reply_to(get("/a%20b/c?x=1&y=+2&x=3", "X-Y: z", "x-y: w", LAST), function(request)
      seen = request
      assert.equal("127.0.0.1", request.peer.address)
      return ""
    end)
    assert.equal("GET", seen.method)
    assert.equal("/a%20b/c?x=1&y=+2&x=3", seen.target)
    assert.equal("/a%20b/c", seen.path)
    assert.equal("1.1", seen.version)
    assert.equal("http://a/a%20b/c?x=1&y=+2&x=3", seen.url)
    assert.equal("z, w", seen.headers:get("x-y"))
    assert.same({ "1", "3" }, seen.query:get_all("x"))
    assert.equal(" 2", seen.query:get("y"))
    assert.is_nil(seen.something)
  end)

  it("has the path of an absolute target", function()
    local paths = { ["http://b/c?d"] = "/c", ["http://b"] = "/", ["http://b?c"] = "/" }
    for target, path in pairs(paths) do
      local seen
      reply_to(get(target, LAST), function(request)
        seen = request
        return ""
      end)
      assert.equal(path, seen.path)
      assert.equal(target, seen.url)
    end
  end)
end)

describe("the body of a request", function()
  after_each(over)

  local function echo(request)
    return await(request:text())
  end

  it("is a text, of a length or in chunks", function()
    assert.equal("abc", body_of(reply_to(post("abc", "Content-Length: 3", LAST), echo)))
    assert.equal("abcde", body_of(reply_to(post("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked", LAST), echo)))
    assert.equal("", body_of(reply_to(get("/", LAST), echo)))
  end)

  it("comes when it comes", function()
    with_server({}, echo, function(port)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      for piece in post("abc", "Content-Length: 3", LAST):gmatch(".") do
        await(stream:write(piece))
        await(sleep(1))
      end
      assert.equal("abc", body_of(await(stream:read_all())))
    end)
  end)

  it("is decoded: JSON and forms", function()
    local reply = reply_to(post('{"a":[1,2]}', "Content-Length: 11", LAST), function(request)
      return tostring(await(request:json()).a[2])
    end)
    assert.matches("^2", body_of(reply))
    reply = reply_to(post("a=1&b=%32", "Content-Length: 9", LAST,
      "Content-Type: application/x-www-form-urlencoded; charset=utf-8"), function(request)
      return await(request:form()):get("b")
    end)
    assert.equal("2", body_of(reply))
  end)

  it("answers what it is refused for, unless the handler does", function()
    local function json(request) return { json = await(request:json()) } end
    local function form(request) return await(request:form()):get("a") end
    assert.equal("400", statuses(reply_to(post("{", "Content-Length: 1", LAST), json)))
    assert.equal("415", statuses(reply_to(post("{", "Content-Length: 1", LAST,
      "Content-Type: application/json"), form)))
    assert.equal("413", statuses(reply_to(post("abcd", "Content-Length: 4"), echo,
      { max_body = 3 })))
    assert.equal("413", statuses(reply_to(post("4\r\nabcd\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked"), echo, { max_body = 3 })))
    assert.equal("400", statuses(reply_to(post("xyz\r\n", "Transfer-Encoding: chunked"), echo)))
    assert.equal("200", statuses(reply_to(post("{", "Content-Length: 1", LAST), function(request)
      assert.equal("SyntaxError", select(2, pcall(await, request:json())).name)
      return "x"
    end)))
  end)

  it("is used once", function()
    local seen
    reply_to(post("abc", "Content-Length: 3", LAST), function(request)
      assert.is_false(request.body_used)
      await(request:text())
      assert.is_true(request.body_used)
      seen = select(2, pcall(await, request:text()))
      return "x"
    end)
    assert.equal("TypeError", seen.name)
  end)

  it("comes in pieces, as fast as it is taken", function()
    local reply
    with_server({}, function(request)
      local length = 0
      for piece in request:chunks() do
        length = length + #piece
      end
      return tostring(length)
    end, function(port)
      reply = say(port, post(("x"):rep(3000000), "Content-Length: 3000000", LAST))
    end)
    assert.equal("3000000", body_of(reply))
  end)

  it("that nobody reads is taken, if it is short, and ends the connection if it is not", function()
    local function handler() return "x" end
    local short = post(("x"):rep(1000), "Content-Length: 1000")
    assert.equal("200 200", statuses(reply_to(short .. get("/", LAST), handler)))
    local long = post(("x"):rep(300000), "Content-Length: 300000")
    assert.equal("200", statuses(reply_to(long .. get(), handler)))
  end)

  it("leaves the connection for the next request when it was long, and has been read", function()
    local long = post(("x"):rep(300000), "Content-Length: 300000")
    local reply = reply_to(long .. get("/", LAST), function(request)
      return tostring(#await(request:text()))
    end)
    assert.equal("200 200", statuses(reply))
  end)

  it("may be read by two, which are both told when it does not come", function()
    local failed = {}
    local reply = reply_to(post("ab", "Content-Length: 3"), function(request, group)
      local next_piece = request:chunks()
      local function read()
        for _ in next_piece do
        end
      end
      for _, promise in ipairs({ group:spawn(pcall, read), group:spawn(pcall, read) }) do
        failed[#failed + 1] = select(2, await(promise)).name
      end
      return "x"
    end, { body_timeout = 40 })
    assert.same({ "TimeoutError", "TimeoutError" }, failed)
    assert.equal("200", statuses(reply))
  end)

  it("that is still being read when the reply is out leaves an idle connection", function()
    with_server({ idle_timeout = 40 }, function(request)
      request:text()
      return "x"
    end, function(port, service)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write(post("", "Content-Length: 3")))
      await(stream:read_until("\r\n\r\nx"))
      await(stream:write("abc"))
      assert.equal("", await(stream:read_all()))
      assert.equal(0, service:connections())
    end)
  end)

  it("is asked for with 100 when the handler asks for it, and not otherwise", function()
    local expects = post("", "Content-Length: 3", "Expect: 100-continue")
    with_server({}, echo, function(port)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write(expects))
      assert.equal("HTTP/1.1 100 Continue\r\n\r\n", await(stream:read()))
      await(stream:write("abc", get("/", LAST)))
      local reply = await(stream:read_all())
      assert.equal("200 200", statuses(reply))
      assert.matches("abc", reply)
    end)
    with_server({}, function() return { status = 403 } end, function(port)
      assert.equal("403", statuses(say(port, expects, true)))
    end)
  end)

  it("has trailers when it is over", function()
    local text = "3\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n"
    local reply = reply_to(post(text, "Transfer-Encoding: chunked") .. get("/", LAST),
      function(request)
        if request.method == "GET" then
          return tostring(request.trailers:get("a"))
        end
        assert.is_nil(request.trailers)
        await(request:text())
        assert.is_nil(request.headers:get("a"))
        return request.trailers:get("a") .. request.trailers:get("c")
      end)
    assert.equal("200 200", statuses(reply))
    assert.matches("\r\n\r\nbdHTTP.*\r\n\r\nnil$", reply)
  end)

  it("is not waited for when the signal has been aborted between two pieces", function()
    local seen
    with_server({}, function(request)
      local controller = tide.AbortController()
      local next_piece = request:chunks({ signal = controller.signal })
      assert.equal("ab", next_piece())
      controller:abort("enough")
      seen = select(2, pcall(next_piece))
      return "x"
    end, function(port)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write(post("ab", "Content-Length: 3")))
      assert.matches("^HTTP/1.1 200 ", await(stream:read()))
    end)
    assert.equal("enough", seen)
  end)

  it("that ends too early is an error", function()
    local seen
    with_server({}, function(request)
      seen = select(2, pcall(await, request:text()))
      return "x"
    end, function(port)
      say(port, post("ab", "Content-Length: 3"), true)
    end)
    assert.equal("HTTPError", seen.name)
  end)

  it("is given up when the signal is aborted, and can be read no more", function()
    local seen
    with_server({}, function(request)
      seen = select(2, pcall(await, request:text({ signal = tide.AbortSignal.timeout(5) })))
      return "x"
    end, function(port)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write(post("ab", "Content-Length: 3")))
      assert.matches("^HTTP/1.1 200 ", await(stream:read()))
    end)
    assert.equal("TimeoutError", seen.name)
  end)
end)

describe("the timeouts of http.serve:", function()
  after_each(over)

  local function handler(request)
    return await(request:text())
  end

  --- What the server says by itself, when a client says no more than the text.
  local function left_alone(text, options, f)
    return reply_to(text, f or handler, options)
  end

  it("408 where a head does not go on", function()
    assert.equal("408", statuses(left_alone("GET / HT", { header_timeout = 40 })))
  end)

  it("408 where a head comes in drops", function()
    with_server({ header_timeout = 40 }, handler, function(port)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      local reply = stream:read()
      for _ = 1, 1000 do
        if reply:state() ~= "pending" then
          break
        end
        pcall(await, stream:write("a"))
        await(sleep(5))
      end
      assert.equal("408", statuses(await(reply)))
    end)
  end)

  it("408 where a body does not go on", function()
    local reply = left_alone(post("ab", "Content-Length: 3"), { body_timeout = 40 })
    assert.equal("408", statuses(reply))
  end)

  it("an idle connection is closed", function()
    assert.equal("", left_alone("", { idle_timeout = 40 }))
    assert.equal("200", statuses(left_alone(get(), { idle_timeout = 40 })))
  end)

  --- Whether the server drops a client that reads n bytes after the request, and no more.
  local function is_dropped(n, handler_, port_of)
    local bytes
    with_server({ write_timeout = 60, idle_timeout = 1e6, on_request = function(_, _, sent)
      bytes = sent
    end }, handler_, function(port, service)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write(port_of))
      await(stream:read_exactly(n))
      files.eventually(function() return service:connections() == 0 end)
    end)
    return bytes
  end

  local MUCH = ("x"):rep(32 << 20)

  it("a client that does not take its reply is dropped", function()
    assert.equal(0, is_dropped(1, function() return MUCH end, get()))
    assert.equal(0, is_dropped(100000, function() return MUCH end, get("/", LAST)))
    assert.equal(0, is_dropped(1, function()
      return { body = function() return MUCH end }
    end, get()))
    -- what is queued is little enough for the handler to go on
    local small = ("x"):rep(100000)
    assert.is_truthy(is_dropped(1, function() return small end, get():rep(200)))
    assert.is_truthy(is_dropped(1, function() return small end,
      get():rep(100) .. get("/", LAST)))
  end)

  it("a client that takes it slowly is not dropped, nor one whose reply comes slowly", function()
    with_server({ write_timeout = 300 }, function(request)
      local n = 0
      return request.path == "/much" and MUCH or { body = function()
        await(sleep(400))
        n = n + 1
        return n < 3 and "x" or nil
      end }
    end, function(port)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write(get("/much")))
      local length = 0
      for piece in stream:chunks(1 << 20) do
        length = length + #piece
        if length > #MUCH then
          break
        end
        await(sleep(10))
      end
      await(stream:write(get("/slow", LAST)))
      assert.equal("1\r\nx\r\n1\r\nx\r\n0\r\n\r\n", body_of(await(stream:read_all())))
    end)
  end)

  it("503 where a handler takes too long, which is cancelled", function()
    local cancelled, signal
    local reply = left_alone(get(), { handler_timeout = 40 }, function(request)
      signal = request.signal
      cancelled = select(2, pcall(await, sleep(1e6)))
      return "x"
    end)
    assert.equal("503", statuses(reply))
    assert.equal("TimeoutError", cancelled.name)
    assert.is_true(signal.aborted)
  end)

  it("503 where a handler takes too long, whatever on_request does then", function()
    local told, tell = tide.Promise.with_resolvers()
    local service
    service = await(http.serve({
      host = "127.0.0.1",
      handler_timeout = 40,
      on_error = tell,
      on_request = function(_, status)
        service:close()
        await(sleep(1))
        error("status " .. status, 0)
      end,
    }, function() await(sleep(1e6)) end))
    assert.equal("503", statuses(say(service:address().port, get())))
    assert.equal("status 503", await(told))
    await(service:close({ grace = 0 }))
  end)
end)

describe("the signal of a request", function()
  after_each(over)

  it("is aborted when the client leaves, though more requests had come", function()
    local left = tide.event()
    with_server({}, function(request)
      request.signal:on_abort(function() left:set() end)
      await(left:wait())
      return "x"
    end, function(port)
      local stream = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write(get(), get()))
      await(sleep(5))
      stream:destroy()
      await(left:wait())
    end)
  end)

  it("is never aborted once the reply is out", function()
    local signals = {}
    local reply = reply_to(get() .. get("/", LAST), function(request)
      signals[#signals + 1] = request.signal
      await(sleep(1))
      return "x"
    end)
    assert.equal("200 200", statuses(reply))
    for _, signal in ipairs(signals) do
      assert.is_false(signal.aborted)
    end
  end)
end)

describe("http.serve with clients that leave anywhere", function()
  after_each(over)

  local TEXTS = {
    get(), get() .. get(), post("abc", "Content-Length: 3"), post("ab", "Content-Length: 3"),
    post("3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), "G(T", get("/", LAST),
    post("", "Content-Length: 3", "Expect: 100-continue"),
  }

  local handlers = {
    function() return "x" end,
    function() return { body = ("x"):rep(300000) } end,
    function(request) return await(request:text()) end,
    function(request)
      await(sleep(math.random(5), { signal = request.signal }))
      return "x"
    end,
    function()
      local n = 0
      return { body = function()
        n = n + 1
        await(sleep(1))
        return n < 10 and ("x"):rep(1000) or nil
      end }
    end,
    function() error("broken") end,
  }

  it("has nothing left of them", function()
    with_server({ on_error = function() end, body_timeout = 100, idle_timeout = 100 },
      function(request)
        return handlers[math.random(#handlers)](request)
      end, function(port, service)
        local clients = {}
        for i = 1, 200 do
          clients[i] = function()
            local stream = await(net.connect({ host = "127.0.0.1", port = port }))
            local text = TEXTS[math.random(#TEXTS)]
            stream:write(text:sub(1, math.random(#text))):catch(function() end)
            await(sleep(math.random(0, 10)))
            stream[math.random(2) == 1 and "destroy" or "close"](stream)
          end
        end
        await(tide.map(clients, function(client) client() end, { concurrency = 20 }))
        for _ = 1, 1000 do
          if service:connections() == 0 then
            break
          end
          await(sleep(5))
        end
        assert.equal(0, service:connections())
      end)
  end)
end)

describe("a service of http.serve", function()
  after_each(over)

  it("closes idle connections, and lets the others finish", function()
    local entered = tide.event()
    with_server({}, function(request)
      if request.path == "/at-once" then
        return "x"
      end
      entered:set()
      await(sleep(20))
      return "x"
    end, function(port, service)
      local idle <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      local busy <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(idle:write(get("/at-once")))
      assert.matches("200 OK", await(idle:read_until("\r\n\r\nx")))
      await(busy:write(get(), get()))
      await(entered:wait())
      assert.equal(2, service:connections())
      local closed = service:close()
      assert.is_nil(await(idle:read()))
      local reply = await(busy:read_all())
      assert.equal("200", statuses(reply))
      assert.matches("\r\nConnection: close\r\n", reply)
      await(closed)
      assert.is_nil(service:address())
    end)
  end)

  it("takes the end of idle connections for no failure", function()
    local seen = {}
    with_server(noting_errors(seen), function() return "x" end, function(port, service)
      local idle <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(idle:write(get()))
      await(idle:read())
      await(service:close({ grace = 0 }))
    end)
    assert.same({}, seen)
  end)

  it("answers who has connected before it closes, and closes who says nothing", function()
    with_server({}, function()
      return "x"
    end, function(port, service)
      local slow <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      local silent <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      files.eventually(function()
        return service:connections() == 2
      end)
      local closed = service:close()
      await(sleep(1))
      await(slow:write(get(), get()))
      local reply = await(slow:read_all())
      assert.equal("200", statuses(reply))
      assert.matches("\r\nConnection: close\r\n", reply)
      assert.is_nil(await(silent:read()))
      await(closed)
    end)
  end)

  it("cancels handlers after the grace", function()
    local reason, entered = nil, tide.event()
    with_server({}, function()
      entered:set()
      local _, err = pcall(await, sleep(1e6))
      reason = err
      error(err, 0)
    end, function(port, service)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write(get()))
      await(entered:wait())
      await(service:close({ grace = 10 }))
      assert.equal("AbortError", reason.name)
    end)
  end)

  it("tells on_request what was sent", function()
    local lines = {}
    reply_to(get("/a") .. get("/b", LAST), function(request)
      if request.path == "/b" then
        return { status = 404, body = "none" }
      end
      return "hello"
    end, { on_request = function(request, status, bytes, ms)
      assert.is_true(ms >= 0)
      lines[#lines + 1] = table.concat({ request.path, status, bytes }, " ")
    end })
    assert.same({ "/a 200 5", "/b 404 4" }, lines)
  end)

  it("serves at a unix domain socket, for curl as well", function()
    local path = files.directory() .. "/socket"
    local service = await(http.serve({ path = path }, function(request)
      return request.method .. " " .. await(request:text()) .. "\n"
    end))
    local curl = "curl -s --unix-socket " .. path .. " http://a/ -d " .. ("x"):rep(2000)
      .. " -H 'Expect: 100-continue' --next -s --unix-socket " .. path .. " http://a/b"
    assert.equal("POST " .. ("x"):rep(2000) .. "\nGET \n", peers.run(curl).out)
    await(service:close())
  end)

  it("shares a port with others, where the system has that", function()
    local services = {}
    local ok, first = pcall(await, http.serve({ host = "127.0.0.1", reuse_port = true },
      function() return "1" end))
    if not ok then
      return pending("no SO_REUSEPORT")
    end
    services[1] = first
    local port = first:address().port
    services[2] = await(http.serve({ host = "127.0.0.1", port = port, reuse_port = true },
      function() return "2" end))
    local seen = {}
    for _ = 1, 200 do
      seen[body_of(say(port, get("/", LAST)))] = true
    end
    assert.same({ ["1"] = true, ["2"] = true }, seen)
    await(services[1]:close())
    assert.equal("2", body_of(say(port, get("/", LAST))))
    await(services[2]:close())
  end)

  it("serves over TLS", function()
    if not pcall(require, "moontide.tls") then
      pending("built without TLS")
    end
    local own = require("spec.support.certificates").self_signed("localhost", "DNS:localhost")
    with_server({ tls = { cert = own.cert, key = own.key } }, function(request)
      return request.url
    end, function(port)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port,
        tls = { ca = own.cert, server_name = "localhost" } }))
      await(stream:write(get("/x", LAST)))
      assert.equal("https://a/x", body_of(await(stream:read_all())))
    end)
  end)

  it("refuses options that are none", function()
    local handler = function() end
    assert.matches("#1 to 'http.serve' %(field 'max_body'",
      raised(http.serve, { max_body = 0 }, handler))
    assert.matches("#1 to 'http.serve' %(field 'port'", raised(http.serve, { port = "x" }, handler))
    assert.matches("#1 to 'http.serve' %(field 'idle_timeout'",
      raised(http.serve, { idle_timeout = -1 }, handler))
    assert.matches("#2 to 'http.serve'", raised(http.serve, {}))
  end)
end)
