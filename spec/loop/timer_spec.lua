local testing = require "moontide.testing"
local tide = require "moontide"
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new
local scale = require "spec.support.scale"

local await, sleep = tide.await, tide.sleep
local Promise = tide.Promise

local function busy(ms)
  local stop = tide.now() + ms
  repeat until tide.now() >= stop
end

describe("set_timeout", function()
  after_each(leak.check)

  it("S42 calls once, with its arguments, nils among them", function()
    local calls = {}
    tide.set_timeout(function(...)
      calls[#calls + 1] = table.pack(...)
    end, 1, "a", nil, "c", nil)
    tide.set_timeout(function(...)
      calls[#calls + 1] = table.pack(...)
    end, 1)
    tide.run()
    assert.same({ { "a", nil, "c", nil, n = 4 }, { n = 0 } }, calls)
  end)

  it("S42 fires by due time, then by creation", function()
    local log, lines = new_log()
    for i, ms in ipairs({ 60, 30, 1, 60, 30, 1 }) do
      tide.set_timeout(log, ms, ms, i)
    end
    tide.run()
    assert.same({ "1 3", "1 6", "30 2", "30 5", "60 1", "60 4" }, lines)
  end)

  it("S42 fires by due time when all are due already", function()
    local log, lines = new_log()
    for i, ms in ipairs({ 90, 30, 60, 30, 90, 1 }) do
      tide.set_timeout(log, ms, ms, i)
    end
    busy(120)
    tide.run()
    assert.same({ "1 6", "30 2", "30 4", "60 3", "90 1", "90 5" }, lines)
  end)

  it("S42 keeps the order of creation among many of the same length", function()
    local seen = {}
    local count = scale(20000)
    for i = 1, count do
      tide.set_timeout(function()
        seen[#seen + 1] = i
      end, 1)
    end
    tide.run()
    assert.equal(count, #seen)
    for i = 1, count do
      assert.equal(i, seen[i])
    end
  end)

  it("S42 keeps due order among many of different lengths, and with many cleared", function()
    local last, fired, kept = 0, 0, 0
    local handles = {}
    local clock <close> = testing.clock({ autojump = false }) -- however long the loop takes
    -- A fixed sequence that looks random: neighbours differ, and lengths repeat.
    for i = 1, 2000 do
      local ms = 1 + i * 7919 % 5 * 50
      handles[i] = tide.set_timeout(function()
        assert.is_true(ms >= last)
        last = ms
        fired = fired + 1
      end, ms)
    end
    for i = 1, 2000 do
      if i * 31 % 7 < 3 then
        tide.clear_timeout(handles[i])
      else
        kept = kept + 1
      end
    end
    tide.await(clock:advance(260))
    assert.equal(kept, fired)
  end)

  it("S42 is never early", function()
    for ms = 1, 12 do
      local start, late = tide.now(), nil
      tide.set_timeout(function()
        late = tide.now() - start
      end, ms)
      tide.run()
      assert.is_true(late >= ms, ("%g ms after a timeout of %d"):format(late, ms))
    end
  end)

  it("S42 is never early when the callback before took long", function()
    local late
    tide.set_timeout(function()
      busy(15)
      local start = tide.now()
      tide.set_timeout(function()
        late = tide.now() - start
      end, 10)
    end, 1)
    tide.run()
    assert.is_true(late >= 10)
  end)

  it("S42 takes fractions of a millisecond, and is not early by one", function()
    local start, late = tide.now(), nil
    tide.set_timeout(function()
      late = tide.now() - start
    end, 2.5)
    tide.run()
    assert.is_true(late >= 2.5)
  end)

  it("S42 fires for zero, negative and NaN without waiting for ever", function()
    local log, lines = new_log()
    for _, ms in ipairs({ 0, -1, -1e300, math.mininteger, 0 / 0, -math.huge, 0.25 }) do
      tide.set_timeout(log, ms, "fired")
    end
    tide.run()
    assert.equal(7, #lines)
  end)

  it("S42 accepts a length that no clock reaches, to be cleared", function()
    for _, ms in ipairs({ 1e300, math.maxinteger }) do
      tide.clear_timeout(tide.set_timeout(function() end, ms))
    end
    tide.run()
  end)

  it("S42 lets a timer that a timer starts wait for the next turn", function()
    local log, lines = new_log()
    tide.set_timeout(function()
      log("timer")
      tide.set_timeout(log, 0, "nested")
      tide.set_immediate(log, "immediate")
      busy(5)
    end, 1)
    tide.run()
    assert.same({ "timer", "immediate", "nested" }, lines)
  end)

  it("S42 prevents one that is due but has not run, when it is cleared", function()
    local log, lines = new_log()
    local second
    tide.set_timeout(function()
      log("first")
      tide.clear_timeout(second)
    end, 1)
    second = tide.set_timeout(log, 1, "second")
    tide.set_timeout(log, 1, "third")
    busy(5)
    tide.run()
    assert.same({ "first", "third" }, lines)
  end)

  it("S42 can be cleared early, late, twice, from inside, and nil is ignored", function()
    local count = 0
    local handle
    handle = tide.set_timeout(function()
      count = count + 1
      tide.clear_timeout(handle)
    end, 1)
    tide.run()
    tide.clear_timeout(handle)
    tide.clear_timeout(handle)
    local cleared = tide.set_timeout(error, 1)
    tide.clear_timeout(cleared)
    tide.clear_timeout(cleared)
    tide.clear_timeout(nil)
    tide.clear_interval(nil)
    tide.clear_immediate(nil)
    tide.run()
    assert.equal(1, count)
  end)

  it("fires though nobody holds its handle", function()
    local fired = false
    tide.set_timeout(function()
      fired = true
    end, 1)
    leak.collect()
    tide.run()
    assert.is_true(fired)
  end)

  it("lets go of callback and arguments once it has fired or was cleared", function()
    local function start(name, ms)
      local callback = leak.track(function() end, name)
      return tide.set_timeout(callback, ms, leak.track({}, "argument of " .. name))
    end
    local fired, cleared = start("fired", 1), start("cleared", 1000)
    tide.clear_timeout(cleared)
    tide.run()
    leak.check()
    assert.is_not_nil(fired)
    assert.is_not_nil(cleared)
  end)

  it("lets go of its handle", function()
    leak.track(tide.set_timeout(function() end, 1), "fired handle")
    tide.clear_timeout(leak.track(tide.set_timeout(function() end, 1000), "cleared handle"))
  end)

  it("accepts a callable object", function()
    local called
    tide.set_timeout(setmetatable({}, {
      __call = function(_, v)
        called = v
      end,
    }), 1, "v")
    tide.run()
    assert.equal("v", called)
  end)
end)

describe("set_interval", function()
  after_each(leak.check)

  it("S42 repeats with its arguments until it is cleared from inside", function()
    local calls = {}
    local handle
    handle = tide.set_interval(function(...)
      calls[#calls + 1] = table.pack(...)
      if #calls == 3 then
        tide.clear_interval(handle)
      end
    end, 1, "a", nil)
    tide.run()
    local args = { "a", nil, n = 2 }
    assert.same({ args, args, args }, calls)
  end)

  it("S42 is re-armed after its callback: a timeout set inside comes first", function()
    local log, lines = new_log()
    local handle
    local count = 0
    handle = tide.set_interval(function()
      count = count + 1
      log("interval", count)
      if count == 2 then
        return tide.clear_interval(handle)
      end
      tide.set_timeout(log, 5, "timeout")
    end, 5)
    tide.run()
    assert.same({ "interval 1", "timeout", "interval 2" }, lines)
  end)

  it("S42 leaves at least its length between a callback and the next", function()
    local handle, last
    local gaps = {}
    handle = tide.set_interval(function()
      if last then
        gaps[#gaps + 1] = tide.now() - last
      end
      if #gaps == 3 then
        tide.clear_interval(handle)
      end
      busy(3)
      last = tide.now()
    end, 5)
    tide.run()
    for _, gap in ipairs(gaps) do
      assert.is_true(gap >= 5, ("%g ms"):format(gap))
    end
  end)

  it("S42 does not catch up on what it missed", function()
    local count = 0
    local handle = tide.set_interval(function()
      count = count + 1
    end, 2)
    busy(40)
    tide.set_immediate(function()
      tide.clear_interval(handle)
    end)
    tide.run()
    assert.equal(1, count)
  end)

  it("S46 goes on after a callback of it has thrown", function()
    local count, handle = 0, nil
    handle = tide.set_interval(function()
      count = count + 1
      if count == 1 then
        error("first", 0)
      end
      tide.clear_interval(handle)
    end, 1)
    local ok, err = pcall(tide.run)
    assert.is_false(ok)
    assert.equal("first", err)
    tide.run()
    assert.equal(2, count)
  end)

  it("lets go of everything when it is cleared", function()
    local handle
    handle = tide.set_interval(leak.track(function()
      tide.clear_interval(handle)
    end, "callback"), 1, leak.track({}, "argument"))
    leak.track(handle, "handle")
  end)
end)

describe("handles of timers and immediates", function()
  after_each(leak.check)

  local makers = {
    set_timeout = function(f)
      return tide.set_timeout(f, 1)
    end,
    set_interval = function(f)
      return tide.set_interval(f, 1)
    end,
    set_immediate = function(f)
      return tide.set_immediate(f)
    end,
  }

  for name, make in pairs(makers) do
    it("S44 do not hold the loop when they are unref'd: " .. name, function()
      local fired = false
      local handle = make(function()
        fired = true
      end)
      handle:unref()
      assert.is_false(tide.alive())
      tide.run()
      assert.is_false(fired)
      handle:ref()
      assert.is_true(tide.alive())
      handle:unref()
      handle:unref()
      assert.is_false(tide.alive())
      handle:close()
    end)

    it("S44 can be closed, twice too, and used after that: " .. name, function()
      local fired = false
      local handle = make(function()
        fired = true
      end)
      handle:close()
      handle:close()
      handle:unref()
      handle:ref()
      assert.is_false(tide.alive())
      tide.run()
      assert.is_false(fired)
    end)

    it("S44 are closed at the end of a <close> variable's scope: " .. name, function()
      local fired = 0
      do
        local _ <close> = make(function()
          fired = fired + 1
        end)
        assert.is_true(tide.alive())
      end
      assert.is_false(tide.alive())
      tide.run()
      assert.equal(0, fired)
    end)

    it("have a readable tostring: " .. name, function()
      local handle <close> = make(function() end)
      assert.equal("string", type(tostring(handle)))
    end)
  end

  it("S44 fire when they are unref'd but something else holds the loop", function()
    local fired = false
    tide.set_timeout(function()
      fired = true
    end, 1):unref()
    await(sleep(20))
    assert.is_true(fired)
  end)

  it("S44 stay unref'd from one callback of an interval to the next", function()
    local count = 0
    local handle = tide.set_interval(function()
      count = count + 1
    end, 1)
    handle:unref()
    await(sleep(30))
    assert.is_true(count > 1)
    assert.is_false(tide.alive())
    tide.run()
    handle:close()
  end)
end)

describe("sleep", function()
  after_each(leak.check)

  it("S05 is a promise that is fulfilled with nothing", function()
    local p = sleep(1)
    assert.equal("pending", p:state())
    assert.equal(0, select("#", await(p)))
    assert.same({ "fulfilled", n = 1 }, table.pack(p:state()))
  end)

  it("S42 is never short", function()
    for _, ms in ipairs({ 1, 2, 5, 10.5, 17 }) do
      local start = tide.now()
      await(sleep(ms))
      local slept = tide.now() - start
      assert.is_true(slept >= ms, ("%g ms for sleep(%g)"):format(slept, ms))
    end
  end)

  it("S42 ends for zero, negative and NaN", function()
    tide.join(sleep(0), sleep(-5), sleep(0 / 0))
  end)

  it("S42 wakes many by the time they sleep, then by creation", function()
    local log, lines = new_log()
    local list = {}
    for i = 1, 6 do
      local ms = i % 2 == 0 and 1 or 40
      list[i] = sleep(ms):next(function()
        log(ms, i)
      end)
    end
    await(Promise.all(list))
    assert.same({ "1 2", "1 4", "1 6", "40 1", "40 3", "40 5" }, lines)
  end)

  it("S44 holds the loop though nobody holds its promise", function()
    local start = tide.now()
    sleep(20)
    tide.run()
    assert.is_true(tide.now() - start >= 20)
  end)

  it("lets go of its promise", function()
    leak.track(sleep(1), "promise")
  end)
end)

describe("yield", function()
  after_each(leak.check)

  it("S45 is a promise that lets a whole turn pass: microtasks, timers and I/O", function()
    local log, lines = new_log()
    tide.set_timeout(log, 1, "timer")
    tide.set_immediate(log, "immediate")
    tide.queue_microtask(log, "microtask")
    busy(5)
    assert.equal(0, select("#", await(tide.yield())))
    log("after")
    assert.same({ "microtask", "timer", "immediate", "after" }, lines)
  end)

  it("S45 lets timers in during long work", function()
    local fired = 0
    local handle = tide.set_interval(function()
      fired = fired + 1
    end, 1)
    await(tide.spawn(function()
      local stop = tide.now() + 40
      repeat
        busy(2)
        await(tide.yield())
      until tide.now() > stop
    end))
    handle:close()
    assert.is_true(fired > 1)
  end)

  it("S45 ends though there is nothing else to do", function()
    for _ = 1, 10 do
      await(tide.yield())
    end
  end)
end)

describe("now", function()
  after_each(leak.check)

  it("never goes back, and has fractions of a millisecond", function()
    local last, fraction = tide.now(), false
    for _ = 1, 1000 do
      local now = tide.now()
      assert.is_true(now >= last)
      fraction = fraction or now ~= math.floor(now)
      last = now
    end
    assert.is_true(fraction)
  end)

  it("goes on while no turn of the loop passes", function()
    local start = tide.now()
    local clock = os.clock()
    repeat until os.clock() - clock > 0.01
    assert.is_true(tide.now() > start)
  end)
end)
