-- The server's handshake of WebSocket, by raw sockets.
local frames = require "spec.support.frames"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local raised = require("spec.support.raised").raised
local server = require "spec.support.server"
local tide = require "moontide"

local await = tide.await

local has_parser = pcall(require, "moontide.llhttp_core")

local function close(ws)
  await(ws:close())
end

--- The head of the reply to the text; what f returns is the handler's reply.
local function reply_to(text, f)
  local reply
  server.run({}, f, function(port)
    local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
    await(stream:write(text))
    await(stream:shutdown())
    local ok, head = pcall(await, stream:read_until("\r\n\r\n"))
    reply = ok and head or ""
  end)
  return reply
end

local function upgrading(options)
  return function(request) return request:websocket(close, options) end
end

--- A handshake without its line of that beginning, or with another one in its place.
local function changed(beginning, line)
  local lines = {}
  for each in frames.request():gmatch("([^\r]+)\r\n") do
    if each:sub(1, #beginning) ~= beginning then
      lines[#lines + 1] = each
    else
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- { what, request, status }
local ROWS = {
  { "a handshake", frames.request(), "101" },
  { "names in other cases", changed("Upgrade", "upgrade: WebSocket"), "101" },
  { "one of several protocols to upgrade to", changed("Upgrade", "Upgrade: h2c, websocket"),
    "101" },
  { "Connection with more", changed("Connection", "Connection: keep-alive, Upgrade"), "101" },
  { "extensions that are offered", frames.request("Sec-WebSocket-Extensions: permessage-deflate"),
    "101" },
  { "no Upgrade", changed("Upgrade"), "426" },
  { "Upgrade to something else", changed("Upgrade", "Upgrade: h2c"), "426" },
  { "no Connection", changed("Connection"), "426" },
  { "another Connection", changed("Connection", "Connection: keep-alive"), "426" },
  { "POST", changed("GET", "POST /chat HTTP/1.1"), "426" },
  { "HTTP/1.0", changed("GET", "GET /chat HTTP/1.0"), "426" },
  { "no version", changed("Sec-WebSocket-Version"), "426" },
  { "version 8", changed("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), "426" },
  { "two versions", frames.request("Sec-WebSocket-Version: 13"), "426" },
  { "no key", changed("Sec-WebSocket-Key"), "400" },
  { "a key that is too short", changed("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBs"),
    "400" },
  { "a key that is no base64",
    changed("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!=="), "400" },
  { "two keys", frames.request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), "400" },
  { "a body", frames.request("Content-Length: 1") .. "x", "400" },
}

describe("request:websocket", function()
  if not has_parser then
    it("needs llhttp", function() pending("it is not built") end)
    return
  end

  after_each(leak.check)

  for _, row in ipairs(ROWS) do
    it(("answers %s with %s"):format(row[1], row[3]), function()
      local reply = reply_to(row[2], upgrading())
      assert.equal(row[3], reply:match("^HTTP/1.1 (%d+) "))
      if row[3] == "426" then
        assert.matches("\r\nUpgrade: websocket\r\n", reply)
        assert.matches("\r\nSec%-WebSocket%-Version: 13\r\n", reply)
      end
    end)
  end

  it("answers as RFC 6455 has it", function()
    local reply = reply_to(frames.request(), upgrading())
    assert.matches("^HTTP/1.1 101 Switching Protocols\r\n", reply)
    assert.matches("\r\nUpgrade: websocket\r\n", reply)
    assert.matches("\r\nConnection: Upgrade\r\n", reply)
    assert.matches("\r\nSec%-WebSocket%-Accept: s3pPLMBiTxaQ9kYGzzhZRbK%+xOo=\r\n", reply)
    assert.not_matches("Sec%-WebSocket%-Extensions", reply)
    assert.not_matches("Sec%-WebSocket%-Protocol", reply)
    assert.not_matches("Content%-Length", reply)
  end)

  it("chooses the first of its protocols that the client has", function()
    local function chosen(...)
      local reply = reply_to(frames.request(...), upgrading({ protocols = { "b", "a" } }))
      return reply:match("Sec%-WebSocket%-Protocol: ([^\r]+)")
    end
    assert.equal("b", chosen("Sec-WebSocket-Protocol: a, b"))
    assert.equal("a", chosen("Sec-WebSocket-Protocol: c", "Sec-WebSocket-Protocol: a"))
    assert.is_nil(chosen("Sec-WebSocket-Protocol: c"))
    assert.is_nil(chosen())
  end)

  it("leaves a connection that is refused for the next request", function()
    local count = 0
    server.run({}, function(request)
      count = count + 1
      return count == 1 and request:websocket(close) or "hello"
    end, function(port)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
      assert.matches("^HTTP/1.1 426 ", await(stream:read_until("is expected here\n")))
      await(stream:write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
      assert.matches("hello$", await(stream:read_until("hello")))
    end)
  end)

  it("may be left out: the request is one like others", function()
    local reply = reply_to(frames.request("Connection: close"), function() return "hello" end)
    assert.matches("^HTTP/1.1 200 ", reply)
  end)

  it("checks its arguments", function()
    local texts = {}
    reply_to(frames.request(), function(request)
      texts[1] = raised(request.websocket, request)
      texts[2] = raised(request.websocket, request, print, { max_message = "x" })
      texts[3] = raised(request.websocket, request, print, { protocols = { "a b" } })
      return ""
    end)
    assert.matches("bad argument #1 to 'request:websocket' %(function expected", texts[1])
    assert.matches("field 'max_message'", texts[2])
    assert.matches("field 'protocols': list of names expected", texts[3])
  end)

  it("tells on_request of the handshake, when it is out", function()
    local seen = {}
    local options = { on_request = function(_, status, bytes)
      seen[#seen + 1] = status .. " " .. bytes
    end }
    server.run(options, upgrading(), function(port)
      local peer = frames.connect(port)
      assert.same({ "close 1000 " }, peer:receive_all())
      await(peer.stream:close())
    end)
    assert.same({ "101 0" }, seen)
  end)

  it("takes what came with the handshake", function()
    for _, asks in ipairs({ false, true }) do
      server.run({}, function(request)
        if asks then
          assert.is_false(request.signal.aborted) -- from here on the connection reads ahead
          await(tide.sleep(5))
        end
        return request:websocket(function(ws) await(ws:send((await(ws:receive())))) end)
      end, function(port)
        local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
        local text = frames.frame(0x81, "one", true)
        await(stream:write(frames.request() .. text:sub(1, 4)))
        await(tide.sleep(20))
        await(stream:write(text:sub(5)))
        await(stream:read_until("\r\n\r\n"))
        assert.equal("\x81\x03one", await(stream:read_exactly(5)))
      end)
    end
  end)
end)
