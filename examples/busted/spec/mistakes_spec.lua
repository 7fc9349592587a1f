-- Every one of these tests would pass without the helper: nobody looks any more.
local tide = require "moontide"
local retry = require "retry"
local timeout = require("moontide.busted").timeout

local async, await, sleep = tide.async, tide.await, tide.sleep

local save = async(function(value)
  await(nil)
  if not value then
    error "nothing to save"
  end
end)

describe("mistakes", function()
  it("forgets to await, and misses the error", function()
    save(nil) -- moontide: ignore T101
  end)

  it("forgets to stop what it has started", function()
    local ticks = 0
    tide.set_interval(function()
      ticks = ticks + 1
    end, 10)
    await(sleep(25))
    assert.is_true(ticks > 0)
  end)

  it("ends before what it tests does", function()
    retry(function() -- moontide: ignore T101
      return sleep(1000)
    end, { attempts = 1, pause = 1 })
  end)

  it("waits for too long", function()
    timeout(50)
    await(retry(function()
      return tide.Promise.reject("down")
    end, { attempts = 20, pause = 10 }))
  end)
end)
