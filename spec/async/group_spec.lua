-- MOONTIDE_SEED=N starts the random trees with another seed, MOONTIDE_TREES=N grows more of them.
local tide = require "moontide"
local core = require "moontide.core"
local fs = require "moontide.fs"
local failure = require("spec.support.raised").failure
local raised = require("spec.support.raised").raised
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new
local new_random = require "spec.support.random"
local scale = require "spec.support.scale"
local testing = require "moontide.testing"

local await, async, sleep, spawn = tide.await, tide.async, tide.sleep, tide.spawn
local group, shield, timeout = tide.group, tide.shield, tide.timeout
local Promise = tide.Promise

local FOREVER = 100000

--- Sleeps take no time here, and what a slow machine does cannot change their order.
local function on_virtual_time()
  local clock
  before_each(function()
    clock = testing.clock()
  end)
  after_each(function()
    clock:close()
    leak.check()
  end)
end

local function fail_after(ms, reason)
  await(sleep(ms))
  error(reason, 0)
end

describe("group", function()
  on_virtual_time()

  it("is fulfilled with the results of its body, nils included", function()
    local results = table.pack(await(group(function()
      return 1, nil, 3, nil
    end)))
    assert.same({ 1, nil, 3, nil, n = 4 }, results)
  end)

  it("runs its body at once, up to its first suspension", function()
    local log, lines = new_log()
    local p = group(function(g)
      log("body")
      g:spawn(function()
        log("child")
        await(nil)
        log("child goes on")
      end)
      log("body again")
    end)
    log("outside")
    await(p)
    assert.same({ "body", "child", "body again", "outside", "child goes on" }, lines)
  end)

  it("waits for all children, also those of children", function()
    local log, lines = new_log()
    local result = await(group(function(g)
      g:spawn(function()
        await(sleep(1))
        g:spawn(function()
          await(sleep(2))
          log("grandchild")
        end)
        log("child")
      end)
      log("body")
      return "result"
    end))
    log(result)
    assert.same({ "body", "child", "grandchild", "result" }, lines)
  end)

  it("gives each child's promise its results", function()
    assert.same({ 1, 2, "a", n = 3 }, table.pack(await(group(function(g)
      local p = g:spawn(function(...)
        await(nil)
        return ..., "a"
      end, 1)
      local q = g:spawn(async(function()
        return 2
      end))
      local a, letter = await(p)
      return a, await(q), letter
    end))))
  end)

  it("passes on what its body raises, of whatever type", function()
    for _, reason in ipairs({ "text", 7, false, { "table" } }) do
      assert.equal(reason, failure(group(function()
        error(reason, 0)
      end)))
    end
    local ok, err = pcall(await, group(function()
      error()
    end))
    assert.is_false(ok)
    assert.is_nil(err)
  end)

  it("fails with a child's failure, of whatever type", function()
    for _, reason in ipairs({ "text", 7, false, 0 / 0, { "table" } }) do
      local err = failure(group(function(g)
        g:spawn(fail_after, 1, reason)
      end))
      assert.is_true(rawequal(reason, err) or reason ~= reason and err ~= err)
    end
    local ok, err = pcall(await, group(function(g)
      g:spawn(error)
    end))
    assert.is_false(ok)
    assert.is_nil(err)
  end)

  it("counts a failure once, however many it passes through", function()
    local reason = { "once" }
    assert.equal(reason, failure(group(function(g)
      local p = g:spawn(fail_after, 1, reason)
      g:spawn(function()
        await(p)
      end)
      await(p)
    end)))
  end)

  it("cancels the rest after the first failure, with an AbortError that names it", function()
    local reason, seen = { "failure" }, {}
    local start = tide.now()
    local err = failure(group(function(g)
      for i = 1, 2 do
        g:spawn(function()
          seen[i] = select(2, pcall(await, sleep(FOREVER)))
        end)
      end
      g:spawn(fail_after, 1, reason)
      seen[3] = select(2, pcall(await, sleep(FOREVER)))
      assert.equal(seen[3], g.signal.reason)
    end))
    assert.equal(reason, err)
    assert.is_true(tide.now() - start < FOREVER / 10)
    assert.equal("AbortError", seen[1].name)
    assert.equal(reason, seen[1].cause)
    assert.equal(seen[1], seen[2])
    assert.equal(seen[1], seen[3])
  end)

  it("survives a reason that has no text", function()
    local reason = setmetatable({}, {
      __tostring = function()
        error("no text")
      end,
    })
    local abort_error
    assert.equal(reason, failure(group(function(g)
      g:spawn(fail_after, 1, reason)
      abort_error = select(2, pcall(await, sleep(FOREVER)))
    end)))
    assert.matches("failed: table$", abort_error.message)
  end)

  it("makes an AggregateError of several failures, in the order in which they came", function()
    local err = failure(group(function(g)
      g:spawn(function()
        pcall(await, sleep(FOREVER))
        error("in clean-up", 0)
      end)
      g:spawn(fail_after, 1, "first")
      local _ <close> = setmetatable({}, {
        __close = function()
          await(sleep(2))
          error("body", 0)
        end,
      })
      await(sleep(FOREVER))
    end))
    assert.equal("AggregateError", err.name)
    assert.equal("AggregateError: 3 functions of the group failed", tostring(err))
    assert.same({ "first", "in clean-up", "body", n = 3 }, err.errors)
  end)

  it("is an unhandled rejection when nobody awaits it", function()
    for _, start in ipairs({
      function()
        group(function(g)
          g:spawn(fail_after, 1, "nobody's")
        end)
      end,
      function()
        timeout(FOREVER, fail_after, 1, "nobody's")
      end,
      function()
        tide.each({ 1 }, fail_after)
      end,
    }) do
      start()
      assert.is_truthy(tostring(raised(tide.run)))
    end
  end)

  it("refuses children when it is over", function()
    local kept
    await(group(function(g)
      kept = g
    end))
    assert.matches("^spec/async/group_spec.lua:%d+: the group is over$", raised(function()
      kept:spawn(print)
    end))
    kept:cancel()
    assert.is_false(kept.signal.aborted)
  end)

  it("S70 waits for shields opened inside, and cancels groups that nobody awaits", function()
    local log, lines = new_log()
    await(group(function()
      shield(function()
        await(sleep(3))
        log("shield")
      end)
      group(function(inner)
        inner:spawn(function()
          log(pcall(await, sleep(1)))
        end)
      end)
      log("body")
    end))
    log("over")
    assert.same({ "body", "false AbortError: the group is over", "shield", "over" }, lines)
  end)

  it("takes children from elsewhere while it is open", function()
    local log, lines = new_log()
    await(group(function(g)
      tide.set_timeout(function()
        g:spawn(function()
          await(sleep(2))
          log("from a timer")
        end)
      end, 1)
      await(sleep(2))
      log("body")
    end))
    assert.same({ "body", "from a timer" }, lines)
  end)

  it("says what is wrong with the arguments, before anything runs", function()
    local at = "^spec/async/group_spec.lua:%d+: bad argument "
    local function check(text, f, ...)
      local args = table.pack(...)
      assert.matches(at .. text, raised(function()
        local _ = f(table.unpack(args, 1, args.n))
        return _
      end))
    end
    check("#1 to 'group' %(function expected, got nil%)", group)
    check("#1 to 'shield' %(function expected, got nil%)", shield)
    check("#1 to 'timeout' %(number expected, got string%)", timeout, "5", print)
    check("#2 to 'timeout' %(function expected, got nil%)", timeout, 5)
    check("#1 to 'move_on_after' %(number expected, got nil%)", tide.move_on_after)
    check("#2 to 'move_on_after' %(function expected, got table%)", tide.move_on_after, 5, {})
    check("#1 to 'map' %(table expected, got nil%)", tide.map)
    check("#2 to 'map' %(function expected, got nil%)", tide.map, {})
    check("#3 to 'map' %(table expected, got number%)", tide.map, {}, print, 2)
    for _, limit in ipairs({ 0, -1, 1.5, "2" }) do
      check("#3 to 'map' %(field 'concurrency': positive integer expected", tide.map, {}, print,
        { concurrency = limit })
    end
    check("#1 to 'each' %(table expected, got nil%)", tide.each)
    check("#2 to 'each' %(function expected, got nil%)", tide.each, {})
    check("#3 to 'each' %(field 'concurrency': positive integer expected", tide.each, {}, print,
      { concurrency = 0 })
    await(group(function(g)
      check("#1 to 'group:spawn' %(function expected, got table%)", g.spawn, g, {})
      assert.matches("bad self %(moontide.Group expected, got function%)", raised(g.spawn, print))
      assert.matches("bad self %(moontide.Group expected, got string%)", raised(g.cancel, "reason"))
    end))
  end)
end)

describe("cancellation of a group", function()
  on_virtual_time()

  it("rejects it with the reason, if the body passes that on", function()
    assert.equal("why", failure(group(function(g)
      g:spawn(function()
        await(sleep(1))
        g:cancel("why")
        g:cancel("not this one")
      end)
      await(sleep(FOREVER))
    end)))
  end)

  it("has an AbortError for its reason, unless told one", function()
    local err = failure(group(function(g)
      g:cancel()
      await(nil)
    end))
    assert.equal("AbortError: the group was cancelled", tostring(err))
  end)

  it("S74 rejects it with the reason, if only children pass that on", function()
    assert.equal("AbortError", failure(group(function(g)
      g:spawn(sleep, FOREVER)
      g:spawn(function()
        await(sleep(FOREVER))
      end)
      tide.set_timeout(g.cancel, 1, g)
      return "done"
    end)).name)
  end)

  it("aborts its signal, and what waits under that", function()
    local log, lines = new_log()
    local other = tide.AbortController()
    failure(group(function(g)
      g.signal:on_abort(function(reason)
        log("listener", reason)
      end)
      for _, p in ipairs({
        sleep(FOREVER),
        sleep(FOREVER, { signal = other.signal }),
        fs.stat("."),
      }) do
        g:spawn(function()
          log(select(2, pcall(await, p)))
        end)
      end
      g:cancel("stop")
      log("sync")
      await(nil)
    end))
    assert.same({ "listener stop", "sync", "stop", "stop", "stop" }, lines)
    assert.equal("", leak.live())
  end)

  it("reaches the innermost await, once; what that raises goes up", function()
    local log, lines = new_log()
    local function level(n, f)
      return async(function()
        local ok, err = pcall(await, f())
        log(n, ok, err)
        await(sleep(1))
        error(err .. n, 0)
      end)
    end
    local err = failure(group(function(g)
      tide.set_timeout(g.cancel, 1, g, "r")
      local inner = level(3, function()
        return sleep(FOREVER)
      end)
      await(level(1, level(2, inner))())
    end))
    assert.same({ "3 false r", "2 false r3", "1 false r32" }, lines)
    assert.equal("r321", err)
  end)

  it("leaves clean-up alone, which may await, open groups, and use files", function()
    local log, lines = new_log()
    local err = failure(group(function(g)
      g:spawn(function()
        local _ <close> = setmetatable({}, {
          __close = function()
            await(sleep(1))
            log("closed")
          end,
        })
        local ok, reason = pcall(await, sleep(FOREVER))
        log(ok, reason)
        await(sleep(1))
        assert.equal("directory", await(fs.stat(".")).type)
        local result = await(group(function(inner)
          return await(inner:spawn(function()
            await(sleep(1))
            return "from a group"
          end))
        end))
        log(result)
        g:cancel("again")
        await(sleep(1))
        error(reason, 0)
      end)
      await(sleep(1))
      g:cancel("stop")
      await(sleep(1))
    end))
    assert.same({ "false stop", "from a group", "closed" }, lines)
    assert.equal("stop", err)
  end)

  it("may be swallowed: then the results count", function()
    assert.equal("partial", await(group(function(g)
      tide.set_timeout(g.cancel, 1, g)
      pcall(await, sleep(FOREVER))
      await(sleep(1))
      return "partial"
    end)))
  end)

  it("interrupts the await of a promise from outside", function()
    local outside = Promise.with_resolvers()
    assert.equal("stop", failure(group(function(g)
      tide.set_timeout(g.cancel, 1, g, "stop")
      await(outside)
    end)))
    assert.equal("pending", outside:state())
  end)

  it("leaves what was awaited outside to its own end", function()
    local outside = spawn(function()
      await(sleep(5))
      return "unharmed"
    end)
    failure(group(function(g)
      tide.set_timeout(g.cancel, 1, g, "stop")
      await(outside)
    end))
    assert.equal("unharmed", await(outside))
  end)

  it("interrupts Promise.all, and each function that it waited for", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      tide.set_timeout(g.cancel, 1, g, "stop")
      local function part(name)
        return g:spawn(function()
          log(name, pcall(await, sleep(FOREVER)))
        end)
      end
      await(Promise.all({ part("a"), part("b") }))
    end)))
    assert.same({ "a false stop", "b false stop" }, lines)
  end)

  it("reaches a function that runs at its next await, and only there", function()
    local log, lines = new_log()
    failure(group(function(g)
      g:cancel("stop")
      log(pcall(await, sleep(FOREVER)))
      log(pcall(await, sleep(1)))
      error(g.signal.reason, 0)
    end))
    assert.same({ "false stop", "true" }, lines)
    assert.equal("", leak.live())
  end)

  it("does not take away a result that is there", function()
    local log, lines = new_log()
    failure(group(function(g)
      local p, resolve = Promise.with_resolvers()
      g:spawn(function()
        log(await(p))
        log(pcall(await, nil))
      end)
      resolve("result")
      g:cancel("stop")
      await(nil)
    end))
    assert.same({ "result", "false stop" }, lines)
  end)

  it("lets a child start that is spawned afterwards, up to its first await", function()
    local log, lines = new_log()
    failure(group(function(g)
      g:cancel("stop")
      g:spawn(function()
        log("starts")
        log(pcall(await, sleep(FOREVER)))
        await(sleep(1))
        log("cleaned up")
      end)
      await(nil)
    end))
    assert.same({ "starts", "false stop", "cleaned up" }, lines)
  end)

  it("reaches groups inside, at any depth", function()
    local log, lines = new_log()
    local function nest(depth)
      return group(function(g)
        log("in", depth)
        g:spawn(function()
          await(sleep(FOREVER))
        end)
        if depth > 1 then
          await(nest(depth - 1))
        else
          await(sleep(FOREVER))
        end
      end)
    end
    assert.equal("stop", failure(group(function(g)
      tide.set_timeout(g.cancel, 1, g, "stop")
      await(nest(3))
    end)))
    assert.same({ "in 3", "in 2", "in 1" }, lines)
    assert.equal("", leak.live())
  end)

  it("reaches what is inside a group in the middle, and nothing outside of it", function()
    local log, lines = new_log()
    local result = await(group(function(outer)
      local p = outer:spawn(function()
        await(sleep(5))
        return "outer goes on"
      end)
      log(pcall(await, group(function(middle)
        tide.set_timeout(middle.cancel, 1, middle, "stop")
        await(group(function(inner)
          log(inner.signal.aborted)
          local options = { signal = tide.AbortSignal.any({ inner.signal }) }
          inner:spawn(function()
            await(sleep(FOREVER, options))
          end)
          await(sleep(FOREVER))
        end))
      end)))
      assert.equal(1, core.stats().timers)
      return await(p)
    end))
    assert.same({ "false", "false stop" }, lines)
    assert.equal("outer goes on", result)
  end)

  it("passes through a group of which only children are left", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(outer)
      tide.set_timeout(outer.cancel, 1, outer, "stop")
      log(pcall(await, group(function(inner)
        inner:spawn(function()
          await(sleep(FOREVER))
        end)
        return "body is over"
      end)))
      error("stop", 0)
    end)))
    assert.same({ "false stop" }, lines)
  end)

  it("comes after the clean-up of a group inside that was cancelled before", function()
    local log, lines = new_log()
    failure(group(function(outer)
      tide.set_timeout(outer.cancel, 4, outer, "outer")
      log(await(tide.move_on_after(1, function()
        local _ <close> = setmetatable({}, {
          __close = function()
            await(sleep(8))
            log("cleaned up", outer.signal.aborted)
          end,
        })
        await(sleep(FOREVER))
      end)))
      log(pcall(await, sleep(FOREVER)))
      await(sleep(1))
      log("and clean-up")
    end):next(error))
    assert.same({ "cleaned up true", "false", "false outer", "and clean-up" }, lines)
  end)

  it("reaches async functions that were only called, quietly, while the group is open", function()
    local log, lines = new_log()
    assert.equal("failure", failure(group(function(g)
      spawn(function()
        local ok, err = pcall(await, sleep(FOREVER))
        log(ok, err.name)
        error(err, 0)
      end)
      sleep(FOREVER)
      g:spawn(fail_after, 1, "failure")
    end)))
    assert.same({ "false AbortError" }, lines)
  end)

  it("does not hide what such a function fails with", function()
    local log, lines = new_log()
    local _ <close> = setmetatable({}, {
      __close = function()
        tide.on_unhandled_rejection(nil)
      end,
    })
    tide.on_unhandled_rejection(log)
    assert.equal("body", failure(group(function(g)
      spawn(function()
        pcall(await, sleep(FOREVER))
        error("in clean-up", 0)
      end)
      await(sleep(1))
      g:cancel()
      error("body", 0)
    end)))
    await(sleep(1))
    assert.matches("^in clean%-up Promise", lines[1])
    assert.is_nil(lines[2])
  end)

  it("is passed on by a function that returns without another await", function()
    local log, lines = new_log()
    failure(group(function(g)
      local function inner()
        local p, resolve = Promise.with_resolvers()
        tide.set_timeout(function()
          resolve("result")
          g:cancel("stop")
        end, 1)
        return await(p)
      end
      local middle = async(function()
        return await(spawn(inner))
      end)
      log(await(middle()))
      log(pcall(await, sleep(FOREVER)))
      log(pcall(await, sleep(1)))
      error("stop", 0)
    end))
    assert.same({ "result", "false stop", "true" }, lines)
    assert.equal("", leak.live())
  end)

  it("is passed on by a function that fails, cancelled, without another await", function()
    local log, lines = new_log()
    failure(group(function(g)
      local p, resolve = Promise.with_resolvers()
      tide.set_timeout(function()
        resolve()
        g:cancel("stop")
      end, 1)
      log(pcall(await, spawn(function()
        await(p)
        error("failure", 0)
      end)))
      log(pcall(await, sleep(FOREVER)))
      error("stop", 0)
    end))
    assert.same({ "false failure", "false stop" }, lines)
  end)

  it("comes once where the function that it came through raises the reason by itself", function()
    local log, lines = new_log()
    failure(group(function(g)
      local p, resolve = Promise.with_resolvers()
      tide.set_timeout(function()
        resolve()
        g:cancel("stop")
      end, 1)
      log(pcall(await, spawn(function()
        await(p)
        g.signal:throw_if_aborted()
      end)))
      log(pcall(await, sleep(1)))
      error("stop", 0)
    end))
    assert.same({ "false stop", "true" }, lines)
  end)

  it("does not come again in a clean-up that awaits what has returned without an await", function()
    local log, lines = new_log()
    failure(group(function(g)
      local p, resolve = Promise.with_resolvers()
      local late = g:spawn(function()
        return await(p)
      end)
      tide.set_timeout(function()
        resolve("late")
        g:cancel("stop")
      end, 1)
      log(pcall(await, sleep(FOREVER)))
      log(await(late))
      log(pcall(await, sleep(1)))
      error("stop", 0)
    end))
    assert.same({ "false stop", "late", "true" }, lines)
  end)

  it("is passed on by a group inside whose functions return without another await", function()
    for _, open in ipairs({
      group,
      function(f)
        return tide.move_on_after(FOREVER, f)
      end,
      function(f)
        return group(function(inner)
          inner:spawn(f)
        end)
      end,
    }) do
      local log, lines = new_log()
      failure(group(function(g)
        local p, resolve = Promise.with_resolvers()
        tide.set_timeout(function()
          resolve()
          g:cancel("stop")
        end, 1)
        log(pcall(await, open(function()
          await(p)
        end)) and "over")
        log(pcall(await, sleep(FOREVER)))
        log(pcall(await, sleep(1)))
        error("stop", 0)
      end))
      assert.same({ "over", "false stop", "true" }, lines)
    end
  end)

  it("reaches a function whose promise a listener settles in another way", function()
    for _, settle in ipairs({ "resolve", "reject" }) do
      local log, lines = new_log()
      failure(group(function(g)
        local p, resolve, reject = Promise.with_resolvers()
        g.signal:on_abort(function()
          local f = settle == "resolve" and resolve or reject
          f("listener")
        end)
        tide.set_timeout(g.cancel, 1, g, "stop")
        log(pcall(await, p))
        log(pcall(await, sleep(FOREVER)))
        log(pcall(await, sleep(1)))
        error("stop", 0)
      end))
      assert.same({ tostring(settle == "resolve") .. " listener", "false stop", "true" }, lines)
    end
  end)

  it("lets a function that runs wait for what it calls", function()
    local log, lines = new_log()
    failure(group(function(g)
      g:cancel("stop")
      log(pcall(await, spawn(function()
        local ok, err = pcall(await, sleep(FOREVER))
        await(sleep(1))
        log("cleaned up", ok, err)
        error(err, 0)
      end)))
      log(pcall(await, sleep(1)))
      error("stop", 0)
    end))
    assert.same({ "cleaned up false stop", "false stop", "true" }, lines)
  end)

  it("reaches a function that runs also where what it calls swallows it", function()
    local log, lines = new_log()
    failure(group(function(g)
      g:cancel("stop")
      log(pcall(await, spawn(function()
        pcall(await, sleep(FOREVER))
        await(sleep(1))
        return "swallowed"
      end)))
      log(pcall(await, sleep(1)))
      error("stop", 0)
    end))
    assert.same({ "false stop", "true" }, lines)
  end)

  it("hides no failure of what a function that runs calls", function()
    local log, lines = new_log()
    failure(group(function(g)
      g:cancel("stop")
      log(pcall(await, spawn(function()
        pcall(await, sleep(FOREVER))
        await(sleep(1))
        error("in clean-up", 0)
      end)))
      log(pcall(await, sleep(1)))
      error("stop", 0)
    end))
    failure(group(function(g)
      g:cancel("stop")
      log(pcall(await, spawn(error, "at once", 0)))
      log(pcall(await, sleep(FOREVER)))
      log(pcall(await, sleep(1)))
      error("stop", 0)
    end))
    assert.same({ "false in clean-up", "true", "false at once", "false stop", "true" }, lines)
  end)

  it("lets a function that runs wait for the shields and groups that it opens", function()
    local log, lines = new_log()
    local function work()
      local ok, reason = pcall(await, sleep(2))
      await(sleep(1))
      log("over", ok)
      return ok or error(reason, 0)
    end
    failure(group(function(g)
      g:cancel("stop")
      log(pcall(await, group(work)))
      log(pcall(await, sleep(1)))
      error("stop", 0)
    end))
    failure(group(function(g)
      g:cancel("stop")
      log(pcall(await, shield(work)))
      log(pcall(await, sleep(1)))
      log(pcall(await, sleep(1)))
      error("stop", 0)
    end))
    failure(group(function(g)
      g:cancel("stop")
      log(pcall(await, shield(fail_after, 1, "failure")))
      log(pcall(await, sleep(FOREVER)))
      log(pcall(await, sleep(1)))
      error("stop", 0)
    end))
    assert.same({
      "over false", "false stop", "true",
      "over true", "false stop", "true", "true",
      "false failure", "false stop", "true",
    }, lines)
  end)

  it("reaches a function that has returned a promise from elsewhere", function()
    local outside = Promise.with_resolvers()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      g:spawn(function()
        return outside
      end):catch(log)
      tide.set_timeout(g.cancel, 1, g, "stop")
      await(spawn(function()
        return outside
      end))
    end)))
    assert.same({ "stop" }, lines)
  end)

  it("waits for the clean-up of a function whose promise another one has returned", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      tide.set_timeout(g.cancel, 1, g, "stop")
      local _ <close> = setmetatable({}, {
        __close = function()
          log("body")
        end,
      })
      await(spawn(function()
        return spawn(function()
          local _, reason = pcall(await, sleep(FOREVER))
          await(sleep(1))
          log("cleaned up")
          error(reason, 0)
        end)
      end))
    end)))
    assert.same({ "cleaned up", "body" }, lines)
  end)

  it("is no unhandled rejection of an operation that has a signal of its own as well", function()
    local own = tide.AbortController()
    local semaphore = tide.semaphore(1)
    local permit = await(semaphore:acquire())
    failure(group(function(g)
      sleep(FOREVER, { signal = own.signal })
      fs.stat(".", { signal = own.signal })
      semaphore:acquire({ signal = own.signal })
      g:cancel("stop")
      sleep(FOREVER, { signal = own.signal })
      fs.stat(".", { signal = own.signal })
      semaphore:acquire({ signal = own.signal })
      await(nil)
    end))
    permit:release()
    sleep(FOREVER, { signal = own.signal })
    own:abort("own")
    assert.equal("own", raised(tide.run))
  end)

  it("makes no unhandled rejection of a failure that somebody gets to see", function()
    local seen
    assert.equal("stop", failure(group(function(g)
      local _, err = pcall(await, spawn(function()
        g:cancel("stop")
        pcall(await, nil)
        await(sleep(1))
        error("in clean-up", 0)
      end))
      seen = err
      error("stop", 0)
    end)))
    assert.equal("in clean-up", seen)
    tide.run()
  end)

  it("waits for the threads that work on files", function()
    local path = os.tmpname()
    local log = {}
    for _ = 1, 20 do
      failure(group(function(g)
        g:spawn(fs.write_file, path, ("x"):rep(100000))
        g:cancel("stop")
        local p = fs.read_file(path)
        log[#log + 1] = p:state()
        await(p)
      end))
      assert.equal(0, core.stats().operations)
    end
    os.remove(path)
  end)

  it("reaches functions that wait for what nobody else has", function()
    local woken = 0
    local function child()
      pcall(await, (Promise.with_resolvers()))
      woken = woken + 1
    end
    local function forsaken(g)
      for _ = 1, 10 do
        g:spawn(child)
      end
      tide.set_timeout(function()
        collectgarbage()
        collectgarbage()
        g:cancel("stop")
      end, 1)
      child()
    end
    await(group(forsaken))
    assert.equal(11, woken)
  end)

  it("comes in the order in which what is left of many was begun, also in groups", function()
    local woken, expected = {}, {}
    local function child(i)
      if i % 3 == 0 then
        await(group(function(inner)
          inner:spawn(child, i + 2)
        end))
      elseif i % 5 == 0 then
        expected[#expected + 1] = i
        pcall(await, sleep(FOREVER))
        woken[#woken + 1] = i
      else
        await(sleep(1))
      end
    end
    failure(group(function(g)
      for i = 1, 500 do
        g:spawn(child, i)
      end
      await(sleep(2))
      for i = 501, 600 do
        g:spawn(child, i)
      end
      g:cancel("stop")
    end))
    assert.same(expected, woken)
  end)

  it("of a hundred thousand sleepers takes a moment", function()
    local n = scale(100000)
    local woken = 0
    failure(group(function(g)
      for _ = 1, n do
        g:spawn(function()
          pcall(await, sleep(FOREVER))
          woken = woken + 1
        end)
      end
      tide.set_timeout(g.cancel, 1, g, "stop")
      await(sleep(FOREVER))
    end))
    assert.equal(n, woken)
  end)
end)

describe("timeout", function()
  on_virtual_time()

  it("gives the results of what is done in time, and leaves no timer", function()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(await(timeout(FOREVER, function(...)
      await(sleep(1))
      return ...
    end, 1, nil, 3))))
    assert.equal("", leak.live())
  end)

  it("rejects with a TimeoutError, after the clean-up", function()
    local log, lines = new_log()
    local err = failure(timeout(2, function()
      local _, reason = pcall(await, sleep(FOREVER))
      await(sleep(1))
      log("cleaned up")
      error(reason, 0)
    end))
    log(err)
    assert.same({ "cleaned up", "TimeoutError: not done after 2 ms" }, lines)
  end)

  it("passes on failures, and leaves no timer", function()
    assert.equal("failure", failure(timeout(FOREVER, fail_after, 1, "failure")))
    assert.equal("", leak.live())
  end)

  it("takes async functions, and functions that return a promise", function()
    local f = async(function()
      await(sleep(FOREVER))
    end)
    assert.equal("TimeoutError", failure(timeout(1, f)).name)
    assert.equal("TimeoutError", failure(timeout(1, sleep, FOREVER)).name)
    assert.equal("", leak.live())
  end)

  it("nests: the shorter one counts", function()
    local outer = failure(timeout(1, function()
      await(timeout(FOREVER, sleep, FOREVER))
    end))
    assert.matches("after 1 ms", outer.message)
    local inner = failure(timeout(FOREVER, function()
      await(timeout(1, sleep, FOREVER))
    end))
    assert.matches("after 1 ms", inner.message)
  end)
end)

describe("move_on_after", function()
  on_virtual_time()

  it("gives true and the results of what is done in time", function()
    assert.same({ true, 1, nil, n = 3 }, table.pack(await(tide.move_on_after(FOREVER, function(v)
      await(sleep(1))
      return v, nil
    end, 1))))
    assert.equal("", leak.live())
  end)

  it("gives false when the time is over", function()
    assert.same({ false, n = 1 }, table.pack(await(tide.move_on_after(1, sleep, FOREVER))))
    assert.equal("", leak.live())
  end)

  it("passes on failures, an inner timeout's too", function()
    assert.equal("failure", failure(tide.move_on_after(FOREVER, fail_after, 1, "failure")))
    assert.equal("TimeoutError", failure(tide.move_on_after(FOREVER, function()
      await(timeout(1, sleep, FOREVER))
    end)).name)
  end)

  it("waits for its clean-up when it is cancelled from outside", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      tide.set_timeout(g.cancel, 1, g, "stop")
      local ok, err = pcall(await, tide.move_on_after(FOREVER, function()
        local _, reason = pcall(await, sleep(FOREVER))
        await(sleep(2))
        log("clean-up")
        error(reason, 0)
      end))
      log("then", ok)
      error(err, 0)
    end)))
    assert.same({ "clean-up", "then false" }, lines)
  end)
end)

describe("shield", function()
  on_virtual_time()

  it("gives the results, or the failure", function()
    assert.same({ 1, nil, n = 2 }, table.pack(await(shield(function(...)
      await(sleep(1))
      return ...
    end, 1, nil))))
    assert.equal("failure", failure(shield(fail_after, 1, "failure")))
  end)

  it("keeps cancellation away, which comes at the next await after it", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      tide.set_timeout(g.cancel, 1, g, "stop")
      log(await(shield(function()
        await(sleep(3))
        return "undisturbed", g.signal.aborted
      end)))
      log(pcall(await, sleep(FOREVER)))
      error("stop", 0)
    end)))
    assert.same({ "undisturbed true", "false stop" }, lines)
  end)

  it("keeps context variables", function()
    local var = tide.ContextVar("var")
    var:run("value", function()
      assert.equal("value", await(shield(var.get, var)))
    end)
  end)

  it("may hold groups of its own", function()
    assert.equal("stop", failure(group(function(g)
      tide.set_timeout(g.cancel, 1, g, "stop")
      local result = await(shield(function()
        return await(group(function(inner)
          return await(inner:spawn(function()
            await(sleep(3))
            return "inside"
          end))
        end))
      end))
      assert.equal("inside", result)
      await(sleep(FOREVER))
    end)))
  end)
end)

describe("map", function()
  on_virtual_time()

  it("gives the first results in the order of the list", function()
    local results = await(tide.map({ 3, 1, 2 }, function(v, i)
      await(sleep(v))
      return v * 10 + i, "dropped"
    end))
    assert.same({ 31, 12, 23, n = 3 }, results)
  end)

  it("takes lists with holes, empty ones, and functions that return promises", function()
    assert.same({ "nil1", "x2", "nil3", n = 3 },
      await(tide.map({ nil, "x", nil, n = 3 }, function(v, i)
        return Promise.resolve(tostring(v) .. i)
      end)))
    assert.same({ n = 0 }, await(tide.map({}, error)))
  end)

  it("calls so many at a time, each as soon as there is room", function()
    for _, limit in ipairs({ 1, 2, 3, 100 }) do
      local running, most, started = 0, 0, {}
      await(tide.map({ 2, 1, 1, 2, 1, 1, 1 }, function(ms, i)
        running = running + 1
        most = math.max(most, running)
        started[#started + 1] = i
        await(sleep(ms))
        running = running - 1
      end, { concurrency = limit }))
      assert.equal(math.min(limit, 7), most)
      assert.same({ 1, 2, 3, 4, 5, 6, 7 }, started)
    end
  end)

  it("cancels the rest when one fails, and calls no more", function()
    local calls = 0
    assert.equal("failure", failure(tide.map({ 1, 2, 3, 4, 5 }, function(i)
      calls = calls + 1
      if i == 2 then
        fail_after(1, "failure")
      end
      await(sleep(FOREVER))
    end, { concurrency = 2 })))
    assert.equal(2, calls)
    assert.equal("", leak.live())
  end)

  it("is never fulfilled with holes when it is cancelled", function()
    local log, lines = new_log()
    failure(timeout(2, function()
      log(pcall(await, tide.map({ 1, 2, 3 }, function()
        pcall(await, sleep(FOREVER))
      end, { concurrency = 1 })))
    end):next(error))
    assert.same({ "false TimeoutError: not done after 2 ms" }, lines)
  end)
end)

describe("each", function()
  on_virtual_time()

  it("calls f for each, and is fulfilled with nothing", function()
    local log, lines = new_log()
    local results = table.pack(await(tide.each({ "a", "b" }, function(v, i)
      await(nil)
      log(v, i)
      return v
    end, { concurrency = 1 })))
    assert.same({ n = 0 }, results)
    assert.same({ "a 1", "b 2" }, lines)
  end)

  it("fails with the first failure", function()
    assert.equal("failure", failure(tide.each({ 1, 1 }, function()
      fail_after(1, "failure")
    end)))
  end)
end)

-- Groups in groups, whose functions sleep, fail, cancel, shield, map, call, and catch and clean up.
local Tree = {}
Tree.__index = Tree

function Tree:nap()
  await(sleep(self.random(5)))
end

-- Ways to call f(...) and await it, so that it is not the caller that gets a cancellation first.
local calls = {
  spawn,
  function(...)
    return spawn(spawn, ...)
  end,
  function(...)
    return spawn(function(...)
      return await(spawn(...))
    end, ...)
  end,
  function(f, ...)
    local args = table.pack(...)
    return group(function()
      return f(table.unpack(args, 1, args.n))
    end)
  end,
}

function Tree:call(f, ...)
  return await(calls[self.random(#calls)](f, ...))
end

--- Returns without an await after g has been cancelled.
function Tree:strike(g)
  local p, resolve = Promise.with_resolvers()
  tide.set_timeout(function()
    resolve()
    g:cancel()
  end, self.random(3))
  await(p)
end

local acts = {
  function(self) self:nap() end,
  function(self) self:nap() end,
  function(self) await(Promise.all({ sleep(self.random(5)), sleep(self.random(5)) })) end,
  function(self) await(self.outside) end,
  function(self) error(self.random(2) == 1 and {} or "failure", 0) end,
  function(_, g) g:cancel() end,
  function(_, g) g:cancel("reason") end,
  function(self)
    await(shield(function()
      self:nap()
    end))
  end,
  function(self)
    local ok, err = pcall(self.nap, self)
    if not ok then
      self:nap()
      error(err, 0)
    end
  end,
  function(self) pcall(self.nap, self) end,
  function(self)
    local _ <close> = setmetatable({}, {
      __close = function()
        self:nap()
      end,
    })
    self:nap()
  end,
  function(self, _, depth) await(self:group(depth - 1)) end,
  function(self, _, depth) await(self:group(depth - 1)) end,
  function(self, _, depth) pcall(await, self:group(depth - 1)) end,
  function(self, _, depth)
    await(tide.move_on_after(self.random(4), function()
      await(self:group(depth - 1))
    end))
  end,
  function(self, g, depth) await(self:spawn(g, depth - 1)) end,
  function(self, g, depth) self:spawn(g, depth - 1) end,
  function(self, g, depth)
    await(tide.map({ 1, 2, 3 }, function()
      self:act(g, depth - 1)
    end, { concurrency = 2 }))
  end,
  function(self) await(fs.stat(self.random(2) == 1 and "." or "no/such")) end,
  function(self, g) self:call(self.strike, self, g) end,
  function(self, g, depth) self:call(self.body, self, g, depth - 1, self.counters[g]) end,
  function(self, g, depth)
    g:cancel()
    self:call(self.body, self, g, depth - 1, self.counters[g])
  end,
  function(self)
    pcall(await, group(function(inner)
      self:call(self.strike, self, inner)
      if pcall(await, nil) then
        self.lost = self.lost + 1
      end
    end))
  end,
}

function Tree:act(g, depth)
  for _ = 1, self.random(3) do
    acts[depth > 0 and self.random(#acts) or self.random(3)](self, g, depth)
  end
end

--- Runs in the group, and counts there as long as it does.
function Tree:body(g, depth, counter)
  counter.running = counter.running + 1
  local _ <close> = setmetatable({}, {
    __close = function()
      counter.running = counter.running - 1
    end,
  })
  self:act(g, depth)
end

function Tree:spawn(g, depth)
  return g:spawn(self.body, self, g, depth, self.counters[g])
end

function Tree:group(depth)
  local counter = { running = 0 }
  local p = group(function(g)
    self.counters[g] = counter
    for _ = 1, self.random(0, 3) do
      self:spawn(g, depth)
    end
    self:body(g, depth, counter)
  end)
  local function check()
    self.settled = self.settled + 1
    if counter.running > 0 then
      self.left = self.left + counter.running
    end
  end
  p:next(check, check)
  return p
end

describe("random trees of groups", function()
  on_virtual_time()

  it("settle when nothing of theirs runs any more, and leave nothing", function()
    local first = tonumber(os.getenv("MOONTIDE_SEED") or 1)
    local count = tonumber(os.getenv("MOONTIDE_TREES") or math.max(30, scale(2000)))
    local outside = sleep(30)
    local trees, promises = {}, {}
    for i = 1, count do
      trees[i] = setmetatable({
        random = new_random(first + i - 1),
        outside = outside,
        counters = {},
        settled = 0,
        left = 0,
        lost = 0,
      }, Tree)
      promises[i] = trees[i]:group(3)
    end
    await(Promise.all_settled(promises))
    local settled = 0
    for i, tree in ipairs(trees) do
      assert.equal(0, tree.left, "seed " .. first + i - 1)
      assert.equal(0, tree.lost, "seed " .. first + i - 1)
      settled = settled + tree.settled
    end
    assert.is_true(settled > count)
    await(outside)
    await(sleep(3)) -- the timer of a strike that was interrupted
    assert.equal("", leak.live())
  end)
end)
