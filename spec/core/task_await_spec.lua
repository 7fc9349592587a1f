-- Of: core/task, core/barrier, core/coroutine
local tide = require "moontide"
local fs = require "moontide.fs"
local child = require "spec.support.child"
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new

local async, await, spawn, sleep = tide.async, tide.await, tide.spawn, tide.sleep
local Promise = tide.Promise

-- Runs `f` as an async function and returns its values.
local function inside(f, ...)
  return await(spawn(f, ...))
end

describe("await", function()
  after_each(leak.check)

  it("S04 returns all the values, nils among them", function()
    inside(function()
      assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(await(Promise.resolve(1, nil, 3, nil))))
      assert.same({ n = 0 }, table.pack(await(Promise.resolve())))
      assert.same({ n = 0 }, table.pack(await(sleep(1))))
      assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(await(1, nil, 3, nil)))
      assert.same({ nil, n = 1 }, table.pack(await(nil)))
      assert.same({ n = 0 }, table.pack(await()))
      assert.same({ "a", n = 1 }, table.pack(await(Promise.resolve("a"), "rest")))
    end)
  end)

  it("S04 raises the reason unchanged, caught with pcall and xpcall", function()
    local reason = {}
    inside(function()
      local ok, err = pcall(await, Promise.reject(reason))
      assert.is_false(ok)
      assert.equal(reason, err)
      ok, err = pcall(function()
        await(sleep(1))
        await(Promise.reject(reason))
      end)
      assert.is_false(ok)
      assert.equal(reason, err)
      ok, err = xpcall(function()
        await(Promise.reject("text"))
      end, function(e)
        return "handled " .. e
      end)
      assert.is_false(ok)
      assert.equal("handled text", err)
      ok, err = pcall(await, Promise.reject(nil))
      assert.is_false(ok)
      assert.is_nil(err)
    end)
  end)

  it("S04 adds no position to a string that it raises", function()
    inside(function()
      local _, err = pcall(function()
        await(Promise.reject("plain"))
      end)
      assert.equal("plain", err)
    end)
  end)

  it("S04 passes a rethrown reason on to the caller's await", function()
    local reason = {}
    local inner = async(function()
      await(nil)
      error(reason)
    end)
    local middle = async(function()
      local ok, err = pcall(await, inner())
      assert.is_false(ok)
      error(err, 0)
    end)
    local ok, err = pcall(await, middle())
    assert.is_false(ok)
    assert.equal(reason, err)
  end)

  it("S04 releases <close> variables when it raises, in order, and they may await", function()
    local log, lines = new_log()
    local function guard(name)
      return setmetatable({}, {
        __close = function(_, err)
          log("close", name, err)
          await(sleep(1))
          log("closed", name)
        end,
      })
    end
    local ok, err = pcall(inside, function()
      local _ <close> = guard("outer")
      local _ <close> = guard("inner")
      await(Promise.reject("r"))
    end)
    log(ok, err)
    assert.same({
      "close inner r",
      "closed inner",
      "close outer r",
      "closed outer",
      "false r",
    }, lines)
  end)

  it("S05 suspends the function, not the thread", function()
    local log, lines = new_log()
    local done = false
    local waiting = spawn(function()
      await(sleep(300))
      done = true
    end)
    spawn(function()
      for i = 1, 3 do
        await(sleep(1))
        log("other", i, done)
      end
    end)
    tide.set_timeout(function()
      log("timer", done)
    end, 20)
    await(fs.stat("."))
    log("io", done)
    await(waiting)
    assert.is_true(done)
    table.sort(lines)
    assert.same({
      "io false",
      "other 1 false",
      "other 2 false",
      "other 3 false",
      "timer false",
    }, lines)
  end)

  it("S05 keeps locals, upvalues, varargs, loops and pcall frames", function()
    local up = "up"
    local result = table.pack(inside(function(...)
      local sum, seen = 0, {}
      for i = 1, 3 do
        for k, v in pairs({ a = i }) do
          await(nil)
          sum = sum + v
          seen[#seen + 1] = k
        end
      end
      local i = 0
      while i < 2 do
        i = i + 1
        await(sleep(1))
      end
      local ok, inner = pcall(function(...)
        local n = select("#", ...)
        await(sleep(1))
        local ok, err = pcall(function()
          await(nil)
          error("inner", 0)
        end)
        up = up .. "!"
        return n + select("#", ...), ok, err
      end, ...)
      return sum, table.concat(seen), i, ok, inner, up, ...
    end, "x", nil))
    assert.same({ 6, "aaa", 2, true, 4, "up!", "x", nil, n = 8 }, result)
  end)

  it("S05 works in a method, a tail call and deep in plain functions", function()
    local object = { value = 2 }
    function object:twice()
      await(nil)
      return self.value * 2
    end
    local function deep(n)
      if n == 0 then
        return await(Promise.resolve("bottom"))
      end
      return (deep(n - 1))
    end
    inside(function()
      assert.equal(4, object:twice())
      assert.equal("bottom", deep(150))
    end)
    assert.equal("tail", inside(function()
      return await(Promise.resolve("tail"))
    end))
  end)

  it("S06 continues before a timer, an immediate or a completion that is ready", function()
    local log, lines = new_log()
    tide.set_timeout(log, 1, "timer")
    tide.set_immediate(log, "immediate")
    fs.stat("."):next(function()
      log("io")
    end)
    local start = tide.now()
    repeat until tide.now() - start > 20
    inside(function()
      for _ = 1, 50 do
        await(nil)
      end
      log("continued")
    end)
    tide.run()
    assert.equal("continued", lines[1])
    assert.equal(4, #lines)
  end)

  it("S07 lets a queued microtask run before it returns, even for a settled promise", function()
    inside(function()
      local settled = Promise.resolve()
      for _, value in ipairs({ 1, settled, spawn(function() end) }) do
        local ran = false
        tide.queue_microtask(function()
          ran = true
        end)
        await(value)
        assert.is_true(ran)
      end
    end)
  end)

  it("S08 awaits a thenable, and anything that settles it", function()
    inside(function()
      assert.equal("v", await({
        ["then"] = function(_, resolve)
          tide.set_timeout(resolve, 1, "v")
        end,
      }))
      local ok, err = pcall(await, {
        ["then"] = function(_, _, reject)
          reject("r")
        end,
      })
      assert.is_false(ok)
      assert.equal("r", err)
    end)
  end)

  it("S09 lets others run between sequential operations", function()
    local log, lines = new_log()
    local f = async(function(name)
      for i = 1, 2 do
        await(sleep(5))
        log(name, i)
      end
    end)
    tide.join(f("a"), f("b"))
    assert.same({ "a 1", "b 1", "a 2", "b 2" }, lines)
  end)
end)

describe("await at top level", function()
  after_each(leak.check)

  it("S10 drives the loop in a busted `it`", function()
    local _, main = coroutine.running()
    assert.is_true(main)
    local ran = false
    tide.set_timeout(function()
      ran = true
    end, 1)
    assert.equal("v", await(sleep(20):next(function()
      return "v"
    end)))
    assert.is_true(ran)
  end)

  it("S10 works in a main chunk and in a coroutine of it", function()
    local result = child.lua_source([[
      local tide = require "moontide"
      tide.set_timeout(print, 1, "timer")
      print(tide.await(tide.sleep(20):next(function() return "slept" end)))
      print(coroutine.wrap(function() return tide.await("value") end)())
    ]])
    assert.same({ code = 0, out = "timer\nslept\nvalue\n", err = "" }, result)
  end)

  it("S10 works in a REPL, line by line", function()
    local result = child.with_file([[
tide = require "moontide"
p = tide.sleep(1):next(function() return "slept" end)
print("<" .. tide.await(p) .. ">")
print("<" .. tide.await("again") .. ">")
]], function(path)
      return child.shell(child.command("-i"), path)
    end)
    assert.equal(0, result.code)
    assert.matches("<slept>.*<again>", result.out)
  end)

  it("S10 raises the reason unchanged", function()
    local reason = {}
    local ok, err = pcall(await, Promise.reject(reason))
    assert.is_false(ok)
    assert.equal(reason, err)
  end)

  it("S10 works in a required module", function()
    package.preload["spec.awaiting"] = function()
      return { value = await(sleep(1):next(function()
        return "loaded"
      end)) }
    end
    finally(function()
      package.preload["spec.awaiting"] = nil
      package.loaded["spec.awaiting"] = nil
    end)
    assert.equal("loaded", require("spec.awaiting").value)
  end)

  it("S10 works across C calls, where no async function runs", function()
    local list = { 3, 1, 2 }
    table.sort(list, function(a, b)
      await(nil)
      return a < b
    end)
    assert.same({ 1, 2, 3 }, list)
    assert.equal("b", (("a"):gsub("a", function()
      return await(Promise.resolve("b"))
    end)))
  end)

  it("S10 works in a coroutine of the user's, where no async function runs", function()
    local f = coroutine.wrap(function()
      local v = await(sleep(1):next(function()
        return "first"
      end))
      coroutine.yield(v)
      return await(Promise.resolve("second"))
    end)
    assert.equal("first", f())
    assert.equal("second", f())
  end)

  it("S10 stops at the right job and leaves the rest of the queue", function()
    local log, lines = new_log()
    local p, resolve = Promise.with_resolvers()
    tide.queue_microtask(function()
      resolve()
      tide.queue_microtask(log, "after")
    end)
    await(p)
    assert.same({}, lines)
    tide.run()
    assert.same({ "after" }, lines)
  end)

  it("S10 says so when nothing is left that could settle it", function()
    local p, resolve = Promise.with_resolvers()
    local ok, err = pcall(await, p)
    assert.is_false(ok)
    assert.equal("DeadlockError", err.name)
    assert.matches("^DeadlockError: ", tostring(err))
    resolve("later")
    assert.equal("later", await(p))
  end)

  it("S10 leaves no trace of an await that nothing could settle", function()
    local p = leak.track((Promise.with_resolvers()), "promise")
    assert.is_false(pcall(await, p))
  end)
end)

describe("await in the wrong place", function()
  after_each(leak.check)

  local outside = "task_await_spec%.lua:%d+: await outside an async function"

  it("S10 raises in a timer, an immediate and a microtask", function()
    local function f()
      await(nil)
    end
    for _, start in ipairs({
      function() tide.set_timeout(f, 1) end,
      function() tide.set_immediate(f) end,
      function() tide.queue_microtask(f) end,
    }) do
      start()
      local ok, err = pcall(tide.run)
      assert.is_false(ok)
      assert.matches(outside, err)
    end
  end)

  it("S10 rejects the promise of a reaction", function()
    local ok, err = pcall(await, Promise.resolve():next(function()
      await(sleep(1))
    end))
    assert.is_false(ok)
    assert.matches(outside, err)
  end)

  it("S10 raises in a `then` of a thenable", function()
    local ok, err = pcall(await, {
      ["then"] = function(_, resolve)
        resolve(await(1))
      end,
    })
    assert.is_false(ok)
    assert.matches(outside, err)
  end)

  it("S10 leaves a plain callback that catches the error as it was", function()
    local message
    tide.set_timeout(function()
      local _, err = pcall(await, sleep(1))
      message = err
    end, 1)
    tide.run()
    assert.matches("await outside an async function", message)
  end)

  -- In each of these, the async function goes on after the error as if nothing had been.
  local function obstructed(name, pattern, f)
    it("S11 names what stands in the way: " .. name, function()
      for _, make in ipairs({
        function() return sleep(1) end,
        function() return Promise.resolve(1) end,
        function() return 1 end,
      }) do
        local got = table.pack(inside(function()
          local ok, err = pcall(f, make)
          await(sleep(1))
          return ok, err, "goes on"
        end))
        assert.is_false(got[1])
        assert.matches(pattern, got[2])
        assert.equal("goes on", got[3])
      end
    end)
  end

  obstructed(
    "table.sort",
    "await cannot suspend inside table%.sort, called from [^\n]*task_await_spec%.lua:%d+",
    function(make)
      table.sort({ 3, 2, 1 }, function(a, b)
        await(make())
        return a < b
      end)
    end
  )

  obstructed(
    "string.gsub",
    "await cannot suspend inside string%.gsub, called from [^\n]*task_await_spec%.lua:%d+",
    function(make)
      return (string.gsub("abc", "%w", function()
        return await(make())
      end))
    end
  )

  obstructed("a method of a string", "await cannot suspend inside [%w.]*gsub", function(make)
    return (("abc"):gsub("%w", function()
      return await(make())
    end))
  end)

  obstructed("tostring", "await cannot suspend inside tostring", function(make)
    local object = setmetatable({}, {
      __tostring = function()
        return await(make())
      end,
    })
    return tostring(object) .. ""
  end)

  obstructed("a metamethod that C calls", "cannot suspend inside table%.concat", function(make)
    local list = setmetatable({}, {
      __len = function()
        return 1
      end,
      __index = function()
        await(make())
        return "x"
      end,
    })
    return table.concat(list) .. ""
  end)

  obstructed("require", "await cannot suspend inside require", function(make)
    package.preload["spec.awaiting"] = function()
      await(make())
      return true
    end
    local _ <close> = setmetatable({}, {
      __close = function()
        package.preload["spec.awaiting"] = nil
        package.loaded["spec.awaiting"] = nil
      end,
    })
    return (require("spec.awaiting"))
  end)

  obstructed(
    "a coroutine of the user's",
    "await inside a coroutine that is not an async function",
    function(make)
      local co = coroutine.create(function()
        await(make())
      end)
      local ok, err = coroutine.resume(co)
      assert.is_false(ok)
      error(err, 0)
    end
  )

  obstructed(
    "coroutine.wrap",
    "await inside a coroutine that is not an async function",
    function(make)
      coroutine.wrap(function()
        await(make())
      end)()
    end
  )

  it("S11 names what stands in the way: a finalizer", function()
    local message
    inside(function()
      local function drop()
        setmetatable({}, {
          __gc = function()
            message = select(2, pcall(await, sleep(1)))
          end,
        })
      end
      drop()
      leak.collect()
    end)
    assert.matches("await cannot suspend inside [^\n]*__gc", message)
  end)

  it("S11 raises inside an executor of an async function", function()
    local ok, err = pcall(inside, function()
      await(Promise(function(resolve)
        resolve(await(sleep(1)))
      end))
    end)
    assert.is_false(ok)
    assert.matches("^[^\n]*task_await_spec%.lua:%d+: await [^\n]+", err)
  end)

  it("S11 works in pcall and xpcall, and in nested ones", function()
    inside(function()
      local got = table.pack(pcall(pcall, pcall, function(...)
        await(sleep(1))
        return ...
      end, 1, nil, 3))
      assert.same({ true, true, true, 1, nil, 3, n = 6 }, got)
      got = table.pack(xpcall(function(...)
        await(sleep(1))
        return select("#", ...)
      end, print, nil, nil))
      assert.same({ true, 2, n = 2 }, got)
    end)
  end)

  it("S11 works in metamethods that the VM calls", function()
    local meta = {}
    local function event(name, f)
      meta[name] = function(...)
        await(nil)
        await(sleep(1))
        return f(...)
      end
    end
    event("__index", function(_, k) return k .. "!" end)
    event("__newindex", function(t, k, v) rawset(t, k, v * 2) end)
    event("__call", function(_, a, b) return b, a end)
    event("__add", function() return "add" end)
    event("__concat", function() return "concat" end)
    event("__eq", function() return true end)
    event("__lt", function() return true end)
    event("__le", function() return false end)
    event("__len", function() return 42 end)
    event("__unm", function() return "unm" end)
    inside(function()
      local a, b = setmetatable({}, meta), setmetatable({}, meta)
      assert.equal("x!", a.x)
      a.y = 4
      assert.equal(8, rawget(a, "y"))
      assert.same({ 2, 1 }, { a(1, 2) })
      assert.equal("add", a + 1)
      assert.equal("concat", "x" .. a)
      assert.is_true(a == b)
      assert.is_true(a < b)
      assert.is_false(a <= b)
      assert.equal(42, #a)
      assert.equal("unm", -a)
    end)
  end)

  it("S11 works in an iterator, in dofile and in a loaded chunk", function()
    inside(function()
      local seen = {}
      local function numbers(n, i)
        await(sleep(1))
        if i < n then
          return i + 1
        end
      end
      for i in numbers, 3, 0 do
        seen[#seen + 1] = i
      end
      assert.same({ 1, 2, 3 }, seen)
      assert.equal("v", load("local await = ... return await('v')")(await))
      local path = os.tmpname()
      local _ <close> = setmetatable({}, {
        __close = function()
          os.remove(path)
        end,
      })
      await(fs.write_file(path, "return require('moontide').await('from a file')"))
      assert.equal("from a file", dofile(path))
    end)
  end)

  it("S11 works in __close, on a normal exit, a break and a return", function()
    local log, lines = new_log()
    local function guard(name)
      return setmetatable({}, {
        __close = function()
          await(sleep(1))
          log("closed", name)
        end,
      })
    end
    local value = inside(function()
      do
        local _ <close> = guard("block")
        log("in block")
      end
      for i = 1, 2 do
        local _ <close> = guard("loop")
        if i == 1 then
          break
        end
      end
      local _ <close> = guard("function")
      return "returned"
    end)
    log(value)
    assert.same({
      "in block",
      "closed block",
      "closed loop",
      "closed function",
      "returned",
    }, lines)
  end)

  it("S11 closes a generic for's closing value, which may await", function()
    local log, lines = new_log()
    inside(function()
      local closing = setmetatable({}, {
        __close = function()
          await(sleep(1))
          log("closed")
        end,
      })
      local function once(_, i)
        return i == 0 and 1 or nil
      end
      for i in once, nil, 0, closing do
        log(i)
      end
      log("after")
    end)
    assert.same({ "1", "closed", "after" }, lines)
  end)
end)
