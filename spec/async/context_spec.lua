-- Of: async/context, core/context
local tide = require "moontide"
local fs = require "moontide.fs"
local leak = require "spec.support.leak"

local async, await, spawn, sleep = tide.async, tide.await, tide.spawn, tide.sleep
local Promise = tide.Promise

describe("ContextVar", function()
  after_each(leak.check)

  it("has its default, or nil, where nothing is set", function()
    assert.equal("default", tide.ContextVar("a", "default"):get())
    assert.is_nil(tide.ContextVar("b"):get())
    assert.is_false(tide.ContextVar("c", false):get())
  end)

  it("sets a value for the length of a call, with arguments and results passed on", function()
    local var = tide.ContextVar("var", "default")
    local got = table.pack(var:run("value", function(...)
      return var:get(), ...
    end, 1, nil, 3, nil))
    assert.same({ "value", 1, nil, 3, nil, n = 5 }, got)
    assert.equal("default", var:get())
  end)

  it("nests, and keeps variables apart", function()
    local a, b = tide.ContextVar("same name", 0), tide.ContextVar("same name", 0)
    a:run(1, function()
      b:run(2, function()
        a:run(3, function()
          assert.same({ 3, 2 }, { a:get(), b:get() })
        end)
        assert.same({ 1, 2 }, { a:get(), b:get() })
      end)
      assert.same({ 1, 0 }, { a:get(), b:get() })
    end)
  end)

  it("holds in the job that calls a thenable's method", function()
    local var = tide.ContextVar("var", "default")
    local function thenable(seen)
      return { ["then"] = function(_, resolve)
        seen[#seen + 1] = var:get()
        resolve(var:get())
      end }
    end
    local seen = {}
    local promises = var:run("inside", function()
      return {
        Promise.resolve(thenable(seen)),
        Promise.new(function(resolve) resolve(thenable(seen)) end),
        Promise.all({ thenable(seen) }),
        Promise.resolve():next(function() return thenable(seen) end),
        spawn(function() return thenable(seen) end),
        spawn(function() return await(thenable(seen)) end),
      }
    end)
    Promise.resolve(thenable(seen))
    for _, promise in ipairs(promises) do
      await(promise)
    end
    table.sort(seen)
    assert.same({ "default", "inside", "inside", "inside", "inside", "inside", "inside" }, seen)
    assert.equal("default", var:get())
  end)

  it("can be set to nil and to false, over a default and over a value", function()
    local var = tide.ContextVar("var", "default")
    var:run("outer", function()
      assert.is_nil(var:run(nil, var.get, var))
      assert.is_false(var:run(false, var.get, var))
      assert.equal("outer", var:get())
    end)
  end)

  it("is restored when the call throws, and passes the error on unchanged", function()
    local var = tide.ContextVar("var", "default")
    local reason = {}
    local ok, err = pcall(var.run, var, "value", function()
      error(reason)
    end)
    assert.is_false(ok)
    assert.equal(reason, err)
    assert.equal("default", var:get())
  end)

  it("follows an async function across its awaits, and is not seen outside", function()
    local var = tide.ContextVar("var", "default")
    local f = async(function()
      local seen = { var:get() }
      await(nil)
      seen[2] = var:get()
      await(sleep(1))
      seen[3] = var:get()
      await(fs.stat("."))
      seen[4] = var:get()
      pcall(await, Promise.reject())
      seen[5] = var:get()
      return seen
    end)
    local p = var:run("inside", f)
    assert.equal("default", var:get())
    assert.same({ "inside", "inside", "inside", "inside", "inside" }, await(p))
    assert.equal("default", var:get())
  end)

  it("keeps concurrent calls apart", function()
    local var = tide.ContextVar("var")
    local f = async(function(mine)
      for _ = 1, 5 do
        await(nil)
        assert.equal(mine, var:get())
        await(sleep(1))
        assert.equal(mine, var:get())
      end
      return mine
    end)
    local list = {}
    for i = 1, 20 do
      list[i] = var:run(i, f, i)
    end
    for i, mine in ipairs(await(Promise.all(list))) do
      assert.equal(i, mine)
    end
  end)

  it("does not leak from a callee to its caller, or to the next job", function()
    local var = tide.ContextVar("var", "default")
    await(spawn(function()
      local p = var:run("callee", spawn, function()
        await(nil)
        await(sleep(1))
      end)
      assert.equal("default", var:get())
      tide.queue_microtask(function()
        assert.equal("default", var:get())
      end)
      await(p)
      assert.equal("default", var:get())
    end))
  end)

  it("may be set around an await inside an async function", function()
    local var = tide.ContextVar("var", "default")
    await(spawn(function()
      local got = var:run("inner", function()
        assert.equal("inner", var:get())
        await(sleep(1))
        assert.equal("inner", var:get())
        return var:get()
      end)
      assert.equal("inner", got)
      assert.equal("default", var:get())
      local ok = pcall(var.run, var, "failing", function()
        await(nil)
        error("x", 0)
      end)
      assert.is_false(ok)
      assert.equal("default", var:get())
      await(nil)
      assert.equal("default", var:get())
    end))
  end)

  it("may be set around a top-level await", function()
    local var = tide.ContextVar("var", "default")
    var:run("inner", function()
      await(sleep(1))
      assert.equal("inner", var:get())
    end)
    assert.equal("default", var:get())
  end)

  -- Runs `start` with the variable set; `start` hands its callback on to something that calls
  -- it later. Returns what the callback saw.
  local function seen_in(start)
    local var = tide.ContextVar("var", "default")
    local seen = {}
    var:run("at registration", function()
      start(function()
        seen[#seen + 1] = var:get()
      end)
    end)
    assert.same({}, seen)
    var:run("at the call", tide.run)
    return seen
  end

  local registrations = {
    ["a timeout"] = function(f)
      tide.set_timeout(f, 1)
    end,
    ["an immediate"] = function(f)
      tide.set_immediate(f)
    end,
    ["a microtask"] = function(f)
      tide.queue_microtask(f)
    end,
    ["a reaction"] = function(f)
      Promise.resolve():next(f)
    end,
    ["a reaction to a rejection"] = function(f)
      Promise.reject():catch(f)
    end,
    ["a finally"] = function(f)
      Promise.resolve():finally(f)
    end,
    ["a reaction to I/O"] = function(f)
      fs.stat("."):next(f)
    end,
  }
  for name, start in pairs(registrations) do
    it("is in a callback what it was where that was registered: " .. name, function()
      assert.same({ "at registration" }, seen_in(start))
    end)
  end

  it("is in every callback of an interval what it was where that was started", function()
    local seen = seen_in(function(f)
      local count, handle = 0, nil
      handle = tide.set_interval(function()
        f()
        count = count + 1
        if count == 3 then
          tide.clear_interval(handle)
        end
      end, 1)
    end)
    assert.same({ "at registration", "at registration", "at registration" }, seen)
  end)

  it("is in a reaction what it was there, not where the promise is settled", function()
    local var = tide.ContextVar("var", "default")
    local seen
    local p, resolve = Promise.with_resolvers()
    var:run("reaction", function()
      p:next(function()
        seen = var:get()
      end)
    end)
    var:run("resolver", resolve)
    tide.run()
    assert.equal("reaction", seen)
  end)

  it("is in an awaiting function its own, not the settler's", function()
    local var = tide.ContextVar("var", "default")
    local p, resolve = Promise.with_resolvers()
    local seen = var:run("waiter", spawn, function()
      await(p)
      return var:get()
    end)
    var:run("settler", resolve)
    assert.equal("waiter", await(seen))
  end)

  it("is put back after a callback that has thrown", function()
    local var = tide.ContextVar("var", "default")
    var:run("callback", function()
      tide.set_timeout(error, 1, "x", 0)
    end)
    assert.is_false(pcall(tide.run))
    assert.equal("default", var:get())
    local seen
    tide.queue_microtask(function()
      seen = var:get()
    end)
    tide.run()
    assert.equal("default", seen)
  end)

  it("is inherited by a call deeper than C allows", function()
    local var = tide.ContextVar("var")
    local f
    f = async(function(n)
      if n == 0 then
        return var:get()
      end
      return await(f(n - 1))
    end)
    assert.equal("deep", await(var:run("deep", f, 1000)))
  end)

  it("lets go of its value with the last of those who could see it", function()
    local var = tide.ContextVar("var")
    local function run()
      local value = leak.track({}, "value")
      await(var:run(value, spawn, function()
        tide.set_timeout(function() end, 1)
        await(sleep(1))
      end))
    end
    run()
    tide.run()
    leak.collect()
    assert.is_nil(var:get())
  end)

  it("lets go of itself", function()
    local var = leak.track(tide.ContextVar("var", leak.track({}, "default")), "variable")
    var:run(leak.track({}, "value"), function() end)
  end)
end)
