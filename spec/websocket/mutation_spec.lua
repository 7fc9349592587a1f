-- Of: websocket/codec
-- Frames that were mutated at random: a codec makes of them what a plain reading of RFC 6455 does,
-- in whatever pieces they come. MOONTIDE_MUTATIONS says how many, for a long run under a sanitizer.
local core = require "moontide.core"
local frames = require "spec.support.frames"

local COUNT = tonumber(os.getenv("MOONTIDE_MUTATIONS")) or 5000
local LIMIT = 300

---- a plain reading ----

local KINDS = { [1] = "text", [2] = "binary", [8] = "close", [9] = "ping", [10] = "pong" }

local function is_code(code)
  return code >= 1000 and code <= 1003 or code >= 1007 and code <= 1014
    or code >= 3000 and code <= 4999
end

--- What a close frame says, or 1002 or 1007.
local function read_close(payload)
  if payload == "" then
    return "close"
  elseif #payload == 1 or not is_code((string.unpack(">I2", payload))) then
    return 1002
  elseif not utf8.len(payload:sub(3)) then
    return 1007
  end
  return ("close %d %s"):format(string.unpack(">I2", payload), payload:sub(3))
end

--- The head of a frame at a place: its parts, and where the payload begins; nil if it is not whole.
local function read_head(text, at)
  local first, second = text:byte(at, at + 1)
  if not second then
    return nil
  end
  local head = { final = first >= 0x80, bits = first >> 4 & 7, opcode = first & 15,
    masked = second >= 0x80, length = second & 0x7f, minimal = true }
  local extra = head.length == 127 and 8 or head.length == 126 and 2 or 0
  local start = at + 2 + extra + (head.masked and 4 or 0)
  if start > #text + 1 then
    return nil
  end
  if extra > 0 then
    head.length = string.unpack(">I" .. extra, text, at + 2)
    head.minimal = math.ult(extra == 2 and 125 or 65535, head.length) and head.length >= 0
  end
  head.mask = head.masked and text:sub(start - 4, start - 1)
  return head, start
end

--- What refuses a frame before its payload, or nil; message is what there is of one that is not
--- whole.
local function refusal(head, message)
  if head.bits ~= 0 or not head.masked or not head.minimal then
    return 1002
  elseif head.opcode >= 8 then
    local known = head.opcode <= 10 and head.final and head.length <= 125
    return not known and 1002 or nil
  elseif head.opcode > 2 or (head.opcode == 0) == (message == nil) then
    return 1002
  end
  return head.length > LIMIT - #(message and message.data or "") and 1009 or nil
end

local function unmask(data, mask)
  local i = 0
  return (data:gsub(".", function(c)
    i = i % 4 + 1
    return string.char(c:byte() ~ mask:byte(i))
  end))
end

--- Whether a text that goes on may still become UTF-8: with some end it is.
local function may_be_utf8(text)
  local _, bad = utf8.len(text)
  if not bad then
    return true
  end
  for _, continuation in ipairs({ "\x80", "\xa0", "\x90", "\x8f", "\x9f" }) do
    for n = 0, 2 do
      if utf8.len(text .. continuation .. ("\x80"):rep(n)) then
        return true
      end
    end
  end
  return false
end

--- All that a server makes of a text.
local function read_plainly(text)
  local list, at, message = {}, 1, nil
  while true do
    local head, start = read_head(text, at)
    if not head then
      return list
    end
    local status = refusal(head, message)
    local payload = text:sub(start, start + math.min(head.length, LIMIT) - 1)
    payload = status and "" or unmask(payload, head.mask)
    local is_whole = #payload == head.length
    if not status and head.opcode < 8 then
      message = message or { kind = KINDS[head.opcode], data = "" }
      message.data = message.data .. payload
      local is_end = is_whole and head.final
      if message.kind == "text" and not (is_end and utf8.len or may_be_utf8)(message.data) then
        status = 1007
      elseif is_end then
        list[#list + 1] = message.kind .. " " .. message.data
        message = nil
      end
    elseif not status and is_whole and head.opcode == 8 then
      status = read_close(payload)
    elseif not status and is_whole then
      list[#list + 1] = KINDS[head.opcode] .. " " .. payload
    end
    if status then
      list[#list + 1] = type(status) == "string" and status or "failed " .. status
      return list
    elseif not is_whole then
      return list
    end
    at = start + head.length
  end
end

---- the codec ----

local function add(list, ...)
  local kind, first, second = ...
  if kind == false then
    list[#list + 1] = "failed " .. first
    return false
  elseif kind == "close" then
    list[#list + 1] = first and ("close %d %s"):format(first, second) or "close"
    return false
  elseif kind then
    list[#list + 1] = kind .. " " .. first
  end
  return kind ~= nil
end

--- The same by a codec, in pieces of at most that many bytes.
local function read_by_codec(text, most)
  local codec, list, at = core.websocket.codec(false, LIMIT), {}, 1
  while at <= #text do
    local size = math.random(most)
    local goes_on = add(list, codec:feed(text:sub(at, at + size - 1)))
    while goes_on do
      goes_on = add(list, codec:next())
    end
    at = at + size
    if list[#list] and list[#list]:find("^failed") then
      return list
    end
  end
  return list
end

---- mutations ----

local TEXTS = { "", "a", "Hello-µ@ßöäü", "\u{d7ff}\u{10ffff}", ("x"):rep(125), ("é"):rep(63),
  ("y"):rep(200), "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3" }
local FIRST = { 0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x81, 0x80 }

local function any(list)
  return list[math.random(#list)]
end

local function seed()
  local list = {}
  for i = 1, math.random(5) do
    list[i] = frames.frame(any(FIRST), any(TEXTS), true)
  end
  if math.random(3) == 1 then
    local code = any({ 1000, 1001, 1005, 3000, 5000 })
    list[#list + 1] = frames.frame(0x88, string.pack(">I2", code) .. any(TEXTS):sub(1, 123), true)
  end
  return table.concat(list)
end

local function mutate(text)
  for _ = 1, math.random(0, 3) do
    local at = math.random(#text)
    local way = math.random(4)
    if way == 1 then
      text = text:sub(1, at - 1) .. string.char(math.random(0, 255)) .. text:sub(at + 1)
    elseif way == 2 then
      text = text:sub(1, at - 1) .. text:sub(at + math.random(4))
    elseif way == 3 then
      text = text:sub(1, at) .. text:sub(math.random(#text))
    else
      local bit = 1 << math.random(0, 7)
      text = text:sub(1, at - 1) .. string.char(text:byte(at) ~ bit) .. text:sub(at + 1)
    end
    if text == "" then
      return "\x81"
    end
  end
  return text
end

local function shown(text)
  return (text:gsub(".", function(c) return ("%02x "):format(c:byte()) end))
end

describe("mutated frames", function()
  it("are what RFC 6455 makes of them, in whatever pieces they come", function()
    math.randomseed(tonumber(os.getenv("MOONTIDE_SEED")) or 20261122)
    for _ = 1, COUNT do
      local text = mutate(seed())
      local expected = read_plainly(text)
      for _, most in ipairs({ #text, 1, 20 }) do
        local got = read_by_codec(text, most)
        if table.concat(expected, "|") ~= table.concat(got, "|") then
          error(("%s\nexpected %s\ngot %s"):format(shown(text), table.concat(expected, "|"),
            table.concat(got, "|")))
        end
      end
    end
  end)
end)
