-- Of: core/line, core/ring, core/queue, core/semaphore, core/event
local tide = require "moontide"
local child = require "spec.support.child"
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new
local new_random = require "spec.support.random"
local scale = require "spec.support.scale"

local async, await, spawn, Promise = tide.async, tide.await, tide.spawn, tide.Promise

local FIRST_SEED = tonumber(os.getenv("MOONTIDE_SEED") or 1)

local function state(p)
  return (p:state())
end

-- Demands that exactly n permits are free.
local function check_free(semaphore, n)
  local promises = {}
  for i = 1, n do
    promises[i] = semaphore:acquire()
    assert.equal("fulfilled", state(promises[i]), "permit " .. i)
  end
  local controller = tide.AbortController()
  local one_more = semaphore:acquire({ signal = controller.signal })
  assert.equal("pending", state(one_more), "permit " .. n + 1)
  controller:abort("enough")
  assert.equal("enough", failure(one_more))
  for i = 1, n do
    await(promises[i]):release()
  end
end

describe("semaphore", function()
  after_each(leak.check)

  it("gives out as many permits as it has", function()
    check_free(tide.semaphore(3), 3)
  end)

  it("gives a released permit to whoever has waited longest", function()
    local semaphore = tide.semaphore(1)
    local log, lines = new_log()
    local function work(name)
      local permit <close> = await(semaphore:acquire())
      log(name, "in")
      await(tide.yield())
      log(name, "out")
      permit:release()
    end
    tide.join(spawn(work, "a"), spawn(work, "b"), spawn(work, "c"))
    assert.same({ "a in", "a out", "b in", "b out", "c in", "c out" }, lines)
    check_free(semaphore, 1)
  end)

  it("lets nobody overtake: a permit that is handed over is taken at once", function()
    local semaphore = tide.semaphore(1)
    local permit = await(semaphore:acquire())
    local first = semaphore:acquire()
    permit:release()
    local second = semaphore:acquire()
    assert.equal("fulfilled", state(first))
    assert.equal("pending", state(second))
    await(first):release()
    await(second):release()
    check_free(semaphore, 1)
  end)

  it("takes a permit back at the end of its scope, also after an error", function()
    local semaphore = tide.semaphore(1)
    assert.equal("oops", failure(spawn(function()
      local _ <close> = await(semaphore:acquire())
      error("oops", 0)
    end)))
    check_free(semaphore, 1)
  end)

  it("raises when a permit is released twice, and loses nothing", function()
    local semaphore = tide.semaphore(1)
    local permit = await(semaphore:acquire())
    permit:release()
    assert.has_error(function()
      permit:release()
    end, "the permit has been released already")
    local _, err = pcall(function()
      permit:release()
    end)
    assert.matches("^spec/core/line_spec.lua:%d+: the permit", err)
    check_free(semaphore, 1)
  end)

  it("does nothing when a released permit is closed", function()
    local semaphore = tide.semaphore(1)
    do
      local permit <close> = await(semaphore:acquire())
      permit:release()
    end
    check_free(semaphore, 1)
  end)

  it("takes back a permit that was dropped, when the collector finds it", function()
    local semaphore = tide.semaphore(2)
    for _ = 1, 2 do
      semaphore:acquire()
    end
    leak.collect()
    check_free(semaphore, 2)
  end)

  it("finds a permit that was dropped before a deadlock is declared", function()
    local mutex = tide.mutex()
    spawn(function() await(mutex:acquire()) end)
    collectgarbage("stop")
    local permit = await(mutex:acquire())
    collectgarbage("restart")
    permit:release()
  end)

  it("gives a permit that was dropped to whoever has waited longest", function()
    local semaphore = tide.mutex()
    semaphore:acquire()
    local first, second = semaphore:acquire(), semaphore:acquire()
    leak.collect()
    assert.equal("fulfilled", state(first))
    assert.equal("pending", state(second))
    await(first):release()
    await(second):release()
    check_free(semaphore, 1)
  end)

  it("keeps nothing alive that nobody else has", function()
    local weak = setmetatable({}, { __mode = "v" })
    do
      local semaphore = tide.mutex()
      weak.semaphore, weak.permit = semaphore, await(semaphore:acquire())
      weak.first, weak.second = semaphore:acquire(), semaphore:acquire()
    end
    for _ = 1, 4 do -- each permit was given to the next
      leak.collect()
    end
    assert.same({}, weak)
  end)

  it("lets a state be closed while permits are held and waited for #closing", function()
    local result = child.lua_source([[
      local tide = require "moontide"
      kept = { tide.mutex(), tide.semaphore(2), tide.event(), tide.queue(0) }
      permits = { kept[1]:acquire(), kept[2]:acquire() }
      waiters = { kept[1]:acquire(), kept[3]:wait(), kept[4]:pop() }
      setmetatable({}, { __gc = function() pcall(kept[1].acquire, kept[1]) end })
      print "closing"
    ]])
    assert.same({ code = 0, out = "closing\n", err = "" }, result)
  end)

  it("refuses wrong arguments at once", function()
    for _, n in ipairs({ 0, -1, 1.5, "1", false }) do
      assert.error_matches(function()
        tide.semaphore(n)
      end, "bad argument #1 to 'semaphore' %(positive integer expected, got .+%)")
    end
    local semaphore = tide.semaphore(1)
    assert.error_matches(function()
      semaphore:acquire(1)
    end, "bad argument #1 to 'semaphore:acquire' %(table expected, got number%)")
    assert.error_matches(function()
      semaphore:acquire({ signal = 1 })
    end, "field 'signal': AbortSignal expected")
    assert.error_matches(function()
      semaphore.acquire()
    end, "calling 'semaphore:acquire' on bad self %(moontide.Semaphore expected, got nil%)")
    check_free(semaphore, 1)
  end)

  describe("and an abort", function()
    it("rejects with the reason, and the next in the line is served", function()
      local semaphore = tide.semaphore(1)
      local permit = await(semaphore:acquire())
      local controller = tide.AbortController()
      local first = semaphore:acquire({ signal = controller.signal })
      local second = semaphore:acquire()
      controller:abort("stop")
      assert.equal("stop", failure(first))
      permit:release()
      assert.equal("fulfilled", state(second))
      await(second):release()
      check_free(semaphore, 1)
    end)

    it("before the call rejects and takes no permit", function()
      local semaphore = tide.semaphore(1)
      local signal = tide.AbortSignal.abort("early")
      assert.equal("early", failure(semaphore:acquire({ signal = signal })))
      check_free(semaphore, 1)
    end)

    it("after the hand-over, in the same job, comes too late", function()
      local semaphore = tide.semaphore(1)
      local permit = await(semaphore:acquire())
      local controller = tide.AbortController()
      local p = semaphore:acquire({ signal = controller.signal })
      permit:release()
      controller:abort("late")
      await(p):release()
      check_free(semaphore, 1)
    end)

    it("leaves no listener behind, neither then nor after the hand-over", function()
      local semaphore = tide.semaphore(1)
      local controller = tide.AbortController()
      for _ = 1, 10 do
        local permit = await(semaphore:acquire())
        local p = semaphore:acquire({ signal = controller.signal })
        permit:release()
        await(p):release()
      end
      assert.equal(0, controller.signal._observers)
    end)
  end)

  describe("and a group that is cancelled", function()
    -- Runs f in a group while the only permit is taken; f must wait for it.
    local function with_waiter(f)
      local semaphore = tide.semaphore(1)
      local permit = await(semaphore:acquire())
      local group
      local promise = tide.group(function(g)
        group = g
        return f(semaphore, g)
      end)
      await(tide.yield())
      return semaphore, permit, group, promise
    end

    it("takes its functions out of the line", function()
      local semaphore, permit, group, promise = with_waiter(function(semaphore)
        local _ <close> = await(semaphore:acquire())
      end)
      group:cancel("stop")
      assert.equal("stop", failure(promise))
      permit:release()
      check_free(semaphore, 1)
    end)

    it("before the permit is released: the waiter does not get it", function()
      local semaphore, permit, group, promise = with_waiter(function(semaphore)
        local _ <close> = await(semaphore:acquire())
      end)
      group:cancel("stop")
      permit:release()
      assert.equal("stop", failure(promise))
      check_free(semaphore, 1)
    end)

    it("after the permit is released: the waiter has it, and gives it back", function()
      local got
      local semaphore, permit, group, promise = with_waiter(function(semaphore)
        local _ <close> = await(semaphore:acquire())
        got = true
        await(tide.sleep(1000))
      end)
      permit:release()
      group:cancel("stop")
      assert.equal("stop", failure(promise))
      assert.is_true(got)
      check_free(semaphore, 1)
    end)

    it("where an async helper acquires, at either moment", function()
      for _, helper in ipairs({
        function(semaphore)
          return await(semaphore:acquire())
        end,
        function(semaphore)
          return semaphore:acquire()
        end,
        function(semaphore)
          return spawn(semaphore.acquire, semaphore)
        end,
        function(semaphore)
          return await(spawn(semaphore.acquire, semaphore))
        end,
      }) do
        for _, late in ipairs({ false, true }) do
          local semaphore, permit, group, promise = with_waiter(function(semaphore)
            local _ <close> = await(async(helper)(semaphore))
            await(tide.sleep(10))
          end)
          if late then
            permit:release()
            group:cancel("stop")
          else
            group:cancel("stop")
            permit:release()
          end
          assert.equal("stop", failure(promise))
          check_free(semaphore, 1)
        end
      end
    end)

    it("by a deadline, at the moment of the release", function()
      for _, first in ipairs({ "release", "deadline" }) do
        local semaphore = tide.semaphore(1)
        local permit = await(semaphore:acquire())
        if first == "release" then
          tide.set_timeout(permit.release, 5, permit)
        end
        local p = tide.move_on_after(5, function()
          local _ <close> = await(semaphore:acquire())
        end)
        if first == "deadline" then
          tide.set_timeout(permit.release, 5, permit)
        end
        await(p)
        await(tide.sleep(10))
        check_free(semaphore, 1)
      end
    end)

    it("lets clean-up acquire", function()
      local semaphore, permit, group, promise = with_waiter(function(semaphore)
        pcall(await, semaphore:acquire())
        local _ <close> = await(semaphore:acquire())
        return "cleaned up"
      end)
      group:cancel("stop")
      await(tide.yield())
      permit:release()
      assert.equal("cleaned up", await(promise))
      check_free(semaphore, 1)
    end)
  end)

  it("forgets 100,000 waiters at the price of as many", function()
    local n = scale(100000)
    local semaphore = tide.semaphore(1)
    local permit = await(semaphore:acquire())
    local controller = tide.AbortController()
    local settled = 0
    local function count()
      settled = settled + 1
    end
    for _ = 1, n do
      semaphore:acquire({ signal = controller.signal }):next(nil, count)
    end
    controller:abort()
    await(tide.yield())
    assert.equal(n, settled)
    permit:release()
    check_free(semaphore, 1)
  end)

  it("does not grow with what has been aborted", function()
    local semaphore = tide.semaphore(1)
    local permit = await(semaphore:acquire())
    local function churn()
      for _ = 1, scale(20000) do
        local controller = tide.AbortController()
        local p = semaphore:acquire({ signal = controller.signal })
        controller:abort("stop")
        p:catch(function() end)
      end
      await(tide.yield())
      leak.collect()
      return collectgarbage("count")
    end
    churn()
    local before = churn()
    assert.is_true(churn() < before + 64)
    permit:release()
  end)
end)

describe("mutex", function()
  after_each(leak.check)

  it("has one permit", function()
    check_free(tide.mutex(), 1)
  end)

  it("excludes: what is read and written back across an await stays right", function()
    local mutex, balance = tide.mutex(), 0
    local add = async(function()
      local _ <close> = await(mutex:acquire())
      local before = balance
      await(tide.yield())
      balance = before + 1
    end)
    tide.join(add(), add(), add(), add())
    assert.equal(4, balance)
  end)
end)

describe("event", function()
  after_each(leak.check)

  it("is unset at first; set and clear", function()
    local event = tide.event()
    assert.is_false(event:is_set())
    event:set()
    event:set()
    assert.is_true(event:is_set())
    event:clear()
    assert.is_false(event:is_set())
  end)

  it("lets all that wait go on, in their order, and nobody wait while it is set", function()
    local event = tide.event()
    local log, lines = new_log()
    for i = 1, 3 do
      event:wait():next(function(...)
        log(i, select("#", ...))
      end)
    end
    event:set()
    event:wait():next(function()
      log("later")
    end)
    await(tide.yield())
    assert.same({ "1 0", "2 0", "3 0", "later" }, lines)
  end)

  it("lets those go on that waited when it was set, although it is cleared at once", function()
    local event = tide.event()
    local p = event:wait()
    event:set()
    event:clear()
    await(p)
    assert.equal("pending", state(event:wait()))
  end)

  it("may be set again from what waited for it", function()
    local event = tide.event()
    local count = 0
    spawn(function()
      for _ = 1, 3 do
        await(event:wait())
        event:clear()
        count = count + 1
      end
    end)
    for _ = 1, 3 do
      event:set()
      await(tide.yield())
    end
    assert.equal(3, count)
  end)

  it("stops waiting with its signal and its group", function()
    local event = tide.event()
    local controller = tide.AbortController()
    local p = event:wait({ signal = controller.signal })
    controller:abort("stop")
    assert.equal("stop", failure(p))
    assert.equal("stop", failure(event:wait({ signal = controller.signal })))
    local q = tide.group(function(g)
      tide.set_immediate(g.cancel, g, "enough")
      await(event:wait())
    end)
    assert.equal("enough", failure(q))
    event:set()
    await(event:wait())
  end)

  it("keeps nothing alive that nobody else has", function()
    local weak = setmetatable({}, { __mode = "v" })
    do
      local event = tide.event()
      weak.event, weak.first, weak.second = event, event:wait(), event:wait()
    end
    leak.collect()
    assert.same({}, weak)
  end)

  it("holds those who wait, though nobody else does", function()
    local event, count = tide.event(), 0
    for _ = 1, 10 do
      event:wait():next(function()
        count = count + 1
      end)
    end
    leak.collect()
    event:set()
    await(tide.yield())
    assert.equal(10, count)
  end)

  it("refuses wrong arguments at once", function()
    local event = tide.event()
    assert.error_matches(function()
      event:wait("now")
    end, "bad argument #1 to 'event:wait' %(table expected, got string%)")
    for _, name in ipairs({ "set", "clear", "is_set", "wait" }) do
      for got, self in pairs({
        string = "",
        table = {},
        ["moontide.Queue"] = tide.queue(),
        Promise = Promise.resolve(),
      }) do
        local text = "calling 'event:%s' on bad self %%(moontide.Event expected, got %s%%)"
        assert.error_matches(function()
          event[name](self)
        end, text:format(name, got))
      end
    end
    assert.error_matches(function()
      event.set()
    end, "calling 'event:set' on bad self %(moontide.Event expected, got nil%)")
  end)
end)

describe("queue", function()
  after_each(leak.check)

  it("gives out what was pushed, first in, first out", function()
    local queue = tide.queue()
    for i = 1, 100 do
      assert.equal("fulfilled", state(queue:push(i)))
    end
    for i = 1, 100 do
      assert.equal(i, await(queue:pop()))
    end
  end)

  it("serves those who pop in their order", function()
    local queue = tide.queue()
    local a, b = queue:pop(), queue:pop()
    queue:push(false)
    queue:push("y")
    assert.same({ "fulfilled", false }, { a:state() })
    assert.same({ "fulfilled", "y" }, { b:state() })
  end)

  it("holds back whoever pushes into a full one", function()
    local queue = tide.queue(2)
    local pushes = {}
    for i = 1, 4 do
      pushes[i] = queue:push(i)
    end
    local function states()
      local list = {}
      for i, p in ipairs(pushes) do
        list[i] = state(p):sub(1, 1)
      end
      return table.concat(list)
    end
    assert.equal("ffpp", states())
    assert.equal(1, await(queue:pop()))
    assert.equal("fffp", states())
    assert.equal(2, await(queue:pop()))
    assert.equal("ffff", states())
    assert.equal(0, select("#", await(pushes[3])))
    assert.equal(3, await(queue:pop()))
    assert.equal(4, await(queue:pop()))
    assert.equal("pending", state(queue:pop()))
  end)

  it("of capacity 0 hands over from hand to hand", function()
    local queue = tide.queue(0)
    local push = queue:push("a")
    assert.equal("pending", state(push))
    assert.equal("a", await(queue:pop()))
    assert.equal("fulfilled", state(push))
    local pop = queue:pop()
    assert.equal("fulfilled", state(queue:push("b")))
    assert.equal("b", await(pop))
  end)

  it("is iterable: awaits each until it is closed and empty", function()
    local queue = tide.queue(1)
    spawn(function()
      for i = 1, 5 do
        await(queue:push(i))
      end
      queue:close()
    end)
    local seen = {}
    for v in queue do
      seen[#seen + 1] = v
    end
    assert.same({ 1, 2, 3, 4, 5 }, seen)
  end)

  it("may be iterated by several at once, each item going to one", function()
    local queue = tide.queue()
    local seen = {}
    local work = async(function()
      for v in queue do
        seen[#seen + 1] = v
        await(tide.yield())
      end
    end)
    local done = Promise.all({ work(), work(), work() })
    for i = 1, 10 do
      queue:push(i)
    end
    queue:close()
    await(done)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, seen)
  end)

  it("refuses nil, and wrong arguments, at once", function()
    local queue = tide.queue()
    assert.error_matches(function()
      queue:push(nil)
    end, "bad argument #1 to 'queue:push' %(value expected, got nil%)")
    assert.error_matches(function()
      queue:push(1, 2)
    end, "bad argument #2 to 'queue:push' %(table expected, got number%)")
    assert.error_matches(function()
      queue.pop()
    end, "calling 'queue:pop' on bad self %(moontide.Queue expected, got nil%)")
    for _, n in ipairs({ -1, 0.5, "1", false }) do
      assert.error_matches(function()
        tide.queue(n)
      end, "bad argument #1 to 'queue' %(non%-negative integer expected, got .+%)")
    end
    assert.equal("pending", state(queue:pop()))
  end)

  it("settles a pop as a promise that was pushed", function()
    local queue = tide.queue()
    queue:push(Promise.resolve("value"))
    assert.equal("value", await(queue:pop()))
  end)

  it("tells how many items are there, without those of pushes that wait", function()
    local queue = tide.queue(2)
    assert.equal(0, #queue)
    for i = 1, 3 do
      queue:push(i)
      assert.equal(math.min(i, 2), #queue)
    end
    await(queue:pop())
    assert.equal(2, #queue)
    queue:close()
    await(queue:pop())
    await(queue:pop())
    assert.equal(0, #queue)
  end)

  it("keeps the order through all sizes and turns", function()
    local queue = tide.queue()
    local pushed, popped = 0, 0
    for _, n in ipairs({ 3, 1, 9, 2, 40, 1, 3000, 7 }) do
      for _ = 1, n do
        pushed = pushed + 1
        queue:push(pushed)
      end
      for _ = 1, n // 2 do
        popped = popped + 1
        assert.equal(popped, await(queue:pop()))
      end
      assert.equal(pushed - popped, #queue)
    end
    while popped < pushed do
      popped = popped + 1
      assert.equal(popped, queue:try_pop())
    end
    assert.equal(0, #queue)
  end)

  it("lets nobody wait for what a finalizer has pushed meanwhile", function()
    local result = child.lua_source([[ -- a small heap is collected often
      local tide = require "moontide"
      collectgarbage("setpause", 50)
      for i = 1, 5000 do
        local queue = tide.queue()
        setmetatable({}, { __gc = function()
          queue:push("late")
        end })
        local _ = ("x"):rep(i % 64 * 8)
        local promise = queue:pop()
        assert(promise:state() == "fulfilled" or #queue == 0)
      end
    ]])
    assert.same({ code = 0, out = "", err = "" }, result)
  end)

  describe("try_push", function()
    it("adds an item if there is room", function()
      local queue = tide.queue(2)
      assert.is_true(queue:try_push(1))
      assert.is_true(queue:try_push(false))
      assert.is_false(queue:try_push(3))
      assert.equal(1, await(queue:pop()))
      assert.is_false(await(queue:pop()))
      assert.equal(0, #queue)
    end)

    it("hands it to whoever has waited longest", function()
      local queue = tide.queue(0)
      assert.is_false(queue:try_push("nobody waits"))
      local first, second = queue:pop(), queue:pop()
      assert.is_true(queue:try_push("item"))
      assert.same({ "fulfilled", "item" }, { first:state() })
      assert.equal("pending", state(second))
    end)

    it("is refused by a closed queue", function()
      local queue = tide.queue()
      queue:close()
      assert.is_false(queue:try_push(1))
    end)

    it("refuses nil", function()
      assert.error_matches(function()
        tide.queue():try_push(nil)
      end, "bad argument #1 to 'queue:try_push' %(value expected, got nil%)")
    end)
  end)

  describe("try_pop", function()
    it("gives an item that is there, or nil", function()
      local queue = tide.queue()
      assert.is_nil(queue:try_pop())
      assert.equal(1, select("#", queue:try_pop()))
      local promise = Promise.resolve("value")
      queue:push(false)
      queue:push(promise)
      assert.is_false(queue:try_pop())
      assert.equal(promise, queue:try_pop())
      assert.is_nil(queue:try_pop())
    end)

    it("makes room for whoever has waited longest to push", function()
      local queue = tide.queue(1)
      queue:push(1)
      local second, third = queue:push(2), queue:push(3)
      assert.equal(1, queue:try_pop())
      assert.equal("fulfilled", state(second))
      assert.equal("pending", state(third))
      assert.equal(2, queue:try_pop())
      assert.equal(3, queue:try_pop())
      assert.equal("fulfilled", state(third))
    end)

    it("takes from hand to hand", function()
      local queue = tide.queue(0)
      local push = queue:push("a")
      assert.equal("a", queue:try_pop())
      assert.equal("fulfilled", state(push))
    end)

    it("gives what is left in a closed queue", function()
      local queue = tide.queue()
      queue:push(1)
      queue:close()
      assert.equal(1, queue:try_pop())
      assert.is_nil(queue:try_pop())
    end)
  end)

  it("gives whoever iterates what a promise or thenable comes to", function()
    for _, waits in ipairs({ true, false }) do
      local queue = tide.queue()
      local late, resolve = Promise.with_resolvers()
      local thenable = { ["then"] = function(_, f)
        f("thenable")
      end }
      local seen = {}
      local function push()
        for _, item in ipairs({ Promise.resolve("settled"), late, thenable, "plain" }) do
          queue:push(item)
        end
        queue:close()
      end
      if not waits then
        push()
      end
      local loop = spawn(function()
        for item in queue do
          seen[#seen + 1] = item
        end
      end)
      if waits then
        push()
      end
      await(tide.yield())
      resolve("late")
      await(loop)
      assert.same({ "settled", "late", "thenable", "plain" }, seen)
    end
  end)

  it("raises where an iteration meets a rejected promise, and goes on after it", function()
    for _, waits in ipairs({ true, false }) do
      local queue = tide.queue()
      local function push()
        queue:push(Promise.reject("oops"))
        queue:push("next")
      end
      if not waits then
        push()
      end
      local loop = spawn(function()
        local ok, err = pcall(queue)
        return ok, err, queue()
      end)
      if waits then
        push()
      end
      assert.same({ false, "oops", "next" }, { await(loop) })
    end
  end)

  it("takes nothing where whoever iterates cannot await", function()
    local queue = tide.queue()
    queue:push("item")
    await(spawn(function()
      assert.error_matches(coroutine.wrap(function()
        queue()
      end), "await inside a coroutine that is not an async function")
    end))
    assert.equal("item", queue:try_pop())
  end)

  it("keeps nothing alive that nobody else has", function()
    local weak = setmetatable({}, { __mode = "v" })
    do
      local queue = tide.queue(1)
      weak.queue = queue
      weak.pop = queue:pop()
      local full = tide.queue(0)
      weak.full, weak.item = full, { full }
      weak.push = full:push(weak.item)
    end
    leak.collect()
    assert.same({}, weak)
  end)

  it("holds those who wait, though nobody else does", function()
    local queue, seen = tide.queue(), {}
    queue:pop():next(function(item)
      seen[#seen + 1] = item
    end)
    spawn(function()
      local item = queue()
      seen[#seen + 1] = item
    end)
    leak.collect()
    queue:push(1)
    queue:push(2)
    await(tide.yield())
    assert.same({ 1, 2 }, seen)
  end)

  describe("close", function()
    it("lets what is left be popped, then gives nothing", function()
      local queue = tide.queue()
      queue:push(1)
      queue:push(2)
      queue:close()
      queue:close()
      assert.equal(1, await(queue:pop()))
      assert.equal(2, await(queue:pop()))
      assert.equal(0, select("#", await(queue:pop())))
      assert.is_nil(await(queue:pop()))
    end)

    it("ends the waiting of those who pop", function()
      local queue = tide.queue()
      local a, b = queue:pop(), queue:pop()
      queue:close()
      assert.equal("fulfilled", state(a))
      assert.equal(0, select("#", await(b)))
    end)

    it("rejects the pushes that wait, whose items are not popped", function()
      local queue = tide.queue(1)
      queue:push("in")
      local late = queue:push("out")
      queue:close()
      local err = failure(late)
      assert.equal("ClosedError", err.name)
      assert.equal("ClosedError: the queue is closed", tostring(err))
      assert.equal("in", await(queue:pop()))
      assert.is_nil(await(queue:pop()))
    end)

    it("rejects a push that comes later", function()
      local queue = tide.queue()
      queue:close()
      assert.equal("ClosedError", failure(queue:push(1)).name)
    end)
  end)

  describe("and an abort", function()
    it("of a pop loses no item", function()
      local queue = tide.queue()
      local controller = tide.AbortController()
      local first = queue:pop({ signal = controller.signal })
      local second = queue:pop()
      controller:abort("stop")
      queue:push("item")
      assert.equal("stop", failure(first))
      assert.equal("item", await(second))
      queue:push("another")
      assert.equal("stop", failure(queue:pop({ signal = controller.signal })))
      assert.equal("another", await(queue:pop()))
    end)

    it("of iterations, in any order, loses no item", function()
      local queue = tide.queue()
      local groups, got, loops = {}, {}, {}
      for i = 1, 40 do
        loops[i] = tide.group(function(g)
          groups[i] = g
          for item in queue do
            got[#got + 1] = i .. ":" .. item
          end
        end)
      end
      await(tide.yield())
      local order, random = {}, new_random(FIRST_SEED)
      for i = 1, 40 do
        table.insert(order, random(#order + 1), i)
      end
      for k = 1, 38 do
        groups[order[k]]:cancel("stop")
        assert.equal("stop", failure(loops[order[k]]))
        if k == 20 then -- who comes again is last
          spawn(function()
            local item = queue()
            got[#got + 1] = "late:" .. item
          end)
        end
      end
      local first, second = math.min(order[39], order[40]), math.max(order[39], order[40])
      for _, item in ipairs({ "a", "b", "c" }) do
        queue:push(item)
      end
      queue:close()
      await(tide.join(loops[first], loops[second]))
      await(tide.yield())
      assert.same({ first .. ":a", second .. ":b", "late:c" }, got)
    end)

    it("of an iteration, after the hand-over, comes too late", function()
      local queue = tide.queue()
      local got, group
      local promise = tide.group(function(g)
        group = g
        for item in queue do
          got = item
          await(tide.sleep(1000))
        end
      end)
      await(tide.yield())
      queue:push("item")
      group:cancel("stop")
      queue:push("left")
      assert.equal("stop", failure(promise))
      assert.equal("item", got)
      assert.equal("left", queue:try_pop())
    end)

    it("refuses an iteration that begins when it is cancelled, and loses nothing", function()
      local queue = tide.queue()
      queue:push("item")
      assert.equal("stop", failure(tide.group(function(g)
        g:cancel("stop")
        for _ in queue do end
      end)))
      assert.equal("item", queue:try_pop())
    end)

    it("of a push takes its item back", function()
      local queue = tide.queue(1)
      local controller = tide.AbortController()
      queue:push(1)
      local second = queue:push(2, { signal = controller.signal })
      queue:push(3)
      controller:abort("stop")
      assert.equal("stop", failure(second))
      assert.equal("stop", failure(queue:push(4, { signal = controller.signal })))
      assert.equal(1, await(queue:pop()))
      assert.equal(3, await(queue:pop()))
      assert.equal("pending", state(queue:pop()))
    end)

    it("after the hand-over, in the same job, comes too late", function()
      local queue = tide.queue()
      local got
      local group
      local promise = tide.group(function(g)
        group = g
        got = await(queue:pop())
        await(tide.sleep(1000))
      end)
      await(tide.yield())
      queue:push("item")
      group:cancel("stop")
      assert.equal("stop", failure(promise))
      assert.equal("item", got)
    end)
  end)

  it("keeps nothing of what went through it", function()
    local queue = tide.queue(4)
    local function churn()
      for i = 1, scale(20000) do
        queue:push({ i })
        await(queue:pop())
      end
      leak.collect()
      return collectgarbage("count")
    end
    churn()
    local before = churn()
    assert.is_true(churn() < before + 64)
  end)
end)

-- Random life: functions that wait in all the ways there are, and aborts and cancellations at
-- random moments, now and then in the very job that hands something over.
local Chaos = {}
Chaos.__index = Chaos

local function new_chaos(seed)
  return setmetatable({ random = new_random(seed), stops = {} }, Chaos)
end

function Chaos:chance(percent)
  return self.random(100) <= percent
end

function Chaos:pause()
  local kind = self.random(4)
  if kind == 1 then
    await(nil)
  elseif kind == 2 then
    await(tide.yield())
  elseif kind == 3 then
    await(Promise.resolve():next(function() end))
  end
end

function Chaos:strike()
  if #self.stops > 0 then
    table.remove(self.stops, self.random(#self.stops))()
  end
end

-- Calls f(options) and lets it end in one of many ways; true if it did what it is for.
function Chaos:disturb(f)
  local kind = self.random(5)
  if kind == 1 then
    return pcall(f)
  elseif kind == 2 then
    local controller = tide.AbortController()
    table.insert(self.stops, function()
      controller:abort("aborted")
    end)
    return pcall(f, { signal = controller.signal })
  elseif kind == 3 then
    return pcall(await, tide.move_on_after(self.random(2), f))
  end
  local promise = tide.group(function(g)
    table.insert(self.stops, function()
      g:cancel("cancelled")
    end)
    if kind == 4 then
      return f()
    end
    await(g:spawn(f))
  end)
  return pcall(await, promise)
end

-- Runs the actors, and strikes until they are done.
function Chaos:run(actors)
  local left = #actors
  for _, actor in ipairs(actors) do
    spawn(actor):finally(function()
      left = left - 1
    end)
  end
  while left > 0 do
    self:pause()
    await(tide.yield())
    if self:chance(60) then
      self:strike()
    end
  end
end

describe("under random cancellation", function()
  after_each(leak.check)

  local ROUNDS = scale(300)

  it("no permit is lost and none is made", function()
    for seed = FIRST_SEED, FIRST_SEED + ROUNDS do
      local chaos = new_chaos(seed)
      local n = chaos.random(3)
      local semaphore, held, entered = tide.semaphore(n), 0, 0
      local function work(options)
        local permit <close> = await(semaphore:acquire(options))
        held, entered = held + 1, entered + 1
        local _ <close> = setmetatable({}, { __close = function()
          held = held - 1
          if chaos:chance(30) then
            chaos:strike()
          end
          if chaos:chance(30) then
            permit:release()
            chaos:strike()
          end
        end })
        assert(held <= n, "seed " .. seed)
        chaos:pause()
      end
      local actors = {}
      for i = 1, 8 do
        actors[i] = function()
          for _ = 1, 3 do
            chaos:pause()
            chaos:disturb(work)
          end
        end
      end
      chaos:run(actors)
      assert.equal(0, held, "seed " .. seed)
      assert.is_true(entered > 0, "seed " .. seed)
      check_free(semaphore, n)
    end
  end)

  it("every item that was pushed is popped once, in order, and no other", function()
    for seed = FIRST_SEED, FIRST_SEED + ROUNDS do
      local chaos = new_chaos(seed)
      local queue = tide.queue(chaos.random(0, 3))
      local pushed, popped, last, number = {}, {}, 0, 0
      local function push(options)
        number = number + 1
        local item = number
        local promise = queue:push(item, options)
        if chaos:chance(20) then
          chaos:strike()
        end
        local ok, err = pcall(await, promise)
        -- A strike in this job may have interrupted the await, not the push.
        if promise:state() == "fulfilled" then
          pushed[item] = true
        end
        if not ok then
          error(err, 0)
        end
      end
      local function pop(options)
        local item = await(queue:pop(options))
        if item then
          assert(item > last, "seed " .. seed)
          popped[item] = true
          last = item
        end
        if chaos:chance(20) then
          chaos:strike()
        end
        chaos:pause()
      end
      local actors = {}
      for i = 1, 8 do
        actors[i] = function()
          for _ = 1, 4 do
            chaos:pause()
            chaos:disturb(i % 2 == 0 and push or pop)
          end
        end
      end
      -- Whoever waits in vain at the end is let go.
      spawn(function()
        for _ = 1, 400 do
          await(tide.yield())
        end
        queue:close()
      end)
      chaos:run(actors)
      for item in queue do
        assert(item > last, "seed " .. seed)
        popped[item] = true
        last = item
      end
      assert.same(pushed, popped, "seed " .. seed)
    end
  end)
end)
