-- Of: http/upgrade, http/websocket_client, websocket/codec
-- Both ends, each against one that is made by hand: the cases of the Autobahn test suite, then what
-- becomes of connections.
local frames = require "spec.support.frames"
local leak = require "spec.support.leak"
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
