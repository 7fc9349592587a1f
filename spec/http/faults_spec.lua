-- What clients do wrong, on purpose or not, many of them and at every point: nothing is left of
-- them.
local tide = require "moontide"
local files = require "spec.support.files"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local scale = require "spec.support.scale"
local socket = require "socket"

local await, sleep = tide.await, tide.sleep

if not pcall(require, "moontide.llhttp_core") then
  describe("http.serve", function()
    pending("built without llhttp")
  end)
  return
end

local function get(target, ...)
  return table.concat({ "GET " .. target .. " HTTP/1.1", "Host: a", ... }, "\r\n") .. "\r\n\r\n"
end

local BODY = ("x"):rep(5000)
local POST = "POST /%s HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n%s"
local CHUNKED = ("1388\r\n%s\r\n0\r\nA: b\r\n\r\n"):format(BODY)
local PART = '--B\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'

local TEXTS = {
  get("/string"), get("/string") .. get("/pieces"), get("/large"), get("/file", "Range: bytes=9-"),
  get("/static/file"), get("/waits"), get("/fails"),
  POST:format("text", "Content-Length: 5000", BODY),
  POST:format("string", "Content-Length: 5000", BODY), -- which nobody reads
  POST:format("chunks", "Transfer-Encoding: chunked", CHUNKED),
  POST:format("text", "Content-Length: 5000\r\nExpect: 100-continue", BODY),
  POST:format("parts", "Content-Type: multipart/form-data; boundary=B\r\nContent-Length: "
    .. #PART + 5000 + 9, PART .. BODY .. "\r\n--B--\r\n"),
}

local function handlers(directory)
  local static = http.static(directory)
  return {
    string = function() return "hello" end,
    large = function() return { body = ("x"):rep(1 << 20) } end,
    file = function() return { file = directory .. "/file" } end,
    static = function(request) return static(request, "/static/") end,
    fails = function() error("on purpose") end,
    text = function(request) return await(request:text()) end,
    waits = function(request)
      await(sleep(20, { signal = request.signal }))
      return "hello"
    end,
    pieces = function()
      local n = 0
      return { body = function()
        n = n + 1
        await(sleep(1))
        return n < 5 and ("x"):rep(10000) or nil
      end }
    end,
    chunks = function(request)
      local length = 0
      for piece in request:chunks() do
        length = length + #piece
      end
      return tostring(length)
    end,
    parts = function(request)
      for part in request:multipart() do
        await(part:save(directory .. "/saved"))
      end
      return "saved"
    end,
  }
end

--- Waits until all who have connected are gone. They are accepted in their order: so nobody stands
--- before the one that is answered.
local function await_nobody(port, service)
  do
    local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
    await(stream:write(get("/string", "Connection: close")))
    assert.matches("^HTTP/1.1 200 .*hello$", await(stream:read_all()))
  end
  files.eventually(function() return service:connections() == 0 end)
end

--- Calls f(port, service) while a server of all that runs; then nobody is connected, and
--- the directory has no more files than before.
local function with_server(options, f)
  local directory = files.directory()
  files.write(directory .. "/file", ("x"):rep(300000))
  files.write(directory .. "/saved", "")
  local routes = handlers(directory)
  local all = { host = "127.0.0.1", on_error = function() end }
  for name, value in pairs(options) do
    all[name] = value
  end
  local service = await(http.serve(all, function(request)
    return routes[request.path:match("^/([^/]*)")](request)
  end))
  local port = service:address().port
  f(port, service)
  await_nobody(port, service)
  await(service:close())
  leak.run_dry()
  local names = io.popen("ls " .. directory):read("a")
  assert.equal("file\nsaved\n", names)
end

--- A socket of the system's alone, which can be reset.
local function connect(port)
  local client = assert(socket.connect("127.0.0.1", port))
  client:setoption("linger", { on = true, timeout = 0 })
  return client
end

local function over()
  files.remove()
  leak.check()
end

--- Kilobytes that Lua has, after all garbage has gone.
local function memory()
  leak.collect()
  return collectgarbage("count")
end

describe("http.serve has nothing left of", function()
  after_each(over)

  it("connections that are reset at every point", function()
    with_server({}, function(port)
      for _, text in ipairs(TEXTS) do
        local step = math.max(1, #text // math.max(1, scale(40)))
        for length = 0, #text, step do
          local client = connect(port)
          client:send(text:sub(1, length))
          await(sleep(length % 3))
          client:close()
        end
      end
    end)
  end)

  it("connections that are reset in the midst of their replies", function()
    with_server({}, function(port)
      for _, text in ipairs(TEXTS) do
        for n = 0, 8 do
          local client = connect(port)
          client:send(text)
          client:settimeout(0)
          for _ = 1, n do
            await(sleep(1))
            client:receive(n * 1000)
          end
          client:close()
        end
      end
    end)
  end)

  it("what is too large anywhere", function()
    local much = ("x"):rep(1 << 20)
    local function chunks()
      return ("10000\r\n%s\r\n"):format(("x"):rep(65536)):rep(64)
    end
    with_server({ body_timeout = 2000 }, function(port)
      for status, texts in pairs({
        [400] = {
          POST:format("chunks", "Transfer-Encoding: chunked", "1;" .. much),
          POST:format("chunks", "Transfer-Encoding: chunked", ("0"):rep(1 << 20)),
          POST:format("parts", "Content-Type: multipart/form-data; boundary=B\r\n"
            .. "Content-Length: 1048576", much),
        },
        [413] = {
          POST:format("text", "Content-Length: 4194304", much),
          POST:format("text", "Content-Length: 99999999999999999", much),
          POST:format("text", "Transfer-Encoding: chunked", chunks()),
          POST:format("parts", "Content-Type: multipart/form-data; boundary=B\r\n"
            .. "Content-Length: 1048576", "--B\r\nA: " .. much),
        },
        [414] = { get("/" .. much) },
        [431] = { get("/string", "A: " .. much), get("/string" .. ("\r\nA: b"):rep(100000)),
          POST:format("chunks", "Transfer-Encoding: chunked", "0\r\nA: " .. much) },
      }) do
        for _, text in ipairs(texts) do
          local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
          stream:write(text):catch(function() end)
          local ok, reply = pcall(await, stream:read())
          assert(ok and reply, text:sub(1, 100))
          assert.equal(tostring(status), reply:match("^HTTP/1.1 (%d+) "), text:sub(1, 100))
        end
      end
    end)
  end)

  it("thousands of slow connections, beside which others are served", function()
    local descriptors = tonumber(files.output("ulimit -n")) or 256
    local count = math.min(scale(5000), (descriptors - 100) // 2)
    with_server({ header_timeout = 3000, idle_timeout = 3000 }, function(port, service)
      local clients = {}
      for i = 1, count do
        local client = await(net.connect({ host = "127.0.0.1", port = port }))
        clients[i] = client
        await(client:write(get("/string"):sub(1, i % 30)))
      end
      files.eventually(function() return service:connections() == count end)
      local begun = tide.now()
      for _ = 1, 20 do
        local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
        await(stream:write(get("/string", "Connection: close")))
        assert.matches("^HTTP/1.1 200 .*hello$", await(stream:read_all()))
      end
      assert.is_true(tide.now() - begun < 3000)
      files.eventually(function() return service:connections() == 0 end)
      for _, client in ipairs(clients) do
        client:destroy()
      end
    end)
  end)

  it("a handler that never answers, when the service is closed", function()
    local entered = 0
    local service = await(http.serve({ host = "127.0.0.1" }, function()
      entered = entered + 1
      await(tide.event():wait())
    end))
    local clients = {}
    for i = 1, 50 do
      clients[i] = await(net.connect({ host = "127.0.0.1", port = service:address().port }))
      await(clients[i]:write(get("/")))
    end
    files.eventually(function() return entered == 50 end)
    await(service:close({ grace = 10 }))
    for _, client in ipairs(clients) do
      client:destroy()
    end
  end)

  it("storms of clients that leave at any time, in memory neither", function()
    with_server({ body_timeout = 500, idle_timeout = 500 }, function(port, service)
      local function storm(n)
        for i = 1, n do
          local client = connect(port)
          local text = TEXTS[math.random(#TEXTS)]
          client:send(text:sub(1, math.random(#text)))
          if i % 10 == 0 then
            await(sleep(math.random(0, 3)))
          end
          client:close()
        end
        await_nobody(port, service)
      end
      storm(scale(300))
      local before = memory()
      storm(scale(1000))
      assert.is_true(memory() < before + 100)
    end)
  end)
end)
