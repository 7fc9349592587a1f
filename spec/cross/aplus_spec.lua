-- Promises/A+ 1.1, sections 2.1 to 2.3, one spec or more for each clause. `then` is `next` here,
-- `undefined` is nil, an object is a table or a userdata, a function is anything callable.
local tide = require "moontide"
local leak = require "spec.support.leak"
local log = require "spec.support.log"

local Promise = tide.Promise

-- The ways in which a promise can come to be settled; each clause has to hold for all of them.
local ways = {
  {
    name = "already settled",
    fulfilled = function(...)
      return Promise.resolve(...)
    end,
    rejected = function(reason)
      return Promise.reject(reason)
    end,
  },
  {
    name = "settled at once after",
    fulfilled = function(...)
      local p, resolve = Promise.with_resolvers()
      tide.queue_microtask(resolve, ...)
      return p
    end,
    rejected = function(reason)
      local p, _, reject = Promise.with_resolvers()
      tide.queue_microtask(reject, reason)
      return p
    end,
  },
  {
    name = "settled by a timer",
    fulfilled = function(...)
      local p, resolve = Promise.with_resolvers()
      tide.set_timeout(resolve, 1, ...)
      return p
    end,
    rejected = function(reason)
      local p, _, reject = Promise.with_resolvers()
      tide.set_timeout(reject, 1, reason)
      return p
    end,
  },
}

local function for_each_way(name, f)
  for _, way in ipairs(ways) do
    it(name .. " (" .. way.name .. ")", function()
      f(way)
    end)
  end
end

local function unreachable()
  error("must not be called")
end

-- Runs everything, and returns what the promise has settled to: state, values...
local function settle(p)
  local settled
  p:next(function(...)
    settled = table.pack("fulfilled", ...)
  end, function(...)
    settled = table.pack("rejected", ...)
  end)
  tide.run()
  return settled
end

local function fulfilled(...)
  return table.pack("fulfilled", ...)
end

local function rejected(reason)
  return table.pack("rejected", reason)
end

local no_callables = {
  ["false"] = false,
  number = 5,
  string = "text",
  table = {},
  thread = coroutine.create(function() end),
}

describe("Promises/A+ 2.1, the states", function()
  after_each(leak.check)

  it("S28 2.1.1.1 a pending promise may become fulfilled, or rejected", function()
    local p, resolve = Promise.with_resolvers()
    assert.equal("pending", p:state())
    resolve()
    assert.equal("fulfilled", p:state())
    local q, _, reject = Promise.with_resolvers()
    q:catch(function() end)
    assert.equal("pending", q:state())
    reject()
    assert.equal("rejected", q:state())
  end)

  it("S28 2.1.2.1 a fulfilled promise does not become anything else", function()
    local p, resolve, reject = Promise.with_resolvers()
    local calls = {}
    p:next(function(v)
      calls[#calls + 1] = v
    end, unreachable)
    resolve("v")
    reject("r")
    assert.equal("fulfilled", p:state())
    tide.run()
    tide.set_timeout(reject, 1, "r")
    tide.run()
    assert.equal("fulfilled", p:state())
    assert.same({ "v" }, calls)
  end)

  it("S28 2.1.2.2 a fulfilled promise keeps its value", function()
    local value = {}
    local p, resolve = Promise.with_resolvers()
    resolve(value)
    resolve({})
    tide.run()
    resolve({})
    assert.equal(value, select(2, p:state()))
    assert.same(fulfilled(value), settle(p))
    assert.equal(value, settle(p)[2])
  end)

  it("S28 2.1.3.1 a rejected promise does not become anything else", function()
    local p, resolve, reject = Promise.with_resolvers()
    local calls = {}
    p:next(unreachable, function(r)
      calls[#calls + 1] = r
    end)
    reject("r")
    resolve("v")
    assert.equal("rejected", p:state())
    tide.run()
    tide.set_timeout(resolve, 1, "v")
    tide.run()
    assert.equal("rejected", p:state())
    assert.same({ "r" }, calls)
  end)

  it("S28 2.1.3.2 a rejected promise keeps its reason", function()
    local reason = {}
    local p, _, reject = Promise.with_resolvers()
    p:catch(function() end)
    reject(reason)
    reject({})
    tide.run()
    reject({})
    assert.equal(reason, select(2, p:state()))
    assert.equal(reason, settle(p)[2])
  end)
end)

describe("Promises/A+ 2.2, `then`", function()
  after_each(leak.check)

  it("S28 2.2.1 both arguments are optional", function()
    assert.same(fulfilled("v"), settle(Promise.resolve("v"):next()))
    assert.same(rejected("r"), settle(Promise.reject("r"):next()))
  end)

  it("S28 2.2.1.1 an on_fulfilled that is no function is ignored", function()
    for name, handler in pairs(no_callables) do
      local p = Promise.reject("r"):next(handler, function(r)
        return r
      end)
      assert.same(fulfilled("r"), settle(p), name)
    end
  end)

  it("S28 2.2.1.2 an on_rejected that is no function is ignored", function()
    for name, handler in pairs(no_callables) do
      local p = Promise.resolve("v"):next(function(v)
        return v
      end, handler)
      assert.same(fulfilled("v"), settle(p), name)
    end
  end)

  for_each_way("S28 2.2.2.1 on_fulfilled is called with the value as its argument", function(way)
    local args
    way.fulfilled("v"):next(function(...)
      args = table.pack(...)
    end)
    tide.run()
    assert.same({ "v", n = 1 }, args)
  end)

  it("S28 2.2.2.2 on_fulfilled is not called before the promise is fulfilled", function()
    local done = false
    local p, resolve = Promise.with_resolvers()
    local seen
    p:next(function()
      seen = done
    end)
    tide.set_timeout(function()
      done = true
      resolve()
    end, 1)
    tide.run()
    assert.is_true(seen)
    Promise.with_resolvers():next(unreachable)
    tide.run()
  end)

  for_each_way("S28 2.2.2.3 on_fulfilled is called once", function(way)
    local count = 0
    way.fulfilled():next(function()
      count = count + 1
    end)
    tide.run()
    assert.equal(1, count)
  end)

  it("S28 2.2.2.3 on_fulfilled is called once, however often the promise is resolved", function()
    local count = 0
    local p, resolve = Promise.with_resolvers()
    local function f()
      count = count + 1
    end
    p:next(f)
    resolve()
    resolve()
    tide.set_timeout(resolve, 1)
    tide.run()
    assert.equal(1, count)
  end)

  for_each_way("S28 2.2.3.1 on_rejected is called with the reason as its argument", function(way)
    local args
    way.rejected("r"):next(nil, function(...)
      args = table.pack(...)
    end)
    tide.run()
    assert.same({ "r", n = 1 }, args)
  end)

  it("S28 2.2.3.2 on_rejected is not called before the promise is rejected", function()
    local done = false
    local p, _, reject = Promise.with_resolvers()
    local seen
    p:next(nil, function()
      seen = done
    end)
    tide.set_timeout(function()
      done = true
      reject()
    end, 1)
    tide.run()
    assert.is_true(seen)
    Promise.with_resolvers():next(nil, unreachable)
    tide.run()
  end)

  for_each_way("S28 2.2.3.3 on_rejected is called once", function(way)
    local count = 0
    way.rejected():next(nil, function()
      count = count + 1
    end)
    tide.run()
    assert.equal(1, count)
  end)

  it("S28 2.2.3.3 on_rejected is called once, however often the promise is rejected", function()
    local count = 0
    local p, _, reject = Promise.with_resolvers()
    p:next(nil, function()
      count = count + 1
    end)
    reject()
    reject()
    tide.set_timeout(reject, 1)
    tide.run()
    assert.equal(1, count)
  end)

  it("S28 2.2.4 handlers are called with nothing but the runtime on the stack", function()
    local write, lines = log.new()
    local p, resolve = Promise.with_resolvers()
    local function handler()
      write("handler")
    end
    Promise.resolve():next(handler)
    Promise.reject():next(nil, handler)
    p:next(handler)
    resolve()
    p:next(handler)
    write("sync")
    tide.run()
    assert.same({ "sync", "handler", "handler", "handler", "handler" }, lines)
  end)

  it("S28 2.2.4 a handler that is added by a handler runs after that one has returned", function()
    local write, lines = log.new()
    local p = Promise.resolve()
    p:next(function()
      p:next(function()
        write("inner")
      end)
      Promise.reject():catch(function()
        write("inner catch")
      end)
      write("outer")
    end)
    tide.run()
    assert.same({ "outer", "inner", "inner catch" }, lines)
  end)

  it("S28 2.2.5 handlers are called as plain functions, without the promise", function()
    local counts = {}
    local function handler(...)
      counts[#counts + 1] = select("#", ...)
    end
    Promise.resolve():next(handler)
    Promise.resolve(1, 2):next(handler)
    Promise.reject("r"):next(nil, handler)
    tide.run()
    assert.same({ 0, 2, 1 }, counts)
  end)

  for_each_way("S28 2.2.6.1 on_fulfilled callbacks run in the order of their `then`", function(way)
    local write, lines = log.new()
    local p = way.fulfilled("v")
    p:next(function(v)
      write(1, v)
    end, unreachable)
    p:next(function()
      write(2)
      p:next(function()
        write(4)
      end)
      error("does not matter to the others")
    end):catch(function() end)
    p:next(nil, unreachable)
    p:next(function(v)
      write(3, v)
    end)
    tide.run()
    assert.same({ "1 v", "2", "3 v", "4" }, lines)
  end)

  for_each_way("S28 2.2.6.2 on_rejected callbacks run in the order of their `then`", function(way)
    local write, lines = log.new()
    local p = way.rejected("r")
    p:next(unreachable, function(r)
      write(1, r)
    end)
    p:next(nil, function()
      write(2)
      p:catch(function()
        write(4)
      end)
      error("does not matter to the others")
    end):catch(function() end)
    p:next(unreachable):catch(function() end)
    p:next(nil, function(r)
      write(3, r)
    end)
    tide.run()
    assert.same({ "1 r", "2", "3 r", "4" }, lines)
  end)

  it("S28 2.2.7 `then` returns a promise", function()
    local p, resolve = Promise.with_resolvers()
    local q = p:next(function() end, function() end)
    assert.equal(getmetatable(p), getmetatable(q))
    assert.equal("pending", q:state())
    resolve()
    tide.run()
    assert.equal("fulfilled", q:state())
  end)

  for_each_way("S28 2.2.7.1 what a handler returns is resolved with", function(way)
    local function adopt(v)
      return Promise.resolve(v .. " adopted")
    end
    assert.same(fulfilled("v adopted"), settle(way.fulfilled("v"):next(adopt)))
    assert.same(fulfilled("r adopted"), settle(way.rejected("r"):next(nil, adopt)))
    local function refuse(v)
      return { ["then"] = function(_, _, reject) reject(v .. " refused") end }
    end
    assert.same(rejected("v refused"), settle(way.fulfilled("v"):next(refuse)))
    assert.same(rejected("r refused"), settle(way.rejected("r"):next(nil, refuse)))
  end)

  for_each_way("S28 2.2.7.2 what a handler throws is the reason, whatever it is", function(way)
    local thenable, promise = { ["then"] = unreachable }, Promise.resolve("not looked into")
    local reasons = table.pack(nil, false, 0, "text", {}, thenable, promise, unreachable)
    for i = 1, reasons.n do
      local reason, name = reasons[i], tostring(reasons[i])
      local function throw()
        error(reason, 0)
      end
      local settled = settle(way.fulfilled():next(throw))
      assert.equal("rejected", settled[1], name)
      assert.is_true(rawequal(reason, settled[2]), name)
      settled = settle(way.rejected():next(nil, throw))
      assert.equal("rejected", settled[1], name)
      assert.is_true(rawequal(reason, settled[2]), name)
    end
  end)

  for_each_way("S28 2.2.7.3 a value passes an on_fulfilled that is no function", function(way)
    for name, handler in pairs(no_callables) do
      assert.same(fulfilled("v"), settle(way.fulfilled("v"):next(handler, unreachable)), name)
    end
    assert.same(fulfilled("v"), settle(way.fulfilled("v"):next(nil, unreachable)))
  end)

  for_each_way("S28 2.2.7.4 a reason passes an on_rejected that is no function", function(way)
    for name, handler in pairs(no_callables) do
      assert.same(rejected("r"), settle(way.rejected("r"):next(unreachable, handler)), name)
    end
    assert.same(rejected("r"), settle(way.rejected("r"):next(unreachable)))
  end)
end)

describe("Promises/A+ 2.3, the resolution procedure", function()
  after_each(leak.check)

  -- Each way to hand `x` to the procedure; 2.3 has to hold for every one.
  local procedures = {
    ["resolve function"] = function(x)
      return Promise(function(resolve)
        resolve(x)
      end)
    end,
    ["on_fulfilled"] = function(x)
      return Promise.resolve():next(function()
        return x
      end)
    end,
    ["on_rejected"] = function(x)
      return Promise.reject():catch(function()
        return x
      end)
    end,
    ["async function"] = function(x)
      return tide.spawn(function()
        return x
      end)
    end,
  }

  local function check(make, expected)
    for name, procedure in pairs(procedures) do
      local settled = settle(procedure(make()))
      assert.same(expected, settled, name)
    end
  end

  local function thenable(f)
    return function()
      return { ["then"] = f }
    end
  end

  it("S28 2.3.1 resolving a promise with itself is a TypeError", function()
    local p
    p = Promise.resolve():next(function()
      return p
    end)
    local settled = settle(p)
    assert.equal("rejected", settled[1])
    assert.equal("TypeError", settled[2].name)
    p = Promise.reject():catch(function()
      return p
    end)
    settled = settle(p)
    assert.equal("rejected", settled[1])
    assert.equal("TypeError", settled[2].name)
  end)

  it("S28 2.3.2.1 with a pending promise it stays pending until that one is settled", function()
    for name, procedure in pairs(procedures) do
      local x, resolve = Promise.with_resolvers()
      local p = procedure(x)
      tide.run()
      assert.equal("pending", p:state(), name)
      resolve("later")
      assert.same(fulfilled("later"), settle(p), name)
    end
  end)

  for_each_way("S28 2.3.2.2 with a fulfilled promise it takes the same value", function(way)
    local value = {}
    check(function()
      return way.fulfilled(value)
    end, fulfilled(value))
  end)

  for_each_way("S28 2.3.2.3 with a rejected promise it takes the same reason", function(way)
    local reason = {}
    check(function()
      return way.rejected(reason)
    end, rejected(reason))
  end)

  it("S28 2.3.3.1 `then` is read once", function()
    for name, procedure in pairs(procedures) do
      local reads = 0
      local x = setmetatable({}, {
        __index = function(_, key)
          assert.equal("then", key)
          reads = reads + 1
          return function(_, resolve)
            resolve("v")
          end
        end,
      })
      assert.same(fulfilled("v"), settle(procedure(x)), name)
      assert.equal(1, reads, name)
    end
  end)

  it("S28 2.3.3.2 what reading `then` throws is the reason, whatever it is", function()
    for _, reason in ipairs({ false, 0, "text", {}, Promise.resolve() }) do
      check(function()
        return setmetatable({}, {
          __index = function()
            error(reason, 0)
          end,
        })
      end, rejected(reason))
    end
  end)

  it("S28 2.3.3.3 `then` is called with x first, and two functions", function()
    for name, procedure in pairs(procedures) do
      local seen
      local x = {}
      x["then"] = function(...)
        seen = table.pack(...)
        seen[2]()
      end
      settle(procedure(x))
      assert.equal(3, seen.n, name)
      assert.is_true(rawequal(x, seen[1]), name)
      assert.equal("function", type(seen[2]), name)
      assert.equal("function", type(seen[3]), name)
    end
  end)

  it("S28 2.3.3.3 `then` is not called before the current job is over", function()
    local write, lines = log.new()
    Promise(function(resolve)
      resolve({
        ["then"] = function()
          write("then")
        end,
      })
      write("sync")
    end)
    tide.run()
    assert.same({ "sync", "then" }, lines)
  end)

  describe("2.3.3.3.1 calling the first function with y", function()
    local ys = {
      ["nil"] = { nil, fulfilled(nil) },
      ["false"] = { false, fulfilled(false) },
      ["a number"] = { 5, fulfilled(5) },
      ["a plain table"] = { { a = 1 }, fulfilled({ a = 1 }) },
      ["a table with a `then` that is no function"] = {
        { ["then"] = 5 },
        fulfilled({ ["then"] = 5 }),
      },
      ["a function"] = { unreachable, fulfilled(unreachable) },
    }
    for name, y in pairs(ys) do
      it("S28 2.3.3.3.1 fulfils with " .. name, function()
        check(thenable(function(_, resolve)
          resolve(y[1])
        end), y[2])
        check(thenable(function(_, resolve)
          tide.set_timeout(resolve, 1, y[1])
        end), y[2])
      end)
    end

    it("S28 2.3.3.3.1 rejects when reading the `then` of y raises", function()
      check(thenable(function(_, resolve)
        resolve(setmetatable({}, {
          __index = function()
            error("unreadable", 0)
          end,
        }))
      end), rejected("unreadable"))
    end)

    -- What y may be, and what becomes of a promise that is resolved with a thenable of it.
    local inner = {
      ["that fulfils at once"] = {
        function(_, resolve)
          resolve("y")
        end,
        fulfilled("y"),
      },
      ["that fulfils later"] = {
        function(_, resolve)
          tide.set_timeout(resolve, 1, "y")
        end,
        fulfilled("y"),
      },
      ["that fulfils twice"] = {
        function(_, resolve)
          resolve("y")
          resolve("z")
        end,
        fulfilled("y"),
      },
      ["that fulfils and then throws"] = {
        function(_, resolve)
          resolve("y")
          error("ignored")
        end,
        fulfilled("y"),
      },
      ["that rejects at once"] = {
        function(_, _, reject)
          reject("r")
        end,
        rejected("r"),
      },
      ["that rejects later"] = {
        function(_, _, reject)
          tide.set_timeout(reject, 1, "r")
        end,
        rejected("r"),
      },
      ["that throws"] = {
        function()
          error("r", 0)
        end,
        rejected("r"),
      },
      ["of a thenable"] = {
        function(_, resolve)
          resolve({
            ["then"] = function(_, again)
              again("y")
            end,
          })
        end,
        fulfilled("y"),
      },
      ["of a rejected promise"] = {
        function(_, resolve)
          resolve(Promise.reject("r"))
        end,
        rejected("r"),
      },
    }
    for name, y in pairs(inner) do
      it("S28 2.3.3.3.1 follows a thenable " .. name, function()
        check(thenable(function(_, resolve)
          resolve({ ["then"] = y[1] })
        end), y[2])
        check(thenable(function(_, resolve)
          tide.set_timeout(resolve, 1, { ["then"] = y[1] })
        end), y[2])
      end)
    end

    for_each_way("S28 2.3.3.3.1 follows a promise", function(way)
      check(thenable(function(_, resolve)
        resolve(way.fulfilled("y"))
      end), fulfilled("y"))
      check(thenable(function(_, resolve)
        resolve(way.rejected("r"))
      end), rejected("r"))
    end)
  end)

  it("S28 2.3.3.3.2 calling the second function with r rejects with r, unchanged", function()
    local promise = Promise.resolve("not looked into")
    local reasons = table.pack(nil, false, 5, {}, { ["then"] = unreachable }, promise)
    for i = 1, reasons.n do
      local reason, name = reasons[i], tostring(reasons[i])
      for _, way in pairs(procedures) do
        local settled = settle(way({
          ["then"] = function(_, _, reject)
            reject(reason)
          end,
        }))
        assert.equal("rejected", settled[1], name)
        assert.is_true(rawequal(reason, settled[2]), name)
        settled = settle(way({
          ["then"] = function(_, _, reject)
            tide.set_timeout(reject, 1, reason)
          end,
        }))
        assert.equal("rejected", settled[1], name)
        assert.is_true(rawequal(reason, settled[2]), name)
      end
    end
  end)

  describe("2.3.3.3.3 the first call counts:", function()
    local pending = Promise.with_resolvers()
    local cases = {
      ["first, then second, at once"] = {
        function(_, resolve, reject)
          resolve("v")
          reject("r")
        end,
        fulfilled("v"),
      },
      ["first at once, second later"] = {
        function(_, resolve, reject)
          resolve("v")
          tide.set_timeout(reject, 1, "r")
        end,
        fulfilled("v"),
      },
      ["first later, second right after"] = {
        function(_, resolve, reject)
          tide.set_timeout(function()
            resolve("v")
            reject("r")
          end, 1)
        end,
        fulfilled("v"),
      },
      ["first twice"] = {
        function(_, resolve)
          resolve("v")
          resolve("w")
          tide.set_timeout(resolve, 1, "x")
        end,
        fulfilled("v"),
      },
      ["second, then first, at once"] = {
        function(_, resolve, reject)
          reject("r")
          resolve("v")
        end,
        rejected("r"),
      },
      ["second at once, first later"] = {
        function(_, resolve, reject)
          reject("r")
          tide.set_timeout(resolve, 1, "v")
        end,
        rejected("r"),
      },
      ["second twice"] = {
        function(_, _, reject)
          reject("r")
          reject("s")
          tide.set_timeout(reject, 1, "t")
        end,
        rejected("r"),
      },
      ["first with a promise that is fulfilled later, then second"] = {
        function(_, resolve, reject)
          resolve(tide.sleep(1):next(function()
            return "v"
          end))
          reject("r")
        end,
        fulfilled("v"),
      },
      ["first with a thenable, then first with a value"] = {
        function(_, resolve)
          resolve({
            ["then"] = function(_, again)
              tide.set_timeout(again, 1, "v")
            end,
          })
          resolve("w")
        end,
        fulfilled("v"),
      },
      ["first with a rejected promise, then first with a value"] = {
        function(_, resolve)
          resolve(Promise.reject("r"))
          resolve("w")
        end,
        rejected("r"),
      },
      ["first with a promise that stays pending, then both"] = {
        function(_, resolve, reject)
          resolve(pending)
          resolve("v")
          reject("r")
        end,
        nil,
      },
    }
    for name, case in pairs(cases) do
      it("S28 2.3.3.3.3 " .. name, function()
        check(thenable(case[1]), case[2])
      end)
    end

    it("S28 2.3.3.3.3 functions kept from `then` stay without effect", function()
      local kept = {}
      local p = Promise.resolve({
        ["then"] = function(_, resolve, reject)
          kept[1], kept[2] = resolve, reject
          resolve("v")
        end,
      })
      assert.same(fulfilled("v"), settle(p))
      kept[1]("w")
      kept[2]("r")
      assert.same(fulfilled("v"), settle(p))
    end)
  end)

  it("S28 2.3.3.3.4.1 a throw of `then` after either call is ignored", function()
    check(thenable(function(_, resolve)
      resolve("v")
      error("ignored")
    end), fulfilled("v"))
    check(thenable(function(_, _, reject)
      reject("r")
      error("ignored")
    end), rejected("r"))
    check(thenable(function(_, resolve)
      resolve(tide.sleep(1):next(function()
        return "v"
      end))
      error("ignored")
    end), fulfilled("v"))
    check(thenable(function(_, resolve)
      resolve(Promise.reject("r"))
      error("ignored")
    end), rejected("r"))
  end)

  it("S28 2.3.3.3.4.2 a throw of `then` before any call is the reason", function()
    local reason = {}
    check(thenable(function()
      error(reason)
    end), rejected(reason))
    check(thenable(function(_, resolve)
      tide.set_timeout(resolve, 1, "too late")
      error(reason)
    end), rejected(reason))
    check(thenable(function(_, _, reject)
      tide.set_timeout(reject, 1, "too late")
      error(reason)
    end), rejected(reason))
  end)

  it("S28 2.3.3.4 a table whose `then` is no function is the value", function()
    for _, field in ipairs({ 5, false, "text", {}, Promise.resolve() }) do
      local value = { ["then"] = field }
      for name, procedure in pairs(procedures) do
        local settled = settle(procedure(value))
        assert.equal("fulfilled", settled[1], name)
        assert.is_true(rawequal(value, settled[2]), name)
      end
    end
  end)

  it("S28 2.3.4 what is neither a table nor a userdata is the value", function()
    for _, value in ipairs({ false, true, 0, 1.5, "text", unreachable, coroutine.running() }) do
      check(function()
        return value
      end, fulfilled(value))
    end
    check(function() end, fulfilled(nil))
  end)
end)
