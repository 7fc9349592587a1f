local tide = require "moontide"
local fs = require "moontide.fs"
local allow_suspended = require("moontide.busted").allow_suspended
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new
local scale = require "spec.support.scale"

local await, spawn, sleep = tide.await, tide.spawn, tide.sleep
local Promise = tide.Promise

local function busy(ms)
  local stop = tide.now() + ms
  repeat until tide.now() >= stop
end

describe("run", function()
  after_each(leak.check)

  it("S40 runs microtasks, then timers", function()
    local log, lines = new_log()
    tide.set_timeout(log, 0, "timeout")
    tide.queue_microtask(log, "microtask")
    log("sync")
    tide.run()
    assert.same({ "sync", "microtask", "timeout" }, lines)
  end)

  it("S44 returns when nothing referenced is left, at once when there was nothing", function()
    tide.run()
    local fired = false
    tide.set_timeout(function()
      tide.set_timeout(function()
        fired = true
      end, 1)
    end, 1)
    tide.run()
    assert.is_true(fired)
  end)

  it("S44 waits for I/O", function()
    local done = false
    fs.stat("."):next(function()
      done = true
    end)
    tide.run()
    assert.is_true(done)
  end)

  it("S44 does not wait for a promise that nothing can settle", function()
    allow_suspended()
    spawn(function()
      await((Promise.with_resolvers()))
    end)
    tide.run()
  end)

  it("returns no values without main", function()
    assert.equal(0, select("#", tide.run()))
  end)

  it("calls main as an async function, with arguments, and returns its values", function()
    local got = table.pack(tide.run(function(...)
      await(sleep(1))
      return select("#", ...), ...
    end, 1, nil, 3, nil))
    assert.same({ 4, 1, nil, 3, nil, n = 5 }, got)
  end)

  it("returns nothing when main returns nothing, and adopts a promise it returns", function()
    assert.equal(0, select("#", tide.run(function() end)))
    assert.equal("late", tide.run(function()
      return sleep(1):next(function()
        return "late"
      end)
    end))
  end)

  it("runs what main has left behind before it returns", function()
    local log, lines = new_log()
    log(tide.run(function()
      tide.set_timeout(log, 5, "timer")
      tide.queue_microtask(log, "microtask")
      return "main"
    end))
    assert.same({ "microtask", "timer", "main" }, lines)
  end)

  it("S46 raises main's error unchanged, and at once", function()
    local reason, fired = {}, false
    local ok, err = pcall(tide.run, function()
      local timer = tide.set_timeout(function()
        fired = true
      end, 5)
      assert.is_not_nil(timer)
      await(nil)
      error(reason)
    end)
    assert.is_false(ok)
    assert.equal(reason, err)
    assert.is_false(fired)
    tide.run()
    assert.is_true(fired)
  end)

  it("S46 raises what main throws before its first await, nil too", function()
    local ok, err = pcall(tide.run, function()
      error(nil)
    end)
    assert.is_false(ok)
    assert.is_nil(err)
  end)

  it("raises a DeadlockError when main waits and nothing is left", function()
    local ok, err = pcall(tide.run, function()
      await((Promise.with_resolvers()))
    end)
    assert.is_false(ok)
    assert.equal("DeadlockError", err.name)
    assert.equal("string", type(err.message))
    assert.equal("DeadlockError: " .. err.message, tostring(err))
  end)

  it("raises a DeadlockError though an unref'd timer could go on", function()
    local handle = tide.set_timeout(function() end, 100000)
    handle:unref()
    local ok, err = pcall(tide.run, function()
      await((Promise.with_resolvers()))
    end)
    handle:close()
    assert.is_false(ok)
    assert.equal("DeadlockError", err.name)
  end)

  it("is not re-entrant: in a callback", function()
    local count = 0
    local function try()
      local ok, err = pcall(tide.run)
      assert.is_false(ok)
      assert.matches("run is not re%-entrant", err)
      count = count + 1
    end
    tide.set_timeout(try, 1)
    tide.queue_microtask(try)
    tide.set_immediate(try)
    Promise.resolve():next(try)
    tide.run()
    assert.equal(4, count)
  end)

  it("is not re-entrant: in an async function", function()
    local count = 0
    local function try()
      local ok, err = pcall(tide.run)
      assert.is_false(ok)
      assert.matches("run [^\n]+", err)
      count = count + 1
    end
    spawn(try)
    spawn(function()
      await(nil)
      try()
    end)
    tide.run(try)
    assert.equal(3, count)
  end)

  it("is not re-entrant in a coroutine of the user's either", function()
    tide.run(function()
      local ok, err = coroutine.resume(coroutine.create(tide.run))
      assert.is_false(ok)
      assert.matches("run [^\n]+", tostring(err))
    end)
  end)

  it("can be run again and again", function()
    for i = 1, 5 do
      assert.equal(i, tide.run(function()
        await(sleep(1))
        return i
      end))
    end
  end)

  it("can be run in a coroutine where the loop is not running", function()
    local co = coroutine.wrap(function()
      return tide.run(function()
        await(sleep(1))
        return "v"
      end)
    end)
    assert.equal("v", co())
  end)
end)

describe("a turn", function()
  after_each(leak.check)

  it("S41 drains the microtasks that microtasks queue before the next macrotask", function()
    local log, lines = new_log()
    local function chain(n)
      if n > 0 then
        tide.queue_microtask(chain, n - 1)
      else
        log("drained")
      end
    end
    tide.set_timeout(function()
      log("timer 1")
      chain(50)
    end, 1)
    tide.set_timeout(log, 1, "timer 2")
    tide.set_immediate(function()
      log("immediate 1")
      chain(50)
    end)
    tide.set_immediate(log, "immediate 2")
    busy(5)
    tide.run()
    assert.same({
      "timer 1",
      "drained",
      "timer 2",
      "immediate 1",
      "drained",
      "immediate 2",
    }, lines)
  end)

  it("S41 drains the microtasks between two completions of I/O", function()
    local log, lines = new_log()
    for i = 1, 2 do
      fs.stat("."):next(function()
        log("io", i)
        tide.queue_microtask(log, "micro", i)
      end)
    end
    -- Both are complete by the time that the loop looks.
    busy(50)
    tide.run()
    assert.equal(4, #lines)
    assert.matches("^io", lines[1])
    assert.equal((lines[1]:gsub("io", "micro")), lines[2])
    assert.matches("^io", lines[3])
  end)

  it("S43 runs immediates after I/O of the same turn", function()
    local log, lines = new_log()
    await(fs.stat("."))
    tide.set_timeout(log, 1, "timer")
    tide.set_immediate(log, "immediate")
    busy(5)
    tide.run()
    assert.same({ "immediate", "timer" }, lines)
  end)

  it("S45 is starved by microtasks that queue microtasks", function()
    local fired, count = false, 0
    tide.set_timeout(function()
      fired = true
    end, 1)
    tide.set_immediate(function()
      fired = true
    end)
    local stop = tide.now() + 30
    local function again()
      count = count + 1
      assert.is_false(fired)
      if tide.now() < stop then
        tide.queue_microtask(again)
      end
    end
    tide.queue_microtask(again)
    tide.run()
    assert.is_true(count > 1)
    assert.is_true(fired)
  end)

  it("S45 is starved by an async function that awaits settled promises", function()
    local fired = false
    tide.set_timeout(function()
      fired = true
    end, 1)
    await(spawn(function()
      local stop = tide.now() + 30
      while tide.now() < stop do
        await(Promise.resolve())
        assert.is_false(fired)
      end
      await(tide.yield())
      assert.is_true(fired)
    end))
  end)

  it("S41 drains a long queue in order", function()
    local count, last = scale(100000), 0
    for i = 1, count do
      tide.queue_microtask(function(n)
        assert.equal(last + 1, n)
        last = n
      end, i)
    end
    tide.run()
    assert.equal(count, last)
  end)
end)

describe("queue_microtask", function()
  after_each(leak.check)

  it("S41 hands on its arguments, nils among them", function()
    local got
    tide.queue_microtask(function(...)
      got = table.pack(...)
    end, 1, nil, 3, nil)
    assert.is_nil(got)
    tide.run()
    assert.same({ 1, nil, 3, nil, n = 4 }, got)
  end)

  it("S41 runs in order, whatever is queued in between", function()
    local log, lines = new_log()
    tide.queue_microtask(log, 1)
    Promise.resolve():next(function()
      log(2)
    end)
    tide.queue_microtask(log, 3)
    tide.run()
    assert.same({ "1", "2", "3" }, lines)
  end)

  it("lets go of function and arguments", function()
    tide.queue_microtask(leak.track(function() end, "function"), leak.track({}, "argument"))
  end)
end)

describe("an error in a callback", function()
  after_each(leak.check)

  local starters = {
    ["a timer"] = function(f)
      tide.set_timeout(f, 1)
    end,
    ["an immediate"] = function(f)
      tide.set_immediate(f)
    end,
    ["a microtask"] = function(f)
      tide.queue_microtask(f)
    end,
  }

  for name, start in pairs(starters) do
    it("S46 comes out of run unchanged, and nothing else is lost: " .. name, function()
      local log, lines = new_log()
      local reason = {}
      start(function()
        log("before")
      end)
      start(function()
        tide.queue_microtask(log, "queued by the one that throws")
        error(reason)
      end)
      start(function()
        log("after")
      end)
      tide.set_timeout(log, 20, "later timer")
      busy(5)
      local ok, err = pcall(tide.run)
      assert.is_false(ok)
      assert.is_true(rawequal(reason, err))
      assert.same({ "before" }, lines)
      tide.run()
      table.sort(lines)
      assert.same({ "after", "before", "later timer", "queued by the one that throws" }, lines)
    end)

    it("S46 comes out of run with any type, nil too: " .. name, function()
      local reasons = table.pack(nil, false, 7, "text", print)
      for i = 1, reasons.n do
        start(function()
          error(reasons[i], 0)
        end)
        local ok, err = pcall(tide.run)
        assert.is_false(ok)
        assert.is_true(rawequal(reasons[i], err))
      end
    end)

    it("S46 comes out of step and of a top-level await: " .. name, function()
      start(function()
        error("in step", 0)
      end)
      busy(5)
      local ok, err = pcall(tide.step)
      assert.is_false(ok)
      assert.equal("in step", err)
      start(function()
        error("in await", 0)
      end)
      ok, err = pcall(await, sleep(20))
      assert.is_false(ok)
      assert.equal("in await", err)
      tide.run()
    end)
  end

  it("S46 in one of two timers leaves the other for the next run, in order", function()
    local log, lines = new_log()
    tide.set_timeout(error, 1, "first", 0)
    tide.set_timeout(log, 1, "second")
    tide.set_immediate(log, "immediate")
    busy(5)
    assert.is_false(pcall(tide.run))
    assert.same({}, lines)
    tide.run()
    assert.same({ "second", "immediate" }, lines)
  end)

  it("S46 in a top-level await does not end a later run, or await, before its time", function()
    tide.set_timeout(error, 1, "in between", 0)
    local p = sleep(10):next(function()
      return "v"
    end)
    assert.is_false(pcall(await, p))
    local log, lines = new_log()
    tide.set_timeout(log, 40, "timer")
    tide.run()
    assert.same({ "timer" }, lines)
    assert.equal("v", await(p))
  end)

  it("S46 keeps the position that error() gave it", function()
    tide.set_timeout(function()
      error("here")
    end, 1)
    local _, err = pcall(tide.run)
    assert.matches("^[^\n]*loop_spec%.lua:%d+: here$", err)
  end)
end)

describe("stop", function()
  after_each(leak.check)

  it("makes run return, and run goes on later where it left", function()
    local log, lines = new_log()
    tide.set_timeout(function()
      log("timer 1")
      tide.stop()
    end, 1)
    tide.set_timeout(log, 30, "timer 2")
    tide.run()
    assert.same({ "timer 1" }, lines)
    assert.is_true(tide.alive())
    tide.run()
    assert.same({ "timer 1", "timer 2" }, lines)
  end)

  it("lets the microtasks that are queued go first, and those that they queue", function()
    local log, lines = new_log()
    tide.set_timeout(function()
      tide.queue_microtask(function()
        log("microtask 1")
        tide.queue_microtask(log, "microtask 2")
      end)
      tide.stop()
      tide.set_immediate(log, "immediate")
      log("timer")
    end, 1)
    tide.run()
    assert.same({ "timer", "microtask 1", "microtask 2" }, lines)
    tide.run()
    assert.same({ "timer", "microtask 1", "microtask 2", "immediate" }, lines)
  end)
end)

describe("a host with its own loop", function()
  after_each(leak.check)

  it("asks alive whether anything referenced is left", function()
    assert.is_false(tide.alive())
    local timer = tide.set_timeout(function() end, 10000)
    assert.is_true(tide.alive())
    timer:unref()
    assert.is_false(tide.alive())
    timer:close()
    tide.queue_microtask(function() end)
    assert.is_true(tide.alive())
    tide.run()
    tide.set_immediate(function() end)
    assert.is_true(tide.alive())
    tide.run()
    local p = fs.stat(".")
    assert.is_true(tide.alive())
    await(p)
    assert.is_false(tide.alive())
  end)

  it("takes one turn with step, which tells whether anything is left", function()
    local log, lines = new_log()
    tide.set_immediate(function()
      log("a")
      tide.set_immediate(log, "b")
    end)
    assert.is_true(tide.step())
    assert.same({ "a" }, lines)
    assert.is_false(tide.step())
    assert.same({ "a", "b" }, lines)
    assert.is_false(tide.step())
  end)

  it("does not block in step without a time", function()
    local timer = tide.set_timeout(function() end, 60000)
    local start = tide.now()
    for _ = 1, 300 do
      assert.is_true(tide.step())
      assert.is_true(tide.step(0))
    end
    assert.is_true(tide.now() - start < 30000)
    timer:close()
    assert.is_false(tide.step())
  end)

  it("blocks in step for as long as it says, unless there is something to do", function()
    local timer = tide.set_timeout(function() end, 60000)
    local start = tide.now()
    assert.is_true(tide.step(20))
    local took = tide.now() - start
    assert.is_true(took >= 19 and took < 30000, ("%g ms"):format(took))
    timer:close()
    local fired = false
    tide.set_timeout(function()
      fired = true
    end, 5)
    start = tide.now()
    while tide.step(60000) do
      assert.is_true(tide.now() - start < 30000)
    end
    assert.is_true(fired)
  end)

  it("is not re-entrant in step", function()
    local message
    tide.set_timeout(function()
      message = select(2, pcall(tide.step))
    end, 1)
    tide.run()
    assert.matches("not re%-entrant", tostring(message))
  end)

  it("drives everything with step alone", function()
    local p = spawn(function()
      await(sleep(1))
      local info = await(fs.stat("."))
      await(tide.yield())
      return info.type
    end)
    while tide.step(1000) do
      assert.equal("pending", p:state())
    end
    assert.same({ "fulfilled", "directory", n = 2 }, table.pack(p:state()))
  end)

  it("learns from backend_timeout how long it may wait", function()
    assert.equal(-1, tide.backend_timeout())
    local timer = tide.set_timeout(function() end, 5000)
    local ms = tide.backend_timeout()
    assert.is_true(ms > 0 and ms <= 5000, tostring(ms))
    local sooner = tide.set_timeout(function() end, 1)
    busy(5)
    assert.equal(0, tide.backend_timeout())
    sooner:close()
    timer:close()
    assert.equal(-1, tide.backend_timeout())
    tide.set_immediate(function() end)
    assert.equal(0, tide.backend_timeout())
    tide.run()
    tide.queue_microtask(function() end)
    assert.equal(0, tide.backend_timeout())
    tide.run()
  end)

  it("gets one file descriptor to poll", function()
    local fd = tide.backend_fd()
    assert.equal("integer", math.type(fd))
    assert.is_true(fd >= 0)
    assert.equal(fd, tide.backend_fd())
  end)
end)
