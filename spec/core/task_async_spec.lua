-- Of: core/task, core/coroutine
local tide = require "moontide"
local allow_suspended = require("moontide.busted").allow_suspended
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new
local scale = require "spec.support.scale"

local async, await, spawn, sleep = tide.async, tide.await, tide.spawn, tide.sleep
local Promise = tide.Promise

describe("async", function()
  after_each(leak.check)

  it("S01 runs synchronously until the first suspension, then the caller goes on", function()
    local log, lines = new_log()
    local f = async(function(...)
      log("in", ...)
      await(nil)
      log("continued")
    end)
    local p = f(1, nil, 3)
    log("caller", p:state())
    await(p)
    assert.same({ "in 1 nil 3", "caller pending", "continued" }, lines)
  end)

  it("S01 has settled already when it never suspends", function()
    local p = spawn(function()
      return "v"
    end)
    assert.same({ "fulfilled", "v", n = 2 }, table.pack(p:state()))
  end)

  it("S01 starts an async function that an async function calls before it returns", function()
    local log, lines = new_log()
    local inner = async(function()
      log("inner")
      await(nil)
    end)
    spawn(function()
      log("outer")
      inner()
      log("outer again")
    end)
    assert.same({ "outer", "inner", "outer again" }, lines)
  end)

  it("S02 returns a Promise, every time a new one", function()
    local f = async(function() end)
    local p, q = f(), f()
    assert.equal(getmetatable(Promise.resolve()), getmetatable(p))
    assert.are_not.equal(p, q)
  end)

  it("S02 returns just the promise", function()
    assert.equal(1, select("#", spawn(function()
      return 1, 2, 3
    end)))
  end)

  it("S02 wraps no result, one, several, and nils among them", function()
    local echo = async(function(...)
      return ...
    end)
    local late = async(function(...)
      await(nil)
      return ...
    end)
    for _, f in ipairs({ echo, late }) do
      assert.same({ n = 0 }, table.pack(await(f())))
      assert.same({ 1, n = 1 }, table.pack(await(f(1))))
      assert.same({ nil, n = 1 }, table.pack(await(f(nil))))
      assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(await(f(1, nil, 3, nil))))
      assert.same({ false, n = 1 }, table.pack(await(f(false))))
    end
  end)

  it("S02 hands on more values than a small stack holds", function()
    local count = 5000
    local values = {}
    for i = 1, count do
      values[i] = i
    end
    local p = spawn(function(...)
      await(nil)
      return ...
    end, table.unpack(values))
    assert.equal(count, select("#", await(p)))
    assert.equal(count, (select(count, await(p))))
  end)

  it("S02 adopts a promise or thenable that is returned", function()
    assert.same({ "a", "b", n = 2 }, table.pack(await(spawn(function()
      return Promise.resolve("a", "b")
    end))))
    assert.equal("then", await(spawn(function()
      return {
        ["then"] = function(_, resolve)
          resolve("then")
        end,
      }
    end)))
  end)

  it("S03 turns a throw of any value into a rejection with it, before and after await", function()
    local reasons = table.pack("text", {}, nil, 7, false, print, coroutine.create(print))
    for i = 1, reasons.n do
      local reason = reasons[i]
      local early = spawn(function()
        error(reason, 0)
      end)
      local late = spawn(function()
        await(nil)
        error(reason, 0)
      end)
      for _, p in ipairs({ early, late }) do
        local result = table.pack(pcall(await, p))
        assert.equal(2, result.n)
        assert.is_false(result[1])
        assert.is_true(rawequal(reason, result[2]))
      end
    end
  end)

  it("S03 raises nothing in the caller", function()
    local ok, p = pcall(async(function()
      error("not for the caller", 0)
    end))
    assert.is_true(ok)
    assert.equal("rejected", p:state())
    p:catch(function() end)
  end)

  it("S03 leaves a caller alone that goes on after a call of it has failed", function()
    local fail = async(function()
      error("failed", 0)
    end)
    local function ignore() end
    local p = spawn(function()
      fail():catch(ignore)
      return "goes on"
    end)
    assert.same({ "fulfilled", "goes on", n = 2 }, table.pack(p:state()))
    local q = spawn(function()
      await(nil)
      fail():catch(ignore)
      return fail()
    end)
    local ok, err = pcall(await, q)
    assert.is_false(ok)
    assert.equal("failed", err)
  end)

  it("S03 rejects with run-time errors and their position", function()
    local p = spawn(function()
      local t = nil
      return t.field
    end)
    local ok, err = pcall(await, p)
    assert.is_false(ok)
    assert.matches("task_async_spec%.lua:%d+: attempt to index a nil value", err)
  end)

  it("S03 closes its variables before the rejection is seen", function()
    local log, lines = new_log()
    local p = spawn(function()
      local _ <close> = setmetatable({}, {
        __close = function(_, err)
          log("closed", err)
        end,
      })
      await(nil)
      error("boom", 0)
    end)
    p:catch(function(err)
      log("caught", err)
    end)
    tide.run()
    assert.same({ "closed boom", "caught boom" }, lines)
  end)

  it("S03 rejects when the stack overflows", function()
    local function deep()
      return 1 + deep()
    end
    local ok, err = pcall(await, spawn(deep))
    assert.is_false(ok)
    assert.matches("stack overflow", tostring(err))
    assert.equal("fine", await(spawn(function()
      await(nil)
      return "fine"
    end)))
  end)

  it("spawn passes its arguments on", function()
    assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(await(spawn(function(...)
      return ...
    end, 1, nil, 3, nil))))
  end)

  it("accepts a callable object", function()
    local object = setmetatable({ base = 10 }, {
      __call = function(self, n)
        await(nil)
        return self.base + n
      end,
    })
    assert.equal(15, await(async(object)(5)))
  end)

  it("can be called many times at once", function()
    local f = async(function(i)
      local sum = 0
      for k = 1, 3 do
        await(nil)
        sum = sum + i * k
      end
      return sum
    end)
    local list = {}
    for i = 1, 200 do
      list[i] = f(i)
    end
    for i, sum in ipairs(await(Promise.all(list))) do
      assert.equal(6 * i, sum)
    end
  end)

  it("can be called from a coroutine of the user's, inside and outside the loop", function()
    local f = async(function()
      await(sleep(1))
      return "done"
    end)
    local p = coroutine.wrap(function()
      return f()
    end)()
    assert.equal("done", await(p))
    assert.equal("done", await(spawn(function()
      local q = coroutine.wrap(function()
        return f()
      end)()
      return await(q)
    end)))
  end)

  it("survives the coroutine that called it", function()
    local co = coroutine.create(function()
      coroutine.yield(spawn(function()
        await(sleep(1))
        return "alive"
      end))
    end)
    local _, p = coroutine.resume(co)
    coroutine.close(co)
    co = nil
    collectgarbage()
    assert.equal("alive", await(p))
    assert.is_nil(co)
  end)

  it("rejects when its function yields without await, early or late", function()
    local function yield()
      coroutine.yield("not a reason")
    end
    for _, f in ipairs({
      yield,
      function()
        await(nil)
        yield()
      end,
    }) do
      local ok, err = pcall(await, spawn(f))
      assert.is_false(ok)
      assert.matches("task_async_spec%.lua:%d+: [^\n]*yield", err)
    end
  end)

  it("rejects when somebody else resumes or closes its coroutine", function()
    for _, meddle in ipairs({ coroutine.resume, coroutine.close }) do
      local co
      local p = spawn(function()
        co = coroutine.running()
        await(sleep(1))
        return "not reached"
      end)
      meddle(co)
      local ok, err = pcall(await, p)
      assert.is_false(ok)
      assert.matches("async function", err)
      tide.run()
    end
  end)

  it("has a coroutine that looks dead when it has returned", function()
    local co
    await(spawn(function()
      co = coroutine.running()
      await(nil)
    end))
    assert.equal("dead", coroutine.status(co))
    assert.is_false(coroutine.resume(co))
    assert.is_true(coroutine.close(co))
    assert.equal("next", await(spawn(function()
      await(nil)
      return "next"
    end)))
  end)

  it("takes await, pcall and other C functions for a body", function()
    local late = sleep(1):next(function()
      return "late"
    end)
    assert.equal("late", await(spawn(await, late)))
    assert.same({ false, "r", n = 2 }, table.pack(await(spawn(pcall, await, Promise.reject("r")))))
    assert.equal(3, await(spawn(select, "#", 1, nil, 3)))
  end)

  it("S12 recurses a hundred thousand deep, each call started before the first await", function()
    local depth = scale(100000)
    local f
    f = async(function(n)
      if n == 0 then
        return 0
      end
      return 1 + await(f(n - 1))
    end)
    assert.equal(depth, await(f(depth)))
  end)

  it("S12 recurses deep when the calls suspend before, and at the bottom", function()
    local depth = scale(20000)
    local f
    f = async(function(n)
      await(nil)
      if n == 0 then
        await(sleep(1))
        return 0
      end
      return 1 + await(f(n - 1))
    end)
    assert.equal(depth, await(f(depth)))
  end)

  it("S12 passes an error up from the bottom of the recursion", function()
    local depth = scale(100000)
    local reason = {}
    local f
    f = async(function(n)
      if n == 0 then
        error(reason)
      end
      return await(f(n - 1))
    end)
    local ok, err = pcall(await, f(depth))
    assert.is_false(ok)
    assert.equal(reason, err)
  end)

  it("S12 keeps the order when a call is nested deeper than C allows", function()
    local log, lines = new_log()
    local depth = 400
    local f
    f = async(function(n)
      if n > depth - 2 then
        log("in", n)
      end
      if n < depth then
        local p = f(n + 1)
        if n > depth - 2 then
          log("called", n)
        end
        await(p)
      end
      if n > depth - 2 then
        log("out", n)
      end
    end)
    await(f(1))
    assert.same({ "in 399", "in 400", "out 400", "called 399", "out 399" }, lines)
  end)
end)

describe("what an async function keeps", function()
  after_each(leak.check)

  it("is collected, with its promise and locals, when nothing can resume it", function()
    allow_suspended()
    local f = async(function(...)
      local value = leak.track({}, "local")
      await((leak.track((Promise.with_resolvers()), "awaited promise")))
      return value, ...
    end)
    leak.track(f(leak.track({}, "argument")), "promise of the call")
  end)

  it("keeps a suspended function alive for as long as something can resume it", function()
    local settle
    local done = false
    do
      local p
      p, settle = Promise.with_resolvers()
      spawn(function()
        await(p)
        done = true
      end)
    end
    leak.collect()
    settle()
    tide.run()
    assert.is_true(done)
  end)

  it("lets go of its locals when it has returned", function()
    local p = spawn(function()
      local value = leak.track({}, "local")
      await(nil)
      return value ~= nil
    end)
    assert.is_true(await(p))
    leak.collect()
    assert.equal("fulfilled", p:state())
  end)

  it("lets go of a value that was awaited, at the next suspension at the latest", function()
    local gone = setmetatable({}, { __mode = "k" })
    await(spawn(function()
      local function touch()
        local value = await(Promise.resolve({}))
        gone[value] = true
      end
      touch()
      await(sleep(1))
      leak.collect()
      assert.is_nil(next(gone))
    end))
  end)

  it("does not grow with awaits in a loop", function()
    local function loop(n)
      local reject = Promise.reject("r")
      for _ = 1, n do
        await(nil)
        await(Promise.resolve(1))
        pcall(await, reject)
        pcall(await, Promise.reject("s"))
      end
    end
    await(spawn(loop, 100))
    leak.collect()
    local before = collectgarbage("count")
    local p = spawn(function()
      loop(scale(20000))
      leak.collect()
      return collectgarbage("count")
    end)
    assert.is_true(await(p) - before < 64)
  end)
end)
