-- Of: base/sha1, base/utf8, websocket/frame
-- Frames of WebSocket, well-formed and not: fed at once, and byte by byte.
local core = require "moontide.core"

local websocket = core.websocket

local MASK = "\x37\xfa\x21\x3d"

local function mask(data)
  local i = 0
  return (data:gsub(".", function(c)
    i = i % 4 + 1
    return string.char(c:byte() ~ MASK:byte(i))
  end))
end

--- The text of a frame: what stands first in a head (bits and opcode), and the payload.
local function frame(first, payload, is_masked, length)
  length = length or (#payload < 126 and "B" or #payload < 65536 and "x" or "X")
  local bit = is_masked and 0x80 or 0
  local head = string.char(first)
  if length == "B" then
    head = head .. string.char(bit | #payload)
  elseif length == "x" then
    head = head .. string.pack(">BI2", bit | 126, #payload)
  else
    head = head .. string.pack(">BI8", bit | 127, #payload)
  end
  return head .. (is_masked and MASK .. mask(payload) or payload)
end

--- As a client sends it.
local function sent(first, payload, length)
  return frame(first, payload, true, length)
end

--- All that a codec makes of pieces.
local function read(codec, pieces)
  local list = {}
  for _, piece in ipairs(pieces) do
    local values = table.pack(codec:feed(piece))
    while values.n > 0 do
      for i = 1, values.n do
        local text = tostring(values[i])
        values[i] = #text > 40 and #text .. " bytes" or text
      end
      list[#list + 1] = table.concat(values, " ")
      if list[#list]:find("^false") then
        return list
      end
      values = table.pack(codec:next())
    end
  end
  return list
end

local function bytes_of(text)
  local list = {}
  for c in text:gmatch(".") do
    list[#list + 1] = c
  end
  return list
end

local function close(code, reason)
  return sent(0x88, string.pack(">I2", code) .. (reason or ""))
end

local LIMIT = 100000
local FAILED = "false 1002 "
local NO_TEXT = "false 1007 "

-- { what, what the server reads, result... }
local ROWS = {
  { "an empty text", sent(0x81, ""), "text " },
  { "a text", sent(0x81, "Hello"), "text Hello" },
  { "a binary", sent(0x82, "\0\xff"), "binary \0\xff" },
  { "125 bytes", sent(0x81, ("*"):rep(125)), "text 125 bytes" },
  { "126 bytes", sent(0x81, ("*"):rep(126)), "text 126 bytes" },
  { "127 bytes", sent(0x82, ("\xfe"):rep(127)), "binary 127 bytes" },
  { "65535 bytes", sent(0x81, ("*"):rep(65535)), "text 65535 bytes" },
  { "65536 bytes", sent(0x82, ("\xfe"):rep(65536)), "binary 65536 bytes" },
  { "several", sent(0x81, "a") .. sent(0x81, "b") .. sent(0x82, "c"), "text a", "text b",
    "binary c" },
  { "fragments", sent(0x01, "a") .. sent(0x00, "") .. sent(0x80, "b"), "text ab" },
  { "fragments that are empty", sent(0x01, "") .. sent(0x00, "") .. sent(0x80, ""), "text " },
  { "a ping amid fragments", sent(0x01, "a") .. sent(0x89, "p") .. sent(0x80, "b"), "ping p",
    "text ab" },
  { "a ping", sent(0x89, ""), "ping " },
  { "a ping with 125 bytes", sent(0x89, ("\xfe"):rep(125)), "ping 125 bytes" },
  { "a ping with 126 bytes", sent(0x89, ("\xfe"):rep(126)),
    FAILED .. "a control frame that is too long" },
  { "a pong", sent(0x8a, "x"), "pong x" },
  { "a ping in fragments", sent(0x09, "x"), FAILED .. "a control frame in fragments" },
  { "a pong in fragments", sent(0x0a, "x"), FAILED .. "a control frame in fragments" },
  { "a continuation of nothing", sent(0x80, "x"), FAILED .. "a continuation of nothing" },
  { "a continuation that goes on, of nothing", sent(0x00, "x"),
    FAILED .. "a continuation of nothing" },
  { "a continuation behind a whole message", sent(0x81, "a") .. sent(0x80, "x"), "text a",
    FAILED .. "a continuation of nothing" },
  { "a text amid fragments", sent(0x01, "a") .. sent(0x81, "b"),
    FAILED .. "a message within another one" },
  { "a binary amid fragments", sent(0x02, "a") .. sent(0x02, "b"),
    FAILED .. "a message within another one" },
  { "a close without a code", sent(0x88, ""), "close" },
  { "a close with a code", close(1000), "close 1000 " },
  { "a close with a reason", close(1001, "Händler"), "close 1001 Händler" },
  { "a close with the longest reason", close(1000, ("*"):rep(123)), "close 1000 123 bytes" },
  { "a close that is too long", close(1000, ("*"):rep(124)),
    FAILED .. "a control frame that is too long" },
  { "a close with one byte", sent(0x88, "a"), FAILED .. "malformed code" },
  { "a close whose reason is no UTF-8", close(1000, "\xce\xba\xe1"),
    NO_TEXT .. "a reason that is no UTF-8" },
  { "nothing behind a close", close(1000) .. sent(0x81, "a") .. sent(0x89, "b"),
    "close 1000 " },
  { "a frame without a mask", frame(0x81, "a"), FAILED .. "a client's frame without one" },
  { "a ping without a mask", frame(0x89, "a"), FAILED .. "a client's frame without one" },
  { "a length of 2 bytes that needs one", sent(0x81, "a", "x"), FAILED .. "malformed length" },
  { "125 in 2 bytes", sent(0x81, ("a"):rep(125), "x"), FAILED .. "malformed length" },
  { "a length of 8 bytes that needs 2", sent(0x81, ("a"):rep(126), "X"),
    FAILED .. "malformed length" },
  { "65535 in 8 bytes", sent(0x81, ("a"):rep(65535), "X"), FAILED .. "malformed length" },
  { "a negative length", "\x81\xff\x80\0\0\0\0\0\0\1" .. MASK, FAILED .. "malformed length" },
  { "as much as the limit", sent(0x82, ("*"):rep(LIMIT)), "binary " .. LIMIT .. " bytes" },
  { "more than the limit", sent(0x82, ("*"):rep(LIMIT + 1)),
    "false 1009 the message is too long" },
  { "more than the limit, in fragments", sent(0x02, ("*"):rep(LIMIT)) .. sent(0x80, "*"),
    "false 1009 the message is too long" },
  { "the greatest length", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" .. MASK,
    "false 1009 the message is too long" },
}

for bits = 1, 7 do
  for _, opcode in ipairs({ 0x81, 0x82, 0x88, 0x89, 0x8a }) do
    ROWS[#ROWS + 1] = { ("reserved bits %d of opcode %x"):format(bits, opcode & 15),
      sent(opcode | bits << 4, "x"), FAILED .. "reserved bits are set" }
  end
end

for _, opcode in ipairs({ 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 }) do
  ROWS[#ROWS + 1] = { "opcode " .. opcode, sent(0x81, "a") .. sent(0x80 | opcode, "x"), "text a",
    FAILED .. "unknown opcode" }
end

for _, code in ipairs({ 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
  3000, 3999, 4000, 4999 }) do
  ROWS[#ROWS + 1] = { "code " .. code, close(code), ("close %d "):format(code) }
end

for _, code in ipairs({ 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535 }) do
  ROWS[#ROWS + 1] = { "code " .. code, close(code), FAILED .. "malformed code" }
end

describe("a codec", function()
  for _, row in ipairs(ROWS) do
    it("reads " .. row[1], function()
      local expected = { table.unpack(row, 3) }
      assert.same(expected, read(websocket.codec(false, LIMIT), { row[2] }))
      assert.same(expected, read(websocket.codec(false, LIMIT), bytes_of(row[2])))
    end)
  end

  it("reads a server's frames as a client, which have no mask", function()
    assert.same({ "text Hello" }, read(websocket.codec(true, LIMIT), { frame(0x81, "Hello") }))
    assert.same({ FAILED .. "a server's frame with a mask" },
      read(websocket.codec(true, LIMIT), { sent(0x81, "Hello") }))
  end)

  it("keeps its failure", function()
    local codec = websocket.codec(false, LIMIT)
    read(codec, { sent(0x83, "") })
    assert.same({ FAILED .. "unknown opcode" }, read(codec, { sent(0x81, "a") }))
  end)

  it("finds what is no UTF-8 as soon as it comes", function()
    local codec = websocket.codec(false, LIMIT)
    local text = sent(0x81, "\xce\xba\xf4\x90" .. ("x"):rep(50000))
    assert.same({}, read(codec, { text:sub(1, 8 + 3) }))
    assert.same({ NO_TEXT .. "a text that is no UTF-8" }, read(codec, { text:sub(8 + 4, 8 + 4) }))
  end)

  it("writes what the other end's codec reads", function()
    for _, is_client in ipairs({ true, false }) do
      local from, to = websocket.codec(is_client, LIMIT), websocket.codec(not is_client, LIMIT)
      for _, n in ipairs({ 0, 1, 7, 8, 9, 125, 126, 127, 16384, 16385, 65535, 65536, 100000 }) do
        local data = ("abcdefg"):rep(n // 7 + 1):sub(1, n)
        local kind, got = to:feed(table.concat({ from:frame("text", data) }))
        assert.equal("text", kind)
        assert.is_true(got == data, n)
      end
      assert.same({ "ping", "p" }, { to:feed(from:frame("ping", "p") .. from:frame("pong", "q")
        .. from:frame("binary", "\0") .. from:frame("close", "\3\xe8bye")) })
      assert.same({ "pong", "q" }, { to:next() })
      assert.same({ "binary", "\0" }, { to:next() })
      assert.same({ "close", 1000, "bye" }, { to:next() })
      assert.same({}, { to:next() })
    end
  end)

  it("chooses another mask for each frame", function()
    local codec, seen, count = websocket.codec(true, LIMIT), {}, 0
    for _ = 1, 1000 do
      local key = codec:frame("text", ""):sub(3, 6)
      count = count + (seen[key] and 0 or 1)
      seen[key] = true
    end
    assert.is_true(count > 990, count)
  end)

  it("leaves much data of a server's where it is", function()
    local data = ("x"):rep(100000)
    local head, same = websocket.codec(false, LIMIT):frame("binary", data)
    assert.equal(10, #head)
    assert.is_true(rawequal(data, same))
  end)
end)

-- Autobahn 6: texts that are UTF-8, and not.
local VALID = {
  "", "a", "Hello-µ@ßöäüàá-UTF-8!!", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "\0",
  "\u{7f}", "\u{80}", "\u{7ff}", "\u{800}", "\u{ffff}", "\u{10000}", "\u{10ffff}", "\u{d7ff}",
  "\u{e000}", "\u{fffd}", "\u{fffe}", "\u{1fffe}", "\u{10fffe}", "\u{feff}",
}
local INVALID = {
  "\x80", "\xbf", "\xc0", "\xc1", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2a", "\xe0\x80\x80",
  "\xe0\x9f\xbf", "\xe1\x80", "\xe1\x80a", "\xed\xa0\x80", "\xed\xaf\xbf", "\xed\xbf\xbf",
  "\xed\xa0\x80\xed\xb0\x80", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf1\x80\x80",
  "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80",
  "\xfe", "\xff", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
}

describe("UTF-8", function()
  it("is what RFC 3629 says, wherever it stands", function()
    for before = 0, 17 do
      local prefix = ("x"):rep(before)
      for _, text in ipairs(VALID) do
        assert.is_true(websocket.is_utf8(prefix .. text), text)
        assert.is_true(websocket.is_utf8(prefix .. text .. prefix), text)
      end
      for _, text in ipairs(INVALID) do
        assert.is_false(websocket.is_utf8(prefix .. text), text)
        assert.is_false(websocket.is_utf8(prefix .. text .. prefix), text)
      end
    end
  end)

  it("is the same as Lua takes for it, on random bytes", function()
    math.randomseed(20261122)
    local some = { 0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
      0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff }
    for _ = 1, 20000 do
      local bytes = {}
      for i = 1, math.random(6) do
        bytes[i] = string.char(some[math.random(#some)])
      end
      local text = table.concat(bytes)
      assert.equal(utf8.len(text) ~= nil, websocket.is_utf8(text), text)
    end
  end)
end)

describe("the keys of the handshake", function()
  it("are answered as in RFC 6455", function()
    assert.equal("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", websocket.accept_key("dGhlIHNhbXBsZSBub25jZQ=="))
  end)

  it("are answered by SHA-1 at each length of a block", function()
    local answers = {
      [0] = "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w=",
      [18] = "bZspPpS+bbHX4iBWnSe4VZeDAH8=",
      [19] = "qQsxh2Nb/vsnD9od6HBiP6Igif0=",
      [20] = "7jD6MP55bPPoLSNhT1mD/AE8sjc=",
      [27] = "WWp/NRXr3+N4xy7O/17rN1JrRGc=",
      [28] = "atUL8kQGe4qplhq19Y5TKRw/Uj4=",
      [29] = "EoHUgLwSj5LVfz4NhAZzg2z0i4Y=",
      [91] = "InslgUhEUGrE7unh07gEbqvKX/Y=",
      [92] = "N6jQH9SY1VrfN6p4qvkUdTUUhwQ=",
      [200] = "2/xdrRDawKrkzT3zWJGBWn134JI=",
    }
    for n, answer in pairs(answers) do
      assert.equal(answer, websocket.accept_key(("x"):rep(n)))
    end
  end)

  it("are 16 bytes in base64, and never the same", function()
    local one, other = websocket.new_key(), websocket.new_key()
    assert.matches("^[%w+/]+==$", one)
    assert.equal(24, #one)
    assert.not_equal(one, other)
  end)
end)
