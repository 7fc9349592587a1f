-- The client's handshake of WebSocket, with a server that is made by hand.
local certificates = require "spec.support.certificates"
local files = require "spec.support.files"
local frames = require "spec.support.frames"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local raised = require("spec.support.raised").raised
local server = require "spec.support.server"
local tide = require "moontide"

local await = tide.await

local has_parser = pcall(require, "moontide.llhttp_core")
local has_tls = pcall(require, "moontide.tls_core")

--- What comes of a handshake: a WebSocket or a reason; and the head that came. answer(head)
--- is what it says.
local function handshake(answer, options, url)
  local listening <close> = await(net.listen({ host = "127.0.0.1", port = 0 }))
  local place = ("ws://127.0.0.1:%d"):format(listening:address().port)
  local opening = http.websocket(place .. (url or "/chat"), options)
  local stream <close> = await(listening:accept())
  local head = await(stream:read_until("\r\n\r\n"))
  await(stream:write(answer(head)))
  await(stream:shutdown())
  local _, result = pcall(await, opening)
  if type(result) == "table" and result.close then
    await(result:close())
  end
  return result, head
end

--- An answer with one line in place of another.
local function with(beginning, line)
  return function(head)
    local text = frames.answer(head)
    local plain = beginning:gsub("%p", "%%%0")
    return (text:gsub(plain .. "[^\r]*\r\n", line and line .. "\r\n" or "", 1))
  end
end

local function with_more(line)
  return function(head) return frames.answer(head, line) end
end

-- { what, answer(head), what is said of it }
local ROWS = {
  { "another status", with("HTTP/1.1", "HTTP/1.1 404 Not Found"), "the server replies with 404" },
  { "a redirect", with("HTTP/1.1", "HTTP/1.1 302 Found"), "the server replies with 302 Found" },
  { "HTTP/1.0", with("HTTP/1.1", "HTTP/1.0 101 OK"), "malformed" },
  { "no status", with("HTTP/1.1", "101 OK"), "malformed" },
  { "a line that is no header", with("Upgrade", "Upgrade websocket"), "malformed" },
  { "a blank before a colon", with("Upgrade", "Upgrade : websocket"), "malformed" },
  { "a folded line", with("Upgrade", "Upgrade:\r\n websocket"), "malformed" },
  { "a line feed alone", with("Upgrade", "X: a\nUpgrade: websocket"), "malformed" },
  { "NUL", with("Upgrade", "X: a\0\r\nUpgrade: websocket"), "malformed" },
  { "no Upgrade", with("Upgrade"), "no upgrade" },
  { "another Upgrade", with("Upgrade", "Upgrade: h2c"), "no upgrade" },
  { "no Connection", with("Connection"), "no upgrade" },
  { "another Connection", with("Connection", "Connection: close"), "no upgrade" },
  { "no key", with("Sec-WebSocket-Accept"), "another key" },
  { "another key", with("Sec-WebSocket-Accept", "Sec-WebSocket-Accept: abc="), "another key" },
  { "two keys", with_more("Sec-WebSocket-Accept: abc="), "another key" },
  { "extensions", with_more("Sec-WebSocket-Extensions: permessage-deflate"), "extensions" },
  { "a protocol that was not offered", with_more("Sec-WebSocket-Protocol: c"), "protocol 'c'" },
  { "nothing", function() return "" end, "the server has closed the connection" },
  { "half of a reply", function(head) return frames.answer(head):sub(1, 50) end,
    "the server has closed the connection" },
}

describe("http.websocket", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  for _, row in ipairs(ROWS) do
    it("refuses " .. row[1], function()
      local reason = handshake(row[2], { protocols = { "a", "b" } })
      assert.equal("WebSocketError", reason.name)
      assert.matches(row[3], reason.message, 1, true)
      assert.equal(1006, reason.code)
    end)
  end

  it("tells the status of what refuses it", function()
    assert.equal(404, handshake(with("HTTP/1.1", "HTTP/1.1 404 Not Found")).status)
  end)

  it("refuses a head that does not end", function()
    local reason = handshake(function() return "HTTP/1.1 101 OK\r\nX: " .. ("x"):rep(20000) end)
    assert.equal("LimitError", reason.name)
  end)

  it("asks as RFC 6455 has it", function()
    local ws, head = handshake(frames.answer, nil, "/a/b?c=d")
    assert.is_nil(ws.protocol)
    assert.matches("^GET /a/b%?c=d HTTP/1.1\r\nHost: 127.0.0.1:%d+\r\n", head)
    assert.matches("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", head)
    assert.matches("\r\nSec%-WebSocket%-Version: 13\r\n", head)
    assert.matches("\r\nSec%-WebSocket%-Key: [%w+/]+==\r\n", head)
    assert.not_matches("Protocol", head)
    head = select(2, handshake(frames.answer, nil, ""))
    assert.matches("^GET / HTTP/1.1\r\n", head)
    head = select(2, handshake(frames.answer, nil, "?a"))
    assert.matches("^GET /%?a HTTP/1.1\r\n", head)
  end)

  it("has the caller's headers and protocols", function()
    local options = { headers = { Origin = "http://a", Host = "b" }, protocols = { "a", "b" } }
    local ws, head = handshake(with_more("Sec-WebSocket-Protocol: b"), options)
    assert.equal("b", ws.protocol)
    assert.matches("\r\nSec%-WebSocket%-Protocol: a, b\r\n", head)
    assert.matches("\r\nOrigin: http://a\r\n", head)
    assert.matches("\r\nHost: b\r\n", head)
    assert.not_matches("Host: 127", head)
  end)

  it("takes what comes with the reply", function()
    local got
    local listening <close> = await(net.listen({ host = "127.0.0.1", port = 0 }))
    local url = ("http://127.0.0.1:%d"):format(listening:address().port)
    local done = tide.spawn(function()
      local ws = await(http.websocket(url))
      got = await(ws:receive())
      await(ws:close())
    end)
    local stream <close> = await(listening:accept())
    local head = await(stream:read_until("\r\n\r\n"))
    await(stream:write(frames.answer(head) .. "\x81\x03one\x88\x02\x03\xe8"))
    await(stream:shutdown())
    await(done)
    assert.equal("one", got)
  end)

  it("checks its arguments", function()
    for _, url in ipairs({ "", "a", "ftp://a", "ws://", "ws://a#b", "ws://a@b/", "ws://a:x",
      "ws://a:65536", "ws://a b", "ws://a/ b", "ws://[::1", "ws://a/\r\n", "ws:a", "ws:///a" }) do
      assert.matches("bad argument #1 to 'http.websocket' %(URL ", raised(http.websocket, url))
    end
    assert.matches("bad argument #1 to 'http.websocket' %(string expected", raised(http.websocket))
    for text, options in pairs({
      ["field 'timeout'"] = { timeout = "x" },
      ["field 'tls': not with ws:"] = { tls = {} },
      ["field 'protocols'"] = { protocols = { "a,b" } },
      ["field 'headers': the header 'upgrade'"] = { headers = { Upgrade = "x" } },
      ["field 'headers': the header 'sec%-websocket%-key'"] =
        { headers = { ["Sec-WebSocket-Key"] = "x" } },
      ["control characters"] = { headers = { A = "b\r\nc: d" } },
    }) do
      assert.matches(text, raised(http.websocket, "ws://a", options))
    end
  end)

  it("gives up after its timeout", function()
    local listening <close> = await(net.listen({ host = "127.0.0.1", port = 0 }))
    local url = ("ws://127.0.0.1:%d"):format(listening:address().port)
    local ok, reason = pcall(await, http.websocket(url, { timeout = 10 }))
    assert.is_false(ok)
    assert.equal("TimeoutError", reason.name)
  end)

  it("says why there is no connection", function()
    local listening = await(net.listen({ host = "127.0.0.1", port = 0 }))
    local url = ("ws://127.0.0.1:%d"):format(listening:address().port)
    await(listening:close())
    local _, reason = pcall(await, http.websocket(url))
    assert.equal("ECONNREFUSED", reason.code)
  end)

  if has_parser then
    local function echo(request)
      return request:websocket(function(ws)
        for message in ws do
          await(ws:send(message))
        end
      end)
    end

    local function check(url, options)
      local ws = await(http.websocket(url, options))
      await(ws:send("hello"))
      assert.equal("hello", await(ws:receive()))
      await(ws:close())
      assert.equal(1000, ws.code)
    end

    it("goes by unix domain sockets", function()
      local path = files.directory() .. "/socket"
      local service = await(http.serve({ path = path }, echo))
      check("ws://anything/chat", { path = path })
      await(service:close())
    end)

    it("goes by TLS", function()
      if not has_tls then
        pending("it is not built")
        return
      end
      local host = certificates.self_signed("localhost", "DNS:localhost")
      server.run({ tls = { cert = host.cert, key = host.key } }, echo, function(port)
        local url = ("wss://localhost:%d/"):format(port)
        check(url, { tls = { ca = host.cert } })
        local ok, reason = pcall(await, http.websocket(url))
        assert.is_false(ok)
        assert.equal("TLSError", reason.name)
      end)
    end)
  end
end)
