-- Bugs that were found once, and what shows them.
local tide = require "moontide"
local leak = require "spec.support.leak"

local await, sleep, spawn, Promise = tide.await, tide.sleep, tide.spawn, tide.Promise

describe("regression", function()
  after_each(leak.check)

  it("an interval finds room in the heap that its own callback has filled", function()
    local fired = 0
    local interval
    interval = tide.set_interval(function()
      fired = fired + 1
      tide.set_timeout(function() end, 5)
      if fired == 3 then
        interval:close()
      end
    end, 1)
    for _ = 1, 63 do
      tide.set_timeout(function() end, 10)
    end
    tide.run()
    assert.equal(3, fired)
  end)

  it("a foreign yield after a nested call is no await", function()
    for _, wait in ipairs({
      function()
        await(sleep(1))
      end,
      function()
        await(nil)
      end,
    }) do
      local p = spawn(function()
        spawn(wait)
        coroutine.yield(5)
      end)
      local ok, err = pcall(await, p)
      assert.is_false(ok)
      assert.matches("yielded without await", err)
      tide.run()
    end
  end)

  it("queue_microtask calls tables and userdata with __call once", function()
    local calls = 0
    local callable = {
      __call = function()
        calls = calls + 1
      end,
    }
    tide.queue_microtask(setmetatable({ 10, 20, 30 }, callable))
    tide.queue_microtask(setmetatable({ io.stdout }, callable))
    tide.run()
    assert.equal(2, calls)
  end)

  it("a coroutine resumed by hand after an await of many values crashes nothing", function()
    local co
    local values = {}
    for i = 1, 50 do
      values[i] = i
    end
    local p = spawn(function()
      co = coroutine.running()
      pcall(function()
        return await(table.unpack(values))
      end)
      coroutine.yield()
    end)
    p:catch(function() end)
    coroutine.resume(co, "x")
    tide.run()
    assert.is_not.equal("pending", (p:state()))
  end)

  it("a task that fails in somebody else's hands fails nobody else", function()
    local other
    spawn(function()
      other = coroutine.running()
      pcall(await, sleep(1))
      await(sleep(1))
    end):catch(function() end)
    local p = spawn(function()
      coroutine.resume(other)
      return "mine"
    end)
    assert.same({ "fulfilled", "mine" }, { p:state() })
    tide.run()
  end)

  it("stop() in the function that is run ends the run", function()
    local interval <close> = tide.set_interval(function() end, 1)
    tide.run(function()
      tide.stop()
    end)
    tide.run(function()
      await(sleep(1))
      tide.stop()
    end)
    interval:close()
  end)

  it("the context of a reaction ends with it", function()
    local var = tide.ContextVar("var", "default")
    local seen = {}
    var:run("inner", function()
      Promise.resolve():next(function()
        seen[#seen + 1] = var:get()
      end)
    end)
    tide.queue_microtask(function()
      seen[#seen + 1] = var:get()
    end)
    tide.run()
    assert.same({ "inner", "default" }, seen)
  end)

  it("a very long delay is no shorter than a long one", function()
    local short <close> = tide.set_timeout(function() end, 1e12)
    local before = tide.backend_timeout()
    short:close()
    local long <close> = tide.set_timeout(function() end, 1e12 + 1e6)
    assert.is_true(tide.backend_timeout() > before)
    long:close()
  end)

  it("await keeps all values when the first has a metatable but no then", function()
    local object = setmetatable({}, {})
    local function count(...)
      return select("#", ...), ...
    end
    assert.equal(3, (count(await(object, 2, 3))))
    assert.equal(
      3,
      await(spawn(function()
        return (count(await(object, nil, 3)))
      end))
    )
  end)

  it("an import that fails and that nobody awaits is reported", function()
    tide.import("no such module")
    local ok, err = pcall(tide.run)
    assert.is_false(ok)
    assert.matches("no such module", err)
  end)

  it("a finalizer may resolve the promise to which a reaction is being added", function()
    for _ = 1, 200 do
      local p, resolve = Promise.with_resolvers()
      local log = {}
      p:next(function()
        log[#log + 1] = 1
      end)
      setmetatable({}, { __gc = resolve })
      for i = 2, 20 do
        p:next(function()
          log[#log + 1] = i
        end)
      end
      resolve()
      tide.run()
      assert.equal(20, #log)
      assert.equal(20, log[20])
    end
  end)

  it("what is taken back leaves no hole in the registry, which others would fill", function()
    local registry, last = debug.getregistry(), 0
    tide.on_wake(function() end)
    tide.on_wake()
    tide.debug({ floating = true })
    tide.debug(false)
    for key in pairs(registry) do
      last = math.type(key) == "integer" and math.max(last, key) or last
    end
    for i = 1, last do
      assert.is_true(registry[i] ~= nil, "slot " .. i)
    end
  end)
end)
