--- AbortController and AbortSignal, after the WHATWG DOM standard.
---
--- Who holds whom: a dependent signal (AbortSignal.any) holds its sources; a source holds its
--- dependents weakly, but those that somebody observes strongly. The timer of AbortSignal.timeout
--- reaches its signal through a weak table, so it ends with its signal; a signal that is observed
--- is held by `observed_timeouts`. A signal is observed while it has a listener or an observed
--- dependent.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"

local M = {}

local AbortSignal = {}
local methods = {}

-- `aborted` and `reason` are seen, but only an abort sets them.
local function index(self, key)
  if key == "aborted" then
    return rawget(self, "_aborted")
  elseif key == "reason" then
    return rawget(self, "_reason")
  end
  return methods[key]
end

local function newindex(self, key, value)
  if type(key) ~= "string" or key:sub(1, 1) ~= "_" then
    error(("AbortSignal: '%s' is read-only"):format(tostring(key)), 2)
  end
  rawset(self, key, value)
end

local Signal = {
  __index = index,
  __newindex = newindex,
  __name = "moontide.AbortSignal",
  methods = methods,
}

-- For signals with a timer: it goes when they go, or, where Lua has no memory for that, in time.
local TimeoutSignal = {
  __index = index,
  __newindex = newindex,
  __name = Signal.__name,
  methods = methods,
  __gc = function(self)
    local timer = type(self) == "table" and self._timer
    if timer then
      pcall(timer.close, timer) -- the runtime may be closed by now
    end
  end,
}

local WEAK_VALUES = { __mode = "v" }
local observed_timeouts = {} -- luacheck: ignore 241 (it is there to hold)

--- By name: a module that was loaded again takes the signals that are there already.
local function is_signal(value)
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__name == Signal.__name
end

local function new_signal(meta)
  return setmetatable({ _aborted = false, _observers = 0 }, meta or Signal)
end

---- dependents: in order of creation, and gone when nobody else has them ----

local function add_dependent(source, dependent)
  local list = source._dependents
  if not list then
    list = { n = 0, limit = 16, items = setmetatable({}, WEAK_VALUES) }
    source._dependents = list
  end
  if list.n >= list.limit then
    local kept, items = 0, setmetatable({}, WEAK_VALUES)
    for i = 1, list.n do
      local item = list.items[i]
      if item then
        kept = kept + 1
        items[kept] = item
      end
    end
    list.n, list.items, list.limit = kept, items, math.max(16, 2 * kept)
  end
  list.n = list.n + 1
  list.items[list.n] = dependent
end

---- observation ----

local function observe(signal)
  signal._observers = signal._observers + 1
  if signal._observers > 1 then
    return
  end
  if signal._timer then
    observed_timeouts[signal] = true
  end
  for _, source in ipairs(signal._sources or {}) do
    source._observed = source._observed or {}
    source._observed[signal] = true
    observe(source)
  end
end

local function unobserve(signal)
  signal._observers = signal._observers - 1
  if signal._observers > 0 then
    return
  end
  observed_timeouts[signal] = nil
  for _, source in ipairs(signal._sources or {}) do
    source._observed[signal] = nil
    unobserve(source)
  end
end

---- listeners: a ring of nodes, so that removing one of many costs nothing ----

local function unlink(node)
  node.previous.next, node.next.previous = node.next, node.previous
  node.previous, node.next = nil, nil
end

local function report(err)
  core.queue_microtask(error, err, 0)
end

--- Calls the listeners, each once. What one raises does not keep the others from being called: it
--- comes out of the loop, like an error in any callback.
local function dispatch(signal)
  local ring = signal._listeners
  while ring and ring.next ~= ring do
    local node = ring.next
    unlink(node)
    unobserve(signal)
    local ok, err = pcall(node.f, signal.reason)
    if not ok then
      report(err)
    end
  end
end

local function mark(signal, reason, marked)
  if not signal.aborted then
    signal._aborted, signal._reason = true, reason
    marked[#marked + 1] = signal
  end
end

--- Aborts signals: first they and all their dependents are marked, then the listeners run.
local function abort_all(signals, reason)
  local marked = {}
  for _, signal in ipairs(signals) do
    local dependents = not signal.aborted and signal._dependents
    mark(signal, reason, marked)
    for i = 1, dependents and dependents.n or 0 do
      local dependent = dependents.items[i]
      if dependent then
        mark(dependent, reason, marked)
      end
    end
  end
  for _, each in ipairs(marked) do
    dispatch(each)
  end
end

local function abort(signal, reason)
  if reason == nil then
    reason = core.new_error("AbortError", "the operation was aborted")
  end
  abort_all({ signal }, reason)
end

local function nothing() end

local function check_self(self, name)
  if not is_signal(self) then
    argument.expected("AbortSignal", self, 0, name)
  end
end

--- Calls f(reason) when the signal is aborted; never, if it has been. Returns what takes f off.
function methods:on_abort(f)
  check_self(self, "signal:on_abort")
  argument.check("callable", f, 1, "signal:on_abort")
  if self.aborted then
    return nothing
  end
  local ring = self._listeners
  if not ring then
    ring = {}
    ring.next, ring.previous = ring, ring
    self._listeners = ring
  end
  local node = { f = f, next = ring, previous = ring.previous }
  ring.previous.next, ring.previous = node, node
  observe(self)
  return function()
    if node.next then
      unlink(node)
      unobserve(self)
    end
  end
end

function methods:throw_if_aborted()
  check_self(self, "signal:throw_if_aborted")
  if self.aborted then
    core.receive(self.reason)
    error(self.reason, 0)
  end
end

---- the three ways to a signal without a controller ----

function AbortSignal.abort(reason)
  local signal = new_signal()
  abort(signal, reason)
  return signal
end

function AbortSignal.timeout(ms)
  argument.check("number", ms, 1, "AbortSignal.timeout")
  local signal = new_signal()
  local weak = setmetatable({ signal = signal }, WEAK_VALUES)
  signal._timer = core.set_timeout(function()
    if weak.signal then
      local text = ("the operation timed out after %g ms"):format(ms)
      abort(weak.signal, core.new_error("TimeoutError", text))
    end
  end, ms):unref()
  return setmetatable(signal, TimeoutSignal)
end

function AbortSignal.any(signals)
  argument.check("table", signals, 1, "AbortSignal.any")
  for i = 1, signals.n or #signals do
    if not is_signal(signals[i]) then
      argument.expected(("element %d: AbortSignal"):format(i), signals[i], 1, "AbortSignal.any")
    end
  end
  local result = new_signal()
  for _, source in ipairs(signals) do
    if source.aborted then
      abort(result, source.reason)
      return result
    end
  end
  result._sources = {}
  local seen = {}
  for _, signal in ipairs(signals) do
    for _, source in ipairs(signal._sources or { signal }) do
      if not seen[source] then
        seen[source] = true
        result._sources[#result._sources + 1] = source
        add_dependent(source, result)
      end
    end
  end
  return result
end

---- controller ----

local AbortController = { __name = "moontide.AbortController" }
AbortController.__index = AbortController

function AbortController:abort(reason)
  argument.check_self(self, AbortController, "controller:abort")
  abort(self.signal, reason)
end

function M.AbortController()
  return setmetatable({ signal = new_signal() }, AbortController)
end

M.AbortSignal = AbortSignal

---- for operations ----

local SIGNAL = { { "signal", "signal" } }

--- The signal in the options, nil for none.
--- @param position integer of the options, of the function with that name
function M.own_signal(options, position, name)
  argument.check_options(options, SIGNAL, position, name)
  return options and options.signal
end

--- The promise of what must not begin: its signal has been aborted, or the function that asks for
--- it cancelled; or nil.
function M.refused(signal)
  if signal and signal.aborted then
    return core.Promise.reject(signal.reason)
  end
  return core.refused()
end

--- A pending promise that an abort of the signal (or nil: nothing) rejects with the reason, after
--- calling cancel(reason). Settling it otherwise takes the listener off.
--- @return moontide.Promise, fun(...), fun(reason)
function M.abortable(signal, cancel)
  local promise, resolve, reject = core.Promise.with_resolvers()
  if not signal then
    return promise, resolve, reject
  end
  local remove = signal:on_abort(function(reason)
    cancel(reason)
    reject(reason)
  end)
  return promise, function(...)
    remove()
    resolve(...)
  end, function(reason)
    remove()
    reject(reason)
  end
end

-- What the core asks.
core.set_cancel_policy({
  watch = function(promise, signal)
    return signal:on_abort(function(reason)
      core.cancel_waiter(promise, reason)
    end)
  end,

  new_signal = function(reason, aborted)
    local signal = new_signal()
    if aborted then
      signal._aborted, signal._reason = true, reason
    end
    return signal
  end,

  leave = function(place)
    return place:leave()
  end,

  abort_all = abort_all,
})

M.abort = abort
M.new_signal = new_signal
return M
