--- A request, as a handler sees it. What most handlers do not ask for is made when it is asked for.
local core = require "moontide.core"
local abort = require "moontide.async.abort"
local argument = require "moontide.internal.argument"
local form = require "moontide.http.form"
local headers = require "moontide.http.headers"
local json = require "moontide.http.json"
local line = require "moontide.async.line"
local multipart = require "moontide.http.multipart"
local parameters = require "moontide.http.parameters"
local part = require "moontide.http.part"
local upgrade = require "moontide.http.upgrade"

local M = {}

local new_error, Promise = core.new_error, core.Promise

-- Fields: method, target, version; _fields, the lines of the head; _length of the body, -1 in
-- chunks; _keep_alive; _expects: a 100 is waited for; _connection. Eight, for which a table has
-- room without growing; seldom there are _refusal: what reading the body has failed with, and
-- _status, what answers that; _controller of the signal; _trailers, the lines of these.
local Request = { __name = "moontide.http.Request" }
local methods = {}
Request.methods = methods

---- what is made when it is asked for ----

--- Where the path begins: an absolute target has a scheme and a host before it.
local function path_of(target)
  return target:match("^%a+://[^/?]*(.*)$") or target
end

local lazy = {}
M.lazy = lazy

function lazy.path(self)
  local path = path_of(self.target):match("^[^?]*")
  return path == "" and "/" or path
end

function lazy.query(self)
  return form.parse(self.target:match("?(.*)$") or "")
end

function lazy.headers(self)
  return headers.of_lines(self._fields)
end

function lazy.url(self)
  if self.target:find("^%a+://") then
    return self.target
  end
  local scheme = self._connection.server.is_secure and "https://" or "http://"
  local target = self.target == "*" and "" or self.target
  return scheme .. (self.headers:get("host") or "") .. target
end

function lazy.peer(self)
  return self._connection.stream:peer_address()
end

function lazy.signal(self)
  self._controller = abort.AbortController()
  if not self._connection:is_out(self) then
    self._connection:watch(self)
  end
  return self._controller.signal
end

--- Those of a body in chunks are known when it is over.
function lazy.trailers(self)
  local lines = self._trailers or self._length >= 0 and ""
  return lines and headers.of_lines(lines) or nil
end

function lazy.body_used()
  return false
end

function Request.__index(self, key)
  local method = methods[key]
  if method then
    return method
  end
  local make = lazy[key]
  local value = make and make(self)
  if make and key ~= "body_used" then
    rawset(self, key, value)
  end
  return value
end

function M.new(connection, method, target, fields, minor, length, keep_alive, expects)
  return setmetatable({
    method = method,
    target = target,
    version = minor == 1 and "1.1" or "1.0",
    _fields = fields,
    _length = length,
    _keep_alive = keep_alive,
    _expects = expects,
    _connection = connection,
  }, Request)
end

function methods:websocket(f, options)
  argument.check_self(self, Request, "request:websocket")
  return upgrade.websocket(self, f, options)
end

---- the body ----

local READING = { { "limit", "limit" }, { "signal", "signal" } }

--- Notes what the body is refused for; returns the reason.
function M.refuse(self, status, reason)
  self._refusal, self._status = reason, status
  return reason
end

local function check_length(self, limit, length)
  if length > limit then
    local reason = new_error("HTTPError", ("the body is longer than %d bytes"):format(limit))
    reason.code = "BODY_TOO_LARGE"
    error(M.refuse(self, 413, reason), 0)
  end
end

local read_all = core.async(function(self, limit, signal)
  check_length(self, limit, self._length)
  local pieces, length = {}, 0
  for piece in function() return self._connection:next_piece(self, signal) end do
    length = length + #piece
    check_length(self, limit, length)
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end)

--- Marks the body as used. The promise to return instead, if there is one; and the signal.
local function begin(self, options, name, fields)
  argument.check_self(self, Request, name)
  argument.check_options(options, fields or READING, 1, name)
  local signal, refused
  if options then
    signal, refused = line.heed(options, 1, name)
  else
    refused = core.refused()
  end
  if refused then
    return refused
  elseif self.body_used then
    return Promise.reject(new_error("TypeError", "the body has been used"))
  elseif self._connection:is_out(self) then
    return Promise.reject(new_error("TypeError", "the reply is out, and the body gone"))
  end
  rawset(self, "body_used", true)
  return nil, signal
end

local function text_of(self, options, name)
  local refused, signal = begin(self, options, name)
  local limit = options and options.limit or self._connection.server.max_body
  return refused or read_all(self, limit, signal)
end

function methods:text(options)
  return text_of(self, options, "request:text")
end

function methods:json(options)
  return text_of(self, options, "request:json"):next(function(text)
    local value, problem = json.decode(text)
    if problem then
      error(M.refuse(self, 400, new_error("SyntaxError", tostring(problem))), 0)
    end
    return value
  end)
end

local FORM = "application/x-www-form-urlencoded"

function methods:form(options)
  return text_of(self, options, "request:form"):next(function(text)
    local kind = (self.headers:get("content-type") or FORM):match("^[^; \t]*"):lower()
    if kind ~= FORM then
      error(M.refuse(self, 415, new_error("TypeError", "no form, but " .. kind)), 0)
    end
    return form.parse(text)
  end)
end

--- What gives the pieces of the body, up to a limit.
local function pieces_of(self, limit)
  local length = 0
  return function(signal)
    if self._connection:is_out(self) then
      error(new_error("TypeError", "the reply is out, and the body gone"), 0)
    end
    local piece = self._connection:next_piece(self, signal)
    length = length + #(piece or "")
    check_length(self, limit, length)
    return piece
  end
end

--- Without a limit, unless one is given: what is not asked for is not taken.
function methods:chunks(options)
  argument.check_self(self, Request, "request:chunks")
  local refused, signal = begin(self, options, "request:chunks")
  local limit = options and options.limit or math.huge
  local next_piece = not refused and pieces_of(self, limit)
  return function()
    core.check_await()
    if refused then
      core.await(refused)
    end
    return next_piece(signal)
  end
end

---- several parts ----

local READING_PARTS = {
  { "limit", "limit" },
  { "max_parts", "count" },
  { "max_header_size", "count" },
  { "signal", "signal" },
}

--- The iterator of the parts; raises where there is no boundary between them.
local function parts_of(self, options)
  local function fail(status, why, code)
    local reason = new_error("HTTPError", why)
    reason.code = code
    error(M.refuse(self, status, reason), 0)
  end
  local kind, found = parameters.parse(self.headers:get("content-type") or "")
  if kind ~= "multipart/form-data" then
    fail(415, "no multipart/form-data, but " .. (kind or "a malformed type"))
  elseif not multipart.is_boundary(found.boundary) then
    fail(400, "malformed boundary")
  end
  local read = pieces_of(self, options.limit or math.huge)
  local reader = multipart.new(found.boundary, read, fail, options.max_header_size or 16384)
  return part.parts(reader, fail, options.max_parts or 1000, self._connection.server.max_body)
end

function methods:multipart(options)
  local refused, signal = begin(self, options, "request:multipart", READING_PARTS)
  local parts
  return function()
    core.check_await()
    if refused then
      core.await(refused)
    end
    parts = parts or parts_of(self, options or {})
    return parts:next(signal)
  end
end

return M
