-- What spec/host/oom.c runs of the HTTP client; as sockets.lua. A fetch from a server that has no
-- memory for it hears nothing: so each waits for a while only.
local mode, directory = ...
local core = require "moontide.core"
local engine = require "moontide.http_core"
local http = require "moontide.http"
local tide = require "moontide"

local await = tide.await

local PATIENCE = 5000 -- ms: a collection at each allocation takes one or two thousand

-- States that are made in the same second would choose the same names for files, and one that had
-- no memory to remove its own has left it.
math.randomseed(math.floor(tide.now() * 1000))

local function nothing() end

local function fails(...)
  assert(not pcall(...))
end

--- What needs no connection.
local function parts()
  local url = engine.url("http://A.example:80/b c?d#e")
  assert(url.href == "http://a.example/b%20c?d" and url.fragment == "e" and url.port == "80")
  assert(engine.url("../x", "http://a/b/c").href == "http://a/x" and not engine.url("a b"))
  local multi = engine.multi({ max_connections = 1, max_per_host = 1, cookies = true })
  local owner = {}
  local transfer = assert(multi:start({ url = "http://127.0.0.1:1/", method = "GET" }, owner))
  assert(multi:descriptor() >= 0 and multi:is_open())
  transfer:close()
  assert(transfer:outcome() == false and multi:next() == owner and multi:is_idle())
  assert(not multi:start({ url = "nonsense://", method = "GET" }, {}) or multi:next())
  multi:close()
  fails(multi.descriptor, multi)
  fails(http.fetch, "ftp://a/")
  fails(http.fetch, "http://a/", { method = "POST", json = 1, body = "x" })
end

local REPLIES = {
  ["/"] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello",
  ["/old"] = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
  ["/pieces"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
  ["/cut"] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
}

--- Answers one request of each connection, and closes that.
local function serve(stream)
  local _ <close> = stream
  local head = await(stream:read_until("\r\n\r\n"))
  await(stream:write(REPLIES[head:match("^%u+ (%S+)")]))
  await(stream:shutdown())
end

local function listen()
  local server = core.net.tcp_listen("127.0.0.1", 0)
  tide.spawn(function()
    for stream in server do
      tide.spawn(serve, stream):catch(nothing)
    end
  end):catch(nothing)
  return server, "http://127.0.0.1:" .. server:address().port
end

--- All kinds of fetches.
local function ask(client, base)
  local response = await(client:fetch(base .. "/old", { headers = { C = "d" } }))
  assert(response.redirected and response.headers:get("a") == "b")
  assert(await(response:text()) == "hello")
  local pieces = {}
  for piece in await(client:fetch(base .. "/pieces")):chunks() do
    pieces[#pieces + 1] = piece
  end
  assert(table.concat(pieces) == "hello")
  local n = 0
  response = await(client:fetch(base .. "/", {
    method = "POST",
    timeout = PATIENCE,
    signal = tide.AbortController().signal,
    body = function()
      n = n + 1
      return n < 3 and "piece" or nil
    end,
  }))
  await(response:save(directory .. "/saved"))
  response = await(client:fetch(base .. "/", { method = "PUT", form = { a = "b" } }))
  response:close()
  fails(function() await(await(client:fetch(base .. "/cut")):text()) end)
end

local function requests()
  local server, base = listen()
  local _ <close> = server
  local client <close> = http.client({ cookies = true })
  await(tide.timeout(PATIENCE, ask, client, base))
end

local function flight()
  local arrived = 0
  local function arrive() arrived = arrived + 1 end
  for _ = 1, 6 do
    tide.sleep(1):next(arrive)
  end
  local _, base = listen()
  http.fetch(base .. "/"):next(nothing, nothing)
  http.fetch("http://127.0.0.1:1/"):next(nothing, nothing)
  return function() return arrived end
end

if mode == "whole" then
  parts()
  await(tide.spawn(requests))
  flight()
  tide.step(1)
end
return flight()
