-- Of: http/upgrade, http/websocket_client, websocket/codec
-- Both ends, each against one that is made by hand: the cases of the Autobahn test suite, then what
-- becomes of connections.
local browser = require "spec.support.browser"
local child = require "spec.support.child"
local files = require "spec.support.files"
local frames = require "spec.support.frames"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local peers = require "spec.support.peers"
local raised = require("spec.support.raised").raised
local server = require "spec.support.server"
local tide = require "moontide"

local await = tide.await

local has_parser = pcall(require, "moontide.llhttp_core")

local TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8a
local TEXT_BEGINS, BINARY_BEGINS, GOES_ON, ENDS = 0x01, 0x02, 0x00, 0x80

local function close(code, reason)
  return { CLOSE, string.pack(">I2", code) .. (reason or "") }
end

local BYE = close(1000)

--- Sends back what comes.
local function echo(ws)
  pcall(function()
    for message, kind in ws do
      await(ws:send(message, { binary = kind == "binary" }))
    end
  end)
end

--- The text in fragments of that many bytes.
local function fragments(text, size, begins)
  local list = {}
  for i = 1, #text, size do
    local first = i == 1 and begins or GOES_ON
    if i + size > #text then
      first = first | 0x80
    end
    list[#list + 1] = { first, text:sub(i, i + size - 1) }
  end
  return list
end

local function with(list, ...)
  for _, frame in ipairs({ ... }) do
    list[#list + 1] = frame
  end
  return list
end

local function pings(n, data)
  local list = {}
  for i = 1, n do
    list[i] = { PING, data:format(i) }
  end
  return list
end

local ROWS = {} -- { case, frames, what comes back... }

local function row(case, list, ...)
  ROWS[#ROWS + 1] = { case, list, ... }
end

-- 1: framing
for i, n in ipairs({ 0, 125, 126, 127, 128, 65535, 65536 }) do
  local text, bytes = ("*"):rep(n), ("\xfe"):rep(n)
  row("1.1." .. i, { { TEXT, text }, BYE }, "text " .. text, "close 1000 ")
  row("1.2." .. i, { { BINARY, bytes }, BYE }, "binary " .. bytes, "close 1000 ")
end

-- 2: pings and pongs
row("2.1", { { PING, "" }, BYE }, "pong ", "close 1000 ")
row("2.2", { { PING, "Hello, world!" }, BYE }, "pong Hello, world!", "close 1000 ")
row("2.3", { { PING, "\0\xff\xfe\xfd\xfc\xfb\0\xff" }, BYE }, "pong \0\xff\xfe\xfd\xfc\xfb\0\xff",
  "close 1000 ")
row("2.4", { { PING, ("\xfe"):rep(125) }, BYE }, "pong " .. ("\xfe"):rep(125), "close 1000 ")
row("2.5", { { PING, ("\xfe"):rep(126) }, BYE }, "close 1002")
row("2.7", { { PONG, "" }, BYE }, "close 1000 ")
row("2.8", { { PONG, "unsolicited" }, BYE }, "close 1000 ")
row("2.9", { { PONG, "unsolicited" }, { PING, "ping" }, BYE }, "pong ping", "close 1000 ")
row("2.10", with(pings(10, "payload %d"), BYE), "pong payload 1", "pong payload 2",
  "pong payload 3", "pong payload 4", "pong payload 5", "pong payload 6", "pong payload 7",
  "pong payload 8", "pong payload 9", "pong payload 10", "close 1000 ")

-- 3: reserved bits
row("3.1", { { TEXT | 0x40, "Hello" } }, "close 1002")
row("3.2", { { TEXT, "a" }, { TEXT | 0x20, "b" }, { PING, "" } }, "text a", "close 1002")
row("3.3", { { TEXT, "a" }, { TEXT | 0x30, "b" }, { PING, "" } }, "text a", "close 1002")
row("3.4", { { TEXT, "a" }, { TEXT | 0x40, "b" }, { PING, "" } }, "text a", "close 1002")
row("3.5", { { BINARY | 0x50, "\0\xff" } }, "close 1002")
row("3.6", { { PING | 0x60, "Hello" } }, "close 1002")
row("3.7", { { CLOSE | 0x70, "" } }, "close 1002")

-- 4: opcodes
for i, opcode in ipairs({ 3, 4, 5, 6, 7 }) do
  row("4.1." .. i, { { TEXT, "a" }, { 0x80 | opcode, "b" }, { PING, "" } }, "text a", "close 1002")
end
for i, opcode in ipairs({ 11, 12, 13, 14, 15 }) do
  row("4.2." .. i, { { TEXT, "a" }, { 0x80 | opcode, "b" }, { PING, "" } }, "text a", "close 1002")
end

-- 5: fragments
row("5.1", { { 0x09, "a" }, { ENDS, "b" } }, "close 1002")
row("5.2", { { 0x0a, "a" }, { ENDS, "b" } }, "close 1002")
row("5.3", { { TEXT_BEGINS, "a" }, { ENDS, "b" }, BYE }, "text ab", "close 1000 ")
row("5.6", { { TEXT_BEGINS, "a" }, { PING, "p" }, { ENDS, "b" }, BYE }, "pong p", "text ab",
  "close 1000 ")
row("5.9", { { ENDS, "a" }, { TEXT, "b" } }, "close 1002")
row("5.12", { { GOES_ON, "a" }, { TEXT, "b" } }, "close 1002")
row("5.15", { { TEXT_BEGINS, "a" }, { ENDS, "b" }, { GOES_ON, "c" }, { TEXT, "d" } }, "text ab",
  "close 1002")
row("5.16", { { GOES_ON, "a" }, { TEXT_BEGINS, "b" }, { ENDS, "c" } }, "close 1002")
row("5.18", { { TEXT_BEGINS, "a" }, { TEXT, "b" } }, "close 1002")
row("5.19", { { TEXT_BEGINS, "1" }, { GOES_ON, "2" }, { PING, "p" }, { GOES_ON, "3" },
  { GOES_ON, "4" }, { PING, "q" }, { ENDS, "5" }, BYE }, "pong p", "pong q", "text 12345",
  "close 1000 ")

-- 6: UTF-8
local GREEK = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
local BROKEN = GREEK .. "\xed\xa0\x80edited"
row("6.1.1", { { TEXT, "" }, BYE }, "text ", "close 1000 ")
row("6.1.2", { { TEXT_BEGINS, "" }, { GOES_ON, "" }, { ENDS, "" }, BYE }, "text ", "close 1000 ")
row("6.1.3", { { TEXT_BEGINS, "" }, { GOES_ON, "a" }, { ENDS, "" }, BYE }, "text a", "close 1000 ")
row("6.2.1", { { TEXT, "Hello-µ@ßöäüàá-UTF-8!!" }, BYE }, "text Hello-µ@ßöäüàá-UTF-8!!",
  "close 1000 ")
row("6.2.3", with(fragments("Hello-µ@ßöäüàá-UTF-8!!", 1, TEXT_BEGINS), BYE),
  "text Hello-µ@ßöäüàá-UTF-8!!", "close 1000 ")
row("6.2.4", with(fragments(GREEK, 1, TEXT_BEGINS), BYE), "text " .. GREEK, "close 1000 ")
row("6.3.1", { { TEXT, BROKEN } }, "close 1007")
row("6.3.2", fragments(BROKEN, 1, TEXT_BEGINS), "close 1007")
row("6.4.1", { { TEXT_BEGINS, GREEK }, { GOES_ON, "\xf4\x90\x80\x80" }, { ENDS, "edited" } },
  "close 1007")
row("6.4.2", { { TEXT_BEGINS, GREEK .. "\xf4" }, { GOES_ON, "\x90" }, { ENDS, "" } }, "close 1007")
row("6.5", { { TEXT_BEGINS, GREEK .. "\xf4" } , { GOES_ON, "\x90" } }, "close 1007")
for i, text in ipairs({ "\xce", "\xce\xba\xe1", "\xce\xba\xe1\xbd", "\x80", "\xfe", "\xff",
  "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xc1\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
  "\xf4\x90\x80\x80", "\xf7\xbf\xbf\xbf" }) do
  row("6.6 to 6.21, " .. i, { { TEXT, text } }, "close 1007")
end
for i, text in ipairs({ "\u{0}", "\u{7f}", "\u{80}", "\u{7ff}", "\u{800}", "\u{d7ff}", "\u{e000}",
  "\u{fffd}", "\u{ffff}", "\u{10000}", "\u{1fffe}", "\u{10ffff}" }) do
  row("6.22, 6.23, " .. i, { { TEXT, text }, BYE }, "text " .. text, "close 1000 ")
end

-- 7: closing
row("7.1.1", { { TEXT, "Hello World!" }, BYE }, "text Hello World!", "close 1000 ")
row("7.1.2", { BYE, BYE }, "close 1000 ")
row("7.1.3", { BYE, { PING, "" } }, "close 1000 ")
row("7.1.4", { BYE, { TEXT, "x" } }, "close 1000 ")
row("7.1.5", { { TEXT_BEGINS, "fragment" }, BYE, { ENDS, "fragment" } }, "close 1000 ")
row("7.3.1", { { CLOSE, "" } }, "close ")
row("7.3.2", { { CLOSE, "a" } }, "close 1002")
row("7.3.3", { BYE }, "close 1000 ")
row("7.3.4", { close(1000, "Hello World!") }, "close 1000 Hello World!")
row("7.3.5", { close(1000, ("*"):rep(123)) }, "close 1000 " .. ("*"):rep(123))
row("7.3.6", { close(1000, ("*"):rep(124)) }, "close 1002")
row("7.5.1", { close(1000, BROKEN) }, "close 1007")
for _, code in ipairs({ 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000,
  4999 }) do
  row("7.7." .. code, { close(code) }, ("close %d "):format(code))
end
for _, code in ipairs({ 0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535 }) do
  row("7.9." .. code, { close(code) }, "close 1002")
end

-- 9: much, in a short form
local MUCH = ("*"):rep(1 << 20)
row("9.1", { { TEXT, MUCH }, BYE }, "text " .. MUCH, "close 1000 ")
row("9.2", { { BINARY, MUCH }, BYE }, "binary " .. MUCH, "close 1000 ")
row("9.3", with(fragments(MUCH, 1024, TEXT_BEGINS), BYE), "text " .. MUCH, "close 1000 ")
row("9.4", with(fragments(MUCH, 65536, BINARY_BEGINS), BYE), "binary " .. MUCH, "close 1000 ")
row("9.0", { { BINARY, MUCH .. "*" } }, "close 1009")

--- What came back, without what we have to say of a failure.
local function shorten(list)
  for i, text in ipairs(list) do
    list[i] = text:gsub("^(close 100[279]) .+$", function(code)
      return text:find("^close 1000 ") and text or code
    end)
  end
  return list
end

-- Codes that the peer has sent come back as they are, with the blank behind them.
local function same(expected, got)
  got = shorten(got)
  assert.equal(#expected, #got, table.concat(got, ", "):sub(1, 200))
  for i, text in ipairs(expected) do
    assert.is_true(text == got[i] or text:gsub(" $", "") == got[i],
      ("%d: %s, not %s"):format(i, got[i]:sub(1, 60), text:sub(1, 60)))
  end
end

local ROLES = { ["the client"] = frames.as_server }
if has_parser then
  ROLES["the server"] = frames.as_client
end

for role, run in pairs(ROLES) do
  describe("Autobahn, for " .. role .. ":", function()
    after_each(leak.check)

    for _, case in ipairs(ROWS) do
      it(case[1], function()
        local size = 0
        for _, frame in ipairs(case[2]) do
          size = size + #frame[2]
        end
        for _, in_bytes in ipairs({ false, size < 1000 or nil }) do
          run(echo, function(peer)
            peer:send(case[2], in_bytes)
            same({ table.unpack(case, 3) }, peer:receive_all())
          end)
        end
      end)
    end
  end)
end

--- A pair of ends, ours both: f(client) runs against use(server's), and gives what that returns or
--- fails with.
local function between(use, f, options)
  local outcome
  options = options or {}
  server.run(options.serve or {}, function(request)
    return request:websocket(function(ws)
      outcome = table.pack(pcall(use, ws))
      if not outcome[1] then
        error(outcome[2], 0)
      end
    end, options.server)
  end, function(port, service)
    local ws <close> = await(http.websocket(("ws://127.0.0.1:%d/"):format(port), options.client))
    f(ws, service)
    await(ws:close())
  end)
  return outcome
end

local function quiet(list)
  return { on_error = function(reason) list[#list + 1] = reason end }
end

for role, run in pairs(ROLES) do
  describe("a WebSocket of " .. role, function()
    after_each(leak.check)

    local options = { serve = { on_error = function() end }, close_timeout = 50 }

    it("answers pings while nobody receives", function()
      local done = tide.event()
      run(function() await(done:wait()) end, function(peer)
        peer:send({ { PING, "one" }, { PING, "two" } })
        assert.equal("pong one", peer:receive())
        assert.equal("pong two", peer:receive())
        done:set()
        peer:receive_all()
      end, options)
    end)

    it("answers the last of many pings whose pongs are not taken", function()
      local done = tide.event()
      run(function() await(done:wait()) end, function(peer)
        local frame = frames.frame(PING, ("x"):rep(125), peer.is_client)
        local sent = 0
        local ok = pcall(await, tide.timeout(300, function()
          for _ = 1, 1000 do
            await(peer.stream:write(frame:rep(1000)))
            sent = sent + 1
          end
        end))
        assert.is_true(ok and sent == 1000 or sent > 0)
        done:set()
      end, options)
    end)

    it("gives each message to one of those who receive, in their order", function()
      local got = {}
      run(function(ws)
        local first, second = ws:receive(), ws:receive()
        got = { await(second), await(first) }
      end, function(peer)
        peer:send({ { TEXT, "one" }, { TEXT, "two" } })
        peer:receive_all()
      end, options)
      assert.equal("two", got[1])
      assert.equal("one", got[2])
    end)

    it("loses nothing when a receive is aborted", function()
      local got
      run(function(ws)
        local signal = tide.AbortSignal.timeout(5)
        assert.is_false((pcall(await, ws:receive({ signal = signal }))))
        local ok = pcall(await, tide.timeout(5, function()
          for message in ws do
            error(message)
          end
        end))
        assert.is_false(ok)
        await(ws:send("go"))
        got = await(ws:receive())
      end, function(peer)
        assert.equal("text go", peer:receive())
        peer:send({ { TEXT, "one" } })
        peer:receive_all()
      end, options)
      assert.equal("one", got)
    end)

    it("ends loops and receives when the peer closes, after what came before", function()
      local got = {}
      run(function(ws)
        await(tide.sleep(100)) -- by then all of it is there
        for message, kind in ws do
          got[#got + 1] = kind .. " " .. message
        end
        got[#got + 1] = select("#", await(ws:receive()))
        got[#got + 1] = ws.code
        got[#got + 1] = ws.reason
        got[#got + 1] = select(2, pcall(await, ws:send("x"))).name
        got[#got + 1] = select(2, pcall(await, ws:ping())).name
      end, function(peer)
        peer:send({ { TEXT, "one" }, { BINARY, "two" }, close(4000, "enough") })
        assert.same({ "close 4000 enough" }, peer:receive_all())
      end, options)
      assert.same({ "text one", "binary two", 0, 4000, "enough", "ClosedError", "ClosedError" },
        got)
    end)

    it("has code 1005 where the peer gives none", function()
      local code
      run(function(ws)
        await(ws:receive())
        code = ws.code
      end, function(peer)
        peer:send({ { CLOSE, "" } })
        assert.same({ "close " }, peer:receive_all())
      end, options)
      assert.equal(1005, code)
    end)

    for _, how in ipairs({ "shutdown", "destroy" }) do
      it("fails with 1006 when the peer leaves without a word: " .. how, function()
        for _, receives in ipairs({ "loop", "receive", "later" }) do
          local reason, again, code
          run(function(ws)
            if receives == "later" then
              await(tide.sleep(120))
            end
            reason = select(2, pcall(function()
              return receives == "loop" and ws() or await(ws:receive())
            end))
            again = select(2, pcall(await, ws:receive()))
            code = ws.code
          end, function(peer)
            peer:send({ { 0x01, "half" } })
            await(peer.stream[how](peer.stream))
            pcall(function() peer:receive_all() end)
            await(tide.sleep(150))
          end, options)
          assert.equal("WebSocketError", reason.name)
          assert.equal(1006, reason.code)
          assert.equal(1006, code)
          assert.equal(reason, again)
        end
      end)
    end

    it("is told what the peer does wrong", function()
      local reason
      run(function(ws)
        reason = select(2, pcall(await, ws:receive()))
        assert.equal(reason, select(2, pcall(await, ws:send("x"))))
        assert.equal(1002, ws.code)
      end, function(peer)
        peer:send({ { TEXT | 0x40, "x" } })
        assert.matches("^close 1002 reserved bits are set$", peer:receive_all()[1])
      end, options)
      assert.equal("WebSocketError: reserved bits are set", tostring(reason))
      assert.equal(1002, reason.code)
    end)

    it("says so when a message is too long, and drops what still comes", function()
      local reason
      run(function(ws)
        reason = select(2, pcall(await, ws:receive()))
      end, function(peer)
        peer:send({ { BINARY, ("x"):rep(1 << 20) }, { BINARY, ("x"):rep(1 << 20) } })
        assert.same({ "close 1009 the message is too long" }, peer:receive_all())
      end, { max_message = 1000, serve = options.serve })
      assert.equal(1009, reason.code)
    end)

    it("closes with a code and a reason, and waits for the peer", function()
      local order = {}
      run(function(ws)
        await(ws:close(4001, "enough"))
        order[#order + 1] = "closed"
        assert.equal(4001, ws.code)
        assert.equal("echo", ws.reason)
        await(ws:close())
      end, function(peer)
        assert.equal("close 4001 enough", peer:receive())
        order[#order + 1] = "asked"
        peer:send({ { TEXT, "dropped" }, { PING, "dropped" }, close(4001, "echo") })
        assert.same({}, peer:receive_all())
      end, options)
      assert.same({ "asked", "closed" }, order)
    end)

    it("gives a loop nothing that comes after that either", function()
      local got = {}
      run(function(ws)
        local closed = tide.spawn(function()
          await(nil)
          await(ws:close())
        end)
        for message in ws do
          got[#got + 1] = message
        end
        await(closed)
      end, function(peer)
        assert.equal("close 1000 ", peer:receive())
        peer:send({ { TEXT, "dropped" }, { TEXT, "dropped" }, close(1000, "") })
        assert.same({}, peer:receive_all())
      end, options)
      assert.same({}, got)
    end)

    it("does not wait for ever", function()
      run(function(ws)
        await(ws:close())
        assert.equal(1006, ws.code)
        assert.is_nil(await(ws:receive()))
      end, function(peer)
        assert.equal("close 1000 ", peer:receive())
        assert.is_nil(peer:receive())
      end, options)
    end)

    it("does not wait for a peer that takes nothing", function()
      run(function(ws)
        local promise = ws:send(("x"):rep(16 << 20))
        await(ws:close())
        assert.is_false((pcall(await, promise)))
      end, function(peer)
        await(tide.sleep(100))
        peer.stream:destroy()
      end, options)
    end)

    it("is no faster than its peer", function()
      local count, waits = 0, nil
      run(function(ws)
        waits = tide.spawn(function()
          for i = 1, 1000 do
            await(ws:send(("x"):rep(65536)))
            count = i
          end
        end)
        pcall(await, waits)
      end, function()
        local before
        repeat
          before = count
          await(tide.sleep(50))
        until before == count and count > 0
        assert.is_true(count < 500, count)
      end, options)
    end)

    it("reads no more than it is asked for, but for a bound", function()
      local done, taken = tide.event(), 0
      run(function(ws)
        await(done:wait())
        for message in ws do
          taken = taken + #message
        end
      end, function(peer)
        local sent = 0
        local frame = frames.frame(BINARY, ("x"):rep(16384), peer.is_client)
        local all = tide.spawn(function()
          for _ = 1, 2000 do
            await(peer.stream:write(frame))
            sent = sent + 16384
          end
        end)
        local before
        repeat
          before = sent
          await(tide.sleep(100))
        until before == sent and sent > 0
        assert.is_true(sent < 2000 * 16384, sent)
        done:set()
        await(all)
        peer:send({ BYE })
        assert.same({ "close 1000 " }, peer:receive_all())
      end, options)
      assert.equal(2000 * 16384, taken)
    end)

    it("is given up at once when an error leaves its scope", function()
      run(function(ws)
        pcall(function()
          local _ <close> = ws
          error("broken", 0)
        end)
        assert.equal("ClosedError", select(2, pcall(await, ws:send("x"))).name)
      end, function(peer)
        assert.matches("^close 10[01]1 ", peer:receive_all()[1])
      end, options)
    end)

    it("is not harmed by peers that are reset at any point", function()
      for size = 1, 60, 3 do
        run(echo, function(peer)
          local text = frames.frame(TEXT, "one", peer.is_client)
            .. frames.frame(PING, "two", peer.is_client)
            .. frames.frame(BINARY, ("x"):rep(20), peer.is_client)
            .. frames.frame(CLOSE, "\3\xe8", peer.is_client)
          await(peer.stream:write(text:sub(1, size)))
          if size % 2 == 0 then
            await(tide.sleep(1))
          end
          await(peer.stream:destroy())
        end, options)
      end
    end)
  end)
end

if not has_parser then
  return
end

describe("two WebSockets", function()
  after_each(function()
    peers.stop()
    files.remove()
    leak.check()
  end)

  it("check their arguments", function()
    between(function(ws) await(ws:receive()) end, function(ws)
      assert.matches("bad argument #1 to 'websocket:send' %(string expected, got nil%)",
        raised(ws.send, ws))
      assert.matches("bad argument #1 to 'websocket:send' %(UTF%-8 expected",
        raised(ws.send, ws, "\xff"))
      assert.matches("field 'binary'", raised(ws.send, ws, "x", { binary = 1 }))
      assert.matches("bad argument #2 to 'websocket:send'", raised(ws.send, ws, "x", "binary"))
      assert.matches("'websocket:close' %(1000 to 1003, 1007", raised(ws.close, ws, 1005))
      assert.matches("'websocket:close' %(1000 to 1003, 1007", raised(ws.close, ws, 2000))
      assert.matches("at most 123 bytes", raised(ws.close, ws, 1000, ("x"):rep(124)))
      assert.matches("UTF%-8", raised(ws.close, ws, 1000, "\xff"))
      assert.matches("at most 125 bytes", raised(ws.ping, ws, ("x"):rep(126)))
      assert.matches("bad self", raised(ws.send, {}, "x"))
    end)
  end)

  it("send numbers as text, and all that is binary", function()
    between(function(ws)
      await(ws:send(7))
      await(ws:send("\xff\0", { binary = true }))
    end, function(ws)
      assert.same({ "7", "text" }, { await(ws:receive()) })
      assert.same({ "\xff\0", "binary" }, { await(ws:receive()) })
    end)
  end)

  it("ping each other", function()
    local outcome = between(function(ws)
      await(ws:ping("hello"))
      tide.join(ws:ping(), ws:ping(), ws:ping())
      return "done"
    end, function(ws)
      await(ws:ping())
      assert.is_nil((await(ws:receive())))
    end)
    assert.equal("done", outcome[2])
  end)

  it("end well when the server's function is over", function()
    between(function() end, function(ws)
      assert.is_nil((await(ws:receive())))
      assert.equal(1000, ws.code)
    end)
  end)

  it("tell the client 1011 when that fails, and on_error why", function()
    local list = {}
    between(function() error("broken", 0) end, function(ws)
      assert.is_nil((await(ws:receive())))
      assert.equal(1011, ws.code)
    end, { serve = quiet(list) })
    assert.same({ "broken" }, list)
  end)

  it("do not take a client that has gone for a failure", function()
    local list = {}
    for _, use in ipairs({
      function(ws) for _ in ws do end end,
      function(ws) await(ws:receive()) end,
      function(ws) while true do await(ws:send(("x"):rep(100000))) end end,
      function(ws)
        while true do
          await(ws:send("x"))
          await(tide.sleep(1))
        end
      end,
    }) do
      for _, how in ipairs({ "destroy", "close" }) do
        local ended = tide.event()
        server.run(quiet(list), function(request)
          return request:websocket(function(ws)
            local _ <close> = setmetatable({}, { __close = function() ended:set() end })
            use(ws)
          end, { close_timeout = 50 })
        end, function(port)
          local peer = frames.connect(port)
          await(tide.sleep(5))
          if how == "close" then
            peer:send({ BYE })
            pcall(function() peer:receive_all() end)
          end
          await(peer.stream:destroy())
          await(tide.timeout(20000, function() await(ended:wait()) end))
        end)
      end
    end
    assert.same({}, list)
  end)

  it("are closed with 1001 when the service is", function()
    between(function(ws)
      for message in ws do
        await(ws:send(message))
      end
    end, function(ws, service)
      await(ws:send("x"))
      await(ws:receive())
      local closed = service:close()
      assert.is_nil((await(ws:receive())))
      assert.equal(1001, ws.code)
      await(closed)
    end)
  end)

  it("are cancelled after the grace", function()
    local cancelled = false
    between(function()
      local _ <close> = setmetatable({}, { __close = function() cancelled = true end })
      await(tide.sleep(1e6))
    end, function(ws, service)
      await(service:close({ grace = 5 }))
      pcall(await, ws:receive())
    end)
    assert.is_true(cancelled)
  end)

  it("are closed at the end of a scope, and wait for no group", function()
    between(function(ws)
      for _ in ws do end
      assert.equal(1000, ws.code)
    end, function(ws)
      await(tide.group(function()
        await(ws:send("x"))
      end))
      local _ <close> = ws
    end)
  end)

  it("outlive the group in which they were made", function()
    server.run({}, function(request)
      return request:websocket(echo)
    end, function(port)
      local ws = await(tide.group(function()
        local opened = await(http.websocket(("ws://127.0.0.1:%d"):format(port)))
        await(opened:ping())
        return opened
      end))
      await(ws:send("x"))
      assert.equal("x", await(ws:receive()))
      await(ws:close())
    end)
  end)

  it("keep the loop alive until they are closed, and no longer", function()
    local result = child.lua_source([[
      local tide, http = require "moontide", require "moontide.http"
      local await = tide.await
      local service = await(http.serve({ host = "127.0.0.1" }, function(request)
        return request:websocket(function(ws)
          await(tide.sleep(100))
          await(ws:send("x"))
          for _ in ws do end
        end)
      end))
      tide.spawn(function()
        local ws = await(http.websocket("ws://127.0.0.1:" .. service:address().port))
        print(await(ws:receive()))
        ws:close()
        service:close()
      end)
      tide.run()
    ]])
    assert.same({ code = 0, out = "x\ttext\n", err = "" }, result)
  end)

  it("say and hear much in both directions at once", function()
    local N = 300
    local outcome = between(function(ws)
      local count = 0
      tide.join(tide.spawn(function()
        for i = 1, N do
          await(ws:send(("s"):rep(i * 100)))
        end
      end), tide.spawn(function()
        for message in ws do
          count = count + #message
          if count == N * (N + 1) * 50 then
            break
          end
        end
      end))
      return count
    end, function(ws)
      local count = 0
      tide.join(tide.spawn(function()
        for i = 1, N do
          await(ws:send(("c"):rep(i * 100)))
        end
      end), tide.spawn(function()
        while count < N * (N + 1) * 50 do
          count = count + #await(ws:receive())
        end
      end))
    end)
    assert.equal(N * (N + 1) * 50, outcome[2])
  end)

  it("have several loops and receives at once", function()
    local seen = {}
    between(function(ws)
      for i = 1, 30 do
        await(ws:send(tostring(i)))
        if i % 7 == 0 then
          await(tide.sleep(1))
        end
      end
    end, function(ws)
      local function loop()
        for message in ws do
          seen[message] = true
        end
      end
      tide.join(tide.spawn(loop), tide.spawn(loop), tide.spawn(function()
        repeat
          local message = await(ws:receive())
          seen[message or "end"] = true
        until not message
      end))
    end)
    for i = 1, 30 do
      assert.is_true(seen[tostring(i)], i)
    end
  end)

  it("talk to Chromium's", function()
    if not browser.path then
      pending "there is no browser"
      return
    end
    local page = [[<!doctype html><pre id="log"></pre><script>
      const lines = [];
      const ws = new WebSocket(location.href.replace("http", "ws") + "chat", ["b", "a"]);
      ws.binaryType = "arraybuffer";
      ws.onopen = () => {
        lines.push("open " + ws.protocol);
        ws.send("héllo");
        ws.send(new Uint8Array([0, 255, 128]));
        ws.send("x".repeat(100000));
      };
      ws.onmessage = e => {
        const isText = typeof e.data === "string";
        lines.push(isText ? e.data.slice(0, 5) + " " + e.data.length
          : [...new Uint8Array(e.data)].join());
        if (lines.length === 4) ws.send("bye");
      };
      ws.onclose = e => {
        lines.push(["close", e.code, e.reason, e.wasClean].join(" "));
        document.getElementById("log").textContent = lines.join("\n");
        fetch("/done");
      };
    </script><script src="/wait"></script>]]
    local done, replies = tide.event(), {}
    replies["/"] = function() return { html = page } end
    replies["/chat"] = function(request)
      return request:websocket(function(ws)
        for message, kind in ws do
          if message == "bye" then
            await(ws:close(4000, "enough"))
          else
            await(ws:send(message, { binary = kind == "binary" }))
          end
        end
      end, { protocols = { "a", "b" } })
    end
    replies["/done"] = function()
      done:set()
      return ""
    end
    replies["/wait"] = function()
      await(done:wait())
      return { body = "", headers = { ["Content-Type"] = "text/javascript" } }
    end
    server.run({}, function(request)
      local reply = replies[request.path]
      return reply and reply(request) or { status = 404 }
    end, function(port)
      local url = ("http://127.0.0.1:%d/"):format(port)
      local result = peers.run(browser.command(files.directory(), "--dump-dom", url))
      local log = assert(result.out:match('<pre id="log">(.-)</pre>'), result.err)
      assert.equal("open a\nhéllo 5\n0,255,128\nxxxxx 100000\nclose 4000 enough true", log)
    end)
  end)

  local has_node = child.shell("env -u LD_PRELOAD node -e 'require(\"ws\")'").code == 0

  --- What node prints of a program, which has the class WebSocket of `ws` and the port.
  local function by_node(port, program)
    local path = files.directory() .. "/peer.cjs"
    files.write(path, ("const WebSocket = require('ws'), port = %d;\n"):format(port) .. program)
    local result = peers.run("env -u LD_PRELOAD timeout 30 node " .. path)
    assert.equal("", result.err)
    return result.out
  end

  it("talk to those of node's ws", function()
    if not has_node then
      pending "node's ws is not there"
      return
    end
    server.run({}, function(request)
      return request:websocket(echo, { protocols = { "a" } })
    end, function(port)
      local out = by_node(port, [[
        const ws = new WebSocket("ws://127.0.0.1:" + port, ["b", "a"]);
        const sent = ["héllo", Buffer.from([0, 255]), "x".repeat(70000)];
        ws.on("open", () => { console.log("open", ws.protocol); ws.ping("p"); });
        ws.on("pong", data => { console.log("pong", String(data)); ws.send(sent.shift()); });
        ws.on("message", (data, binary) => {
          console.log(binary, data.length);
          if (sent.length) ws.send(sent.shift()); else ws.close(4000, "enough");
        });
        ws.on("close", (code, reason) => console.log("close", code, String(reason)));
      ]])
      assert.equal("open a\npong p\nfalse 6\ntrue 2\nfalse 70000\nclose 4000 enough\n", out)
    end)
  end)

  it("talk to a server of node's ws", function()
    if not has_node then
      pending "node's ws is not there"
      return
    end
    local path = files.directory() .. "/server.cjs"
    files.write(path, [[
      const { WebSocketServer } = require("ws");
      const server = new WebSocketServer({ host: "127.0.0.1", port: +process.argv[2] });
      server.on("connection", ws => {
        ws.on("message", (data, binary) => {
          if (String(data) === "bye") ws.close(4000, "enough"); else ws.send(data, { binary });
        });
      });
    ]])
    local port = peers.serve(function(port)
      return ("env -u LD_PRELOAD node %s %d"):format(path, port)
    end)
    local ws = await(http.websocket(("ws://127.0.0.1:%d"):format(port)))
    for _, message in ipairs({ "héllo", ("x"):rep(70000) }) do
      for _, binary in ipairs({ true, false }) do
        await(ws:send(message, { binary = binary }))
        assert.same({ message, binary and "binary" or "text" }, { await(ws:receive()) })
      end
    end
    await(ws:ping())
    await(ws:send("bye"))
    assert.is_nil((await(ws:receive())))
    assert.same({ 4000, "enough" }, { ws.code, ws.reason })
  end)
end)
