--- The text of server-sent events, read piece by piece: the HTML standard, 9.2.6.
local core = require "moontide.core"

local M = {}

local BOM = "\xef\xbb\xbf"
local LIMIT = 1024 * 1024

-- Fields: _limit, bytes of one event; _start: what has come of a byte order mark that may stand
-- first, then false; _after_cr: a line feed that comes next belongs to the line before; _line:
-- pieces of a line that is not whole; _data: lines of the event that is not whole; _size: bytes
-- in both; _event, _id and _retry: what the fields of these names have said.
local Parser = {}
Parser.__index = Parser

function M.parser(limit)
  return setmetatable({
    _limit = limit or LIMIT,
    _start = "",
    _after_cr = false,
    _line = {},
    _data = {},
    _size = 0,
    _event = "",
    _id = "",
  }, Parser)
end

---- fields ----

local fields = {}

function fields.event(self, value)
  self._event = value
end

function fields.data(self, value)
  self._data[#self._data + 1] = value
  self._size = self._size + #value + 1
end

function fields.id(self, value)
  if not value:find("\0", 1, true) then
    self._id = value
  end
end

--- A number that is none of Lua's integers is none that anybody could wait for.
function fields.retry(self, value)
  if value:find("^%d+$") then
    self._retry = math.tointeger(tonumber(value)) or self._retry
  end
end

local function read_field(self, line)
  local name, value = line:match("^([^:]*):? ?(.*)$")
  local read = fields[name]
  if read then
    read(self, value)
  end
end

--- The end of an event, or of nothing.
local function dispatch(self, events)
  if #self._data > 0 then
    events[#events + 1] = {
      event = self._event ~= "" and self._event or "message",
      data = table.concat(self._data, "\n"),
      id = self._id,
      retry = self._retry,
    }
  end
  self._data, self._event, self._size = {}, "", 0
end

---- lines ----

local function take_line(self, rest, events)
  local line = rest
  if #self._line > 0 then
    self._line[#self._line + 1] = rest
    line = table.concat(self._line)
    self._size, self._line = self._size - #line + #rest, {}
  end
  if line == "" then
    dispatch(self, events)
  else
    read_field(self, line)
  end
end

local function keep(self, rest)
  if rest ~= "" then
    self._line[#self._line + 1] = rest
    self._size = self._size + #rest
  end
end

--- The text without a byte order mark before all else.
local function skip_bom(self, text)
  text = self._start .. text
  if #text < #BOM and BOM:sub(1, #text) == text then
    self._start = text
    return ""
  end
  self._start = false
  return text:sub(1, #BOM) == BOM and text:sub(#BOM + 1) or text
end

--- The events that are whole by now. With what is too long comes the reason, an error; nothing can
--- be fed after that.
---@param text string
---@return { event: string, data: string, id: string, retry: integer? }[] events
---@return moontide.Error? problem
function Parser:feed(text)
  local events, from = {}, 1
  if self._start then
    text = skip_bom(self, text)
  end
  if self._after_cr and text ~= "" then
    from = text:byte() == 10 and 2 or 1
    self._after_cr = false
  end
  while true do
    local last = text:find("[\r\n]", from)
    if not last then
      keep(self, text:sub(from))
      break
    end
    take_line(self, text:sub(from, last - 1), events)
    self._after_cr = text:byte(last) == 13 and last == #text
    from = last + (text:find("^\r\n", last) and 2 or 1)
    if self._size > self._limit then
      break
    end
  end
  if self._size > self._limit then
    local reason = ("the event is longer than %d bytes"):format(self._limit)
    return events, core.new_error("LimitError", reason)
  end
  return events
end

return M
