local tide = require "moontide"
local fs = require "moontide.fs"
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new

local await, spawn, sleep = tide.await, tide.spawn, tide.sleep
local Promise = tide.Promise

describe("an unhandled rejection by default", function()
  after_each(leak.check)

  it("S47 is raised by run, unchanged", function()
    local reasons = table.pack({}, nil, false, 7, "text")
    for i = 1, reasons.n do
      Promise.reject(reasons[i])
      local ok, err = pcall(tide.run)
      assert.is_false(ok)
      assert.is_true(rawequal(reasons[i], err))
      tide.run()
    end
  end)

  it("S47 is raised by run(main), whether main has returned or still waits", function()
    local ok, err = pcall(tide.run, function()
      Promise.reject("floating")
      return "main"
    end)
    assert.is_false(ok)
    assert.equal("floating", err)
    local reached = false
    ok, err = pcall(tide.run, function()
      spawn(function()
        await(nil)
        error("floating", 0)
      end)
      await(sleep(5))
      reached = true
    end)
    assert.is_false(ok)
    assert.equal("floating", err)
    assert.is_false(reached)
    tide.run()
    assert.is_true(reached)
  end)

  it("S47 is raised by step and by a top-level await", function()
    Promise.reject("in step")
    local ok, err = pcall(tide.step)
    assert.is_false(ok)
    assert.equal("in step", err)
    Promise.reject("in await")
    ok, err = pcall(await, sleep(1))
    assert.is_false(ok)
    assert.equal("in await", err)
    tide.run()
  end)

  it("S47 is raised by what runs next when the top-level await was over before", function()
    Promise.reject("floating")
    assert.equal("v", await("v"))
    local ok, err = pcall(tide.run)
    assert.is_false(ok)
    assert.equal("floating", err)
  end)

  it("S47 comes out one by one when there are several", function()
    Promise.reject("a")
    Promise.reject("b")
    local ok, err = pcall(tide.run)
    assert.is_false(ok)
    assert.equal("a", err)
    ok, err = pcall(tide.run)
    assert.is_false(ok)
    assert.equal("b", err)
    tide.run()
  end)

  it("S47 loses nothing else of the loop", function()
    local log, lines = new_log()
    tide.set_timeout(log, 1, "timer")
    tide.set_immediate(log, "immediate")
    tide.queue_microtask(log, "microtask")
    Promise.reject("floating")
    assert.is_false(pcall(tide.run))
    assert.same({ "microtask" }, lines)
    tide.run()
    table.sort(lines)
    assert.same({ "immediate", "microtask", "timer" }, lines)
  end)

  it("S47 comes of every way to reject", function()
    local ways = {
      function() Promise.reject("r") end,
      function() Promise(function(_, reject) reject("r") end) end,
      function() Promise(function() error("r", 0) end) end,
      function() spawn(error, "r", 0) end,
      function() Promise.resolve():next(function() error("r", 0) end) end,
      function() Promise.reject("r"):next(print) end,
      function() Promise.reject("r"):finally(function() end) end,
      function() Promise.all({ Promise.reject("r") }) end,
      function() Promise.race({ Promise.reject("r") }) end,
      function() Promise.try(error, "r", 0) end,
      function()
        Promise.resolve({ ["then"] = function(_, _, reject) reject("r") end })
      end,
      function() spawn(function() return Promise.reject("r") end) end,
      function() tide.promisify(function(callback) callback("r") end)() end,
    }
    for i, reject in ipairs(ways) do
      reject()
      local ok, err = pcall(tide.run)
      assert.is_false(ok, tostring(i))
      assert.equal("r", err, tostring(i))
      tide.run()
    end
    fs.stat("no/such/file")
    local ok, err = pcall(tide.run)
    assert.is_false(ok)
    assert.equal("ENOENT", err.code)
  end)

  it("S47 is none when anything handles it before the queue has drained", function()
    local handle = {
      function(p) p:catch(function() end) end,
      function(p) p:next(nil, function() end) end,
      function(p) spawn(pcall, await, p) end,
      function(p) tide.queue_microtask(function() p:catch(function() end) end) end,
      function(p) Promise.all_settled({ p }) end,
      function(p) Promise.any({ p, 1 }) end,
      function(p) Promise.race({ 1, p }) end,
      function(p) spawn(function() return p end):catch(function() end) end,
      function(p)
        spawn(function()
          for _ = 1, 20 do await(nil) end
          pcall(await, p)
        end)
      end,
    }
    for _, f in ipairs(handle) do
      f(Promise.reject("r"))
      tide.run()
    end
  end)

  it("S47 is one when the handler comes after a macrotask", function()
    local p = Promise.reject("r")
    tide.set_immediate(function()
      p:catch(function() end)
    end)
    local ok, err = pcall(tide.run)
    assert.is_false(ok)
    assert.equal("r", err)
    tide.run()
  end)

  it("S47 keeps a rejected promise until it is reported, then lets it go", function()
    do
      leak.track(Promise.reject(leak.track({}, "reason")), "promise")
    end
    leak.collect()
    local ok, err = pcall(tide.run)
    assert.is_false(ok)
    assert.equal("table", type(err))
  end)

  it("S47 is not raised twice", function()
    local p = Promise.reject("r")
    assert.is_false(pcall(tide.run))
    tide.run()
    p:catch(function() end)
    tide.run()
    assert.equal("rejected", p:state())
  end)
end)

describe("on_unhandled_rejection", function()
  after_each(function()
    tide.on_unhandled_rejection(nil)
    tide.on_rejection_handled(nil)
    leak.check()
  end)

  it("S47 decides instead: it is called with reason and promise, and run goes on", function()
    local got
    tide.on_unhandled_rejection(function(...)
      got = table.pack(...)
    end)
    local reason, ran = {}, false
    local p = Promise.reject(reason)
    tide.set_timeout(function()
      ran = true
    end, 1)
    tide.run()
    assert.equal(2, got.n)
    assert.equal(reason, got[1])
    assert.equal(p, got[2])
    assert.is_true(ran)
  end)

  it("S47 runs when the microtask queue has drained, before the next macrotask", function()
    local log, lines = new_log()
    tide.on_unhandled_rejection(function(reason)
      log("unhandled", reason)
    end)
    tide.set_immediate(log, "immediate")
    Promise.reject("r")
    tide.queue_microtask(function()
      tide.queue_microtask(log, "microtask")
    end)
    tide.run()
    assert.same({ "microtask", "unhandled r", "immediate" }, lines)
  end)

  it("S47 gets each of them, in the order they were rejected", function()
    local _, _, reject = Promise.with_resolvers()
    local reasons = {}
    tide.on_unhandled_rejection(function(reason)
      reasons[#reasons + 1] = reason
    end)
    spawn(function()
      await(nil)
      error("third", 0)
    end)
    Promise.reject("first")
    reject("second")
    tide.run()
    assert.same({ "first", "second", "third" }, reasons)
  end)

  it("S47 raises what the handler throws out of run", function()
    local reason = {}
    tide.on_unhandled_rejection(function()
      error(reason)
    end)
    Promise.reject("r")
    local ok, err = pcall(tide.run)
    assert.is_false(ok)
    assert.equal(reason, err)
    tide.run()
  end)

  it("S47 looks at what the handler rejects after the microtasks that it queued", function()
    local log, lines = new_log()
    local first = true
    tide.on_unhandled_rejection(function(reason)
      log("unhandled", reason)
      if first then
        first = false
        tide.queue_microtask(log, "microtask")
        Promise.reject("of the handler")
      end
    end)
    Promise.reject("a")
    Promise.reject("b")
    tide.run()
    assert.same({
      "unhandled a",
      "unhandled b",
      "microtask",
      "unhandled of the handler",
    }, lines)
  end)

  it("S47 returns to the default with nil", function()
    tide.on_unhandled_rejection(function() end)
    tide.on_unhandled_rejection(nil)
    Promise.reject("r")
    local ok, err = pcall(tide.run)
    assert.is_false(ok)
    assert.equal("r", err)
  end)

  it("lets go of the promise and of a handler that was replaced", function()
    tide.on_unhandled_rejection(leak.track(function() end, "handler"))
    leak.track(Promise.reject("r"), "promise")
    tide.run()
  end)
end)

describe("on_rejection_handled", function()
  after_each(function()
    tide.on_unhandled_rejection(nil)
    tide.on_rejection_handled(nil)
    leak.check()
  end)

  it("S47 is called with the promise when a handler comes after the report", function()
    local log, lines = new_log()
    local promise
    tide.on_unhandled_rejection(function(reason)
      log("unhandled", reason)
    end)
    tide.on_rejection_handled(function(p)
      log("handled", p == promise)
    end)
    promise = Promise.reject("r")
    tide.run()
    promise:catch(function(reason)
      log("caught", reason)
    end)
    tide.run()
    assert.same({ "unhandled r", "caught r", "handled true" }, lines)
  end)

  it("S47 is called once, and not when the handler came in time", function()
    local count = 0
    tide.on_unhandled_rejection(function() end)
    tide.on_rejection_handled(function()
      count = count + 1
    end)
    Promise.reject("in time"):catch(function() end)
    tide.run()
    assert.equal(0, count)
    local p = Promise.reject("late")
    tide.run()
    p:catch(function() end)
    p:catch(function() end)
    tide.run()
    p:catch(function() end)
    tide.run()
    assert.equal(1, count)
  end)

  it("S47 is called for a late await", function()
    local count = 0
    tide.on_unhandled_rejection(function() end)
    tide.on_rejection_handled(function()
      count = count + 1
    end)
    local p = Promise.reject("late")
    tide.run()
    assert.is_false(pcall(await, p))
    tide.run()
    assert.equal(1, count)
  end)
end)
