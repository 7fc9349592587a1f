--- Groups: structured concurrency on promises.
---
--- A group has a cancellation scope, which the async context carries to everything that is called
--- inside. Cancelling it
---   1. aborts its signal, and with it the operations begun under it and the scopes inside it;
---   2. interrupts each async function of the scope that awaits something else, unless that is
---      another one's promise of the scope: then the other one is interrupted, and what it makes of
---      that is what its caller gets. So a cancellation arrives once, at the innermost await.
--- A function that is not waiting gets it at its next await. What is awaited after that is
--- clean-up, and nothing disturbs it.
---
--- Fields of a scope: [1] the tasks (weak keys; the core enters them) with their order, [2] the
--- reason that the core raises from the await of a task interrupted late, signal, parent, children
--- (open scopes inside), promises (weak keys: what stands for work of the scope that will be over
--- by itself).
local core = require "moontide.core"
local abort = require "moontide.abort"

local M = {}

local SCOPE = core.scope_key()
local TASKS, REASON = 1, 2
local WEAK_KEYS = { __mode = "k" }
local Promise, new_error = core.Promise, core.new_error

---- scopes ----

local function check_callable(f, position, name)
  if not core.callable(f) then
    local text = "bad argument #%d to '%s' (function expected, got %s)"
    error(text:format(position, name, type(f)), 3)
  end
end

local function new_scope()
  local parent = abort.current_scope()
  local scope = {
    [TASKS] = setmetatable({}, WEAK_KEYS),
    children = {},
    promises = setmetatable({}, WEAK_KEYS),
    parent = parent,
  }
  -- Clean-up of a cancelled scope may open groups of its own.
  if parent and not parent.signal.aborted then
    scope.signal = abort.AbortSignal.any({ parent.signal })
    parent.children[scope] = true
  else
    scope.signal = abort.new_signal()
  end
  return scope
end

local function close_scope(scope)
  if scope.parent then
    scope.parent.children[scope] = nil
  end
end

local function copy_context(context, scope)
  local copy = {}
  for key, value in pairs(context or {}) do
    copy[key] = value
  end
  copy[SCOPE] = scope
  return copy
end

--- The running context, but with this scope. Children are mostly started one like the other, so
--- the scope keeps the last one made.
local function context_in(scope)
  local context = core.context()
  if context and context[SCOPE] == scope then
    return context
  end
  if not scope.context or scope.context_of ~= context then
    scope.context_of, scope.context = context, copy_context(context, scope)
  end
  return scope.context
end

--- The open scopes from this one inwards, the outermost first.
local function family(scope, list)
  list = list or {}
  list[#list + 1] = scope
  for child in pairs(scope.children) do
    family(child, list)
  end
  return list
end

--- The tasks of the scopes that are under way, in the order in which they were made; and the set of
--- the promises that need no interruption, because what they stand for is interrupted itself.
local function members(scopes)
  local tasks, inside = {}, {}
  for _, scope in ipairs(scopes) do
    for promise in pairs(scope.promises) do
      inside[promise] = true
    end
    for task, order in pairs(scope[TASKS]) do
      local awaited, alive = core.awaiting(task)
      if alive then
        inside[task] = true
        tasks[#tasks + 1] = { task = task, order = order, awaited = awaited }
      end
    end
  end
  table.sort(tasks, function(a, b)
    return a.order < b.order
  end)
  return tasks, inside
end

local shielded = setmetatable({}, WEAK_KEYS)

--- Lets the cancellation arrive at a task; awaited is what it awaited when that began.
local function interrupt(task, awaited, inside, settled)
  if not awaited then
    core.interrupt(task) -- it runs, or is about to: at its next await
  elseif shielded[awaited] then
    core.interrupt(task) -- once the shield is gone
  elseif not inside[awaited] and core.awaiting(task) == awaited then
    core.interrupt(task, settled)
  end
end

local function rejected(reason)
  local promise = Promise.reject(reason)
  promise:catch(function() end) -- whoever is interrupted takes it
  return promise
end

local function cancel(scope, reason)
  if scope.signal.aborted then
    return
  end
  if reason == nil then
    reason = new_error("AbortError", "the group was cancelled")
  end
  local scopes = family(scope)
  local tasks, inside = members(scopes)
  for _, each in ipairs(scopes) do
    each[REASON] = reason
  end
  abort.abort(scope.signal, reason)
  local settled = rejected(reason)
  for _, each in ipairs(tasks) do
    interrupt(each.task, each.awaited, inside, settled)
  end
end

---- groups ----

local Group = { __name = "moontide.Group" }
Group.__index = Group

--- What the group's promise becomes when nothing of it runs any more.
local function settle(group)
  close_scope(group.scope)
  group.open = false
  local errors = group.errors
  if group.passed_on and #errors == 0 then
    group.reject(group.signal.reason)
  elseif #errors == 0 then
    group.resolve(table.unpack(group.results, 1, group.results.n))
  elseif #errors == 1 then
    group.reject(errors[1])
  else
    local err = new_error("AggregateError", #errors .. " functions of the group failed")
    errors.n = #errors
    err.errors = errors
    group.reject(err)
  end
end

local function leave(group)
  group.running = group.running - 1
  if group.running == 0 then
    settle(group)
  end
end

--- A function of the group has failed. The reason for which the group was cancelled is no failure,
--- except that the body, when nothing else failed, passes it on.
local function fail(group, reason, is_body)
  local signal = group.scope.signal
  if signal.aborted and rawequal(reason, signal.reason) then
    group.passed_on = group.passed_on or is_body
    return
  end
  group.errors[#group.errors + 1] = reason
  local text = "cancelled, since another function of the group failed: " .. tostring(reason)
  local err = new_error("AbortError", text)
  err.cause = reason
  cancel(group.scope, err)
end

local function start(group, f, ...)
  group.running = group.running + 1
  local scope = group.scope
  return core.spawn_in(context_in(scope), scope.signal.aborted, f, ...)
end

--- A group that runs f(group, ...); and its promise.
local function open(f, ...)
  local scope = new_scope()
  local group = setmetatable({
    signal = scope.signal,
    scope = scope,
    open = true,
    running = 0,
    errors = {},
    results = { n = 0 },
  }, Group)
  local promise
  promise, group.resolve, group.reject = Promise.with_resolvers()
  if scope.parent then
    scope.parent.promises[promise] = true
  end
  function group.on_return()
    leave(group)
  end
  function group.on_throw(reason)
    fail(group, reason, false)
    leave(group)
  end
  start(group, f, group, ...):next(function(...)
    group.results = table.pack(...)
    leave(group)
  end, function(reason)
    fail(group, reason, true)
    leave(group)
  end)
  return promise, group
end

--- Starts f(...) as a child: the group is not over before it is.
function Group:spawn(f, ...)
  check_callable(f, 1, "spawn")
  if not self.open then
    error("the group is closed", 2)
  end
  local promise = start(self, f, ...)
  promise:next(self.on_return, self.on_throw)
  return promise
end

function Group:cancel(reason)
  if self.open then
    cancel(self.scope, reason)
  end
end

function M.group(f)
  check_callable(f, 1, "group")
  return (open(f))
end

---- timeouts ----

--- Opens a group for f(...) that is cancelled after ms; its promise and the reason used for that.
local function with_deadline(ms, f, ...)
  local reason = new_error("TimeoutError", ("not done after %g ms"):format(ms))
  local promise, group = open(function(_, ...)
    return f(...)
  end, ...)
  local timer = core.set_timeout(function()
    group:cancel(reason)
  end, ms)
  local function stop()
    timer:close()
  end
  promise:next(stop, stop)
  return promise, reason
end

local function check_ms(ms, name)
  if type(ms) ~= "number" then
    error(("bad argument #1 to '%s' (number expected, got %s)"):format(name, type(ms)), 3)
  end
end

function M.timeout(ms, f, ...)
  check_ms(ms, "timeout")
  check_callable(f, 2, "timeout")
  return (with_deadline(ms, f, ...))
end

function M.move_on_after(ms, f, ...)
  check_ms(ms, "move_on_after")
  check_callable(f, 2, "move_on_after")
  local promise, reason = with_deadline(ms, f, ...)
  return promise:next(function(...)
    return true, ...
  end, function(err)
    if rawequal(err, reason) then
      return false
    end
    error(err, 0)
  end)
end

--- Runs f(...) where no cancellation reaches it. An async function that awaits it is cancelled
--- afterwards.
function M.shield(f, ...)
  check_callable(f, 1, "shield")
  local promise = core.spawn_in(copy_context(core.context(), nil), false, f, ...)
  shielded[promise] = true
  return promise
end

---- map and each ----

local function check_limit(options, name)
  if options ~= nil and type(options) ~= "table" then
    error(("bad argument #3 to '%s' (table expected, got %s)"):format(name, type(options)), 3)
  end
  local limit = options and options.concurrency
  if limit ~= nil and (math.type(limit) ~= "integer" or limit < 1) then
    error(("bad argument #3 to '%s' (concurrency: positive integer expected)"):format(name), 3)
  end
  return limit or math.huge
end

--- Calls f(item, index) for each of the list, at most limit at a time; store(index, results).
local function for_all(list, f, limit, store)
  local n = list.n or #list
  return open(function(group)
    local next_index = 0
    local function work()
      while next_index < n and not group.signal.aborted do
        next_index = next_index + 1
        local i = next_index
        store(i, core.await(f(list[i], i)))
      end
    end
    for _ = 1, math.min(limit, n) do
      group:spawn(work)
    end
  end)
end

function M.map(list, f, options)
  if type(list) ~= "table" then
    error("bad argument #1 to 'map' (table expected, got " .. type(list) .. ")", 2)
  end
  check_callable(f, 2, "map")
  local limit = check_limit(options, "map")
  local results = { n = list.n or #list }
  local promise = for_all(list, f, limit, function(i, value)
    results[i] = value
  end)
  return promise:next(function()
    return results
  end)
end

function M.each(list, f, options)
  if type(list) ~= "table" then
    error("bad argument #1 to 'each' (table expected, got " .. type(list) .. ")", 2)
  end
  check_callable(f, 2, "each")
  local promise = for_all(list, f, check_limit(options, "each"), function() end)
  return promise
end

return M
