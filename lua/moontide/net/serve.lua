--- Listening, and serving what comes.
---
--- A service is a group whose body accepts, and then waits until no connection is left. It keeps
--- the group around it open as a child does, and a cancellation of that reaches every handler. Each
--- connection is a group of its own inside; its failure is reported and goes no further.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local dns = require "moontide.dns"
local finally = require "moontide.internal.finally"
local fs = require "moontide.fs"
local line = require "moontide.async.line"
local tls_options_of = require "moontide.tls.options"
local traceback = require("moontide.async.traceback").traceback

local M = {}

local await, new_error, Promise = core.await, core.new_error, core.Promise

---- listening ----

local LISTEN_FIELDS = {
  { "host", "text" },
  { "port", "port" },
  { "path", "text" },
  { "family", "family" },
  { "backlog", "count" },
  { "ipv6_only", "boolean" },
  { "reuse_port", "boolean" },
  { "tls", "table" },
  { "signal", "signal" },
}

--- Whether a socket file has nobody behind it.
local function is_dead(path)
  local stat = await(fs.lstat(path))
  if stat.type ~= "socket" then
    return false
  end
  local stream, connected = core.net.pipe_connect(path)
  local _ <close> = stream
  return await(connected:next(function()
    return false
  end, function(err)
    return err.code == "ECONNREFUSED"
  end))
end

--- The file of a socket that nobody listens at any more is replaced.
local function listen_at_path(options)
  local ok, result = pcall(core.net.pipe_listen, options.path, options)
  if ok then
    return result
  elseif type(result) ~= "table" or result.code ~= "EADDRINUSE" or not is_dead(options.path) then
    error(result, 0)
  end
  await(fs.unlink(options.path))
  return core.net.pipe_listen(options.path, options)
end

--- Everywhere: by IPv6, which takes IPv4 as well, where the machine has it.
local function listen_anywhere(options)
  local port = options.port or 0
  if options.family ~= 4 then
    local ok, result = pcall(core.net.tcp_listen, "::", port, options)
    if ok then
      return result
    elseif options.family == 6 or options.ipv6_only or type(result) ~= "table"
      or result.code ~= "EAFNOSUPPORT" and result.code ~= "EADDRNOTAVAIL" then
      error(result, 0)
    end
  end
  return core.net.tcp_listen("0.0.0.0", port, options)
end

local function listen_at_host(options)
  local wanted = { family = options.family, signal = options.signal }
  local address = await(dns.lookup(options.host, wanted))
  return core.net.tcp_listen(address, options.port or 0, options)
end

--- Who has aborted meanwhile gets no server.
local function unless_aborted(server, signal)
  if signal and signal.aborted then
    server:close()
    error(signal.reason, 0)
  end
  return server
end

local function listen(options)
  local how = options.path and listen_at_path or options.host and listen_at_host or listen_anywhere
  return unless_aborted(how(options), options.signal)
end

--- What each connection's handshake is told: with a context made once.
local function prepare_tls(given)
  if given.context then
    return given
  end
  local options = { server = true }
  for key, value in pairs(given) do
    options[key] = value
  end
  return { context = await(require("moontide.tls").context(options)), timeout = given.timeout }
end

local begin_listening = core.async(function(options)
  local server = listen(options)
  if not options.tls then
    return server
  end
  local ok, secured = pcall(function()
    return await(require("moontide.tls").listen(server, options.tls))
  end)
  if not ok then
    server:close()
    error(secured, 0)
  end
  return unless_aborted(secured, options.signal)
end)

local function check_listen(options, fields, name)
  argument.check("table", options, 1, name)
  argument.check_options(options, fields, 1, name)
  if options.path and (options.host or options.port) then
    argument.fail("field 'path': not with a host or port", 1, name)
  end
  local problem = options.path and core.net.pipe_problem(options.path)
  if problem then
    argument.fail("field 'path': " .. problem, 1, name)
  end
  problem = options.tls and tls_options_of.mistake(options.tls, true)
  if problem then
    argument.fail("field 'tls': " .. problem, 1, name)
  end
end

function M.listen(options)
  check_listen(options, LISTEN_FIELDS, "net.listen")
  local _, refused = line.heed(options, 1, "net.listen")
  return refused or begin_listening(options)
end

---- connections ----

-- Fields: _server; _tls: options, or nil; _group, of the service; _handler, _options; _permits, a
-- semaphore or nil; _connections: set of those that are not over; _count: how many; _resolve_idle,
-- while somebody waits for the last of them; _context, that of the group; _closed: promise;
-- _timer: of the grace; _serve, the body of each connection's group.
local Service = { __name = "moontide.net.Service" }
local methods = {}
Service.__index = methods

-- One connection, called when its group is over. Fields: service; stream; done, the promise of its
-- group; permit; flushing: only what has been written is waited for.
local Connection = {}

local function report(self, reason, connection)
  if self._options.on_error then
    return self._options.on_error(reason, connection.stream)
  end
  io.stderr:write("moontide.net: the handler of a connection has failed: ",
    traceback(reason, connection.done), "\n")
end

local function leave(self, connection)
  self._connections[connection] = nil
  self._count = self._count - 1
  if connection.permit then
    connection.permit:release()
  end
  if self._count == 0 and self._resolve_idle then
    self._resolve_idle()
  end
end

--- What has been written is still sent, unless the service is cancelled; that takes as long as the
--- peer does.
local function close_gently(self, connection)
  connection.flushing = true
  if self._group.signal.aborted then
    connection.stream:destroy()
  end
  connection.stream:close():next(function()
    leave(self, connection)
  end)
end

local function fail(self, connection, reason)
  local signal = self._group.signal
  connection.stream:destroy()
  leave(self, connection)
  if not (signal.aborted and rawequal(reason, signal.reason)) then
    report(self, reason, connection)
  end
end

function Connection:__call(reason)
  if self.done:state() == "fulfilled" then
    close_gently(self.service, self)
  else
    fail(self.service, self, reason)
  end
end

--- An idle connection takes little memory: its function's stack has as few frames as can be.
local function new_body(self)
  return function(g, connection)
    if self._tls then
      connection.stream = await(require("moontide.tls").server(connection.stream, self._tls))
    end
    return self._handler(connection.stream, g)
  end
end

local function serve_one(self, stream, permit)
  local connection = setmetatable({ service = self, stream = stream, permit = permit }, Connection)
  self._connections[connection] = true
  self._count = self._count + 1
  connection.done = core.group_of("net.serve", self._serve, connection)
  connection.done:next(connection, connection)
end

---- the service ----

--- Takes no connection beyond the limit: the others wait in the system's queue.
local function accept_all(self)
  while true do
    local permit = self._permits and await(self._permits:acquire())
    local stream = await(self._server:accept())
    if not stream then
      return
    end
    serve_one(self, stream, permit)
  end
end

--- Serves those who have connected already, as far as there may be more.
local function accept_rest(self)
  local most = self._options.max_connections or math.huge
  while self._count < most do
    local stream = core.net.accept_now(self._server)
    if not stream then
      return
    end
    serve_one(self, stream)
  end
end

--- The same, for the service's group, whoever closes it.
local function accept_rest_inside(self)
  local previous = core.swap_context(self._context)
  finally(function()
    core.swap_context(previous)
  end, accept_rest, self)
end

--- Handlers that are cancelled may still clean up: they are waited for.
local function await_rest(self)
  local idle
  idle, self._resolve_idle = Promise.with_resolvers()
  if self._count == 0 then
    return
  end
  local ok, reason = pcall(await, idle)
  if not ok then
    await(idle)
    error(reason, 0)
  end
end

local function run(self)
  local ok, reason = pcall(accept_all, self)
  self._server:close()
  await_rest(self)
  if not ok then
    error(reason, 0)
  end
end

--- What is only waiting for its peer is not waited for any more.
local function drop_flushing(self)
  for connection in pairs(self._connections) do
    if connection.flushing then
      connection.stream:destroy()
    end
  end
end

local function start(server, options, handler, tls)
  local self = setmetatable({
    _server = server,
    _tls = tls,
    _handler = handler,
    _options = options,
    _permits = options.max_connections and core.semaphore(options.max_connections),
    _connections = {},
    _count = 0,
  }, Service)
  self._serve = new_body(self)
  local signal, around = options.signal, core.hold()
  local done = core.group_of("net.serve", function(g)
    self._group, self._context = g, core.context()
    g.signal:on_abort(function()
      drop_flushing(self)
    end)
    run(self)
  end)
  local remove = signal and signal:on_abort(function(reason)
    self._group:cancel(reason)
  end)
  if around then
    done:next(function()
      core.release(around)
    end, function(reason)
      core.release(around, reason)
    end)
  end
  self._closed = done:finally(function()
    if self._timer then
      self._timer:close()
    end
    if remove then
      remove()
    end
  end):catch(function(reason)
    if not rawequal(reason, self._group.signal.reason) then
      error(reason, 0)
    end
  end)
  return self
end

local begin_serving = core.async(function(options, handler)
  local tls = options.tls and prepare_tls(options.tls)
  return start(listen(options), options, handler, tls)
end)

local SERVE_FIELDS = { { "max_connections", "count" }, { "on_error", "callable" } }
table.move(LISTEN_FIELDS, 1, #LISTEN_FIELDS, #SERVE_FIELDS + 1, SERVE_FIELDS)

--- Raises unless these are options of `serve`, and of whoever serves by it in that name, who has
--- these fields in addition.
function M.check(options, fields, name)
  check_listen(options, SERVE_FIELDS, name)
  argument.check_options(options, fields, 1, name)
end

function M.serve(options, handler)
  M.check(options, {}, "net.serve")
  argument.check("callable", handler, 2, "net.serve")
  local _, refused = line.heed(options, 1, "net.serve")
  return refused or begin_serving(options, handler)
end

function methods:address()
  argument.check_self(self, Service, "service:address")
  return self._server:address()
end

function methods:connections()
  argument.check_self(self, Service, "service:connections")
  return self._count
end

function methods:close(options)
  argument.check_self(self, Service, "service:close")
  argument.check_options(options, { { "grace", "ms" } }, 1, "service:close")
  options = options or {}
  if options.grace ~= 0 and not self._group.signal.aborted then
    accept_rest_inside(self)
  end
  self._server:close()
  local function cancel()
    self._group:cancel(new_error("AbortError", "the server was closed"))
  end
  if options.grace == 0 then
    cancel()
  elseif options.grace and self._count > 0 then
    if self._timer then
      self._timer:close()
    end
    self._timer = core.set_timeout(cancel, options.grace)
  end
  return self._closed
end

function Service:__close()
  argument.check_self(self, Service, "service:__close")
  self:close({ grace = 0 })
end

return M
