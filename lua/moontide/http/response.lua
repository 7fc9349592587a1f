--- A response, as a client sees it: as soon as its head is there. What most do not ask for is made
--- when it is asked for.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local body = require "moontide.http.body"
local event_stream = require "moontide.http.event_stream"
local headers = require "moontide.http.headers"
local save = require "moontide.http.save"

local M = {}

local new_error = core.new_error

local OF_EVENTS = { { "signal", "signal" } }

-- Fields: status, version, url, redirected; _lines, the phrase and the headers; _exchange.
local Response = { __name = "moontide.http.Response" }
local methods = {}
Response.methods = methods

---- what is made when it is asked for ----

local lazy = {}
M.lazy = lazy

function lazy.ok(self)
  return self.status >= 200 and self.status < 300
end

function lazy.status_text(self)
  return self._lines:match("^[^\r]*")
end

function lazy.headers(self)
  return headers.of_lines(self._lines:match("^[^\r]*\r\n(.*)$"))
end

--- Those of the last transfer, up to now if it is not over.
function lazy.timings(self)
  local name, connected, secured, first_byte, total = self._exchange.transfer:timings()
  return {
    lookup = name, connect = connected, tls = secured, first_byte = first_byte, total = total,
  }
end

function lazy.body_used()
  return false
end

local KEPT = { headers = true }

function Response.__index(self, key)
  local method = methods[key]
  if method then
    return method
  end
  local make = lazy[key]
  local value = make and make(self)
  if KEPT[key] then
    rawset(self, key, value)
  end
  return value
end

function M.new(exchange, status, version, lines, redirected)
  return setmetatable({
    status = status,
    version = version,
    url = exchange.url,
    redirected = redirected,
    _lines = lines,
    _exchange = exchange,
  }, Response)
end

---- the body ----

--- Awaits news. Who is cancelled meanwhile gives all of it up: nobody else can read it.
local function wait(exchange)
  local ok, reason = pcall(exchange.wait, exchange)
  if not ok then
    exchange:stop(reason)
    error(reason, 0)
  end
end

--- What has come, or else what comes next; nil at the end.
local function next_piece(exchange)
  while not exchange:is_stopped() do
    local data, goes_on = exchange.transfer:take()
    if goes_on then
      exchange.pool:settle()
    end
    if data ~= "" then
      return data
    elseif exchange:check_outcome() then
      return nil
    end
    wait(exchange)
  end
  exchange:check_outcome()
end

--- The same, where a signal of the read's own gives all of it up.
local function next_piece_under(exchange, signal)
  if signal.aborted then
    exchange:stop(signal.reason)
  end
  local remove = signal:on_abort(function(reason)
    exchange:stop(reason)
  end)
  local ok, data = pcall(next_piece, exchange)
  remove()
  if not ok then
    error(data, 0)
  end
  return data
end

local source = {
  class = Response,
  name = "response",
  next_piece = function(self, signal)
    if signal then
      return next_piece_under(self._exchange, signal)
    end
    return next_piece(self._exchange)
  end,
  refuse = function(self, _, reason)
    if reason.name == "HTTPError" then
      reason.url = self.url
    end
    self._exchange:stop(reason)
    return reason
  end,
  whole = function(self)
    local exchange = self._exchange
    return not exchange:is_stopped() and exchange.transfer:outcome() and (exchange.transfer:take())
  end,
  gone = function() end,
  limit = function()
    return math.huge
  end,
  length = function()
    return -1 -- that of the header is before decoding
  end,
}

body.add_methods(methods, source)

--- Who leaves the loop gives the rest up.
local plain_chunks = methods.chunks

function methods:chunks(options)
  local piece_of = plain_chunks(self, options)
  return piece_of, nil, nil, self
end

--- The events of the pieces, one after the other: a function of the signal.
local function events_of(self)
  local parser, read = event_stream.parser(), body.pieces_of(source, self, math.huge)
  local events, at, problem = {}, 0, nil
  return function(signal)
    at = at + 1
    while not events[at] do
      if problem then
        self._exchange:stop(problem)
        error(problem, 0)
      end
      local piece = read(signal)
      if not piece then
        return nil
      end
      events, problem = parser:feed(piece)
      at = 1
    end
    return events[at]
  end
end

--- As `chunks`.
function methods:events(options)
  local refused, signal = body.begin(source, self, options, "response:events", OF_EVENTS)
  local next_event = not refused and events_of(self)
  return function()
    core.check_await()
    if refused then
      core.await(refused)
    end
    return next_event(signal)
  end, nil, nil, self
end

local save_to = core.async(function(path, piece_under, signal)
  save(path, function()
    return piece_under(signal)
  end)
end)

function methods:save(path, options)
  argument.check_self(self, Response, "response:save")
  argument.check("text", path, 1, "response:save")
  local refused, signal = body.begin(source, self, options, "response:save", nil, 2)
  if refused then
    return refused
  end
  local limit = options and options.limit or math.huge
  return save_to(path, body.pieces_of(source, self, limit), signal)
end

function methods:close()
  argument.check_self(self, Response, "response:close")
  rawset(self, "body_used", true)
  self._exchange:close()
end

function Response:__close()
  methods.close(self)
end

--- Why its body cannot be read, for those who read it otherwise.
function M.check_unused(self)
  if self.body_used then
    error(new_error("TypeError", "the body has been used"), 0)
  end
end

return M
