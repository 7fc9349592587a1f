-- Of: http/module, http/client, http/exchange, http/failure, http/fetching, http/outgoing,
--   http/pool, http/response, http/tls_options, http/multi, http/transfer, http/buffer,
--   http/pollset, http/reply, http/url
-- The client, against a server of ours.
local tide = require "moontide"
local files = require "spec.support.files"
local fs = require "moontide.fs"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised
local reason_of = require("spec.support.raised").failure

local await, sleep = tide.await, tide.sleep

local has_client = pcall(require, "moontide.http_core")
local has_parser = pcall(require, "moontide.llhttp_core")

if not has_client then
  describe("http.fetch", function()
    it("says which package is missing", function()
      assert.matches("built without libcurl", raised(http.fetch, "http://127.0.0.1/"))
      assert.matches("built without libcurl", raised(http.client))
    end)
  end)
  return
elseif not has_parser then
  return
end

--- Calls f(base, client) while a server runs, and closes both.
local function with_server(handler, f, defaults)
  local options = { host = "127.0.0.1", port = 0, on_error = function() end }
  local service = await(http.serve(options, handler))
  local client = http.client(defaults)
  local base = "http://127.0.0.1:" .. service:address().port
  local ok, err = pcall(f, base, client)
  client:close()
  await(service:close({ grace = 0 }))
  if not ok then
    error(err, 0)
  end
end

--- What the handler tells of a request, and of what comes with it.
local function tell(request)
  local headers = {}
  for name, value in request.headers:each() do
    headers[name] = value
  end
  return { json = {
    method = request.method,
    target = request.target,
    headers = headers,
    body = await(request:text()),
  } }
end

--- What the server was told by a fetch.
local function told(options, path)
  local result
  with_server(tell, function(base, client)
    result = await(await(client:fetch(base .. (path or "/"), options)):json())
  end)
  return result
end

local function over()
  files.remove()
  leak.check()
end

describe("http.fetch", function()
  after_each(over)

  it("gets", function()
    with_server(function() return "hello" end, function(base)
      local response = await(http.fetch(base))
      assert.equal(200, response.status)
      assert.is_true(response.ok)
      assert.equal("OK", response.status_text)
      assert.equal("1.1", response.version)
      assert.equal(base .. "/", response.url)
      assert.is_false(response.redirected)
      assert.is_false(response.body_used)
      assert.equal("text/plain; charset=utf-8", response.headers:get("Content-Type"))
      assert.equal("hello", await(response:text()))
      assert.is_true(response.body_used)
    end)
  end)

  it("has a response for every status", function()
    with_server(function(request)
      return { status = math.tointeger(tonumber(request.path:sub(2))), body = "x" }
    end, function(base, client)
      for _, status in ipairs({ 200, 204, 304, 400, 404, 500, 599 }) do
        local response = await(client:fetch(base .. "/" .. status))
        assert.equal(status, response.status)
        assert.equal(status < 300, response.ok)
        assert.equal((status == 204 or status == 304) and "" or "x", await(response:text()))
      end
    end)
  end)

  it("sends what it is told to", function()
    local got = told({ method = "post", headers = { ["X-A"] = { "1", "2" }, ["X-B"] = "" },
      body = "text" }, "/a?b=c#d")
    assert.equal("POST", got.method)
    assert.equal("/a?b=c", got.target)
    assert.equal("text", got.body)
    assert.equal("1, 2", got.headers["x-a"])
    assert.equal("", got.headers["x-b"])
    assert.equal("4", got.headers["content-length"])
    assert.equal("moontide", got.headers["user-agent"])
    assert.equal("*/*", got.headers.accept)
    assert.is_nil(got.headers["content-type"])
    assert.is_nil(got.headers.expect)
  end)

  it("puts some methods into capitals", function()
    for given, sent in pairs({ get = "GET", Put = "PUT", delete = "DELETE", patch = "patch" }) do
      if given ~= "patch" then
        assert.equal(sent, told({ method = given }).method)
      end
    end
    assert.equal("PATCH", told({ method = "PATCH", body = "" }).method)
  end)

  it("says that there is no body where one is expected", function()
    assert.equal("0", told({ method = "POST" }).headers["content-length"])
    assert.is_nil(told({ method = "DELETE" }).headers["content-length"])
  end)

  it("has no body for a HEAD", function()
    with_server(function() return "hello" end, function(base, client)
      local response = await(client:fetch(base, { method = "HEAD" }))
      assert.equal("5", response.headers:get("content-length"))
      assert.equal("", await(response:text()))
    end)
  end)

  it("sends JSON and forms", function()
    local got = told({ method = "POST", json = { a = 1 } })
    assert.equal('{"a":1}', got.body)
    assert.equal("application/json", got.headers["content-type"])
    got = told({ method = "POST", form = { a = "b c&", d = { "1", "2" } } })
    assert.equal("a=b+c%26&d=1&d=2", got.body)
    assert.equal("application/x-www-form-urlencoded", got.headers["content-type"])
    got = told({ method = "POST", json = 1, headers = { ["content-type"] = "text/x" } })
    assert.equal("text/x", got.headers["content-type"])
  end)

  it("sends pieces", function()
    local n = 0
    local got = told({ method = "PUT", body = function()
      n = n + 1
      await(sleep(1))
      return n <= 3 and tostring(n) or nil
    end })
    assert.equal("123", got.body)
    assert.equal("chunked", got.headers["transfer-encoding"])
    assert.is_nil(got.headers["content-length"])
    local generator = tide.generator(function(yield)
      yield "a"
      yield "b"
    end)
    assert.equal("ab", told({ method = "POST", body = generator() }).body)
  end)

  it("sends a file, of the length that is said", function()
    local path = files.directory() .. "/file"
    files.write(path, ("x"):rep(300000))
    local file <close> = await(fs.open(path))
    local got = told({ method = "PUT", body = file, headers = { ["Content-Length"] = 300000 } })
    assert.equal(300000, #got.body)
    assert.equal("300000", got.headers["content-length"])
  end)

  it("fails if a body in pieces does", function()
    with_server(tell, function(base, client)
      local reason = reason_of(client:fetch(base, { method = "POST", body = function()
        error("no more", 0)
      end }))
      assert.equal("no more", reason)
      reason = reason_of(client:fetch(base, { method = "POST", body = function() return 1 end }))
      assert.matches("a body gives strings, not number", tostring(reason))
      for length, text in pairs({ [1] = "longer", [3] = "shorter" }) do
        local given = false
        reason = reason_of(client:fetch(base, {
          method = "POST",
          headers = { ["content-length"] = length },
          body = function()
            local piece = not given and "12" or nil
            given = true
            return piece
          end,
        }))
        assert.matches("the body is " .. text, tostring(reason))
      end
    end)
  end)

  it("closes a body in pieces that it does not come to send", function()
    local client, closed_client = http.client(), http.client()
    closed_client:close()
    local aborted = tide.AbortSignal.abort("enough")
    for _, fetch in ipairs({
      function(options) return client:fetch("http://nobody.invalid/", options) end,
      function(options) return closed_client:fetch("http://127.0.0.1:1/", options) end,
      function(options)
        options.signal = aborted
        return client:fetch("http://127.0.0.1:1/", options)
      end,
    }) do
      local closed = 0
      local body = setmetatable({}, {
        __call = function() end,
        __close = function() closed = closed + 1 end,
      })
      reason_of(fetch({ method = "POST", body = body }))
      assert.equal(1, closed)
    end
    client:close()
  end)

  it("takes no more of a body in pieces than is sent", function()
    local taken, seen = 0, 0
    local gate = tide.event()
    with_server(function(request)
      gate:wait():await()
      for piece in request:chunks() do
        seen = seen + #piece
      end
      return "x"
    end, function(base, client)
      local promise = client:fetch(base, { method = "POST", body = function()
        taken = taken + 1
        return taken <= 500 and ("x"):rep(65536) or nil
      end })
      await(sleep(50))
      assert.is_true(taken < 250)
      gate:set()
      assert.equal("x", await(await(promise):text()))
      assert.equal(500 * 65536, seen)
    end)
  end)

  it("gives bodies in pieces, and holds the peer back", function()
    local written = 0
    with_server(function()
      return { body = function()
        written = written + 1
        return written <= 500 and ("x"):rep(65536) or nil
      end }
    end, function(base, client)
      local response = await(client:fetch(base))
      await(sleep(50))
      assert.is_true(written < 250)
      local length = 0
      for piece in response:chunks() do
        length = length + #piece
      end
      assert.equal(500 * 65536, length)
      assert.is_true(response.body_used)
    end)
  end)

  it("gives up what is left of a body when the loop is left", function()
    local left = tide.event()
    with_server(function(request)
      request.signal:on_abort(function() left:set() end)
      return { body = function() return ("x"):rep(65536) end }
    end, function(base, client)
      for piece in await(client:fetch(base)):chunks() do -- luacheck: ignore 512
        assert.equal("x", piece:sub(1, 1))
        break
      end
      assert.equal(true, (pcall(await, tide.timeout(5000, function() left:wait():await() end))))
    end)
  end)

  it("reads a body once", function()
    with_server(function() return "1" end, function(base, client)
      local response = await(client:fetch(base))
      assert.equal(1, await(response:json()))
      assert.equal("TypeError", reason_of(response:text()).name)
      assert.equal("TypeError", reason_of(response:json()).name)
      assert.is_false((pcall(response:chunks())))
      response = await(client:fetch(base))
      response:close()
      assert.equal("TypeError", reason_of(response:text()).name)
    end)
  end)

  it("rejects with a SyntaxError where there is no JSON", function()
    with_server(function() return "{" end, function(base, client)
      assert.equal("SyntaxError", reason_of(await(client:fetch(base)):json()).name)
    end)
  end)

  it("limits bodies", function()
    with_server(function() return ("x"):rep(1000) end, function(base, client)
      assert.equal(1000, #await(await(client:fetch(base, { max_body = 1000 })):text()))
      local ok, reason = pcall(function()
        return await(await(client:fetch(base, { max_body = 999 })):text())
      end)
      assert.is_false(ok)
      assert.equal("BODY_TOO_LARGE", reason.code)
      reason = reason_of(await(client:fetch(base)):text({ limit = 999 }))
      assert.equal("BODY_TOO_LARGE", reason.code)
      assert.equal(base .. "/", reason.url)
      reason = reason_of(await(client:fetch(base)):text({ limit = 99.5 }))
      assert.equal("BODY_TOO_LARGE", reason.code)
      assert.matches("longer than 99.5 bytes", reason.message)
    end)
  end)

  it("tells times", function()
    with_server(function() return "x" end, function(base, client)
      local response = await(client:fetch(base))
      await(response:text())
      local timings = response.timings
      assert.is_true(timings.first_byte > 0 and timings.total >= timings.first_byte)
      assert.is_true(timings.connect >= timings.lookup and timings.tls == 0)
    end)
  end)

  it("uses connections again", function()
    local peers, count = {}, 0
    with_server(function(request)
      local port = request.peer.port
      count = count + (peers[port] and 0 or 1)
      peers[port] = true
      return "x"
    end, function(base, client)
      for _ = 1, 5 do
        await(await(client:fetch(base)):text())
      end
      assert.equal(1, count)
    end)
  end)

  it("has no more connections than it may", function()
    local now, most = 0, 0
    with_server(function()
      now = now + 1
      most = math.max(most, now)
      await(sleep(2))
      now = now - 1
      return "x"
    end, function(base, client)
      local list = {}
      for i = 1, 12 do
        list[i] = client:fetch(base)
      end
      for _, response in ipairs(await(tide.Promise.all(list))) do
        await(response:text())
      end
      assert.is_true(most <= 3)
    end, { max_per_host = 3 })
  end)

  it("does not wait for ever for connections of responses that were dropped", function()
    with_server(function()
      return { body = function() return ("x"):rep(65536) end }
    end, function(base, client)
      for _ = 1, 2 do
        assert.equal(200, await(client:fetch(base)).status) -- nobody has it any more
      end
      collectgarbage("stop")
      local ok, response = pcall(await, tide.timeout(20000, client.fetch, client, base))
      collectgarbage("restart")
      assert.is_true(ok, tostring(response))
      response:close()
    end, { max_per_host = 2 })
  end)

  it("has nothing to do with the loop when nobody waits", function()
    with_server(function()
      return { body = function() return ("x"):rep(65536) end }
    end, function(base, client)
      local response = await(client:fetch(base))
      assert.equal(200, response.status)
      response = nil -- luacheck: ignore 311 (it is dropped)
      leak.collect()
      await(sleep(1))
      assert.equal(0, client._pool._multi:count())
    end)
  end)

  it("cannot be used when it is closed", function()
    with_server(function() sleep(1000):await() end, function(base, client)
      local promise = client:fetch(base)
      client:close()
      assert.matches("the client has been closed", tostring(reason_of(promise)))
      assert.matches("the client has been closed", tostring(reason_of(client:fetch(base))))
    end)
  end)
end)

describe("an http.fetch that is given up", function()
  after_each(over)

  local function never()
    sleep(100000):await()
  end

  it("ends with its signal", function()
    with_server(never, function(base, client)
      local controller = tide.AbortController()
      local promise = client:fetch(base, { signal = controller.signal })
      await(sleep(10))
      controller:abort("enough")
      assert.equal("enough", reason_of(promise))
      assert.equal(0, client._pool._multi:count())
      assert.equal("enough", reason_of(client:fetch(base, { signal = controller.signal })))
    end)
  end)

  it("leaves the next ones alone while it is connecting", function()
    with_server(function() return "x" end, function(base, client)
      for _ = 1, 20 do
        local controller = tide.AbortController()
        local given_up = {}
        for i = 1, 3 do
          given_up[i] = client:fetch(base, { signal = controller.signal })
        end
        controller:abort("enough")
        for _, promise in ipairs(given_up) do
          assert.equal("enough", reason_of(promise))
        end
        assert.equal("x", await(await(client:fetch(base, { timeout = 5000 })):text()))
        client._pool._multi:close()
      end
    end)
  end)

  it("has its name in what is told of tasks until then", function()
    with_server(never, function(base, client)
      local controller = tide.AbortController()
      local promise = client:fetch(base, { signal = controller.signal })
      await(sleep(10))
      assert.matches("async function 'fetch' ", tostring(tide.tasks()))
      controller:abort("enough")
      assert.equal("enough", reason_of(promise))
    end)
  end)

  it("ends with its group", function()
    with_server(never, function(base, client)
      local ok, reason = pcall(await, tide.group(function(g)
        g:spawn(function() await(client:fetch(base)) end)
        await(sleep(10))
        error("storm", 0)
      end))
      assert.is_false(ok)
      assert.equal("storm", reason)
      assert.equal(0, client._pool._multi:count())
    end)
  end)

  it("ends with the group that reads its body", function()
    with_server(function()
      local begun = false
      return { body = function()
        if begun then
          never()
        end
        begun = true
        return "x"
      end }
    end, function(base, client)
      local path = files.directory() .. "/saved"
      for _, read in ipairs({
        function(response) await(response:text()) end,
        function(response) await(response:json()) end,
        function(response) await(response:save(path)) end,
        function(response)
          local next_piece = response:chunks()
          while next_piece() do
          end
        end,
      }) do
        local response = await(client:fetch(base))
        local ok, reason = pcall(await, tide.group(function(g)
          g:spawn(read, response)
          await(sleep(10))
          error("storm", 0)
        end))
        assert.is_false(ok)
        assert.equal("storm", reason)
        assert.equal(0, client._pool._multi:count())
      end
    end)
  end)

  it("ends in time, within the body as well", function()
    with_server(function(request)
      if request.path == "/" then
        never()
      end
      local begun = false
      return { body = function()
        if begun then
          never()
        end
        begun = true
        return "x"
      end }
    end, function(base, client)
      assert.equal("TimeoutError", reason_of(client:fetch(base, { timeout = 20 })).name)
      local response = await(client:fetch(base .. "/body", { timeout = 100 }))
      assert.equal("TimeoutError", reason_of(response:text()).name)
      assert.equal(0, client._pool._multi:count())
    end)
  end)

  it("ends its body with its signal, and with that of the read", function()
    with_server(function()
      local begun = false
      return { body = function()
        if begun then
          never()
        end
        begun = true
        return "x"
      end }
    end, function(base, client)
      local controller = tide.AbortController()
      local response = await(client:fetch(base, { signal = controller.signal }))
      local promise = response:text()
      controller:abort("enough")
      assert.equal("enough", reason_of(promise))
      controller = tide.AbortController()
      response = await(client:fetch(base))
      promise = response:text({ signal = controller.signal })
      await(sleep(1))
      controller:abort("too much")
      assert.equal("too much", reason_of(promise))
      assert.equal(0, client._pool._multi:count())
    end)
  end)

  it("ends what sends its body", function()
    with_server(never, function(base, client)
      local controller, closed = tide.AbortController(), false
      local promise = client:fetch(base, {
        method = "POST",
        signal = controller.signal,
        body = tide.generator(function(yield)
          local _ <close> = setmetatable({}, { __close = function() closed = true end })
          yield "a"
          sleep(100000):await()
        end)(),
      })
      await(sleep(10))
      controller:abort("enough")
      assert.equal("enough", reason_of(promise))
      await(sleep(1))
      assert.is_true(closed)
    end)
  end)
end)

describe("a thousand fetches that are given up at any time", function()
  after_each(over)

  --- Replies at once, late, in drops, without end, and with redirects.
  local function replies(request)
    local kind = request.path:sub(2)
    if kind == "late" then
      await(sleep(math.random(20)))
    elseif kind == "redirect" then
      return http.redirect("/late")
    elseif kind == "drops" or kind == "flood" then
      local piece = kind == "flood" and ("x"):rep(65536) or "x"
      return { body = function()
        await(sleep(kind == "flood" and 0 or 3))
        return piece
      end }
    elseif kind == "up" then
      return tostring(#await(request:text()))
    end
    return "x"
  end

  local KINDS = { "at once", "late", "redirect", "drops", "flood", "up" }

  local function fetch_once(base, client)
    local kind = KINDS[math.random(#KINDS)]
    local controller = tide.AbortController()
    tide.set_timeout(controller.abort, math.random(0, 30), controller, "enough")
    local ok, reason = pcall(function()
      local response = await(client:fetch(base .. "/" .. kind, {
        signal = controller.signal,
        method = kind == "up" and "POST" or nil,
        body = kind == "up" and function()
          await(sleep(3))
          return "x"
        end or nil,
      }))
      for _ in response:chunks() do
      end
    end)
    assert(ok or reason == "enough", kind .. ": " .. tostring(reason))
  end

  it("leave nothing, and memory as it was", function()
    with_server(replies, function(base, client)
      local function some(n)
        local list = {}
        for i = 1, n do
          list[i] = i
        end
        await(tide.each(list, function() fetch_once(base, client) end, { concurrency = 50 }))
        assert.equal(0, client._pool._multi:count())
        leak.collect()
        return collectgarbage("count")
      end
      some(200)
      local before = some(300)
      local after = some(700)
      assert.is_true(after < before * 1.2, ("%.0f KiB, then %.0f"):format(before, after))
    end)
  end)
end)

describe("redirects of http.fetch", function()
  after_each(over)

  --- A server that redirects once from /status, and tells what comes then.
  local function redirecting(request)
    local status = request.path:match("^/(%d+)$")
    if status then
      return http.redirect("/then", math.tointeger(tonumber(status)))
    end
    return tell(request)
  end

  it("are followed, with the methods that Fetch says", function()
    with_server(redirecting, function(base, client)
      for status, methods in pairs({
        [301] = { GET = "GET", POST = "GET", PUT = "PUT" },
        [302] = { GET = "GET", POST = "GET", PUT = "PUT" },
        [303] = { GET = "GET", POST = "GET", PUT = "GET" },
        [307] = { GET = "GET", POST = "POST", PUT = "PUT" },
        [308] = { GET = "GET", POST = "POST", PUT = "PUT" },
      }) do
        for method, later in pairs(methods) do
          local response = await(client:fetch(("%s/%d"):format(base, status), {
            method = method,
            body = method ~= "GET" and "text" or nil,
            headers = method ~= "GET" and { ["Content-Type"] = "text/x" } or nil,
          }))
          local got = await(response:json())
          assert.is_true(response.redirected)
          assert.equal(base .. "/then", response.url)
          assert.equal(later, got.method)
          assert.equal(later ~= "GET" and "text" or "", got.body)
          assert.equal(later ~= "GET" and "text/x" or nil, got.headers["content-type"])
        end
      end
    end)
  end)

  it("are followed so many times", function()
    with_server(function() return http.redirect("/") end, function(base, client)
      assert.equal("TOO_MANY_REDIRECTS", reason_of(client:fetch(base)).code)
      local reason = reason_of(client:fetch(base, { max_redirects = 0 }))
      assert.equal("TOO_MANY_REDIRECTS", reason.code)
    end)
  end)

  it("are not followed where that is not wanted", function()
    with_server(redirecting, function(base, client)
      local response = await(client:fetch(base .. "/302", { redirect = "manual" }))
      assert.equal(302, response.status)
      assert.equal("/then", response.headers:get("location"))
      assert.equal("REDIRECT", reason_of(client:fetch(base .. "/302", { redirect = "error" })).code)
    end)
  end)

  it("lead to http and https only, and to no credentials", function()
    local location
    with_server(function() return http.redirect(location) end, function(base, client)
      for _, each in ipairs({ "file:///etc/passwd", "ftp://127.0.0.1/", "http://a:b@127.0.0.1/",
        "http://", "data:,x" }) do
        location = each
        assert.equal("REDIRECT", reason_of(client:fetch(base)).code, each)
      end
    end)
  end)

  it("are relative to the URL", function()
    local location
    with_server(function(request)
      if request.path == "/a/start" and not request.headers:has("cookie") then
        return { status = 302, headers = {
          Location = location, ["Set-Cookie"] = "seen=1",
        }, body = "" }
      end
      return request.target
    end, function(base)
      for given, target in pairs({
        ["then"] = "/a/then", ["/then"] = "/then", ["../then"] = "/then", ["?b"] = "/a/start?b",
        ["#c"] = "/a/start", [""] = "/a/start", ["//" .. base:sub(8) .. "/d"] = "/d",
      }) do
        location = given
        local client <close> = http.client({ cookies = true })
        assert.equal(target, await(await(client:fetch(base .. "/a/start")):text()))
      end
    end)
  end)

  it("keep credentials to their origin", function()
    with_server(tell, function(base, client)
      with_server(function() return http.redirect(base .. "/") end, function(other)
        local got = await(await(client:fetch(other, {
          auth = { "me", "secret" },
          headers = { Cookie = "a=b", Host = "other", ["X-A"] = "1" },
        })):json())
        assert.is_nil(got.headers.authorization)
        assert.is_nil(got.headers.cookie)
        assert.equal(base, "http://" .. got.headers.host)
        assert.equal("1", got.headers["x-a"])
      end)
    end)
  end)

  it("send no body in pieces again", function()
    with_server(redirecting, function(base, client)
      local options = { method = "POST", body = function() end }
      local reason = reason_of(client:fetch(base .. "/307", options))
      assert.equal("REDIRECT", reason.code)
      local response = await(client:fetch(base .. "/303", options))
      assert.equal("GET", await(response:json()).method)
    end)
  end)
end)

describe("a redirect of http.fetch that comes while a body is sent", function()
  after_each(over)

  local function early(request)
    if request.path == "/" then
      return http.redirect("/then", 303)
    end
    await(sleep(10))
    return request.method
  end

  it("ends what sends it", function()
    with_server(early, function(base, client)
      local closed = tide.event()
      local response = await(client:fetch(base, { method = "POST", body = tide.generator(
        function(yield)
          local _ <close> = setmetatable({}, { __close = function() closed:set() end })
          while true do
            yield "x"
            await(sleep(1))
          end
        end)() }))
      assert.is_true(closed:is_set())
      assert.equal("GET", await(response:text()))
    end)
  end)

  it("does not heed what that fails with then", function()
    with_server(early, function(base, client)
      local n = 0
      local response = await(client:fetch(base, { method = "POST", body = function()
        n = n + 1
        pcall(await, sleep(n == 1 and 0 or 60000))
        return n == 1 and "x" or error("too late", 0)
      end }))
      assert.equal("GET", await(response:text()))
    end)
  end)
end)

describe("failures of http.fetch", function()
  after_each(over)

  it("have code, url and cause", function()
    local reason = reason_of(http.fetch("http://127.0.0.1:1/a"))
    assert.equal("HTTPError", reason.name)
    assert.equal("ECONNREFUSED", reason.code)
    assert.equal("http://127.0.0.1:1/a", reason.url)
    reason = reason_of(http.fetch("http://nobody.invalid/"))
    assert.equal("HTTPError", reason.name)
    assert.matches("^EAI_", reason.code)
    assert.equal("SystemError", reason.cause.name)
  end)

  it("come when all addresses have refused", function()
    local client <close> = http.client()
    function client.names:find() -- luacheck: ignore 212
      return tide.Promise.resolve("127.0.0.1,127.0.0.1,127.0.0.1,[::1],[::1],[::1]")
    end
    local reason = reason_of(client:fetch("http://several.test:1/", { timeout = 5000 }))
    assert.equal("HTTPError", reason.name)
  end)

  it("are raised at once where they are mistakes", function()
    for text, arguments in pairs({
      ["is no URL"] = { "no url" },
      ["http or https expected"] = { "ftp://a/" },
      ["has credentials"] = { "http://a:b@c/" },
      ["string expected"] = { 1 },
      ["table expected"] = { "http://a/", 1 },
      ["'a b' is no method"] = { "http://a/", { method = "a b" } },
      ["'trace' cannot be fetched"] = { "http://a/", { method = "trace" } },
      ["a GET has no body"] = { "http://a/", { body = "x" } },
      ["a HEAD has no body"] = { "http://a/", { method = "HEAD", json = 1 } },
      ["one of the fields 'body' and 'json'"] =
        { "http://a/", { method = "POST", json = 1, body = "x" } },
      ["field 'json': Cannot serialise function"] =
        { "http://a/", { method = "POST", json = print } },
      ["field 'form'"] = { "http://a/", { method = "POST", form = { a = {} , [1] = 2 } } },
      ["field 'multipart': part 1: one of"] =
        { "http://a/", { method = "POST", multipart = { { name = "a" } } } },
      ["'te' is the client's"] = { "http://a/", { headers = { TE = "x" } } },
      ["is no name of a header"] = { "http://a/", { headers = { ["a b"] = "x" } } },
      ["control characters"] = { "http://a/", { headers = { a = "x\r\ny: z" } } },
      ["'content%-length' is not the body's"] =
        { "http://a/", { method = "POST", body = "abc", headers = { ["Content-Length"] = 1 } } },
      ["field 'redirect'"] = { "http://a/", { redirect = "maybe" } },
      ["field 'version'"] = { "http://a/", { version = "3" } },
      ["field 'auth'"] = { "http://a/", { auth = { "a" } } },
      ["field 'proxy'"] = { "http://a/", { proxy = true } },
      ["field 'timeout'"] = { "http://a/", { timeout = -1 } },
      ["field 'signal'"] = { "http://a/", { signal = 1 } },
      ["field 'tls': field 'alpn'"] = { "https://a/", { tls = { alpn = { "h2" } } } },
      ["field 'tls': field 'ca'"] = { "https://a/", { tls = { ca = 1 } } },
    }) do
      assert.matches(text, raised(http.fetch, table.unpack(arguments, 1, 2)))
    end
    assert.matches("field 'max_connections'", raised(http.client, { max_connections = 0 }))
    assert.matches("field 'base_url'", raised(http.client, { base_url = "x" }))
  end)
end)

describe("http.client", function()
  after_each(over)

  it("has defaults", function()
    with_server(tell, function(base)
      local client <close> = http.client({
        base_url = base .. "/v1/",
        headers = { ["X-A"] = "1", ["X-B"] = "2" },
        auth = { "me", "secret" },
      })
      local got = await(await(client:fetch("users", { headers = { ["x-b"] = "3" } })):json())
      assert.equal("/v1/users", got.target)
      assert.equal("1", got.headers["x-a"])
      assert.equal("3", got.headers["x-b"])
      assert.equal("Basic bWU6c2VjcmV0", got.headers.authorization)
    end)
  end)

  it("keeps cookies when it is asked to", function()
    for _, cookies in ipairs({ true, false }) do
      with_server(function(request)
        if request.path == "/set" then
          return { headers = { ["Set-Cookie"] = "a=b; Path=/" }, body = "" }
        end
        return tell(request)
      end, function(base, client)
        await(await(client:fetch(base .. "/set")):text())
        local got = await(await(client:fetch(base)):json())
        assert.equal(cookies and "a=b" or nil, got.headers.cookie)
      end, { cookies = cookies })
    end
  end)

  it("speaks to unix domain sockets", function()
    local path = files.directory() .. "/socket"
    local service <close> = await(http.serve({ path = path, on_error = print }, tell))
    local got = await(await(http.fetch("http://somewhere/a", { path = path })):json())
    assert.equal("/a", got.target)
    assert.equal("somewhere", got.headers.host)
    await(service:close({ grace = 0 }))
  end)
end)
