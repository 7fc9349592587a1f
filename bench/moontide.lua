-- moontide's own figures. The programs are the twins of those in node.mjs.
local dir = arg[0]:match("^(.*/)") or ""
local measure = dofile(dir .. "measure.lua")
local tide = require "moontide"
local fs = require "moontide.fs"

local async, await, Promise = tide.async, tide.await, tide.Promise
local queue_microtask, set_timeout, sleep = tide.queue_microtask, tide.set_timeout, tide.sleep
local with_resolvers = Promise.with_resolvers
local group, spawn, timeout = tide.group, tide.spawn, tide.timeout

local million = 1000000
local benches = {}

local function same() return 10 end
local function spread(i) return 1 + i % 1000 end

benches.await_nil = {
  n = million, rounds = 8,
  run = function(n)
    for _ = 1, n do await(nil) end
  end,
}

benches.await_settled = {
  n = million, rounds = 8,
  run = function(n)
    local p = Promise.resolve(1)
    for _ = 1, n do await(p) end
  end,
}

--- Awaits a promise that another job resolves.
local function pending()
  local p, resolve = with_resolvers()
  queue_microtask(resolve)
  await(p)
end

benches.await_pending = {
  n = million, rounds = 5,
  run = function(n)
    for _ = 1, n do
      local p, resolve = with_resolvers()
      queue_microtask(resolve)
      await(p)
    end
  end,
}

benches.await_next = {
  n = million, rounds = 5,
  run = function(n)
    local p = Promise.resolve(1)
    local function f() end
    for _ = 1, n do await(p:next(f)) end
  end,
}

benches.call = {
  n = million, rounds = 5,
  run = function(n)
    local f = async(function(x) return x end)
    for i = 1, n do await(f(i)) end
  end,
}

benches.call_pending = {
  n = million, rounds = 5,
  run = function(n)
    local f = async(pending)
    for _ = 1, n do await(f()) end
  end,
}

benches.call_next = {
  n = million, rounds = 5,
  run = function(n)
    local settled = Promise.resolve(1)
    local function g() end
    local f = async(function() await(settled:next(g)) end)
    for _ = 1, n do await(f()) end
  end,
}

benches.chain = {
  n = million, rounds = 3,
  run = function(n)
    local function increment(x) return x + 1 end
    local p = Promise.resolve(0)
    for _ = 1, n do p = p:next(increment) end
    assert(await(p) == n)
  end,
}

benches.all = {
  n = 100000, rounds = 10,
  run = function(n)
    local f = async(function(x) return x end)
    local calls = {}
    for i = 1, n do calls[i] = f(i) end
    assert(await(Promise.all(calls)).n == n)
  end,
}

local function sleepers(delay)
  return function(n)
    local sleeper = async(function(i) await(sleep(delay(i))) end)
    local calls = {}
    for i = 1, n do calls[i] = sleeper(i) end
    await(Promise.all(calls))
  end
end

benches.sleepers = { n = million, rounds = 2, run = sleepers(same) }
benches.sleepers_spread = { n = million, rounds = 1, run = sleepers(spread) }

local function timers(delay)
  return function(n)
    local fired = 0
    local done, resolve = with_resolvers()
    local function count()
      fired = fired + 1
      if fired == n then resolve() end
    end
    for i = 1, n do set_timeout(count, delay(i)) end
    await(done)
  end
end

benches.timers = { n = million, rounds = 2, run = timers(same) }
benches.timers_spread = { n = million, rounds = 1, run = timers(spread) }

--- Throws after an await and catches what an await raises.
benches.throw_catch = {
  n = 100000, rounds = 10,
  run = function(n)
    local f = async(function()
      await(nil)
      error("boom")
    end)
    local caught = 0
    for _ = 1, n do
      if not pcall(await, f()) then caught = caught + 1 end
    end
    assert(caught == n)
  end,
}

benches.generator = {
  n = million, rounds = 3,
  run = function(n)
    local count = tide.generator(function(yield, last)
      for i = 1, last do yield(i) end
    end)
    local sum = 0
    for i in count(n) do sum = sum + i end
    assert(sum == n * (n + 1) // 2)
  end,
}

local function identity(x) return x end
local function nothing() end

benches.group_empty = {
  n = 100000, rounds = 10,
  run = function(n)
    for _ = 1, n do await(group(nothing)) end
  end,
}

benches.timeout = {
  n = 100000, rounds = 10,
  run = function(n)
    for i = 1, n do await(timeout(1000, identity, i)) end
  end,
}

local function stat(n)
  for _ = 1, n do await(fs.stat(".")) end
end

benches.fs_stat = { n = 20000, rounds = 5, run = stat }
benches.fs_stat_group = {
  n = 20000, rounds = 5,
  run = function(n)
    await(group(function() stat(n) end))
  end,
}

benches.group_spawn = {
  n = 100000, rounds = 10,
  run = function(n)
    await(group(function(g)
      for i = 1, n do g:spawn(identity, i) end
    end))
  end,
}

--- Two functions hand an item to and fro by two queues, n times in all; push(queue, item).
local function ping_pong(push)
  return function(start, n)
    local there, back = tide.queue(1), tide.queue(1)
    local first = start(function()
      for i = 1, n // 2 do
        push(there, i)
        await(back:pop())
      end
    end)
    local second = start(function()
      for _ = 1, n // 2 do
        push(back, await(there:pop()))
      end
    end)
    await(first)
    await(second)
  end
end

local hop = ping_pong(function(queue, item) queue:push(item) end)
local hop_awaited = ping_pong(function(queue, item) await(queue:push(item)) end)

local function spawned(run)
  return function(n) run(spawn, n) end
end

local function in_group(run)
  return function(n)
    await(group(function(g)
      run(function(f) return g:spawn(f) end, n)
    end))
  end
end

benches.queue = { n = million, rounds = 3, run = spawned(hop) }
benches.queue_awaited = { n = million, rounds = 3, run = spawned(hop_awaited) }
benches.queue_group = { n = million, rounds = 3, run = in_group(hop) }

--- Children that sleep; finish(g) is called when all have gone to sleep.
local function group_sleepers(finish)
  local function child() await(sleep(10)) end
  return function(n)
    await(group(function(g)
      for _ = 1, n do g:spawn(child) end
      finish(g)
    end))
  end
end

benches.group_sleepers = {
  n = 100000, rounds = 5, run = group_sleepers(nothing),
}

local cancelled = group_sleepers(function(g) g:cancel() end)

benches.group_cancel = {
  n = 100000, rounds = 5,
  run = function(n)
    -- the cancellation may be what comes of the group
    local ok, err = pcall(cancelled, n)
    if not ok and err.name ~= "AbortError" then error(err, 0) end
  end,
}

--- Bytes of a function that waits for a promise that all of them share, its own promise included.
local function suspended_bytes(n)
  local p = with_resolvers()
  local f = async(function() await(p) end)
  return measure.bytes_each(n, f)
end

benches.suspended_count = {
  n = 100000, figure = true,
  run = function(n) return (suspended_bytes(n)) end,
}

benches.suspended_rss = {
  n = 100000, figure = true,
  run = function(n) return (select(2, suspended_bytes(n))) end,
}

--- A page costs 1 to 10 ms of waiting and a way through five functions; each hundredth is missing.
local function new_fetch()
  local fetch = async(function(i)
    await(sleep(1 + i % 10))
    if i % 100 == 0 then error("no page " .. i) end
    return i
  end)
  for _ = 2, 5 do
    local inner = fetch
    fetch = async(function(i)
      local page = await(inner(i))
      return page
    end)
  end
  return fetch
end

benches.crawler = {
  n = 20000, rounds = 5,
  run = function(n)
    local fetch, limit, missing = new_fetch(), tide.semaphore(1000), 0
    local job = async(function(i)
      local _ <close> = await(limit:acquire())
      local ok, page = pcall(await, timeout(10000, fetch, i))
      if not ok then missing = missing + 1 end
      return ok and page
    end)
    local jobs = {}
    for i = 1, n do jobs[i] = job(i) end
    await(Promise.all(jobs))
    assert(missing == n // 100)
  end,
}

--- ns of the longest ten calls that come and go, where n functions are started before and stay
--- suspended: by the clock on the wall, since a collector's threads do not make anybody wait.
benches.pause = {
  n = 100000, figure = true,
  run = function(n)
    local shared = with_resolvers()
    local wait = async(function() await(shared) end)
    local pass = async(function(x)
      await(nil)
      return x
    end)
    local keep, longest, last = {}, 0, tide.now()
    local function lap()
      local now = tide.now()
      longest, last = math.max(longest, now - last), now
    end
    for i = 1, n do
      keep[i] = wait()
      if i % 10 == 0 then lap() end
    end
    for i = 1, 20 * n do
      await(pass(i))
      if i % 10 == 0 then lap() end
    end
    assert(#keep == n)
    return longest * 1e6
  end,
}

if arg[1] then
  tide.run(measure.main, benches, arg)
else
  measure.main(benches, arg)
end
