-- The mistakes that survive review; examples/mistakes_s6*.lua show them to readers.
local tide = require "moontide"
local testing = require "moontide.testing"
local leak = require "spec.support.leak"

local async, await, sleep = tide.async, tide.await, tide.sleep

--- Virtual ms that f takes.
local function duration(f)
  local clock <close> = testing.clock()
  f()
  return math.floor(clock:elapsed() + 0.5)
end

describe("the mistakes that survive review:", function()
  after_each(leak.check)

  local double = async(function(x)
    await(sleep(10))
    return 2 * x
  end)

  it("S60 a forgotten await leaves a promise in place of the value", function()
    local forgotten = double(1)
    assert.equal("pending", (forgotten:state()))
    assert.has_error(function()
      return forgotten + 1
    end)
    assert.equal(2, await(forgotten))
  end)

  it("S61 independent calls awaited one by one take the sum of their times", function()
    local function one_by_one()
      return await(double(1)) + await(double(2))
    end
    local function together()
      return tide.join(double(1), double(2))
    end
    assert.equal(20, duration(one_by_one))
    assert.equal(10, duration(together))
  end)

  it("S62 an error that a handler swallows is gone; no other is", function()
    local fail = async(function()
      error("lost", 0)
    end)
    assert.is_nil(await(fail():catch(function() end)))
    local passed_on = fail():catch(function(err)
      error(err, 0)
    end)
    assert.same({ false, "lost" }, { pcall(await, passed_on) })
    fail()
    assert.same({ false, "lost" }, { pcall(tide.run) })
  end)

  it("S63 calls of async functions in a loop are not waited for, unless collected", function()
    local function each(list, f)
      for _, item in ipairs(list) do
        f(item)
      end
    end
    local done = 0
    local count = async(function(x)
      await(double(x))
      done = done + 1
    end)
    each({ 1, 2, 3 }, count)
    assert.equal(0, done)
    tide.run()
    assert.equal(3, done)
    await(tide.each({ 1, 2, 3 }, count))
    assert.equal(6, done)
  end)

  it("S64 work without a pause keeps timers from firing; yield() lets them", function()
    local function work(pause)
      local fired = 0
      local timer <close> = tide.set_timeout(function()
        fired = 1
      end, 1)
      local stop = tide.now() + 10
      await(async(function()
        while tide.now() < stop do
          if pause then
            await(tide.yield())
          end
        end
        return fired
      end)():next(function(value)
        fired = value
      end))
      timer:close()
      return fired
    end
    assert.equal(0, work(false))
    assert.equal(1, work(true))
  end)
end)
