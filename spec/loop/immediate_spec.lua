local tide = require "moontide"
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new

describe("set_immediate", function()
  after_each(leak.check)

  it("S43 calls with its arguments, nils among them", function()
    local got
    tide.set_immediate(function(...)
      got = table.pack(...)
    end, 1, nil, 3, nil)
    tide.run()
    assert.same({ 1, nil, 3, nil, n = 4 }, got)
  end)

  it("S43 runs immediates that immediates queue in the next turn", function()
    local log, lines = new_log()
    tide.set_immediate(function()
      log("a")
      tide.set_immediate(log, "c")
    end)
    tide.set_immediate(log, "b")
    tide.step()
    assert.same({ "a", "b" }, lines)
    tide.step()
    assert.same({ "a", "b", "c" }, lines)
  end)

  it("S43 does not keep timers from firing, though each queues the next", function()
    local fired, count = false, 0
    tide.set_timeout(function()
      fired = true
    end, 5)
    local function again()
      count = count + 1
      if not fired then
        tide.set_immediate(again)
      end
    end
    tide.set_immediate(again)
    tide.run()
    assert.is_true(fired)
    assert.is_true(count > 1)
  end)

  it("S43 can be cleared, before and while immediates run", function()
    local log, lines = new_log()
    local handle
    tide.clear_immediate(tide.set_immediate(log, "cleared"))
    tide.set_immediate(function()
      log("first")
      tide.clear_immediate(handle)
    end)
    handle = tide.set_immediate(log, "second")
    tide.set_immediate(log, "third")
    tide.run()
    tide.clear_immediate(handle)
    assert.same({ "first", "third" }, lines)
  end)

  it("lets go of callback, arguments and handle", function()
    leak.track(
      tide.set_immediate(leak.track(function() end, "callback"), leak.track({}, "argument")),
      "handle"
    )
    tide.clear_immediate(leak.track(tide.set_immediate(leak.track(function() end, "c")), "h"))
  end)
end)
