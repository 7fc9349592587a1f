--- Groups: structured concurrency on promises.
---
--- A group has a cancellation scope, which the async context carries to everything that is called
--- inside. Cancelling it
---   1. aborts its signal, and with it the operations begun under it and the scopes inside it;
---   2. interrupts each async function of the scope that awaits something else, unless that is
---      another one's promise of the scope: then the other one is interrupted, and what it makes of
---      that is what its caller gets. So a cancellation arrives once, at the innermost await.
--- A function that is not waiting gets it at its next await; if it returns before, it leaves that
--- to whoever follows it. What is awaited after that is clean-up, and nothing disturbs it.
---
--- Fields of a scope: [1] and [3] the core's lists of its tasks and sleepers, [2] the reason that
--- the core raises from the await of a task interrupted late, guests (weak keys: tasks that are in
--- it for a while, and whose failure is looked after), signal, parent, children (open scopes
--- inside), promises (weak keys: what stands for all that runs in a scope inside, and that scope),
--- open, running (how much has to be over before settle() is called), leave (to be called after
--- that: the parent waits), inherited (cancelled because a scope around it was), interrupted (then:
--- the group's functions that were alive, or made later), stand_in (what is awaited for the group).
local core = require "moontide.core"
local abort = require "moontide.async.abort"

local M = {}

local SCOPE = core.scope_key()
local TASKS, REASON, SLEEPERS = 1, 2, 3
local WEAK_KEYS, WEAK_VALUES = { __mode = "k" }, { __mode = "v" }
local Promise, new_error = core.Promise, core.new_error
local current_context, spawn_in = core.context, core.spawn_in
local PROMISE = getmetatable(Promise.resolve())

local function nothing() end

---- scopes ----

local function check_callable(f, position, name)
  if not core.callable(f) then
    local text = "bad argument #%d to '%s' (function expected, got %s)"
    error(text:format(position, name, type(f)), 3)
  end
end

--- The scope, if it is open, is not over before the function that this returns has been called.
local function hold(scope)
  if not scope or not scope.open then
    return nothing
  end
  scope.running = scope.running + 1
  return function()
    abort.leave(scope)
  end
end

local function new_scope(settle)
  local parent = abort.current_scope()
  local scope = {
    [TASKS] = core.new_scope_list(setmetatable({}, WEAK_VALUES)),
    [SLEEPERS] = core.new_scope_list(setmetatable({}, WEAK_VALUES)),
    guests = setmetatable({}, WEAK_KEYS),
    signal = abort.new_signal(),
    parent = parent,
    children = {},
    promises = setmetatable({}, WEAK_KEYS),
    open = true,
    running = 0,
    settle = settle,
    leave = nothing,
    inherited = false,
  }
  if not parent then
    return scope
  end
  scope.leave = hold(parent)
  if not parent.signal.aborted then
    parent.children[scope] = true
  elseif core.interrupted() then
    -- The parent's cancellation has yet to arrive here: let it arrive inside.
    scope[REASON], scope.inherited = parent[REASON], true
    abort.abort(scope.signal, parent[REASON])
  end
  -- Otherwise this is clean-up of the parent's, on which nothing of that bears any more.
  return scope
end

local function close_scope(scope)
  scope.open = false
  if scope.parent then
    scope.parent.children[scope] = nil
  end
end

--- The promise is settled when all that runs in the scope is over, and as that has decided.
local function stand_for(scope, promise)
  if scope.parent then
    scope.parent.promises[promise] = scope
    scope.stand_in = promise
  end
  return promise
end

--- The cancellation comes to a function that the scope's group looks after. It is remembered where
--- it came from outside: there somebody may wait for the group.
local function note_interrupted(scope, task)
  if scope.inherited then
    scope.interrupted = scope.interrupted or {}
    table.insert(scope.interrupted, task)
  end
end

--- Whether one of those is over without having received it.
local function is_missed(scope)
  for _, task in ipairs(scope.interrupted or {}) do
    if core.interrupted(task) then
      return true
    end
  end
  return false
end

--- The running context, but with this scope. Children are mostly started one like the other, so
--- the scope keeps the last one made.
local function context_in(scope)
  local context = current_context()
  if context and context[SCOPE] == scope then
    return context
  end
  if not scope.context or scope.context_of ~= context then
    scope.context_of, scope.context = context, abort.with_scope(context, scope)
  end
  return scope.context
end

--- The open scopes from this one inwards, the outermost first; not those cancelled before.
local function family(scope, list)
  list = list or {}
  list[#list + 1] = scope
  for child in pairs(scope.children) do
    if not child.signal.aborted then
      family(child, list)
    end
  end
  return list
end

--- The tasks of the scopes that are under way, guests first, else in the order in which they were
--- made; what each awaits, or false; the set of the promises that need no interruption, because
--- what they stand for is interrupted itself; and of those that will be settled by clean-up, which
--- has to be waited for.
local function members(scopes)
  local tasks, awaited, inside, clean_up = {}, {}, {}, {}
  for _, scope in ipairs(scopes) do
    for promise, child in pairs(scope.promises) do
      local reached = child.open and not child.signal.aborted
      local set = reached and inside or clean_up
      set[promise] = true
    end
    for task in pairs(scope.guests) do
      tasks[#tasks + 1] = task
    end
  end
  local own = core.scope_tasks(scopes)
  table.move(own, 1, #own, #tasks + 1, tasks)
  for i, task in ipairs(tasks) do
    inside[task], awaited[i] = true, core.awaiting(task) or false
  end
  return tasks, awaited, inside, clean_up
end

local shielded = setmetatable({}, WEAK_KEYS)

--- Whether what was awaited is a promise that has been rejected with the reason: who holds a task
--- has let go of it for some other one.
local function has_reason(awaited, reason)
  if getmetatable(awaited) ~= PROMISE then
    return false
  end
  local state, err = awaited:state()
  return state == "rejected" and rawequal(err, reason)
end

--- Lets the cancellation arrive at a task; awaited is what it awaited when that began.
local function interrupt(task, awaited, inside, clean_up, settled)
  if not awaited then
    core.interrupt(task) -- it runs, or is about to: at its next await
  elseif shielded[awaited] or clean_up[awaited] then
    core.interrupt(task) -- once that is over
  elseif inside[awaited] then
    core.follow(task)
  elseif core.awaiting(task) == awaited then
    core.interrupt(task, settled)
  elseif not has_reason(awaited, select(2, settled:state())) then
    core.interrupt(task) -- a listener has settled that
  end
end

--- A function that is cancelled while it runs waits at its next await for what runs in its scope,
--- if it awaits that, before it gets the reason there.
function abort.policy.encloses(scope, promise)
  local inner = scope.promises[promise]
  local is_task = core.scope_of(promise) == scope or scope.guests[promise] ~= nil
  local reached = is_task or inner ~= nil and inner.inherited
  return is_task or inner ~= nil or shielded[promise] ~= nil, reached
end

local function rejected(reason)
  local promise = Promise.reject(reason)
  promise:catch(nothing) -- whoever is interrupted takes it
  return promise
end

local function cancel(scope, reason)
  if scope.signal.aborted then
    return
  end
  if reason == nil then
    reason = new_error("AbortError", "the group was cancelled")
  end
  local scopes, signals = family(scope), {}
  local tasks, awaited, inside, clean_up = members(scopes)
  for i, each in ipairs(scopes) do
    each[REASON], each.inherited, signals[i] = reason, each ~= scope, each.signal
  end
  abort.abort_all(signals, reason)
  core.cancel_sleepers(scopes, reason)
  local settled = rejected(reason)
  for i, task in ipairs(tasks) do
    if #scopes > 1 and core.is_child(task) then
      note_interrupted(core.scope_of(task), task)
    end
    interrupt(task, awaited[i], inside, clean_up, settled)
  end
end

---- groups ----

local Group = { __name = "moontide.Group" }
Group.__index = Group

--- What the group's promise becomes when nothing of it runs any more.
local function settle(group)
  close_scope(group._scope)
  if is_missed(group._scope) then
    core.interrupt(group._scope.stand_in)
  end
  group._body, group._scope.stand_in, group._scope.interrupted = nil, nil, nil
  if group._timer then
    group._timer:close()
  end
  local errors = group._errors
  if errors.n == 0 and group._passed_on then
    group._reject(group.signal.reason)
  elseif errors.n == 0 then
    group._resolve(table.unpack(group._results, 1, group._results.n))
  elseif errors.n == 1 then
    group._reject(errors[1])
  else
    local err = new_error("AggregateError", errors.n .. " functions of the group failed")
    err.errors = errors
    group._reject(err)
  end
  group._scope.leave()
end

local function describe(reason)
  local ok, text = pcall(tostring, reason)
  return ok and text or type(reason)
end

local NIL, NAN = {}, {} -- as keys

--- Whether this is the first failure with that reason: who awaits a child fails with it as well.
local function is_new(group, reason)
  local key = reason
  if reason == nil then
    key = NIL
  elseif reason ~= reason then
    key = NAN
  end
  local known = group._known[key]
  group._known[key] = true
  return not known
end

--- A function of the group has failed. The reason for which the group was cancelled is no failure;
--- but it is passed on when the body does so, or when it came from a group around this one.
local function fail(group, reason, is_body)
  local scope, errors = group._scope, group._errors
  if scope.signal.aborted and rawequal(reason, scope.signal.reason) then
    group._passed_on = group._passed_on or is_body or scope.inherited
    return
  elseif not is_new(group, reason) then
    return
  end
  errors.n = errors.n + 1
  errors[errors.n] = reason
  local text = "cancelled, since another function of the group failed: " .. describe(reason)
  local err = new_error("AbortError", text)
  err.cause = reason
  cancel(scope, err)
end

--- A group that runs f(group, ...): its promise, and the group.
local function open(f, ...)
  local group = setmetatable({ _errors = { n = 0 }, _known = {}, _results = { n = 0 } }, Group)
  local scope = new_scope(function()
    settle(group)
  end)
  group.signal, group._scope = scope.signal, scope
  local promise
  promise, group._resolve, group._reject = Promise.with_resolvers()
  group._keeper = core.new_keeper(promise, context_in(scope), function(failed, reason)
    if failed then
      fail(group, reason, false)
    end
    abort.leave(scope)
  end)
  scope.running = 1
  group._body = spawn_in(context_in(scope), nil, scope.signal.aborted, f, group, ...)
  note_interrupted(scope, group._body)
  group._body:next(function(...)
    group._results = table.pack(...)
    abort.leave(scope)
  end, function(reason)
    fail(group, reason, true)
    abort.leave(scope)
  end)
  return stand_for(scope, promise), group
end

local function check_self(self, name)
  if getmetatable(self) ~= Group then
    error(("calling '%s' on bad self (group expected, got %s)"):format(name, type(self)), 3)
  end
end

--- Starts f(...) as a child: the group is not over before it is.
function Group:spawn(f, ...)
  if getmetatable(self) ~= Group then
    check_self(self, "spawn")
  end
  if type(f) ~= "function" then
    check_callable(f, 1, "spawn")
  end
  local scope = self._scope
  if not scope.open then
    error("the group is closed", 2)
  end
  scope.running = scope.running + 1
  local promise = spawn_in(context_in(scope), self._keeper, scope.signal.aborted, f, ...)
  if scope.inherited then
    note_interrupted(scope, promise)
  end
  return promise
end

function Group:cancel(reason)
  check_self(self, "cancel")
  if self._scope.open then
    cancel(self._scope, reason)
  end
end

function M.group(f)
  check_callable(f, 1, "group")
  return (open(f))
end

---- timeouts ----

--- Opens a group for f(...) that is cancelled after ms: its promise, the group, and the reason.
local function with_deadline(ms, f, ...)
  local reason = new_error("TimeoutError", ("not done after %g ms"):format(ms))
  local promise, group = open(function(_, ...)
    return f(...)
  end, ...)
  group._timer = core.set_timeout(function()
    group:cancel(reason)
  end, ms)
  return promise, group, reason
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
  local promise, group, reason = with_deadline(ms, f, ...)
  local result = promise:next(function(...)
    return true, ...
  end, function(err)
    if rawequal(err, reason) then
      return false
    end
    error(err, 0)
  end)
  return stand_for(group._scope, result)
end

--- Runs f(...) where no cancellation reaches it. An async function that awaits it is cancelled
--- afterwards.
function M.shield(f, ...)
  check_callable(f, 1, "shield")
  local leave = hold(abort.current_scope())
  local context = abort.with_scope(core.context(), nil) or {}
  local promise = spawn_in(context, nil, false, function(...)
    local _ <close> = setmetatable({}, { __close = leave })
    return f(...)
  end, ...)
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
      if next_index < n then
        group.signal:throw_if_aborted()
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
  local promise, group = for_all(list, f, limit, function(i, value)
    results[i] = value
  end)
  local result = promise:next(function()
    return results
  end)
  return stand_for(group._scope, result)
end

function M.each(list, f, options)
  if type(list) ~= "table" then
    error("bad argument #1 to 'each' (table expected, got " .. type(list) .. ")", 2)
  end
  check_callable(f, 2, "each")
  return (for_all(list, f, check_limit(options, "each"), function() end))
end

return M
