--- Connecting to a name: all its addresses are tried, as RFC 8305 ("Happy Eyeballs") has it.
---
--- The attempts of one call are a race: each has a stream of its own; when one is won, lost or
--- aborted, all streams but the winner's are destroyed, in the same job. So an attempt that would
--- have succeeded later leaves nothing.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local abort = require "moontide.async.abort"
local dns = require "moontide.dns"
local line = require "moontide.async.line"
local tls_options_of = require "moontide.tls.options"

local M = {}

local await, new_error = core.await, core.new_error

local ATTEMPT_DELAY = 250 -- ms: RFC 8305, section 8

---- the race ----

--- Ends the race: nothing is begun any more, and every stream but one is destroyed.
local function finish(race, winner)
  race.over = true
  if race.timer then
    race.timer:close()
  end
  if race.remove then
    race.remove()
  end
  for stream in pairs(race.streams) do
    if stream ~= winner then
      stream:destroy()
    end
  end
end

--- Why nothing could be reached.
local function combine(race)
  local failures = race.failures
  if failures.n == 1 then
    return failures[1]
  end
  local texts = {}
  for i = 1, failures.n do
    texts[i] = tostring(failures[i])
  end
  local text = ("cannot connect to %s: %s"):format(race.name, table.concat(texts, "; "))
  local err = new_error("AggregateError", text)
  err.errors = failures
  return err
end

local begin_next

local function fail(race, stream, reason)
  if race.over then
    return
  end
  local failures = race.failures
  race.streams[stream] = nil
  failures.n = failures.n + 1
  failures[failures.n] = reason
  if race.attempts[race.next] then
    race.timer:close()
    begin_next(race)
  elseif next(race.streams) == nil then
    finish(race)
    race.reject(combine(race))
  end
end

local function win(race, stream)
  if not race.over then
    finish(race, stream)
    race.resolve(stream)
  end
end

function begin_next(race)
  local attempt = race.attempts[race.next]
  race.next = race.next + 1
  if race.attempts[race.next] then
    race.timer = core.set_timeout(begin_next, race.delay, race)
  end
  local ok, stream, connected = pcall(attempt)
  if not ok then
    fail(race, attempt, stream)
    return
  end
  race.streams[stream] = true
  connected:next(function()
    win(race, stream)
  end, function(reason)
    fail(race, stream, reason)
  end)
end

--- The stream of the first attempt that succeeds. An attempt, when called, returns a stream and the
--- promise that it is connected. Whatever raises here, a cancellation say, ends the race.
local function run(attempts, delay, name, signal)
  if signal then
    signal:throw_if_aborted() -- during the lookup: nobody will be called any more
  end
  local race = {
    attempts = attempts,
    delay = delay,
    name = name,
    next = 1,
    streams = {},
    failures = { n = 0 },
  }
  local promise
  promise, race.resolve, race.reject = core.Promise.with_resolvers()
  race.remove = signal and signal:on_abort(function(reason)
    finish(race)
    race.reject(reason)
  end)
  begin_next(race)
  local ok, stream = pcall(await, promise)
  if not ok then
    finish(race)
    error(stream, 0)
  end
  return stream
end

---- addresses ----

--- The addresses in an order in which the families alternate, beginning with that of the first: the
--- system puts first what it would use. RFC 8305, section 4.
local function interleave(entries)
  local same, other = {}, {}
  for _, entry in ipairs(entries) do
    local list = entry.family == entries[1].family and same or other
    list[#list + 1] = entry.address
  end
  local result = {}
  for i = 1, math.max(#same, #other) do
    result[#result + 1] = same[i]
    result[#result + 1] = other[i]
  end
  return result
end

local function is_entry(value)
  local address = type(value) == "table" and value.address
  return type(address) == "string" and not address:find("\0", 1, true)
    and core.net.family(address) ~= nil
end

--- Raises unless it is what a lookup has to give: the user's may give anything.
local function check_entries(entries)
  local is_list = type(entries) == "table"
  for i = 1, is_list and #entries or 0 do
    is_list = is_list and is_entry(entries[i])
  end
  if not is_list then
    error(new_error("TypeError", "the lookup gave no list of addresses"), 0)
  end
end

--- An attempt at an address. Its error tells that, where the core has a path.
local function attempt_at(address, options)
  return function()
    local stream, connected = core.net.tcp_connect(address, options.port, options)
    return stream, connected:catch(function(err)
      err.path, err.address, err.port = nil, address, options.port
      error(err, 0)
    end)
  end
end

--- What the lookup finds: one of the user's own need not heed the signal.
local function look_up(options, signal)
  local entries = (options.lookup or dns.lookup)(options.host, {
    all = true,
    family = options.family or options.local_address and core.net.family(options.local_address),
    signal = signal,
  })
  if signal and options.lookup then
    signal:throw_if_aborted()
    local promise, resolve, reject = abort.abortable(signal, function() end)
    core.Promise.resolve(entries):next(resolve, reject)
    entries = promise
  end
  return await(entries)
end

local function connect_to_host(options, signal)
  local entries = look_up(options, signal)
  check_entries(entries)
  local attempts = {}
  for i, address in ipairs(interleave(entries)) do
    attempts[i] = attempt_at(address, options)
  end
  if #attempts == 0 then
    local text = ("EAI_NODATA: no address, getaddrinfo '%s'"):format(options.host)
    local err = new_error("SystemError", text)
    err.code, err.syscall = "EAI_NODATA", "getaddrinfo"
    error(err, 0)
  end
  local name = ("%s port %d"):format(options.host, options.port)
  return run(attempts, options.attempt_delay or ATTEMPT_DELAY, name, signal)
end

local function connect_to_path(options, signal)
  return run({
    function()
      return core.net.pipe_connect(options.path)
    end,
  }, 0, options.path, signal)
end

---- the whole ----

local FIELDS = {
  { "host", "text" },
  { "port", "port" },
  { "path", "text" },
  { "family", "family" },
  { "local_address", "text" },
  { "local_port", "port" },
  { "lookup", "callable" },
  { "attempt_delay", "ms" },
  { "timeout", "ms" },
  { "nodelay", "boolean" },
  { "keepalive", "seconds" },
  { "signal", "signal" },
}

local NAME = "net.connect"

--- What can never work, or nil.
local function mistake(options)
  local tls = type(options.tls)
  if (options.host == nil) == (options.path == nil) then
    return "field 'host' or 'path' expected"
  elseif options.host and not options.port then
    return "field 'port' expected"
  elseif options.path and options.port then
    return "field 'port': not with a path"
  elseif tls ~= "nil" and tls ~= "table" and tls ~= "boolean" then
    return "field 'tls': table or boolean expected, got " .. tls
  end
  local problem = options.path and core.net.pipe_problem(options.path)
  if problem then
    return "field 'path': " .. problem
  elseif options.local_address and not core.net.family(options.local_address) then
    return "field 'local_address': IP address expected"
  end
end

--- What TLS is told: to verify the host, unless the options name another one.
local function tls_options(options)
  local copy = {}
  for key, value in pairs(options.tls == true and {} or options.tls) do
    copy[key] = value
  end
  if copy.server_name == nil then
    copy.server_name = options.host
  end
  return copy
end

--- The stream with TLS on it.
local function secure(stream, options, signal)
  local copy = tls_options(options)
  copy.signal = signal
  return await(require("moontide.tls").client(stream, copy))
end

local function configure(stream, options)
  if options.nodelay ~= nil and options.host then
    stream:set_nodelay(options.nodelay)
  end
  if options.keepalive and options.host then
    stream:set_keepalive(options.keepalive)
  end
end

--- The timer of the timeout, which keeps the loop alive, and its signal; or nothing.
local function start_timeout(options)
  if not options.timeout then
    return nil
  end
  local controller = abort.AbortController()
  return core.set_timeout(function()
    local text = ("no connection after %g ms"):format(options.timeout)
    controller:abort(new_error("TimeoutError", text))
  end, options.timeout), controller.signal
end

local begin = core.async(function(options)
  local _ <close>, signal = start_timeout(options)
  if options.signal then
    signal = signal and abort.AbortSignal.any({ signal, options.signal }) or options.signal
  end
  local stream = (options.host and connect_to_host or connect_to_path)(options, signal)
  configure(stream, options)
  if options.tls then
    stream = secure(stream, options, signal)
  end
  return stream
end)

function M.connect(options)
  argument.check("table", options, 1, NAME)
  argument.check_options(options, FIELDS, 1, NAME)
  local problem = mistake(options)
  if problem then
    argument.fail(problem, 1, NAME)
  end
  problem = options.tls and tls_options_of.mistake(tls_options(options), false)
  if problem then
    argument.fail("field 'tls': " .. problem, 1, NAME)
  end
  local _, refused = line.heed(options, 1, NAME)
  return refused or begin(options)
end

return M
