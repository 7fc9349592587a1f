-- Of: testing, loop/clock
local leak = require "spec.support.leak"
local tide = require "moontide"
local testing = require "moontide.testing"

local await, sleep, spawn = tide.await, tide.sleep, tide.spawn

describe("testing.clock", function()
  after_each(leak.check)

  it("lets an hour pass in no time, in the order of real time", function()
    local clock <close> = testing.clock()
    local started, log = os.clock(), {}
    for _, ms in ipairs({ 3600000, 5, 1000, 1 }) do
      spawn(function()
        await(sleep(ms))
        log[#log + 1] = ms
      end)
    end
    await(sleep(3600001))
    assert.same({ 1, 5, 1000, 3600000 }, log)
    assert.equal(3600001, math.floor(clock:elapsed() + 0.5))
    assert.is_true(os.clock() - started < 10)
  end)

  it("stands still while anything can go on", function()
    local clock <close> = testing.clock()
    for _ = 1, 100 do
      await(nil)
      await(tide.yield())
    end
    assert.equal(0, clock:elapsed())
  end)

  it("waits for I/O in real time rather than jump over it", function()
    local clock <close> = testing.clock()
    local timer <close> = tide.set_timeout(function() end, 1000)
    await(require("moontide.fs").stat("."))
    assert.equal(0, clock:elapsed())
    timer:close()
  end)

  it("does not jump when told not to, and then a sleeper alone is a deadlock", function()
    local clock <close> = testing.clock({ autojump = false })
    local p = sleep(5)
    local ok, err = pcall(await, p)
    assert.is_false(ok)
    assert.equal("DeadlockError", err.name)
    await(clock:advance(5))
    assert.equal("fulfilled", (p:state()))
  end)

  it("advances from timer to timer, each at its time", function()
    local clock <close> = testing.clock({ autojump = false })
    local log = {}
    local interval <close> = tide.set_interval(function()
      log[#log + 1] = math.floor(clock:elapsed() + 0.5)
    end, 10)
    await(clock:advance(35))
    assert.same({ 10, 20, 30 }, log)
    await(clock:advance(5))
    assert.same({ 10, 20, 30, 40 }, log)
    interval:close()
  end)

  it("gives real time back when it is closed, in the middle of a turn too", function()
    do
      local _ <close> = testing.clock()
      await(sleep(1e9))
    end
    local fired = 0
    local interval <close> = tide.set_interval(function()
      fired = fired + 1
    end, 1)
    local before = tide.now()
    await(sleep(20))
    assert.is_true(tide.now() - before >= 20)
    assert.is_true(fired >= 1 and fired <= 21, fired)
    interval:close()
  end)

  it("is one at a time", function()
    local _ <close> = testing.clock()
    assert.has_error(testing.clock, "the clock is virtual already")
  end)
end)

describe("testing.wait_all_tasks_blocked", function()
  after_each(leak.check)

  it("is fulfilled when nothing can go on without time or I/O", function()
    local log = {}
    local resolve
    spawn(function()
      for i = 1, 3 do
        await(nil)
        await(tide.yield())
        log[#log + 1] = i
      end
      local p
      p, resolve = tide.Promise.with_resolvers()
      await(p)
      log[#log + 1] = "resolved"
    end)
    local timer <close> = tide.set_timeout(function()
      log[#log + 1] = "time passed"
    end, 100)
    await(testing.wait_all_tasks_blocked())
    assert.same({ 1, 2, 3 }, log)
    resolve()
    await(testing.wait_all_tasks_blocked())
    assert.same({ 1, 2, 3, "resolved" }, log)
    timer:close()
  end)
end)

describe("testing.shuffle", function()
  after_each(function()
    testing.shuffle(nil)
    leak.check()
  end)

  local function order(seed)
    local _ <close> = testing.clock()
    testing.shuffle(seed)
    local log = {}
    for i = 1, 12 do
      tide.set_timeout(function()
        log[#log + 1] = i
      end, 5)
    end
    tide.set_timeout(function()
      log[#log + 1] = "later"
    end, 50)
    await(sleep(100))
    return table.concat(log, " ")
  end

  it("is off by default", function()
    assert.equal("1 2 3 4 5 6 7 8 9 10 11 12 later", order(nil))
  end)

  it("varies the order of timers due in the same ms by its seed, and only that", function()
    local one, two = order(1), order(2)
    assert.not_equal(one, two)
    assert.equal(one, order(1))
    assert.matches(" later$", one)
    local numbers = {}
    for number in one:gmatch("%d+") do
      numbers[#numbers + 1] = tonumber(number)
    end
    table.sort(numbers)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, numbers)
  end)
end)
