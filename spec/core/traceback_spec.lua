local tide = require "moontide"
local leak = require "spec.support.leak"

local async, await, spawn, sleep = tide.async, tide.await, tide.spawn, tide.sleep
local Promise = tide.Promise

-- The line that this function's caller is at.
local function here()
  return debug.getinfo(2, "l").currentline
end

-- Demands that the trace names these lines of this file, in this order.
local function passes(trace, ...)
  assert.equal("string", type(trace))
  local at = 1
  for i = 1, select("#", ...) do
    local line = select(i, ...)
    local _, last = trace:find(("traceback_spec.lua:%d:"):format(line), at, true)
    assert.is_truthy(last, ("line %d, the %dth, is missing in\n%s"):format(line, i, trace))
    at = last + 1
  end
end

local function trace_of(...)
  local ok, trace = xpcall(tide.run, tide.traceback, ...)
  assert.is_false(ok)
  return trace
end

describe("traceback", function()
  after_each(leak.check)

  it("is like debug.traceback where no async function runs", function()
    local line = here() + 1
    local trace = tide.traceback("message")
    assert.matches("^message\nstack traceback:\n", trace)
    passes(trace, line)
    assert.matches("^stack traceback:\n", tide.traceback())
    assert.matches("^42\nstack traceback:\n", tide.traceback(42))
    assert.matches("^stack traceback:\n", tide.traceback(nil))
  end)

  it("starts at the level given", function()
    local line
    local function inner()
      return tide.traceback("m", 2)
    end
    local function outer()
      line = here() + 1
      local trace = inner()
      return trace
    end
    local trace = outer()
    passes(trace, line)
    assert.matches("^m\nstack traceback:\n[^\n]*traceback_spec%.lua:" .. line .. ":", trace)
  end)

  it("returns a message that is no text as it is", function()
    local message = {}
    assert.equal(message, tide.traceback(message))
    assert.equal(print, tide.traceback(print))
    assert.is_true(tide.traceback(true))
  end)

  it("shows both ends of a stack of more than 21 levels, and says how many are between", function()
    local trace
    local function f(n)
      if n == 1 then
        trace = tide.traceback()
      else
        f(n - 1)
      end
      return n
    end
    for n = 19, 40 do
      spawn(f, n)
      local skipped = trace:match("\n\t%.%.%.\t%(skipping (%d+) levels%)\n")
      local _, shown = trace:gsub("traceback_spec%.lua:%d+: in ", "")
      assert.equal(n <= 21, skipped == nil)
      assert.equal(n, shown + (skipped or 0))
    end
  end)

  it("shows a name of any length", function()
    for _, length in ipairs({ 40, 100, 1000, 3000, 100000 }) do
      local name = ("x"):rep(length)
      local source = "local o, trace = {}, ... function o:%s() return (trace()) end return (o:%s())"
      local trace = assert(load(source:format(name, name), "=chunk"))(tide.traceback)
      assert.matches("^stack traceback:\n\tchunk:1: in method '" .. name .. "'\n", trace)
    end
  end)

  it("goes on with the functions that await the running one", function()
    local l1, l2, l3, trace
    local c = async(function()
      await(nil)
      l1 = here() + 1
      trace = tide.traceback("in c")
    end)
    local b = async(function()
      l2 = here() + 1
      await(c())
    end)
    local a = async(function()
      l3 = here() + 1
      await(b())
    end)
    await(a())
    assert.matches("^in c\nstack traceback:\n", trace)
    passes(trace, l1, l2, l3)
  end)

  it("shows the plain functions in between", function()
    local l1, l2, l3, trace
    local c = async(function()
      await(sleep(1))
      l1 = here() + 1
      trace = tide.traceback()
    end)
    local function plain()
      l2 = here() + 1
      await(c())
    end
    await(spawn(function()
      l3 = here() + 1
      plain()
    end))
    passes(trace, l1, l2, l3)
  end)

  it("shows for a promise where its function waits, and who waits for it", function()
    local l1, l2
    local p, resolve = Promise.with_resolvers()
    local inner = spawn(function()
      l1 = here() + 1
      await(p)
    end)
    spawn(function()
      l2 = here() + 1
      await(inner)
    end)
    local trace = tide.traceback("waiting", inner)
    assert.matches("^waiting\n", trace)
    passes(trace, l1, l2)
    resolve()
    tide.run()
  end)
end)

describe("the trace of an error", function()
  after_each(leak.check)

  it("starts where it was raised and goes on across awaits", function()
    local l1, l2, l3
    local c = async(function()
      await(sleep(1))
      l1 = here() + 1
      error("boom")
    end)
    local b = async(function()
      await(nil)
      l2 = here() + 1
      await(c())
    end)
    local trace = trace_of(function()
      l3 = here() + 1
      await(b())
    end)
    assert.matches("^[^\n]*traceback_spec%.lua:" .. l1 .. ": boom\nstack traceback:\n", trace)
    passes(trace:match("stack traceback:.*"), l1, l2, l3)
  end)

  it("is there when the call fails before its first await", function()
    local l1, l2
    local f = async(function()
      l1 = here() + 1
      error("early")
    end)
    local trace = trace_of(function()
      l2 = here() + 1
      await(f())
    end)
    passes(trace:match("stack traceback:.*"), l1, l2)
  end)

  it("is there for a run-time error", function()
    local line
    local trace = trace_of(function()
      await(nil)
      local t = nil
      line = here() + 1
      return t.field
    end)
    assert.matches("attempt to index a nil value", trace)
    passes(trace:match("stack traceback:.*"), line)
  end)

  it("is there for an unhandled rejection of a function that nobody waits for", function()
    local l1, l2
    local inner = async(function()
      await(nil)
      l1 = here() + 1
      error("floating")
    end)
    local trace = trace_of(function()
      spawn(function()
        l2 = here() + 1
        await(inner())
      end)
      await(sleep(20))
    end)
    tide.run()
    assert.matches(": floating\n", trace)
    passes(trace:match("stack traceback:.*"), l1, l2)
  end)

  it("is there for an error in a timer", function()
    local line
    tide.set_timeout(function()
      line = here() + 1
      error("in a timer")
    end, 1)
    local trace = trace_of()
    assert.matches(": in a timer\n", trace)
    passes(trace:match("stack traceback:.*"), line)
  end)

  it("goes on through Promise.all", function()
    local l1, l2
    local fail = async(function()
      await(sleep(1))
      l1 = here() + 1
      error("one of all")
    end)
    local trace = trace_of(function()
      l2 = here() + 1
      await(Promise.all({ sleep(2), fail() }))
    end)
    assert.matches(": one of all\n", trace)
    passes(trace:match("stack traceback:.*"), l1, l2)
  end)

  it("goes on through join", function()
    local l1, l2
    local fail = async(function()
      await(nil)
      l1 = here() + 1
      error("one of them")
    end)
    local trace = trace_of(function()
      l2 = here() + 1
      tide.join(fail(), sleep(1))
    end)
    passes(trace:match("stack traceback:.*"), l1, l2)
  end)

  it("stays that of the first error when it is rethrown unchanged", function()
    local l1, l2
    local fail = async(function()
      await(nil)
      l1 = here() + 1
      error("first")
    end)
    local trace = trace_of(function()
      local ok, err = pcall(await, fail())
      assert.is_false(ok)
      l2 = here() + 1
      error(err, 0)
    end)
    passes(trace, l1)
    passes(trace, l2)
  end)

  it("never changes the reason", function()
    local reason = {}
    local f = async(function()
      await(nil)
      error(reason)
    end)
    local ok, err = xpcall(tide.run, function(e)
      return e
    end, f)
    assert.is_false(ok)
    assert.equal(reason, err)
    ok, err = pcall(tide.run, async(function()
      await(f())
    end))
    assert.is_false(ok)
    assert.equal(reason, err)
  end)

  it("is not kept alive longer than the rejection", function()
    local function fail()
      local p = spawn(function()
        local value = leak.track({}, "local of the function")
        await(nil)
        error(leak.track({ value }, "reason"))
      end)
      assert.is_false(pcall(await, p))
      leak.track(p, "promise")
    end
    fail()
  end)

  it("shows names of any length, as often as it is rethrown", function()
    local name = ("x"):rep(3000)
    local source = "local o, await = {}, ... function o:%s(p) await(p) return 1 end "
      .. "return function(p) return o:%s(p) + 1 end"
    local f = async(assert(load(source:format(name, name), "=chunk"))(await))
    local trace = trace_of(function()
      await(f(f(f(Promise.reject("reason")))))
    end)
    local _, count = trace:gsub("chunk:1: in method '" .. name .. "'\n", "")
    assert.equal(3, count)
    assert.matches("^reason\nstack traceback:\n", trace)
  end)

  it("is short for a recursion that is long", function()
    local f
    f = async(function(n)
      if n == 0 then
        await(nil)
        error("bottom")
      end
      await(f(n - 1))
    end)
    local trace = trace_of(function()
      await(f(500))
    end)
    assert.matches(": bottom\n", trace)
    local _, count = trace:gsub("\n", "\n")
    assert.is_true(count < 200, tostring(count))
  end)
end)
