--- The server: net.serve with a connection's loop for a handler, and one timer that watches over
--- all that is waited for.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local connection = require "moontide.http.connection"
local input_of = require "moontide.http.input"
local line = require "moontide.async.line"
local net = require "moontide.net.serve"
local sweep_of = require "moontide.http.sweep"

local M = {}

local await = core.await

local llhttp -- found when it is first needed

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
  for each in self._server.sweep:connections() do
    each:close_idle()
  end
  return self._service:close(options)
end

function Service:__close()
  check_self(self, "__close")
  self:close({ grace = 0 })
end

---- serving ----

--- What a connection fails with, that is no handler's failure: a handshake, or what the hooks
--- raise.
local function reporter(on_error)
  return function(reason)
    if on_error then
      return on_error(reason)
    end
    local ok, text = pcall(tostring, reason)
    io.stderr:write("moontide.http: a connection has failed: ", ok and text or type(reason), "\n")
  end
end

local function new_server(options, handler)
  local timeouts = {
    header = options.header_timeout or 30000,
    body = options.body_timeout or 60000,
    idle = options.idle_timeout or 60000,
    new = options.idle_timeout or 60000,
    handler = options.handler_timeout,
    write = options.write_timeout or 60000,
    linger = LINGER_TIMEOUT,
  }
  return {
    handler = handler,
    is_secure = options.tls ~= nil,
    max_body = options.max_body or 1024 * 1024,
    on_error = options.on_error,
    report = reporter(options.on_error),
    on_request = options.on_request,
    told = setmetatable({}, { __mode = "k" }), -- reasons that need not be reported
    sweep = sweep_of.new(timeouts),
    max_header_size = options.max_header_size or 16384,
  }
end

--- The options of net.serve.
local function net_options(server, options)
  local given = {}
  for key, value in pairs(options) do
    given[key] = value
  end
  given.on_error = function(reason)
    if not server.told[reason] then
      server.report(reason)
    end
  end
  return given
end

local begin_serving = core.async(function(server, options)
  local service = await(net.serve(net_options(server, options), function(stream, group)
    local input = input_of.new(stream, llhttp.parser(server.max_header_size))
    return connection.serve(connection.new(server, input, group))
  end))
  return setmetatable({ _service = service, _server = server }, Service)
end)

local function find_llhttp()
  local found, module = pcall(require, "moontide.llhttp_core")
  if not found then
    error("the HTTP server is not available: moontide was built without llhttp (Debian 12: "
      .. "node-llhttp, later libllhttp-dev; elsewhere llhttp), or cannot load it\n" .. module, 3)
  end
  return module
end

function M.serve(options, handler)
  net.check(options, FIELDS, "http.serve")
  argument.check("callable", handler, 2, "http.serve")
  llhttp = llhttp or find_llhttp()
  local _, refused = line.heed(options, 1, "http.serve")
  return refused or begin_serving(new_server(options, handler), options)
end

return M
