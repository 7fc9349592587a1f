-- The server behind nginx: as docs/http.md has it, and what becomes of raw requests.
local tide = require "moontide"
local certificates = require "spec.support.certificates"
local files = require "spec.support.files"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local nginx = require "spec.support.nginx"
local peers = require "spec.support.peers"
local requests = require "spec.support.requests"

local await = tide.await

if not pcall(require, "moontide.llhttp_core") or not nginx.available then
  describe("http.serve behind nginx", function()
    pending("built without llhttp, or there is no nginx")
  end)
  return
end

local function over()
  peers.stop()
  files.remove()
  leak.check()
end

describe("nginx, as docs/http.md has it,", function()
  after_each(over)

  --- Starts it with the configuration of the page: its port, and a command of curl's.
  local function start(directory)
    local own = certificates.self_signed("localhost", "DNS:localhost")
    files.write(directory .. "/cert.pem", own.cert)
    files.write(directory .. "/key.pem", own.key)
    local config = files.read("docs/http.md"):match("```nginx\n(.-)```")
      :gsub("/run/app/http%.sock", "%%s/socket")
      :gsub("listen 443", "listen 127.0.0.1:%%d"):gsub("/etc/ssl/app", "%%s")
    local port = nginx.start(directory, config)
    return port, ("curl -sS --http2 --cacert %s/cert.pem --resolve localhost:%d:127.0.0.1 "
      .. "-w '%%{http_version} %%{http_code}' https://localhost:%d"):format(directory, port, port)
  end

  it("speaks HTTP/2 for the server", function()
    local directory = files.directory()
    local service = await(http.serve({ path = directory .. "/socket" }, function(request)
      assert.equal("https", request.headers:get("x-forwarded-proto"))
      assert.equal("127.0.0.1", request.headers:get("x-forwarded-for"))
      assert.equal("localhost", request.headers:get("host"))
      if request.path == "/pieces" then
        local i = 0
        return { body = function()
          i = i + 1
          await(tide.sleep(1))
          return i <= 3 and i .. "\n" or nil
        end }
      elseif request.path == "/json" then
        return { status = 201, json = await(request:json()) }
      end
      return request.method .. " " .. await(request:text()) .. "\n"
    end))
    local port, curl = start(directory)
    assert.equal("GET \n2 200", peers.run(curl .. "/").out)
    assert.equal("POST a=b\n2 200", peers.run(curl .. "/ -d a=b").out)
    assert.equal("1\n2\n3\n2 200", peers.run(curl .. "/pieces").out)
    assert.equal('{"a":1}2 201', peers.run(curl .. [[/json --json '{"a":1}']]).out)
    if peers.run("which h2load").code == 0 then
      local load = "h2load -n 2000 -c 4 -m 10 --connect-to=127.0.0.1:%d https://localhost/"
      local told = peers.run(load:format(port)).out
      assert.matches("2000 succeeded, 0 failed, 0 errored, 0 timeout", told)
      assert.matches("status codes: 2000 2xx", told)
    end
    await(service:close({ grace = 0 }))
  end)

  it("lets WebSockets through", function()
    local directory = files.directory()
    local service = await(http.serve({ path = directory .. "/socket" }, function(request)
      return request:websocket(function(ws)
        for message in ws do
          await(ws:send(message:upper()))
        end
      end)
    end))
    local port = start(directory)
    local ws = await(http.websocket(("wss://localhost:%d/"):format(port),
      { tls = { ca = files.read(directory .. "/cert.pem") } }))
    for _, message in ipairs({ "high tide", ("x"):rep(200000) }) do
      await(ws:send(message))
      assert.equal(message:upper(), (await(ws:receive())))
    end
    await(ws:close())
    await(service:close({ grace = 0 }))
  end)
end)

describe("raw requests through nginx", function()
  after_each(over)

  local SERVER = [[
  log_format rows '$remote_port $request_method $upstream_status';
  upstream app { server unix:%s/socket; keepalive 4; }
  server {
    listen 127.0.0.1:%d;
    access_log %s/log rows;
    client_header_timeout 1s;
    client_body_timeout 1s;
    large_client_header_buffers 4 1k;
    proxy_ignore_client_abort on;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Row $remote_port;
    }
  }
]]

  --- Sends the text, and says no more. The port that it was sent from.
  local function send(port, text)
    local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
    local from = stream:local_address().port
    await(stream:write(text))
    await(stream:shutdown())
    pcall(await, stream:read_all())
    return from
  end

  --- By port: what nginx has had answered upstream.
  local function read_log(path)
    local rows = {}
    for from, method, status in files.read(path):gmatch("(%d+) (%S+) (%S+)\n") do
      if status ~= "-" then
        rows[from] = rows[from] or {}
        table.insert(rows[from], { method = method, status = status })
      end
    end
    return rows
  end

  --- The methods and bodies of the messages that a row's text is for a server.
  local function expected_of(told)
    local list = {}
    for message in (told .. ", "):gmatch("(.-), ") do
      local method = message:match("^%u[%u-]+")
      local whole = not message:find("%.%.%.$") and not message:find("%d%d%d$")
      if method and whole then
        list[#list + 1] = method .. " " .. (message:match('"(.*)"') or "")
      end
    end
    return list
  end

  it("are taken for the same requests by both", function()
    local directory = files.directory()
    local handled, unknown = {}, {}
    local service = await(http.serve({ path = directory .. "/socket" }, function(request)
      local row = request.headers:get("row")
      if not row or row:find("%D") then
        unknown[#unknown + 1] = request.method .. " " .. request.target
        return "x"
      end
      handled[row] = handled[row] or {}
      table.insert(handled[row], request.method .. " " .. await(request:text()))
      return "x"
    end))
    local port = nginx.start(directory, SERVER)
    local rows = {}
    for _, row in ipairs(requests.ROWS) do
      rows[tostring(send(port, row[1]))] = row
    end
    local logged = {}
    files.eventually(function()
      logged = read_log(directory .. "/log")
      for from, list in pairs(handled) do
        if #(logged[from] or {}) < #list then
          return false
        end
      end
      return true
    end)
    assert.same({}, unknown)
    local passed = 0
    for from, row in pairs(rows) do
      local ok, seen, why = {}, handled[from] or {}, ("%q"):format(row[1])
      for _, entry in ipairs(logged[from] or {}) do
        if entry.status == "200" then
          ok[#ok + 1] = entry.method
        else -- what the parser says of it when nothing is in front
          assert.equal(row[2]:match("%d+$"), entry.status, why)
        end
      end
      passed = passed + #seen
      assert.equal(#ok, #seen, why)
      for i, message in ipairs(seen) do
        assert.equal(ok[i], message:match("^%S+"), why)
      end
      local expected = expected_of(row[2])
      for i = 1, math.min(#expected, #seen) do
        assert.equal(expected[i], seen[i], why)
      end
    end
    assert.is_true(passed > 80)
    await(service:close({ grace = 0 }))
  end)
end)
