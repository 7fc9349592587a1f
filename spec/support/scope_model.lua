--- The rules of groups and cancellation, written as plainly as possible: slow, small, and with
--- nothing of moontide in it. `new()` gives an engine with moontide's names, on a clock of its own.
---
--- A *cancellation* is a table: its reason, its origin (the scope that was cancelled, or of which
--- a child was stopped), `stop` where it is a child's, and `exhausted` when its grace is over. It
--- is in force in scopes and tasks (`cancellation`); a task has received it or not (`received`).
local M = {}

local GRACE, CATCHES = 5000, 1000

local Promise = {}
Promise.__index = Promise

local function is_promise(value)
  return getmetatable(value) == Promise
end

local function remove(list, item)
  for i, each in ipairs(list) do
    if each == item then
      return table.remove(list, i)
    end
  end
end

local function copy(list)
  return table.move(list, 1, #list, 1, {})
end

local function contains(list, item)
  for _, each in ipairs(list) do
    if rawequal(each, item) then
      return true
    end
  end
  return false
end

---@param slack? fun(): integer so many more ticks where the rules say nothing of how many it takes
function M.new(slack)
  local tide = {}
  local now, sequence, last_due = 0, 0, -1
  local microtasks, first_microtask, turns, timers, rejections = {}, 1, {}, {}, {}
  local current, context -- the running task; the scope of the running context

  -- How often two timers were due at the same time: there the order of what is independent counts.
  tide.coincidences = 0

  ---- the loop ----

  local function microtask(f)
    microtasks[#microtasks + 1] = f
  end

  --- Calls f after the slack.
  local function when_due(f, ticks)
    ticks = ticks or slack and slack() or 0
    if ticks == 0 then
      return f()
    end
    microtask(function()
      when_due(f, ticks - 1)
    end)
  end

  local function drain()
    while microtasks[first_microtask] do
      local f = microtasks[first_microtask]
      microtasks[first_microtask] = false
      first_microtask = first_microtask + 1
      f()
    end
    microtasks, first_microtask = {}, 1
    local list = rejections
    rejections = {}
    for _, promise in ipairs(list) do
      if not promise.handled and not promise.quiet then
        tide.unhandled(promise.reason)
      end
    end
  end

  local function add_timer(ms, f, is_deadline)
    sequence = sequence + 1
    local due = now + (ms >= 1 and ms or 1) -- NaN is 1 as well
    local timer = { due = due, deadline = is_deadline, sequence = sequence, f = f }
    timers[#timers + 1] = timer
    return timer
  end

  local function is_before(a, b)
    if a.due ~= b.due then
      return a.due < b.due
    elseif a.deadline ~= b.deadline then
      return not a.deadline
    end
    return a.sequence < b.sequence
  end

  --- Runs until nothing is left.
  function tide.run()
    drain()
    while turns[1] or timers[1] do
      local list = turns
      turns = {}
      for _, f in ipairs(list) do
        f()
        drain()
      end
      if not turns[1] and timers[1] then
        table.sort(timers, is_before)
        local timer = table.remove(timers, 1)
        if timer.due == last_due or timers[1] and timers[1].due == timer.due then
          tide.coincidences = tide.coincidences + 1
        end
        now, last_due = timer.due, timer.due
        timer.f()
        drain()
      end
    end
  end

  function tide.now()
    return now
  end

  ---- promises ----

  local function new_promise(kind)
    return setmetatable({ state = "pending", reactions = {}, kind = kind }, Promise)
  end

  local function react(promise, reaction)
    microtask(function()
      if promise.state == "fulfilled" then
        reaction.fulfilled(table.unpack(promise.values, 1, promise.values.n))
      else
        reaction.rejected(promise.reason)
      end
    end)
  end

  local function subscribe(promise, fulfilled, rejected)
    local reaction = { fulfilled = fulfilled, rejected = rejected }
    promise.handled = true
    if promise.state == "pending" then
      table.insert(promise.reactions, reaction)
    else
      react(promise, reaction)
    end
    return reaction
  end

  local function settle(promise, state)
    promise.state = state
    for _, reaction in ipairs(promise.reactions) do
      react(promise, reaction)
    end
    promise.reactions = {}
  end

  local function fulfil(promise, ...)
    promise.values = table.pack(...)
    settle(promise, "fulfilled")
  end

  local function reject(promise, reason)
    promise.reason = reason
    rejections[#rejections + 1] = promise
    settle(promise, "rejected")
  end

  local function new_rejected(reason)
    local promise = new_promise("elsewhere")
    promise.quiet = true
    reject(promise, reason)
    return promise
  end

  --- A promise from outside all groups, and the function that fulfils it.
  function tide.deferred()
    local promise = new_promise("elsewhere")
    return promise, function(...)
      fulfil(promise, ...)
    end
  end

  --- Promise.all, without results.
  function tide.all(list)
    local promise, left = new_promise("elsewhere"), #list
    if left == 0 then
      fulfil(promise)
    end
    for _, each in ipairs(list) do
      subscribe(each, function()
        left = left - 1
        if left == 0 and promise.state == "pending" then
          fulfil(promise)
        end
      end, function(reason)
        if promise.state == "pending" then
          promise.quiet = each.quiet
          reject(promise, reason)
        end
      end)
    end
    return promise
  end

  ---- scopes and tasks ----

  local function open_scope(scope)
    while scope and scope.closed do
      scope = scope.parent
    end
    return scope
  end

  --- The cancellation in force for what the running code begins in the scope, and whether that
  --- counts as having received it.
  local function in_force(scope)
    if not scope then
      return nil, false
    elseif current and current.scope == scope then
      return current.cancellation, current.received
    end
    return scope.cancellation, false
  end

  --- Calls f for each scope around the task in which the same cancellation came from outside.
  local function each_reached(scope, cancellation, f)
    while scope and scope ~= cancellation.origin do
      f(scope)
      scope = scope.parent
    end
  end

  local function receive(task)
    if task.cancellation and not task.received then
      task.received = true
      each_reached(task.scope, task.cancellation, function(scope)
        scope.got = true
      end)
    end
  end

  local function has_received(promise, cancellation)
    if promise.state == "rejected" and rawequal(promise.reason, cancellation.reason) then
      return true
    elseif promise.kind == "call" then
      return promise.task.cancellation == cancellation and promise.task.received
    elseif promise.kind == "group" then
      local scope = promise.scope
      return scope.cancellation == cancellation and scope ~= cancellation.origin
        and scope.got and not scope.missed
    end
    return false
  end

  --- The task gets the reason, or what comes of what it waited for: either may count as receiving.
  local function take_over(task, promise)
    if task.cancellation and has_received(promise, task.cancellation) then
      receive(task)
    end
  end

  --- Whether the promise stands for something that the cancellation of the task reaches by itself,
  --- or that has to be waited for: calls and groups in the tree of the task's scope.
  local function is_inside(task, promise)
    local cancellation = task.cancellation
    local scope, opener = nil, nil
    if promise.kind == "call" then
      scope, opener = promise.task.scope, promise.task
    elseif promise.kind == "group" then
      scope = promise.scope
    end
    while scope and scope ~= task.scope do
      scope, opener = scope.parent, scope.opener
    end
    if not scope then
      return false
    elseif cancellation.stop and cancellation.origin == scope then
      return opener ~= nil and opener.stopped == cancellation
    end
    return true
  end

  local check_closed, cancel_members

  local function leave_scope(scope, member)
    if scope then
      remove(scope.members, member)
      if scope.over and not scope.members[1] then
        microtask(function()
          when_due(function()
            check_closed(scope)
          end)
        end)
      end
    end
  end

  --- Whether that is why the child was stopped that has opened the scope.
  local function is_stop(scope, reason)
    local root = scope.opener and scope.opener.root
    return root and root.stopped and rawequal(reason, root.stopped.reason)
  end

  --- Whether a rejection is one by a cancellation of the scope or of one around it.
  local function is_quiet(scope, reason)
    while scope do
      if contains(scope.reasons, reason) or is_stop(scope, reason) then
        return true
      end
      scope = scope.parent
    end
    return false
  end

  local function settle_task(task, ok, ...)
    if task.cancellation and not task.received then
      each_reached(task.scope, task.cancellation, function(scope)
        scope.missed = true
      end)
    end
    if ok then
      fulfil(task.promise, ...)
    else
      local reason = ...
      task.promise.quiet = is_quiet(task.scope, reason)
        or task.stopped and rawequal(reason, task.stopped.reason)
      reject(task.promise, reason)
    end
    leave_scope(task.scope, task)
  end

  --- The task has returned a promise: it is over when that is.
  local function adopt(task, promise)
    local cancellation = task.cancellation
    local is_due = cancellation and (cancellation.exhausted or not task.received)
    if is_due and promise.state == "pending" and not is_inside(task, promise) then
      promise.handled = true
      receive(task)
      settle_task(task, false, cancellation.reason)
      return
    end
    task.adopted = promise
    when_due(function() microtask(function()
      if task.promise.state == "pending" then
        subscribe(promise, function(...)
          if task.promise.state == "pending" then
            take_over(task, promise)
            settle_task(task, true, ...)
          end
        end, function(reason)
          if task.promise.state == "pending" then
            take_over(task, promise)
            settle_task(task, false, reason)
          end
        end)
      end
    end) end)
  end

  local function resume(task, ...)
    local task_before, context_before = current, context
    current, context = task, task.scope
    local results = table.pack(coroutine.resume(task.coroutine, ...))
    current, context = task_before, context_before
    if task.given_up then
      coroutine.close(task.coroutine)
      settle_task(task, false, task.cancellation.reason)
    elseif coroutine.status(task.coroutine) ~= "dead" then
      return
    elseif results[1] and is_promise(results[2]) then
      adopt(task, results[2])
    else
      settle_task(task, table.unpack(results, 1, results.n))
    end
  end

  --- Calls f as an async function of the scope. What `caller` is stopped with stops it as well.
  local function begin(scope, caller, cancellation, received, is_child, f, ...)
    local task = {
      coroutine = coroutine.create(f),
      promise = new_promise("call"),
      scope = scope,
      caller = caller,
      stopped = caller and caller.stopped,
      cancellation = cancellation,
      received = received,
      is_child = is_child,
      has_used_result = cancellation ~= nil,
      raised = 0,
    }
    task.root = is_child and task or caller and caller.root
    task.promise.task = task
    if scope then
      table.insert(scope.members, task)
    end
    resume(task, ...)
    return task.promise
  end

  function tide.spawn(f, ...)
    local scope = open_scope(context)
    local cancellation, received = in_force(scope)
    local caller = current and current.scope == scope and current or nil
    return begin(scope, caller, cancellation, received, false, f, ...)
  end

  function tide.detach(f, ...)
    return begin(nil, nil, nil, false, false, f, ...)
  end

  ---- await ----

  local function results(ok, ...)
    if ok then
      return ...
    end
    error(..., 0)
  end

  local function pause()
    return results(coroutine.yield())
  end

  local function raise_later(task)
    task.waits_for = nil
    microtask(function()
      receive(task)
      resume(task, false, task.cancellation.reason)
    end)
  end

  --- Waits for those of the promises that are inside; then calls f.
  local function wait_for_own(task, promises, f)
    local left = 1
    local function count()
      left = left - 1
      if left == 0 then
        when_due(f)
      end
    end
    for _, promise in ipairs(promises) do
      promise.handled = true
      if promise.state == "pending" and is_inside(task, promise) then
        left = left + 1
        subscribe(promise, count, count)
      end
    end
    count()
  end

  local function raise_a_turn_later(task, promises)
    task.raised = task.raised + 1
    if task.raised > CATCHES then
      task.given_up = true
      return coroutine.yield()
    end
    wait_for_own(task, promises, function()
      table.insert(turns, function()
        receive(task)
        resume(task, false, task.cancellation.reason)
      end)
    end)
    return pause()
  end

  local function wait(task, promise, is_late, join)
    local waiting = { promise = promise, join = join }
    task.waits_for = waiting
    waiting.reaction = subscribe(promise, function(...)
      task.waits_for = nil
      take_over(task, promise)
      if is_late then
        receive(task)
        resume(task, false, task.cancellation.reason)
      else
        resume(task, true, ...)
      end
    end, function(reason)
      task.waits_for = nil
      take_over(task, promise)
      resume(task, false, reason)
    end)
    return pause()
  end

  --- Awaits a promise, or a plain value made into one. The list is that of a join, which does not
  --- leave what is inside.
  local function await(promise, is_plain, join)
    local task, cancellation = current, current.cancellation
    if cancellation and cancellation.exhausted then
      promise.handled = true
      return raise_a_turn_later(task, join or { promise })
    elseif not cancellation or task.received then
      return wait(task, promise, false, join)
    elseif promise.state == "fulfilled" and not is_plain and not task.has_used_result then
      task.has_used_result = true
      return wait(task, promise)
    elseif is_inside(task, promise) then
      return wait(task, promise, true)
    end
    promise.handled = true
    if not join then
      receive(task)
      error(cancellation.reason, 0)
    end
    wait_for_own(task, join, function()
      raise_later(task)
    end)
    return pause()
  end

  function tide.await(value, ...)
    if is_promise(value) then
      return await(value, false)
    end
    local promise = new_promise("elsewhere")
    fulfil(promise, value, ...)
    return await(promise, true)
  end

  function tide.join(...)
    return await(tide.all({ ... }), false, { ... })
  end

  ---- operations ----

  function tide.sleep(ms)
    local scope = open_scope(context)
    local cancellation, received = in_force(scope)
    if cancellation and (cancellation.exhausted or not received) then
      return new_rejected(cancellation.reason)
    end
    local operation = { promise = new_promise("elsewhere"), scope = scope }
    operation.owner = current and current.scope == scope and current or nil
    operation.timer = add_timer(ms, function()
      fulfil(operation.promise)
      leave_scope(scope, operation)
    end)
    operation.is_operation = true
    if scope then
      table.insert(scope.members, operation)
    end
    return operation.promise
  end

  --- A callback is no member; it runs in the context of who asked for it.
  function tide.set_timeout(f, ms)
    local scope = context
    add_timer(ms, function()
      current, context = nil, scope
      f()
      context = nil
    end)
  end

  local function end_operation(operation, reason)
    remove(timers, operation.timer)
    operation.promise.quiet = true
    reject(operation.promise, reason)
    leave_scope(operation.scope, operation)
  end

  ---- cancelling ----

  local function put_in_force(scope, cancellation)
    scope.cancellation = cancellation
    table.insert(scope.reasons, cancellation.reason)
  end

  --- Puts the cancellation in force in the scope, and in the scopes inside that are not shielded
  --- and not cancelled before; or, when its grace is over, in all that are not shielded.
  local function mark(scope, cancellation)
    put_in_force(scope, cancellation)
    local function miss()
      each_reached(scope, cancellation, function(each)
        each.missed = true
      end)
    end
    for _, member in ipairs(scope.members) do
      if member.coroutine then
        if cancellation.exhausted or not member.cancellation then
          member.cancellation, member.received = cancellation, false
        else
          miss()
        end
      end
    end
    for _, member in ipairs(scope.members) do
      if member.members then
        local opener = member.opener
        local is_clean_up = opener and (opener.cancellation or cancellation) ~= cancellation
        if member.is_shield or not cancellation.exhausted and (member.cancellation or is_clean_up)
        then
          miss()
        else
          mark(member, cancellation)
        end
      end
    end
  end

  --- Lets the cancellation arrive where a task waits.
  local function interrupt(task)
    local waiting, adopted = task.waits_for, task.adopted
    if adopted then
      if adopted.state == "pending" and not is_inside(task, adopted) then
        receive(task)
        settle_task(task, false, task.cancellation.reason)
      end
    elseif waiting and waiting.promise.state == "pending" then
      if waiting.join then
        remove(waiting.promise.reactions, waiting.reaction)
        task.waits_for = nil
        wait_for_own(task, waiting.join, function()
          raise_later(task)
        end)
      elseif not is_inside(task, waiting.promise) then
        remove(waiting.promise.reactions, waiting.reaction)
        raise_later(task)
      end
    end
  end

  local function cancel_member(member, cancellation)
    if member.is_operation then
      local owner = member.owner
      local in_force_there = owner and owner.cancellation or cancellation
      if cancellation.exhausted or in_force_there == cancellation then
        end_operation(member, cancellation.reason)
      end
    elseif member.cancellation ~= cancellation then
      return
    elseif member.members then
      cancel_members(member, cancellation)
    else
      interrupt(member)
    end
  end

  function cancel_members(scope, cancellation)
    for _, member in ipairs(copy(scope.members)) do
      if contains(scope.members, member) then
        cancel_member(member, cancellation)
      end
    end
  end

  local function cancel(scope, reason)
    local cancellation = { reason = reason, origin = scope }
    mark(scope, cancellation)
    cancel_members(scope, cancellation)
    if scope.grace < math.huge and not scope.closed then
      scope.grace_timer = add_timer(scope.grace, function()
        if scope.cancellation == cancellation then
          cancellation.exhausted = true
          mark(scope, cancellation)
          cancel_members(scope, cancellation)
        end
      end)
    end
  end

  ---- the end of a scope ----

  local function outcome(scope)
    local errors = scope.errors
    if #errors == 1 then
      return false, errors[1]
    elseif #errors > 1 then
      return false, { name = "AggregateError", errors = errors }
    elseif scope.passed_on then
      return false, scope.cancellation.reason
    end
    return true, table.unpack(scope.results, 1, scope.results.n)
  end

  function check_closed(scope)
    if not scope.over or scope.closed or scope.members[1] then
      return
    end
    scope.closed = true
    remove(timers, scope.grace_timer)
    local values = table.pack(scope.conclude(outcome(scope)))
    if values[1] then
      fulfil(scope.promise, table.unpack(values, 2, values.n))
    else
      scope.promise.quiet = is_quiet(scope.parent, values[2]) or is_stop(scope, values[2])
      reject(scope.promise, values[2])
    end
    leave_scope(scope.parent, scope)
  end

  local function finish(scope)
    scope.over = true
    remove(timers, scope.deadline)
    if not scope.cancellation then
      scope.is_ending = true
      cancel(scope, { name = "AbortError" })
    else
      for _, member in ipairs(copy(scope.members)) do
        if member.is_operation and not member.promise.reactions[1] then
          end_operation(member, scope.cancellation.reason)
        end
      end
    end
    check_closed(scope)
  end

  local function is_passed_on(scope, reason)
    if contains(scope.reasons, reason) then
      return true
    elseif type(reason) ~= "table" or not reason.errors then
      return false
    end
    for _, each in ipairs(reason.errors) do
      if not contains(scope.reasons, each) then
        return false
      end
    end
    return true
  end

  local function fail(scope, child, reason)
    if child.task.stopped and rawequal(reason, child.task.stopped.reason) then
      return
    elseif is_passed_on(scope, reason) then
      scope.passed_on = true
    elseif not contains(scope.errors, reason) then
      table.insert(scope.errors, reason)
      if not scope.cancellation then
        cancel(scope, { name = "AbortError", cause = reason })
      end
    end
  end

  --- Body or child: the scope is not over before it is.
  local function look_after(scope, child, f)
    scope.running = scope.running + 1
    local function leave()
      scope.running = scope.running - 1
      if scope.running == 0 then
        finish(scope)
      end
    end
    subscribe(child, function(...)
      f(...)
      when_due(leave)
    end, function(reason)
      when_due(function()
        fail(scope, child, reason)
        leave()
      end)
    end)
    return child
  end

  ---- what opens a scope ----

  local Group = {}
  Group.__index = Group

  local function open(options, f, ...)
    local parent = open_scope(context)
    local scope = {
      parent = parent,
      members = {},
      reasons = {},
      errors = {},
      results = {},
      running = 0,
      grace = options.grace or GRACE,
      is_shield = options.is_shield,
      conclude = options.conclude or function(...)
        return ...
      end,
      promise = new_promise("group"),
    }
    scope.promise.scope = scope
    if parent then
      table.insert(parent.members, scope)
      scope.opener = current and current.scope == parent and current or nil
      local cancellation, received = in_force(parent)
      if cancellation and not scope.is_shield and (cancellation.exhausted or not received) then
        put_in_force(scope, cancellation)
      end
    end
    if options.deadline then
      scope.deadline = add_timer(options.deadline, function()
        if not scope.cancellation then
          cancel(scope, options.reason)
        end
      end, true)
    end
    local group = setmetatable({ scope = scope }, Group)
    local body = begin(scope, nil, scope.cancellation, false, false, f, group, ...)
    look_after(scope, body, function(...)
      scope.results = table.pack(...)
    end)
    return scope.promise
  end

  function Group:spawn(f, ...)
    local scope = self.scope
    if scope.over then
      error("the group is over", 2)
    end
    local child = begin(scope, nil, scope.cancellation, false, true, f, ...)
    return look_after(scope, child, function() end)
  end

  function Group:cancel(reason)
    local scope = self.scope
    if not scope.over and not scope.cancellation then
      cancel(scope, reason)
    end
  end

  --- Ends a child, or all that run: like a cancellation of these tasks, of what they called in this
  --- scope, and of the scopes that these have opened.
  function Group:stop(child, reason)
    local scope = self.scope
    if scope.over or scope.cancellation then
      return
    end
    local cancellation = { reason = reason or { name = "AbortError" }, origin = scope, stop = true }
    local function is_stopped(task)
      return task and (task.stopped == cancellation
        or task.root and task.root.stopped == cancellation)
    end
    for _, member in ipairs(scope.members) do -- callers come before what they call
      if member.coroutine and not member.cancellation then
        local root = member.root
        if root and root.promise.state == "pending" and (not child or child.task == root) then
          member.stopped, member.cancellation, member.received = cancellation, cancellation, false
        end
      end
    end
    for _, member in ipairs(scope.members) do
      local is_scope = member.members and not member.is_shield and not member.cancellation
      if is_scope and is_stopped(member.opener) then
        mark(member, cancellation)
      end
    end
    local function walk()
      for _, member in ipairs(copy(scope.members)) do
        local is_reached = is_stopped(member) or is_stopped(member.owner)
          or is_stopped(member.opener)
        if is_reached and contains(scope.members, member) then
          cancel_member(member, cancellation)
        end
      end
    end
    walk()
    if scope.grace == math.huge then
      return
    end
    add_timer(scope.grace, function()
      if scope.closed or scope.cancellation and scope.cancellation.exhausted then
        return
      end
      cancellation.exhausted = true
      for _, member in ipairs(scope.members) do
        if member.members and not member.is_shield and is_stopped(member.opener) then
          mark(member, cancellation)
        end
      end
      walk()
    end)
  end

  --- signal:throw_if_aborted()
  function Group:check()
    local scope = self.scope
    if scope.reasons[1] ~= nil and not scope.is_ending then
      if current and current.cancellation
        and rawequal(current.cancellation.reason, scope.reasons[1]) then
        receive(current)
      end
      error(scope.reasons[1], 0)
    end
  end

  function tide.group(f, options)
    return open(options or {}, f)
  end

  function tide.shield(f, ...)
    return open({ is_shield = true }, function(_, ...)
      return f(...)
    end, ...)
  end

  local function with_deadline(ms, conclude, f, ...)
    local reason = { name = "TimeoutError", message = ("not done after %g ms"):format(ms) }
    return open({
      deadline = ms,
      reason = reason,
      conclude = conclude and function(...)
        return conclude(reason, ...)
      end,
    }, function(_, ...)
      return f(...)
    end, ...)
  end

  function tide.timeout(ms, f, ...)
    return with_deadline(ms, nil, f, ...)
  end

  function tide.move_on_after(ms, f, ...)
    return with_deadline(ms, function(reason, ok, ...)
      if ok then
        return true, true, ...
      elseif rawequal(reason, (...)) then
        return true, false
      end
      return false, ...
    end, f, ...)
  end

  function tide.map(list, f, options)
    local limit = options and options.concurrency or #list
    return open({}, function(group)
      local index = 0
      local function work()
        while index < #list and not group.scope.cancellation do
          index = index + 1
          tide.await(f(list[index], index))
        end
        if index < #list then
          group:check()
        end
      end
      for _ = 1, math.min(limit, #list) do
        group:spawn(work)
      end
    end)
  end

  return tide
end

return M
