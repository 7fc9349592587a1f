local tide = require "moontide"
local core = require "moontide.core"
local fs = require "moontide.fs"
local failure = require("spec.support.raised").failure
local raised = require("spec.support.raised").raised
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new
local order = require "spec.support.order"
local scale = require "spec.support.scale"

local await, sleep = tide.await, tide.sleep
local AbortController, AbortSignal = tide.AbortController, tide.AbortSignal

local function live(kind)
  return core.stats()[kind]
end

describe("AbortController", function()
  after_each(leak.check)

  it("can be aborted by its controller only", function()
    local signals = {
      tide.AbortController().signal,
      tide.AbortSignal.timeout(1000),
      tide.AbortSignal.any({}),
    }
    for _, signal in ipairs(signals) do
      for _, field in ipairs({ "aborted", "reason", "on_abort", "anything", 1 }) do
        local _, err = pcall(function()
          signal[field] = true
        end)
        assert.matches("abort_spec.lua:%d+: AbortSignal: '" .. field .. "' is read%-only", err)
      end
      assert.is_false(signal.aborted)
      assert.is_nil(signal.reason)
    end
  end)

  it("has a signal that is not aborted", function()
    local signal = AbortController().signal
    assert.is_false(signal.aborted)
    assert.is_nil(signal.reason)
    signal:throw_if_aborted()
  end)

  it("aborts its signal with any reason", function()
    for _, reason in ipairs({ "text", 7, false, { "table" } }) do
      local controller = AbortController()
      controller:abort(reason)
      assert.is_true(controller.signal.aborted)
      assert.equal(reason, controller.signal.reason)
      assert.equal(reason, raised(controller.signal.throw_if_aborted, controller.signal))
    end
  end)

  it("aborts with an AbortError unless told a reason", function()
    local controller = AbortController()
    controller:abort()
    assert.equal("AbortError", controller.signal.reason.name)
    assert.equal("AbortError: the operation was aborted", tostring(controller.signal.reason))
  end)

  it("keeps the first reason, and calls nobody twice", function()
    local controller, calls = AbortController(), 0
    controller.signal:on_abort(function()
      calls = calls + 1
    end)
    controller:abort("first")
    controller:abort("second")
    assert.equal("first", controller.signal.reason)
    assert.equal(1, calls)
  end)

  it("knows what it is called on", function()
    assert.matches("'controller:abort' on bad self %(moontide.AbortController expected, got nil",
      raised(AbortController().abort))
    assert.matches("bad self", raised(AbortController().abort, "reason"))
  end)
end)

describe("AbortSignal:on_abort", function()
  after_each(leak.check)

  it("calls synchronously, in order of registration, with the reason", function()
    local log, lines = new_log()
    local controller = AbortController()
    for i = 1, 3 do
      controller.signal:on_abort(function(reason)
        log(i, reason, controller.signal.aborted)
      end)
    end
    controller:abort("why")
    log("after")
    assert.same({ "1 why true", "2 why true", "3 why true", "after" }, lines)
  end)

  it("calls a function once for each time it was added, and a value with __call", function()
    local controller, calls = AbortController(), 0
    local f = setmetatable({}, {
      __call = function()
        calls = calls + 1
      end,
    })
    controller.signal:on_abort(f)
    controller.signal:on_abort(f)
    controller:abort()
    assert.equal(2, calls)
  end)

  it("never calls a listener added after the abort, or by a listener", function()
    local log, lines = new_log()
    local controller = AbortController()
    local signal = controller.signal
    signal:on_abort(function()
      log("first")
      signal:on_abort(function()
        log("added by a listener")
      end)
    end)
    controller:abort()
    local remove = signal:on_abort(function()
      log("added after")
    end)
    remove()
    tide.run()
    assert.same({ "first" }, lines)
  end)

  it("returns what takes the listener off, also twice, or too late", function()
    local log, lines = new_log()
    local controller = AbortController()
    local removes = {}
    for i = 1, 3 do
      removes[i] = controller.signal:on_abort(function()
        log(i)
      end)
    end
    removes[2]()
    removes[2]()
    controller:abort()
    removes[1]()
    assert.same({ "1", "3" }, lines)
  end)

  it("does not call what an earlier listener has taken off", function()
    local log, lines = new_log()
    local controller = AbortController()
    local remove
    controller.signal:on_abort(function()
      log(1)
      remove()
    end)
    remove = controller.signal:on_abort(function()
      log(2)
    end)
    controller.signal:on_abort(function()
      log(3)
    end)
    controller:abort()
    assert.same({ "1", "3" }, lines)
  end)

  it("lets errors of listeners out of the loop, unchanged, and goes on", function()
    local log, lines = new_log()
    local controller, err = AbortController(), { "mine" }
    for i = 1, 3 do
      controller.signal:on_abort(function()
        log(i)
        if i < 3 then
          error(i == 1 and err or "other", 0)
        end
      end)
    end
    controller:abort()
    log("aborted")
    assert.equal(err, raised(tide.run))
    assert.equal("other", raised(tide.run))
    tide.run()
    assert.same({ "1", "2", "3", "aborted" }, lines)
  end)

  it("wants a function", function()
    local signal = AbortController().signal
    assert.matches("^spec/async/abort_spec.lua:%d+: bad argument #1 to 'signal:on_abort' "
      .. "%(function expected, got nil%)", raised(function()
      signal:on_abort()
    end))
    assert.matches("bad self %(AbortSignal expected, got table%)",
      raised(signal.on_abort, {}, print))
    assert.matches("bad self", raised(signal.throw_if_aborted, nil))
  end)
end)

describe("AbortSignal.abort", function()
  after_each(leak.check)

  it("makes a signal that is aborted", function()
    local signal = AbortSignal.abort("reason")
    assert.is_true(signal.aborted)
    assert.equal("reason", signal.reason)
    assert.equal("AbortError", AbortSignal.abort().reason.name)
  end)
end)

describe("AbortSignal.timeout", function()
  after_each(leak.check)

  it("aborts with a TimeoutError, not early", function()
    local start = tide.now()
    local signal = AbortSignal.timeout(5)
    local err = failure(sleep(1000, { signal = signal }))
    assert.is_true(tide.now() - start >= 5)
    assert.equal("TimeoutError", err.name)
    assert.equal("TimeoutError: the operation timed out after 5 ms", tostring(err))
    assert.equal(err, signal.reason)
  end)

  it("does not keep the loop running", function()
    local signal = AbortSignal.timeout(60000)
    signal:on_abort(function() end)
    local start = tide.now()
    tide.run()
    assert.is_true(tide.now() - start < 10000)
    assert.is_false(signal.aborted)
    signal._timer:close()
  end)

  it("has a timer that ends with the signal", function()
    local signal = AbortSignal.timeout(60000)
    assert.equal(1, live "timers")
    assert.is_false(signal.aborted)
    signal = leak.track(signal) and nil
    leak.collect()
    assert.is_nil(signal)
    assert.equal(0, live "timers")
  end)

  it("is not collected while somebody listens, or waits under a signal made from it", function()
    local calls = 0
    AbortSignal.timeout(5):on_abort(function()
      calls = calls + 1
    end)
    AbortSignal.any({ AbortSignal.timeout(5) }):on_abort(function()
      calls = calls + 1
    end)
    leak.collect()
    await(sleep(30))
    assert.equal(2, calls)
  end)

  it("is collected when the last listener has been taken off", function()
    local signal = leak.track(AbortSignal.timeout(60000))
    signal:on_abort(function() end)()
    AbortSignal.any({ signal }):on_abort(function() end)()
    signal = nil -- luacheck: ignore 311
    leak.collect()
    assert.equal(0, live "timers")
  end)

  it("wants a number", function()
    assert.matches("bad argument #1 to 'AbortSignal.timeout' %(number expected, got nil%)",
      raised(AbortSignal.timeout))
  end)
end)

describe("AbortSignal.any", function()
  after_each(leak.check)

  it("is aborted with the first of its sources, with that reason", function()
    local a, b = AbortController(), AbortController()
    local signal = AbortSignal.any({ a.signal, b.signal })
    assert.is_false(signal.aborted)
    b:abort("b")
    a:abort("a")
    assert.equal("b", signal.reason)
  end)

  it("is aborted at once if a source is; the first in the list counts", function()
    local fresh = AbortController().signal
    local signal = AbortSignal.any({ fresh, AbortSignal.abort(1), AbortSignal.abort(2) })
    assert.equal(1, signal.reason)
  end)

  it("of nothing is never aborted", function()
    assert.is_false(AbortSignal.any({}).aborted)
    assert.is_false(AbortSignal.any({ AbortSignal.any({}) }).aborted)
  end)

  it("nests, and takes a source twice", function()
    local a = AbortController()
    local log, lines = new_log()
    local inner = AbortSignal.any({ a.signal, a.signal })
    local outer = AbortSignal.any({ inner, a.signal, inner })
    outer:on_abort(function(reason)
      log("outer", reason)
    end)
    inner = nil -- luacheck: ignore 311
    leak.collect()
    a:abort("deep")
    assert.same({ "outer deep" }, lines)
    assert.equal("deep", outer.reason)
  end)

  it("marks all dependent signals before any listener runs", function()
    local log, lines = new_log()
    local a = AbortController()
    local one = AbortSignal.any({ a.signal })
    local two = AbortSignal.any({ one })
    local function listen(name, signal)
      signal:on_abort(function()
        log(name, a.signal.aborted, one.aborted, two.aborted)
      end)
    end
    listen("two", two)
    listen("one", one)
    listen("source", a.signal)
    a:abort()
    assert.same({ "source true true true", "one true true true", "two true true true" }, lines)
  end)

  it("is kept while it is observed, and collected when it is not", function()
    local a = AbortController()
    local calls = 0
    leak.track(AbortSignal.any({ a.signal }))
    local observed = setmetatable({ AbortSignal.any({ a.signal }) }, { __mode = "v" })
    observed[1]:on_abort(function()
      calls = calls + 1
    end)
    local unobserved = setmetatable({ AbortSignal.any({ a.signal }) }, { __mode = "v" })
    unobserved[1]:on_abort(function() end)()
    leak.collect()
    assert.is_nil(unobserved[1])
    assert.is_not_nil(observed[1])
    a:abort()
    assert.equal(1, calls)
    leak.collect()
    assert.is_nil(observed[1])
  end)

  it("keeps its sources", function()
    local sources = setmetatable({ AbortController() }, { __mode = "v" })
    local signal = AbortSignal.any({ sources[1].signal })
    sources[1].abort_later = tide.set_timeout(function(controller)
      controller:abort("late")
    end, 1, sources[1])
    sources = nil -- luacheck: ignore 311
    leak.collect()
    assert.equal("late", failure(sleep(1000, { signal = signal })))
  end)

  it("costs a long-lived signal nothing when its dependants come and go", function()
    local controller = AbortController()
    local n = scale(1000000)
    local function round(count)
      for i = 1, count do
        local signal = AbortSignal.any({ controller.signal })
        if i % 2 == 0 then
          signal:on_abort(function() end)()
        end
      end
      leak.collect()
      return collectgarbage("count")
    end
    local before = round(n // 10)
    local after = round(n)
    assert.is_true(after - before < 64, ("%.0f KiB more"):format(after - before))
    controller:abort()
  end)

  it("costs it nothing either when operations come and go", function()
    local controller = AbortController()
    local options = { signal = controller.signal }
    local function round(count)
      for _ = 1, count do
        await(tide.Promise.all({ sleep(0, options), sleep(0, options) }))
      end
      leak.collect()
      return collectgarbage("count")
    end
    local before = round(scale(300))
    assert.is_true(round(scale(300)) - before < 64)
    assert.is_nil(next(controller.signal._dependents or {}))
  end)

  it("wants a list of signals", function()
    assert.matches("bad argument #1 to 'AbortSignal.any' %(table expected, got nil%)",
      raised(AbortSignal.any))
    assert.matches("element 2: AbortSignal expected, got table",
      raised(AbortSignal.any, { AbortSignal.abort(), {} }))
    assert.matches("element 1: AbortSignal expected, got nil", raised(AbortSignal.any, { n = 1 }))
  end)
end)

describe("AbortSignal, as in node:", function()
  after_each(leak.check)

  order("listeners, dependents and microtasks", {
    lua = function(log)
      local a, b = AbortController(), AbortController()
      local one = AbortSignal.any({ a.signal, b.signal })
      local two = AbortSignal.any({ one })
      local function listen(name, signal)
        return signal:on_abort(function()
          log(name, signal.aborted, signal.reason)
        end)
      end
      listen("two", two)
      listen("one", one)
      listen("a1", a.signal)
      listen("gone", a.signal)()
      a.signal:on_abort(function()
        a:abort("again")
      end)
      listen("a2", a.signal)
      listen("b", b.signal)
      tide.queue_microtask(function()
        log("micro", a.signal.reason, b.signal.reason)
      end)
      a:abort("a")
      listen("late", a.signal)
      log("sync", one.reason, two.reason)
      b:abort("b")
      log("sync", one.reason, two.reason)
    end,
    js = [[
      const a = new AbortController(), b = new AbortController();
      const one = AbortSignal.any([a.signal, b.signal]);
      const two = AbortSignal.any([one]);
      const listen = (name, signal) => {
        const f = () => log(name, signal.aborted, signal.reason);
        signal.addEventListener("abort", f);
        return () => signal.removeEventListener("abort", f);
      };
      listen("two", two);
      listen("one", one);
      listen("a1", a.signal);
      listen("gone", a.signal)();
      a.signal.addEventListener("abort", () => a.abort("again"));
      listen("a2", a.signal);
      listen("b", b.signal);
      queueMicrotask(() => log("micro", a.signal.reason, b.signal.reason));
      a.abort("a");
      listen("late", a.signal);
      log("sync", one.reason, two.reason);
      b.abort("b");
      log("sync", one.reason, two.reason);
    ]],
    log = "a1 true a, a2 true a, one true a, two true a, sync a a, b true b, sync a a, micro a b",
  })

  order("reasons", {
    lua = function(log)
      log(AbortSignal.abort().reason.name)
      log(AbortSignal.abort("r").reason)
      log(AbortSignal.any({}).aborted)
      log(AbortSignal.any({ AbortController().signal, AbortSignal.abort(2) }).reason)
      local thrown = AbortSignal.abort("thrown")
      local ok, err = pcall(thrown.throw_if_aborted, thrown)
      log(ok, err)
      local signal = AbortSignal.timeout(1)
      signal:on_abort(function()
        log(signal.reason.name)
      end)
      tide.set_timeout(function() end, 20)
    end,
    js = [[
      log(AbortSignal.abort().reason.name);
      log(AbortSignal.abort("r").reason);
      log(AbortSignal.any([]).aborted);
      log(AbortSignal.any([new AbortController().signal, AbortSignal.abort(2)]).reason);
      try { AbortSignal.abort("thrown").throwIfAborted(); } catch (e) { log(false, e); }
      const signal = AbortSignal.timeout(1);
      signal.addEventListener("abort", () => log(signal.reason.name));
      setTimeout(() => {}, 20);
    ]],
    log = "AbortError, r, false, 2, false thrown, TimeoutError",
  })
end)

describe("sleep with a signal", function()
  after_each(leak.check)

  it("is rejected at once under an aborted one, without a timer", function()
    local p = sleep(1000, { signal = AbortSignal.abort("no") })
    assert.equal("rejected", p:state())
    assert.equal(0, live "timers")
    assert.equal("no", failure(p))
  end)

  it("is rejected by an abort, synchronously, and its timer closed", function()
    local controller = AbortController()
    local p = sleep(100000, { signal = controller.signal })
    assert.equal(1, live "timers")
    controller:abort("stop")
    assert.equal("rejected", p:state())
    assert.equal(0, live "timers")
    assert.equal("stop", failure(p))
  end)

  it("takes no notice of an abort when it is over, and lets the signal go", function()
    local controller = AbortController()
    local p = sleep(1, { signal = controller.signal })
    await(p)
    assert.equal(0, controller.signal._observers)
    controller:abort()
    assert.equal("fulfilled", p:state())
  end)

  it("wakes the function that awaits it, which may go on", function()
    local controller = AbortController()
    local log, lines = new_log()
    local p = tide.spawn(function()
      log(select(2, pcall(await, sleep(100000, { signal = controller.signal }))))
      await(sleep(1))
      log("later")
    end)
    controller:abort("stop")
    log("sync")
    await(p)
    assert.same({ "sync", "stop", "later" }, lines)
  end)

  it("works with options without a signal", function()
    await(sleep(1, {}))
    await(sleep(1, nil))
  end)

  it("says what is wrong with the options, and starts nothing", function()
    local err = raised(function()
      sleep(1, 7)
    end)
    assert.matches("^spec/async/abort_spec.lua:%d+: bad argument #2 to 'sleep' "
      .. "%(table expected, got number%)$", err)
    assert.matches("bad argument #2 to 'sleep' %(field 'signal': AbortSignal expected, "
      .. "got moontide.AbortController%)", raised(sleep, 1, { signal = AbortController() }))
    assert.equal(0, live "timers")
  end)
end)

local operations = {
  read_file = function(path, options) return fs.read_file(path, options) end,
  write_file = function(path, options) return fs.write_file(path, "new", options) end,
  stat = function(path, options) return fs.stat(path, options) end,
  scandir = function(_, options) return fs.scandir("spec", options) end,
}

describe("moontide.fs with a signal:", function()
  local path

  before_each(function()
    path = os.tmpname()
    await(fs.write_file(path, "old"))
  end)

  after_each(function()
    os.remove(path)
    leak.check()
  end)

  for name, start in pairs(operations) do
    describe(name, function()
      it("is rejected under an aborted one, and nothing is begun", function()
        local p = start(path, { signal = AbortSignal.abort("no") })
        assert.equal("rejected", p:state())
        assert.equal(0, live "operations")
        assert.equal("no", failure(p))
      end)

      it("is rejected by an abort in flight, at once; no operation is left", function()
        local controller = AbortController()
        local p = start(path, { signal = controller.signal })
        assert.equal(1, live "operations")
        controller:abort("stop")
        assert.equal("rejected", p:state())
        assert.equal("stop", failure(p))
        tide.run()
        assert.equal(0, live "operations")
        assert.equal(0, controller.signal._observers)
      end)

      it("takes no notice of an abort when it is over", function()
        local controller = AbortController()
        local p = start(path, { signal = controller.signal })
        await(p)
        assert.equal(0, controller.signal._observers)
        controller:abort("late")
        assert.equal("fulfilled", (p:state()))
      end)

      it("fails as without one", function()
        local options = { signal = AbortController().signal }
        local p = name == "scandir" and fs.scandir("no/such", options) or start("no/such", options)
        assert.equal("ENOENT", failure(p).code)
        assert.equal(0, options.signal._observers)
      end)

      it("says what is wrong with the options, and starts nothing", function()
        local text = "'fs." .. name .. "' %(field 'signal': AbortSignal expected, got boolean%)"
        assert.matches(text, raised(start, path, { signal = true }))
        assert.equal(0, live "operations")
      end)
    end)
  end

  it("write_file under an aborted one does not touch the file", function()
    failure(fs.write_file(path, "new", { signal = AbortSignal.abort() }))
    assert.equal("old", await(fs.read_file(path)))
    os.remove(path)
    failure(fs.write_file(path, "new", { signal = AbortSignal.abort() }))
    assert.equal("ENOENT", failure(fs.stat(path)).code)
  end)

  it("what no thread has begun is given up", function()
    local controller = AbortController()
    local all = {}
    for i = 1, scale(2000) do
      all[i] = fs.read_file(path, { signal = controller.signal })
    end
    controller:abort("stop")
    for _, result in ipairs(await(tide.Promise.all_settled(all))) do
      assert.equal("stop", result.reason)
    end
    tide.run()
    assert.equal(0, live "operations")
  end)
end)
