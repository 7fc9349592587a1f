--- A request, as a handler sees it. What most handlers do not ask for is made when it is asked for.
local core = require "moontide.core"
local abort = require "moontide.async.abort"
local argument = require "moontide.internal.argument"
local body = require "moontide.http.body"
local form = require "moontide.http.form"
local headers = require "moontide.http.headers"
local multipart = require "moontide.http.multipart"
local parameters = require "moontide.http.parameters"
local part = require "moontide.http.part"
local upgrade = require "moontide.http.upgrade"

local M = {}

local new_error = core.new_error

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

--- What the parser's head() gives, as a request; or nil and the status that answers what is none.
function M.new(connection, method, target, fields, minor, length, keep_alive, expects)
  return method and setmetatable({
    method = method,
    target = target,
    version = minor == 1 and "1.1" or "1.0",
    _fields = fields,
    _length = length,
    _keep_alive = keep_alive,
    _expects = expects,
    _connection = connection,
  }, Request) or nil, target
end

function methods:websocket(f, options)
  argument.check_self(self, Request, "request:websocket")
  return upgrade.websocket(self, f, options)
end

---- the body ----

--- Notes what the body is refused for; returns the reason.
function M.refuse(self, status, reason)
  self._refusal, self._status = reason, status
  return reason
end

local source = {
  class = Request,
  name = "request",
  refuse = M.refuse,
  next_piece = function(self, signal)
    return self._connection:next_piece(self, signal)
  end,
  gone = function(self)
    if self._connection:is_out(self) then
      return new_error("TypeError", "the reply is out, and the body gone")
    end
  end,
  limit = function(self)
    return self._connection.server.max_body
  end,
  length = function(self)
    return self._length
  end,
  whole = function(self)
    return self._connection:whole_body(self)
  end,
}

body.add_methods(methods, source)

local FORM = "application/x-www-form-urlencoded"

local function parse_form(_, self, text)
  local kind = (self.headers:get("content-type") or FORM):match("^[^; \t]*"):lower()
  if kind ~= FORM then
    error(M.refuse(self, 415, new_error("TypeError", "no form, but " .. kind)), 0)
  end
  return form.parse(text)
end

function methods:form(options)
  return body.read(source, self, options, "request:form", parse_form)
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
  local read = body.pieces_of(source, self, options.limit or math.huge)
  local reader = multipart.new(found.boundary, read, fail, options.max_header_size or 16384)
  return part.parts(reader, fail, options.max_parts or 1000, self._connection.server.max_body)
end

function methods:multipart(options)
  local refused, signal = body.begin(source, self, options, "request:multipart", READING_PARTS)
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
