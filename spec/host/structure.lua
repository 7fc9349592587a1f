-- What spec/host/oom.c runs besides core.lua, in the same modes: what is made of the core in Lua.
-- Time is virtual.
--
-- What a function waits for is done by another one of its group, so that an error anywhere cancels
-- whoever waits.

local HANGS = os.getenv "HANGS"
local mode = ...
local testing = require "moontide.testing"
local tide = require "moontide"

local await, group, sleep = tide.await, tide.group, tide.sleep

local function nothing() end

local function fails(...)
  assert(not pcall(...))
end

local function closing(f)
  return setmetatable({}, { __close = f })
end

--- Sleeps for ever; cleans up when it is cancelled.
local function stay()
  local _ <close> = closing(function()
    await(sleep(1))
  end)
  await(sleep(1e6))
end

local function fail_after(ms, reason)
  await(sleep(ms))
  error(reason, 0)
end

--- Options with a signal that is aborted soon. (That of AbortSignal.timeout keeps no loop alive.)
local function soon()
  local controller = tide.AbortController()
  tide.set_timeout(controller.abort, 1, controller)
  return { signal = controller.signal }
end

local function groups()
  assert(await(group(function(g)
    g:spawn(sleep, 1)
    return await(g:spawn(function(v)
      await(group(function()
        await(sleep(2))
      end))
      return v
    end, 3))
  end)) == 3)
  fails(await, group(function(g)
    g:spawn(stay)
    g:spawn(group, stay)
    await(g:spawn(fail_after, 1, {}))
  end))
  fails(await, group(function(g)
    g:spawn(function()
      local _ <close> = closing(function()
        error "another one"
      end)
      await(sleep(1e6))
    end)
    fail_after(1, "one")
  end))
  fails(await, group(function(g)
    g:spawn(stay)
    g:spawn(tide.shield, sleep, 2)
    await(tide.yield())
    g:cancel "reason"
    g:spawn(stay)
    stay()
  end))
end

local function deadlines()
  assert(await(tide.timeout(10, function(v)
    await(sleep(1))
    return v
  end, 2)) == 2)
  fails(await, tide.timeout(1, stay))
  assert(await(tide.move_on_after(1, stay)) == false)
  assert(await(tide.move_on_after(10, sleep, 1)))
  fails(await, tide.move_on_after(10, fail_after, 1, "reason"))
  assert(not await(tide.move_on_after(1, function()
    await(tide.shield(sleep, 3))
    await(sleep(1e6))
  end)))
end

local function lists()
  local doubled = await(tide.map({ 1, 2, 3 }, function(v)
    await(sleep(v))
    return 2 * v
  end, { concurrency = 2 }))
  assert(doubled.n == 3 and doubled[3] == 6)
  fails(await, tide.map({ 2, 1 }, fail_after))
  local sum = 0
  await(tide.each({ 1, 2 }, function(v)
    sum = sum + v
  end))
  assert(sum == 3)
end

local function signals()
  local controller = tide.AbortController()
  local signal = controller.signal
  local any = tide.AbortSignal.any { signal, tide.AbortSignal.timeout(1e6) }
  local told = 0
  local remove = any:on_abort(nothing)
  any:on_abort(function()
    told = told + 1
  end)
  remove()
  await(sleep(1, { signal = any }))
  local sleeps = { sleep(1e6, { signal = any }), sleep(1e6, { signal = signal }) }
  controller:abort {}
  controller:abort()
  for _, promise in ipairs(sleeps) do
    fails(await, promise)
  end
  fails(signal.throw_if_aborted, signal)
  fails(await, sleep(1, { signal = any }))
  assert(told == 1 and tide.AbortSignal.abort(1).reason == 1)
  fails(await, sleep(1e6, { signal = tide.AbortSignal.timeout(1) }))
end

local function permits()
  local semaphore, mutex, active = tide.semaphore(2), tide.mutex(), 0
  local function work(ms)
    local _ <close> = await(semaphore:acquire())
    active = active + 1
    assert(active <= 2)
    await(sleep(ms))
    active = active - 1
  end
  await(tide.each({ 1, 2, 1, 2 }, work))
  await(group(function(g)
    local permit = await(mutex:acquire())
    local waiting = g:spawn(function()
      local _ <close> = await(mutex:acquire())
    end)
    fails(await, mutex:acquire(soon()))
    assert(not await(tide.move_on_after(1, function()
      await(mutex:acquire())
    end)))
    permit:release()
    await(waiting)
  end))
  local _ <close> = await(mutex:acquire())
end

local function events()
  local event = tide.event()
  await(group(function(g)
    g:spawn(event.wait, event)
    g:spawn(event.wait, event)
    fails(await, event:wait(soon()))
    event:set()
  end))
  await(event:wait())
  event:clear()
  assert(not event:is_set())
end

local function queues()
  local queue, sum = tide.queue(1), 0
  await(group(function(g)
    for i = 1, 2 do
      g:spawn(function()
        await(queue:push(i))
        await(queue:push(i))
      end)
    end
    for _ = 1, 4 do
      sum = sum + await(queue:pop())
    end
    g:spawn(function()
      for item in queue do
        sum = sum + item
      end
    end)
    await(sleep(1))
    await(queue:push(1))
    queue:close()
    fails(await, queue:push(1))
  end))
  assert(sum == 7)
  local some = tide.queue(2)
  assert(some:try_push(1) and some:try_push(2) and not some:try_push(3))
  local late = some:push(3)
  assert(some:try_pop() == 1 and #some == 2)
  await(late)
  local full = tide.queue(0)
  fails(await, full:pop(soon()))
  fails(await, full:push(1, soon()))
  fails(await, group(function(g)
    g:spawn(full.push, full, 1)
    await(sleep(1))
    full:close()
  end))
end

local count = tide.generator(function(yield, n)
  local _ <close> = closing(function()
    await(sleep(1))
  end)
  for i = 1, n do
    await(sleep(1))
    yield(i)
  end
  return n
end)

local function generators()
  assert(#await(tide.collect(count(3))) == 3)
  for i in count(3) do
    if i == 2 then
      break
    end
  end
  fails(await, tide.collect(tide.generator(function(yield)
    yield(1)
    fail_after(1, "reason")
  end)()))
  local numbers = count(3)
  local first, second = numbers:next(), numbers:next()
  assert(await(first) == 1 and await(second) == 2)
  fails(await, numbers:throw "reason")
  await(numbers:close())
  assert(not await(tide.move_on_after(1, function()
    for _ in count(3) do
      await(sleep(1e6))
    end
  end)))
end

--- Catches what interrupts it, as often as it is interrupted.
local function catch_all(n)
  for _ = 1, n do
    pcall(await, sleep(1e6))
  end
end

local function stops()
  assert(await(group(function(g)
    local one, two = g:spawn(stay), g:spawn(tide.timeout, 1e6, stay)
    g:spawn(function()
      await(group(function(inner)
        inner:spawn(stay)
        sleep(1e6)
        tide.spawn(stay)
        stay()
      end))
    end)
    await(sleep(1))
    g:stop(one, "reason")
    fails(await, one)
    g:stop(one)
    g:stop(two)
    g:spawn(function()
      pcall(await, two)
    end)
    await(sleep(1))
    g:stop()
    g:stop()
    g:spawn(sleep, 1)
    return 1
  end)) == 1)
  fails(await, group(function(g)
    local child = g:spawn(function()
      local _ <close> = closing(function()
        error "clean-up"
      end)
      await(sleep(1e6))
    end)
    await(sleep(1))
    g:stop(child)
    await(sleep(2))
  end))
  await(group(function(g) -- itself, and from within what it has called
    local child
    child = g:spawn(function()
      await(sleep(1))
      tide.spawn(function()
        g:stop(child)
        stay()
      end)
      stay()
    end)
    await(sleep(3))
  end))
end

local function graces()
  fails(await, group(function(g)
    g:spawn(catch_all, 3)
    g:spawn(stay)
    g:spawn(function()
      local _ <close> = closing(function()
        await(sleep(1e6))
      end)
      await(group(function()
        catch_all(2)
        stay()
      end, { grace = 1e6 }))
    end)
    await(sleep(1))
    g:cancel "reason"
    catch_all(2)
  end, { grace = 2 }))
  await(group(function(g)
    local child = g:spawn(catch_all, 3)
    await(sleep(1))
    g:stop(child)
    await(child)
  end, { grace = 2 }))
end

local function detached()
  local promise
  fails(await, group(function(g)
    promise = tide.detach(function(v)
      await(sleep(3))
      return v
    end, 1)
    g:cancel()
    await(sleep(1))
  end))
  assert(await(promise) == 1)
end

local function inner_deadlines()
  fails(await, group(function(g)
    g:spawn(function()
      local _ <close> = closing(function()
        assert(await(tide.move_on_after(1, sleep, 1e6)) == false)
        assert(await(tide.move_on_after(1e6, sleep, 1)) == true)
      end)
      await(tide.move_on_after(1e6, stay))
    end)
    g:spawn(tide.move_on_after, 2, tide.shield, sleep, 4)
    await(sleep(1))
    g:cancel()
    await(tide.move_on_after(1e6, stay))
  end))
end

local function leftovers()
  local queue, semaphore, event = tide.queue(0), tide.semaphore(1), tide.event()
  assert(await(group(function(g)
    sleep(1e6)
    sleep(1e6, { signal = g.signal })
    queue:pop()
    local permit = await(semaphore:acquire())
    semaphore:acquire()
    event:wait()
    tide.spawn(stay)
    tide.timeout(1e6, stay)
    tide.map({ 1, 2 }, stay)
    group(function(inner)
      inner:spawn(stay)
    end)
    tide.spawn(tide.join, sleep(1e6), tide.spawn(stay))
    permit:release()
    return 1
  end)) == 1)
end

local function generators_cancelled()
  fails(await, group(function(g)
    local numbers = count(1e6)
    g:spawn(function()
      for _ in numbers do
        await(sleep(1))
      end
    end)
    g:spawn(function()
      await(tide.collect(count(1e6)))
    end)
    local other = count(1e6)
    other:next()
    other:next()
    await(sleep(5))
    numbers:next()
    g:cancel()
    await(other:next())
  end))
  await(group(function(g)
    local child = g:spawn(function()
      for _ in count(1e6) do
        await(sleep(1))
      end
    end)
    await(sleep(3))
    g:stop(child)
  end))
end

local function waits_cancelled()
  local queue, full, semaphore, event = tide.queue(), tide.queue(0), tide.mutex(), tide.event()
  local permit <close> = await(semaphore:acquire())
  fails(await, group(function(g)
    g:spawn(queue.pop, queue)
    g:spawn(full.push, full, 1)
    g:spawn(semaphore.acquire, semaphore)
    g:spawn(event.wait, event)
    local popped = queue:pop()
    g:spawn(function()
      local _ <close> = await(semaphore:acquire())
    end)
    local one = g:spawn(queue.pop, queue)
    await(sleep(1))
    g:stop(one)
    g:cancel()
    queue:push(1)
    await(popped)
  end))
  assert(permit)
end

local function joins()
  fails(await, group(function(g)
    g:spawn(function()
      tide.join(tide.spawn(stay), sleep(1e6), group(stay), g:spawn(stay))
    end)
    await(sleep(1))
    g:cancel()
  end))
  fails(await, tide.timeout(1, tide.join, sleep(1e6), sleep(1)))
end

local function clocks()
  fails(testing.clock)
  testing.shuffle(7)
  local _ <close> = closing(function()
    testing.shuffle(nil)
  end)
  await(group(function(g)
    for _ = 1, 3 do
      g:spawn(sleep, 2)
    end
    await(testing.wait_all_tasks_blocked())
  end))
end

--- On a clock that does not jump.
local function advances(clock)
  await(group(function(g)
    g:spawn(sleep, 3)
    await(clock:advance(2))
    await(clock:advance(2))
  end))
  assert(clock:elapsed() == 4)
end

local function flight()
  local arrived = 0
  local function arrive()
    arrived = arrived + 1
  end
  local never, semaphore, queue = tide.event(), tide.semaphore(1), tide.queue(0)
  group(function(g)
    g:spawn(sleep, 1)
    g:spawn(sleep, 1)
  end):next(arrive)
  group(function(g)
    g:spawn(stay)
    g:spawn(never.wait, never)
    g:spawn(semaphore.acquire, semaphore)
    g:spawn(semaphore.acquire, semaphore)
    g:spawn(queue.pop, queue)
    g:spawn(tide.shield, sleep, 1e9)
    stay()
  end):next(arrive)
  tide.timeout(1, stay):catch(arrive)
  tide.move_on_after(1, stay):next(arrive)
  tide.map({ 1, 2 }, function(ms) return sleep(ms) end):next(arrive)
  sleep(1e9, { signal = tide.AbortSignal.timeout(1) }):catch(arrive)
  sleep(1e9, { signal = tide.AbortController().signal }):next(arrive)
  tide.collect(count(2)):next(arrive)
  tide.spawn(function()
    for _ in count(2) do
      await(never:wait())
    end
  end)
  return function() return arrived end
end

if mode == "whole" then
  do
    local _ <close> = testing.clock()
    local parts = {
      groups, deadlines, lists, signals, permits, events, queues, generators, clocks,
      stops, graces, detached, inner_deadlines, leftovers, generators_cancelled, waits_cancelled,
      joins,
    }
    for i, part in ipairs(parts) do
      local ok, err = pcall(await, tide.spawn(part))
      if not ok then
        if HANGS and type(err) ~= "string" then
          io.stderr:write("part ", i, ": ", tostring(err), "\n")
        end
        error(err, 0)
      end
    end
  end
  do -- closed here, since a function that waits in vain would never do it
    local clock <close> = testing.clock { autojump = false }
    await(tide.spawn(advances, clock))
  end
  for _ = 1, 3 do
    flight()
    tide.step(1)
  end
end
return flight()
