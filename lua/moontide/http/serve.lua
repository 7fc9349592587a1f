--- The server: net.serve with a connection's loop for a handler, and one timer that watches over
--- all that is waited for.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local connection = require "moontide.http.connection"
local date = require "moontide.http.date"
local finally = require "moontide.internal.finally"
local line = require "moontide.async.line"
local net = require "moontide.net.serve"

local M = {}

local await = core.await

local found, llhttp = pcall(require, "moontide.llhttp_core")

local FIELDS = {
  { "max_header_size", "count" },
  { "max_body", "limit" },
  { "header_timeout", "ms" },
  { "body_timeout", "ms" },
  { "idle_timeout", "ms" },
  { "handler_timeout", "ms" },
  { "write_timeout", "ms" },
  { "on_error", "callable" },
  { "on_request", "callable" },
}

local LINGER_TIMEOUT = 2000 -- ms
local LONGEST_TICK, SHORTEST_TICK = 1000, 10 -- ms

---- the sweep ----

--- Timeouts are counted in ticks, of which each has four, or a second if it has more.
local function tick_length(timeouts)
  local length = LONGEST_TICK
  for _, ms in pairs(timeouts) do
    length = math.min(length, ms / 4)
  end
  return math.max(length, SHORTEST_TICK)
end

--- What each phase may take, in ticks.
local function ticks_of(timeouts, length)
  local ticks = {}
  for phase, ms in pairs(timeouts) do
    if ms < math.huge then
      ticks[phase] = math.ceil(ms / length) + 1
    end
  end
  return ticks
end

local function set_date(server)
  local now = os.time()
  if now ~= server.second then
    server.second, server.date = now, "Date: " .. date.format(now) .. "\r\n"
  end
end

--- While there are connections.
local function start_sweep(server)
  set_date(server)
  server.timer = core.set_interval(function()
    server.tick = server.tick + 1
    set_date(server)
    connection.sweep(server)
  end, server.tick_length)
  server.timer:unref()
end

---- the service ----

-- Fields: _service of net.serve; _server.
local Service = { __name = "moontide.http.Service" }
local methods = {}
Service.__index = methods

local function check_self(self, name)
  argument.check_self(self, Service, "service:" .. name)
end

function methods:address()
  check_self(self, "address")
  return self._service:address()
end

function methods:connections()
  check_self(self, "connections")
  return self._service:connections()
end

function methods:close(options)
  check_self(self, "close")
  argument.check_options(options, { { "grace", "ms" } }, 1, "service:close")
  self._server.is_closing = true
  connection.close_idle(self._server)
  return self._service:close(options)
end

function Service:__close()
  check_self(self, "__close")
  self:close({ grace = 0 })
end

---- serving ----

local function new_server(options, handler)
  local max_header_size = options.max_header_size or 16384
  local timeouts = {
    header = options.header_timeout or 30000,
    body = options.body_timeout or 60000,
    idle = options.idle_timeout or 60000,
    handler = options.handler_timeout,
    write = options.write_timeout or 60000,
    linger = LINGER_TIMEOUT,
  }
  local length = tick_length(timeouts)
  return {
    handler = handler,
    is_secure = options.tls ~= nil,
    max_body = options.max_body or 1024 * 1024,
    on_error = options.on_error,
    on_request = options.on_request,
    connections = {},
    count = 0,
    expired = setmetatable({}, { __mode = "k" }), -- reasons that have been told to the client
    timeouts = timeouts,
    tick = 0,
    tick_length = length,
    ticks = ticks_of(timeouts, length),
    new_parser = function()
      return llhttp.parser(max_header_size)
    end,
  }
end

--- What a connection fails with, that is no handler's failure: a handshake, or what the hooks
--- raise.
local function report(server, reason)
  if server.on_error then
    return server.on_error(reason)
  end
  local ok, text = pcall(tostring, reason)
  io.stderr:write("moontide.http: a connection has failed: ", ok and text or type(reason), "\n")
end

--- The options of net.serve.
local function net_options(server, options)
  local given = {}
  for key, value in pairs(options) do
    given[key] = value
  end
  given.on_error = function(reason)
    if not server.expired[reason] then
      report(server, reason)
    end
  end
  return given
end

local function serve_connection(server, stream, group)
  if server.count == 0 then
    start_sweep(server)
  end
  server.count = server.count + 1
  return finally(function()
    server.count = server.count - 1
    if server.count == 0 then
      server.timer:close()
    end
  end, connection.serve, server, stream, group)
end

local begin_serving = core.async(function(server, options)
  local service = await(net.serve(net_options(server, options), function(stream, group)
    serve_connection(server, stream, group)
  end))
  return setmetatable({ _service = service, _server = server }, Service)
end)

function M.serve(options, handler)
  net.check(options, FIELDS, "http.serve")
  argument.check("callable", handler, 2, "http.serve")
  if not found then
    error("the HTTP server is not available: moontide was built without llhttp (Debian 12: "
      .. "node-llhttp, later libllhttp-dev; elsewhere llhttp), or cannot load it\n" .. llhttp, 2)
  end
  local _, refused = line.heed(options, 1, "http.serve")
  return refused or begin_serving(new_server(options, handler), options)
end

return M
