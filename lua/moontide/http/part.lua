--- A part of a request's body, and the iterator that gives one after the other.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local finally = require "moontide.internal.finally"
local line = require "moontide.async.line"
local parameters = require "moontide.http.parameters"
local save = require "moontide.http.save"

local M = {}

local await, new_error, Promise = core.await, core.new_error, core.Promise

-- Fields: name, filename, type, headers; is_used; _parts that it is one of; _reading, the promise
-- of what reads it.
local Part = { __name = "moontide.http.Part" }
local methods = {}
Part.__index = methods
M.methods = methods

-- Fields: _multipart, the reader; _fail(status, why, code) raises; _count of parts, _max_parts;
-- _current, the part that is being read; _text_left, the bytes that texts may still have;
-- _is_looking for the next part.
local Parts = { __name = "moontide.http.Parts" }
Parts.__index = Parts

---- what a part is ----

-- What browsers and curl write for characters that would end a quoted text.
local ESCAPED = { ["%22"] = '"', ["%0D"] = "\r", ["%0d"] = "\r", ["%0A"] = "\n", ["%0a"] = "\n" }

local function unescape(text)
  return text and text:gsub("%%%x%x", ESCAPED)
end

local function new_part(parts, headers)
  local kind, found = parameters.parse(headers:get("content-disposition") or "")
  if kind ~= "form-data" or not found.name then
    parts._fail(400, "a part without a name")
  end
  return setmetatable({
    name = unescape(found.name),
    filename = unescape(found.filename),
    type = headers:get("content-type") or "text/plain",
    headers = headers,
    is_used = false,
    _parts = parts,
  }, Part)
end

---- reading one ----

local function next_piece(self, signal)
  if self._parts._current ~= self then
    error(new_error("TypeError", "the part is gone: another one has been asked for"), 0)
  end
  return self._parts._multipart:piece(signal)
end

local function check_length(self, length, limit)
  if length > limit then
    self._parts._fail(413, ("a part is longer than %d bytes"):format(limit), "BODY_TOO_LARGE")
  end
end

--- What gives the pieces, up to a limit.
local function pieces_of(self, limit, signal)
  local length = 0
  return function()
    local piece = next_piece(self, signal)
    length = length + #(piece or "")
    check_length(self, length, limit)
    return piece
  end
end

local read_text = core.async(function(self, limit, signal)
  local parts, pieces = self._parts, {}
  for piece in pieces_of(self, limit or parts._text_left, signal) do
    pieces[#pieces + 1] = piece
  end
  local text = table.concat(pieces)
  if not limit then
    parts._text_left = parts._text_left - #text
  end
  return text
end)

local save_part = core.async(function(self, path, limit, signal)
  save(path, pieces_of(self, limit, signal))
end)

local READING = { { "limit", "limit" }, { "signal", "signal" } }

--- Marks the part as used. The promise to return instead, if there is one; and the signal.
local function begin(self, options, position, name)
  argument.check_options(options, READING, position, name)
  local signal, refused = line.heed(options, position, name)
  if refused then
    return refused
  elseif self.is_used or self._parts._current ~= self then
    return Promise.reject(new_error("TypeError", "the part has been used, or is gone"))
  end
  self.is_used = true
  return nil, signal
end

function methods:text(options)
  argument.check_self(self, Part, "part:text")
  local refused, signal = begin(self, options, 1, "part:text")
  if refused then
    return refused
  end
  self._reading = read_text(self, options and options.limit, signal)
  return self._reading
end

function methods:chunks(options)
  argument.check_self(self, Part, "part:chunks")
  local refused, signal = begin(self, options, 1, "part:chunks")
  local next = pieces_of(self, options and options.limit or math.huge, signal)
  return function()
    core.check_await()
    if refused then
      await(refused)
    end
    return next()
  end
end

function methods:save(path, options)
  argument.check_self(self, Part, "part:save")
  argument.check("text", path, 1, "part:save")
  local refused, signal = begin(self, options, 2, "part:save")
  if refused then
    return refused
  end
  self._reading = save_part(self, path, options and options.limit or math.huge, signal)
  return self._reading
end

---- one after the other ----

--- Another part is not begun while somebody reads the one before.
local function finish(part)
  if part and part._reading then
    pcall(await, part._reading)
  end
end

local function find_next(self, signal)
  finish(self._current)
  self._current = nil
  local headers = self._multipart:head(signal)
  if not headers then
    return nil
  end
  self._count = self._count + 1
  if self._count > self._max_parts then
    self._fail(413, ("more than %d parts"):format(self._max_parts))
  end
  self._current = new_part(self, headers)
  return self._current
end

--- One at a time: what two looked for, neither would find.
function Parts:next(signal)
  if self._is_looking then
    error(new_error("TypeError", "the next part has been asked for already"), 0)
  end
  self._is_looking = true
  return finally(function()
    self._is_looking = false
  end, find_next, self, signal)
end

--- What gives the parts that the reader finds.
function M.parts(multipart, fail, max_parts, max_text)
  return setmetatable({
    _multipart = multipart,
    _fail = fail,
    _count = 0,
    _max_parts = max_parts,
    _text_left = max_text,
  }, Parts)
end

return M
