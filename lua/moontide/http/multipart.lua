--- Reads bodies of several parts: RFC 2046, 5.1, RFC 7578.
local headers = require "moontide.http.headers"

local M = {}

local PADDING = 64 -- blanks that a delimiter may have behind it

-- Fields: _read(signal) gives the next piece of the body, nil at its end; _fail(status, why)
-- raises; _delimiter; _buffer, what has been read and not given, which begins with the line end
-- that belongs to the first delimiter; _max_header_size.
local Multipart = {}
Multipart.__index = Multipart

--- Whether it is what RFC 2046, 5.1.1, calls a boundary.
function M.is_boundary(text)
  return text ~= nil and #text <= 70 and text:find("^[%w'()+_,%-./:=? ]*[%w'()+_,%-./:=?]$") ~= nil
end

function M.new(boundary, read, fail, max_header_size)
  return setmetatable({
    _read = read,
    _fail = fail,
    _delimiter = "\r\n--" .. boundary,
    _buffer = "\r\n",
    _max_header_size = max_header_size,
  }, Multipart)
end

--- Adds what comes next.
local function fill(self, signal)
  local piece = self._read(signal)
  if not piece then
    self._fail(400, "the last part is not whole")
  end
  self._buffer = self._buffer .. piece
end

--- The number of bytes at the end that a delimiter may begin with.
local function begun(self)
  local buffer, delimiter = self._buffer, self._delimiter
  local from = math.max(#buffer - #delimiter + 2, 1)
  local at = buffer:find("\r[^\r]*$", from)
  local rest = at and buffer:sub(at)
  return rest and delimiter:sub(1, #rest) == rest and #rest or 0
end

--- Takes n bytes.
local function take(self, n)
  local data = self._buffer:sub(1, n)
  self._buffer = self._buffer:sub(n + 1)
  return data
end

--- The next bytes of the part, nil at its end. Awaits.
function Multipart:piece(signal)
  while true do
    local at = self._buffer:find(self._delimiter, 1, true)
    local n = at and at - 1 or #self._buffer - begun(self)
    if n > 0 then
      return take(self, n)
    elseif at then
      return nil
    end
    fill(self, signal)
  end
end

--- Goes behind the delimiter that comes next: false if that is the last one.
local function pass_delimiter(self, signal)
  local behind = #self._delimiter + 1
  while true do
    local rest = self._buffer:sub(behind, behind + PADDING)
    if rest:sub(1, 2) == "--" then
      return false
    end
    local _, stop = rest:find("^[ \t]*\r\n")
    if stop then
      take(self, behind + stop - 1)
      return true
    elseif #rest > PADDING or not rest:find("^[ \t]*\r?$") and rest ~= "-" then
      self._fail(400, "malformed delimiter")
    end
    fill(self, signal)
  end
end

--- Takes the lines of a part's head, without the empty one.
local function take_lines(self, signal)
  while true do
    local buffer = self._buffer
    local at = buffer:sub(1, 2) == "\r\n" and 1 or buffer:find("\r\n\r\n", 1, true)
    if (at or #buffer) > self._max_header_size then
      self._fail(413, "the head of a part is too long")
    elseif at then
      local lines = take(self, at == 1 and 0 or at + 1)
      take(self, 2)
      return lines
    end
    fill(self, signal)
  end
end

local function is_field(line)
  local name, value = line:match("^([^:]*):(.*)$")
  return name and not headers.name_problem(name) and not headers.value_problem(value)
end

--- Throws away what stands before the first delimiter: as much as a head may have.
local function skip_preamble(self, signal)
  local skipped = 0
  for piece in function() return self:piece(signal) end do
    skipped = skipped + #piece
    if skipped > self._max_header_size then
      self._fail(400, "no part begins")
    end
  end
end

--- Throws away what is left of a part, and of the body if that was the last one.
local function skip(self, signal)
  if not self._has_begun then
    self._has_begun = true
    return skip_preamble(self, signal)
  end
  while self:piece(signal) do
  end
end

--- The headers of the next part, nil when there is none. Awaits.
---@return moontide.http.Headers?
function Multipart:head(signal)
  skip(self, signal)
  if not pass_delimiter(self, signal) then
    while self._read(signal) do
    end
    return nil
  end
  local lines = take_lines(self, signal)
  for line in lines:gmatch("(.-)\r\n") do
    if not is_field(line) then
      self._fail(400, "malformed header field of a part")
    end
  end
  return headers.of_lines(lines)
end

return M
