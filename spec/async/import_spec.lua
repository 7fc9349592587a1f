local tide = require "moontide"
local child = require "spec.support.child"
local leak = require "spec.support.leak"

local await, spawn, sleep = tide.await, tide.spawn, tide.sleep

describe("import", function()
  after_each(leak.check)

  local function module(body)
    package.preload["spec.imported"] = body
    finally(function()
      package.preload["spec.imported"] = nil
      package.loaded["spec.imported"] = nil
    end)
  end

  it("is a promise of a module whose chunk may await", function()
    module(function(name)
      await(sleep(1))
      return { name = name }
    end)
    local m = await(spawn(function()
      return (await(tide.import("spec.imported")))
    end))
    assert.equal("spec.imported", m.name)
    assert.equal(m, require("spec.imported"))
  end)

  it("loads a module once, for all who import it meanwhile", function()
    local count = 0
    module(function()
      count = count + 1
      await(sleep(1))
      return {}
    end)
    local a, b = tide.join(tide.import("spec.imported"), tide.import("spec.imported"))
    assert.equal(a, b)
    assert.equal(a, (await(tide.import("spec.imported"))))
    assert.equal(1, count)
  end)

  it("gives a module that is loaded already", function()
    assert.equal(string, (await(tide.import("string"))))
  end)

  it("rejects when there is no such module, and with what its chunk throws", function()
    local ok, err = pcall(await, tide.import("spec.no_such_module"))
    assert.is_false(ok)
    assert.matches("spec%.no_such_module", tostring(err))
    local reason = {}
    module(function()
      await(nil)
      error(reason)
    end)
    ok, err = pcall(await, tide.import("spec.imported"))
    assert.is_false(ok)
    assert.equal(reason, err)
    assert.is_nil(package.loaded["spec.imported"])
  end)

  it("says like require where it has looked", function()
    local _, expected = pcall(require, "spec.no_such_module")
    local _, err = pcall(await, tide.import("spec.no_such_module"))
    assert.equal(expected, err)
  end)

  it("can be tried again when it could not even begin", function()
    local result = child.lua_source([[
      local tide = require "moontide"
      package.preload.imported = function() return {} end
      tide.on_unhandled_rejection(function() end)
      local function import_at(depth)
        if depth > 0 then
          return coroutine.wrap(import_at)(depth - 1)
        end
        tide.import("imported")
      end
      for depth = 150, 200 do
        pcall(import_at, depth)
        package.loaded.imported = nil
        assert(type(tide.await(tide.import("imported"))) == "table")
        package.loaded.imported = nil
      end
    ]])
    assert.same({ code = 0, out = "", err = "" }, result)
  end)

  describe("in a cycle", function()
    local function modules(bodies)
      for name, body in pairs(bodies) do
        package.preload[name] = body
      end
      finally(function()
        for name in pairs(bodies) do
          package.preload[name], package.loaded[name] = nil, nil
        end
      end)
    end

    local function message_of(name)
      local ok, err = pcall(await, tide.import(name))
      assert.is_false(ok)
      return tostring(err)
    end

    it("names it, when a module awaits itself", function()
      modules({
        ["spec.a"] = function() await(tide.import("spec.a")) end,
      })
      assert.equal("ImportError: modules that await one another: spec.a -> spec.a",
        message_of("spec.a"))
    end)

    it("names it, when modules await one another, also later and by way of functions", function()
      modules({
        ["spec.a"] = function()
          await(sleep(1))
          await(tide.import("spec.b"))
        end,
        ["spec.b"] = function()
          await(spawn(function()
            await(nil)
            await(tide.import("spec.c"))
          end))
        end,
        ["spec.c"] = function()
          await(sleep(1))
          return (await(tide.import("spec.a")))
        end,
      })
      assert.equal("ImportError: modules that await one another: "
        .. "spec.a -> spec.b -> spec.c -> spec.a", message_of("spec.a"))
    end)

    it("leaves alone who does not await it", function()
      local inner
      modules({
        ["spec.a"] = function()
          inner = tide.import("spec.a")
          spawn(function()
            local a = await(tide.import("spec.a"))
            a.seen = true
          end)
          await(sleep(1))
          return {}
        end,
      })
      local a = await(tide.import("spec.a"))
      assert.equal(a, (await(inner)))
      assert.is_true(a.seen)
    end)

    it("can be caught by the module", function()
      modules({
        ["spec.a"] = function()
          return (await(tide.import("spec.b")))
        end,
        ["spec.b"] = function()
          local ok = pcall(await, tide.import("spec.a"))
          return { ok = ok }
        end,
      })
      assert.same({ ok = false }, (await(tide.import("spec.a"))))
    end)
  end)
end)
