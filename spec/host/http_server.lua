-- What spec/host/oom.c runs of the HTTP server; as sockets.lua. A client whose connection the
-- server has no memory for hears nothing: so each waits for a while only.
local mode, directory = ...
local core = require "moontide.core"
local http = require "moontide.http"
local llhttp = require "moontide.llhttp_core"
local tide = require "moontide"

local await = tide.await

local PATIENCE = 5000 -- ms: a collection at each allocation takes one or two thousand

local function nothing() end

local function fails(...)
  assert(not pcall(...))
end

--- What needs no connection.
local function parts()
  local parser = llhttp.parser(100)
  parser:feed("POST /a?b=c HTTP/1.1\r\nHost: a\r\nTransfer-Enc")
  assert(not parser:head())
  parser:feed("oding: chunked\r\n\r\n3\r\nab")
  local method, target, fields = parser:head()
  assert(method == "POST" and target == "/a?b=c" and #fields > 20)
  assert(parser:body() == "ab")
  parser:feed("c\r\n0\r\nD: e\r\n\r\nrest")
  assert(parser:body() == "c" and parser:body() == true and parser:trailers() == "D: e\r\n")
  assert(parser:take() == "rest")
  parser:feed("G(T / HTTP/1.1\r\n\r\n")
  assert(select(2, parser:head()) == 400)
  fails(llhttp.parser, 0)
  local headers = http.headers({ A = { "b", "c" }, ["Set-Cookie"] = "d" })
  headers:append("a", 1)
  assert(headers:get("A") == "b, c, 1" and #headers:get_all("a") == 3)
  for _ in headers:each() do
  end
  fails(http.headers, { ["a b"] = "c" })
  assert(http.redirect("/").status == 302)
end

local BODY = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ntext\r\n"
  .. "--B\r\nContent-Disposition: form-data; name=\"b\"; filename=\"c\"\r\n\r\nfile\r\n--B--\r\n"

local routes = {}

routes["/"] = function() return "hello" end
routes["/file"] = function() return { file = directory .. "/absent" } end
routes["/fails"] = function() error("on purpose") end

routes["/pieces"] = function()
  local n = 0
  return { headers = { A = "b" }, body = function()
    n = n + 1
    return n < 3 and "piece" or nil
  end }
end

routes["/text"] = function(request)
  assert(request.query:get("b") == "c" and request.headers:has("host"))
  return await(request:text())
end

routes["/parts"] = function(request)
  local texts = {}
  for part in request:multipart() do
    texts[#texts + 1] = await(part:text())
  end
  return table.concat(texts, ",")
end

local TEXT = table.concat({
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /file HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /fails HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /text?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ntext",
  "POST /parts HTTP/1.1\r\nHost: a\r\nConnection: close\r\n",
  "Content-Type: multipart/form-data; boundary=B\r\nContent-Length: ", tostring(#BODY), "\r\n\r\n",
  BODY,
})

local function serve()
  return http.serve({ host = "127.0.0.1", on_error = nothing, on_request = nothing },
    function(request)
      return routes[request.path](request)
    end)
end

--- All that the server answers.
local function ask(port)
  local client, connected = core.net.tcp_connect("127.0.0.1", port)
  local _ <close> = client
  await(connected)
  await(client:write(TEXT))
  return await(client:read_all())
end

local function requests()
  local service <close> = await(serve())
  local reply = await(tide.timeout(PATIENCE, ask, service:address().port))
  local statuses = {}
  for status in reply:gmatch("HTTP/1%.1 (%d+)") do
    statuses[#statuses + 1] = status
  end
  assert(mode ~= "whole" or table.concat(statuses, " ") == "200 200 404 500 200 200", reply)
  assert(reply:match("text,file$"), reply)
end

local function flight()
  local arrived = 0
  local function arrive() arrived = arrived + 1 end
  for _ = 1, 6 do
    tide.sleep(1):next(arrive)
  end
  serve():next(function(service)
    tide.spawn(ask, service:address().port):catch(nothing)
  end, nothing)
  return function() return arrived end
end

if mode == "whole" then
  parts()
  await(tide.spawn(requests))
  flight()
  tide.step(1)
end
return flight()
