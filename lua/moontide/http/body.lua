--- What the bodies of requests and of replies have in common: they can be read once, whole or in
--- pieces, up to a limit.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local json = require "moontide.http.json"
local line = require "moontide.async.line"

local M = {}

local new_error, Promise = core.new_error, core.Promise

local READING = { { "limit", "limit" }, { "signal", "signal" } }

---@class moontide.http.BodySource
---@field class table metatable of the objects
---@field name string "request": of their methods
---@field next_piece fun(self: any, signal?: moontide.AbortSignal): string? awaits; nil at the end
---@field refuse fun(self: any, status: integer, reason: any): any notes why the body is refused,
---and with what status a server says so; returns the reason
---@field gone fun(self: any): any why the body cannot be read any more, or nil
---@field limit fun(self: any): number bytes that are taken unless the caller says how many
---@field length fun(self: any): integer of the body, -1 where that is not known
---@field whole fun(self: any): string? the rest of the body, if all of it is there; takes it

local function check_length(source, self, limit, length)
  if length > limit then
    local reason = new_error("HTTPError", ("the body is longer than %.14g bytes"):format(limit))
    reason.code = "BODY_TOO_LARGE"
    error(source.refuse(self, 413, reason), 0)
  end
end

local function convert_checked(source, self, limit, text, convert)
  check_length(source, self, limit, #text)
  if convert then
    return convert(source, self, text)
  end
  return text
end

--- The promise of what is there, where that is all.
local function take_all(source, self, limit, convert)
  local text = source.whole(self)
  if not text then
    return nil
  end
  local ok, result = pcall(convert_checked, source, self, limit, text, convert)
  return ok and Promise.resolve(result) or Promise.reject(result)
end

local read_all = core.async(function(source, self, limit, signal)
  check_length(source, self, limit, source.length(self))
  local pieces, length = {}, 0
  for piece in function() return source.next_piece(self, signal) end do
    length = length + #piece
    check_length(source, self, limit, length)
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end)

--- Marks the body as used, for the method of that name, whose options have the fields: those of
--- reading, unless others are given; they are its first argument, unless another position is given.
--- The promise to return instead, if there is one; and the signal.
function M.begin(source, self, options, name, fields, position)
  argument.check_self(self, source.class, name)
  argument.check_options(options, fields or READING, position or 1, name)
  local signal, refused
  if options then
    signal, refused = line.heed(options, position or 1, name)
  else
    refused = core.refused()
  end
  if refused then
    return refused
  elseif self.body_used then
    return Promise.reject(new_error("TypeError", "the body has been used"))
  end
  local gone = source.gone(self)
  if gone then
    return Promise.reject(gone)
  end
  rawset(self, "body_used", true)
  return nil, signal
end

--- What gives the pieces of the body, up to a limit: a function of the signal.
function M.pieces_of(source, self, limit)
  local length = 0
  return function(signal)
    local gone = source.gone(self)
    if gone then
      error(gone, 0)
    end
    local piece = source.next_piece(self, signal)
    length = length + #(piece or "")
    check_length(source, self, limit, length)
    return piece
  end
end

--- The promise of the whole body, for the method of that name, or of what is made of it by
--- convert(source, self, text).
function M.read(source, self, options, name, convert)
  local refused, signal = M.begin(source, self, options, name)
  if refused then
    return refused
  end
  local limit = options and options.limit or source.limit(self)
  local there = take_all(source, self, limit, convert)
  if there then
    return there
  end
  local promise = read_all(source, self, limit, signal)
  return convert and promise:next(function(text)
    return convert(source, self, text)
  end) or promise
end

local function text_of(source, self, options, name)
  return M.read(source, self, options, name)
end

local function decode(source, self, text)
  local value, problem = json.decode(text)
  if problem then
    error(source.refuse(self, 400, new_error("SyntaxError", tostring(problem))), 0)
  end
  return value
end

local function json_of(source, self, options, name)
  return M.read(source, self, options, name, decode)
end

--- Without a limit, unless one is given: what is not asked for is not taken.
local function chunks_of(source, self, options, name)
  local refused, signal = M.begin(source, self, options, name)
  local limit = options and options.limit or math.huge
  local next_piece = not refused and M.pieces_of(source, self, limit)
  return function()
    core.check_await()
    if refused then
      core.await(refused)
    end
    return next_piece(signal)
  end
end

--- Adds text, json and chunks to the methods of a class.
---@param source moontide.http.BodySource
function M.add_methods(methods, source)
  for method, f in pairs({ text = text_of, json = json_of, chunks = chunks_of }) do
    local name = source.name .. ":" .. method
    methods[method] = function(self, options)
      return f(source, self, options, name)
    end
  end
end

return M
