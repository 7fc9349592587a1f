local tide = require "moontide"
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new

local await, sleep = tide.await, tide.sleep
local Promise = tide.Promise

-- The values that a promise settles with, awaited at top level: status, values...
local function outcome(p)
  return table.pack(pcall(await, p))
end

local function fulfilled(...)
  return table.pack(true, ...)
end

local function rejected(reason)
  return table.pack(false, reason)
end

describe("Promise", function()
  after_each(leak.check)

  it("S27 runs its executor at once and returns the promise afterwards", function()
    local ran = false
    local p = Promise(function()
      ran = true
    end)
    assert.is_true(ran)
    assert.equal("pending", p:state())
  end)

  it("S27 is the same as Promise.new", function()
    local p = Promise.new(function(resolve)
      resolve("v")
    end)
    assert.same(fulfilled("v"), outcome(p))
  end)

  it("S27 hands two callable arguments to the executor and nothing else", function()
    local count
    Promise(function(...)
      count = select("#", ...)
      for i = 1, count do
        assert.equal("function", type((select(i, ...))))
      end
    end)
    assert.equal(2, count)
  end)

  it("S27 is rejected with what its executor throws, of any type", function()
    local reason = {}
    assert.same(
      rejected(reason),
      outcome(Promise(function()
        error(reason)
      end))
    )
    assert.same(
      rejected(nil),
      outcome(Promise(function()
        error(nil)
      end))
    )
    assert.same(
      rejected(7),
      outcome(Promise(function()
        error(7)
      end))
    )
  end)

  it("S27 ignores a throw of its executor after it was resolved", function()
    local p = Promise(function(resolve)
      resolve("first")
      error("ignored")
    end)
    assert.same(fulfilled("first"), outcome(p))
    local pending = Promise.with_resolvers()
    local q = Promise(function(resolve)
      resolve(pending)
      error("ignored")
    end)
    tide.run()
    assert.equal("pending", q:state())
  end)

  it("S27 accepts a callable object as executor", function()
    local executor = setmetatable({}, {
      __call = function(_, resolve)
        resolve("called")
      end,
    })
    assert.same(fulfilled("called"), outcome(Promise(executor)))
  end)

  it("S20 is pending, fulfilled or rejected", function()
    local p, resolve = Promise.with_resolvers()
    assert.same({ "pending", n = 1 }, table.pack(p:state()))
    resolve(1, nil, 3, nil)
    assert.same({ "fulfilled", 1, nil, 3, nil, n = 5 }, table.pack(p:state()))
    local q, _, reject = Promise.with_resolvers()
    q:catch(function() end)
    reject("why")
    assert.same({ "rejected", "why", n = 2 }, table.pack(q:state()))
  end)

  it("S20 settles once: later calls do nothing and raise nothing", function()
    local p, resolve, reject = Promise.with_resolvers()
    resolve("first")
    resolve("second")
    reject("third")
    assert.same(fulfilled("first"), outcome(p))
    local q, fulfil, refuse = Promise.with_resolvers()
    refuse("first")
    fulfil("second")
    refuse("third")
    assert.same(rejected("first"), outcome(q))
  end)

  it("S20 is locked in when it is resolved with a pending promise", function()
    local inner, settle = Promise.with_resolvers()
    local p, resolve, reject = Promise.with_resolvers()
    resolve(inner)
    reject("too late")
    resolve("too late")
    tide.run()
    assert.equal("pending", p:state())
    settle("inner")
    assert.same(fulfilled("inner"), outcome(p))
  end)

  it("S20 keeps its resolving functions usable without it", function()
    local resolve
    do
      local p
      p, resolve = Promise.with_resolvers()
      leak.track(p, "promise")
    end
    resolve(1)
    tide.run()
  end)

  it("S02 keeps all the values it is resolved with, nils among them", function()
    assert.same(fulfilled(), outcome(Promise.resolve()))
    assert.same(fulfilled(nil), outcome(Promise.resolve(nil)))
    assert.same(fulfilled(1, nil, 3, nil), outcome(Promise.resolve(1, nil, 3, nil)))
    assert.same(fulfilled(false), outcome(Promise.resolve(false)))
  end)

  it("S23 lets the first value decide: a promise there is adopted alone", function()
    assert.same(fulfilled("inner"), outcome(Promise.resolve(Promise.resolve("inner"), "rest")))
    local p, resolve = Promise.with_resolvers()
    resolve(Promise.resolve("a", "b"), "rest")
    assert.same(fulfilled("a", "b"), outcome(p))
    local second = Promise.resolve("second")
    local _, first, same = await(Promise.resolve(true, "first", second))
    assert.equal("first", first)
    assert.equal(second, same)
  end)

  it("has a readable tostring that tells its state", function()
    assert.matches("pending", tostring((Promise.with_resolvers())))
    assert.matches("fulfilled", tostring(Promise.resolve(1)))
  end)
end)

describe("Promise.resolve and Promise.reject", function()
  after_each(leak.check)

  it("S23 returns a promise unchanged", function()
    local p = Promise.resolve(1)
    assert.equal(p, Promise.resolve(p))
  end)

  it("S23 adopts a thenable", function()
    local thenable = {
      ["then"] = function(_, resolve)
        resolve("a", nil, "c", nil)
      end,
    }
    assert.same(fulfilled("a", nil, "c", nil), outcome(Promise.resolve(thenable)))
  end)

  it("S03 rejects with exactly the reason given, a promise too", function()
    local reason = Promise.resolve("not looked into")
    assert.same(rejected(reason), outcome(Promise.reject(reason)))
    assert.same(rejected(nil), outcome(Promise.reject(nil)))
    assert.same(rejected(false), outcome(Promise.reject(false)))
  end)
end)

describe("promise:next", function()
  after_each(leak.check)

  it("S22 is the same function as promise['then']", function()
    local p = Promise.resolve(1)
    assert.equal(p.next, p["then"])
  end)

  it("S21 never runs a reaction synchronously", function()
    local ran = false
    local p, resolve = Promise.with_resolvers()
    p:next(function()
      ran = true
    end)
    resolve()
    assert.is_false(ran)
    Promise.resolve():next(function()
      ran = true
    end)
    assert.is_false(ran)
    await(nil)
    assert.is_true(ran)
  end)

  it("S21 runs each reaction once, in registration order", function()
    local log, lines = new_log()
    local p, resolve = Promise.with_resolvers()
    for i = 1, 3 do
      p:next(function(v)
        log(i, v)
      end)
    end
    resolve("v")
    resolve("w")
    tide.run()
    assert.same({ "1 v", "2 v", "3 v" }, lines)
  end)

  it("S21 allows one function to be registered many times", function()
    local count = 0
    local function f()
      count = count + 1
    end
    local p = Promise.resolve()
    for _ = 1, 5 do
      p:next(f)
    end
    tide.run()
    assert.equal(5, count)
  end)

  it("S22 returns a new promise each time", function()
    local p = Promise.resolve(1)
    local q = p:next(function() end)
    assert.are_not.equal(p, q)
    assert.are_not.equal(q, p:next(function() end))
    assert.are_not.equal(p, p:next())
  end)

  it("S22 hands all values to the handler and all its results on", function()
    local p = Promise.resolve(1, nil, 3, nil):next(function(...)
      assert.equal(4, select("#", ...))
      return ...
    end)
    assert.same(fulfilled(1, nil, 3, nil), outcome(p))
  end)

  it("S22 hands the handler nothing when there is nothing", function()
    local p = Promise.resolve():next(function(...)
      return select("#", ...)
    end)
    assert.equal(0, await(p))
  end)

  it("S22 passes values and reasons through missing handlers", function()
    assert.same(fulfilled(1, 2), outcome(Promise.resolve(1, 2):next():next(nil, nil)))
    assert.same(rejected("r"), outcome(Promise.reject("r"):next():next(nil, nil)))
  end)

  it("S22 ignores handlers that are not callable", function()
    for _, handler in ipairs({ 5, "f", true, {}, Promise.resolve() }) do
      assert.same(fulfilled("v"), outcome(Promise.resolve("v"):next(handler, handler)))
      assert.same(rejected("r"), outcome(Promise.reject("r"):next(handler, handler)))
    end
  end)

  it("S22 accepts callable objects as handlers", function()
    local double = setmetatable({}, {
      __call = function(_, v)
        return v * 2
      end,
    })
    assert.same(fulfilled(8), outcome(Promise.resolve(4):next(double)))
    assert.same(fulfilled(6), outcome(Promise.reject(3):next(nil, double)))
  end)

  it("S22 rejects the derived promise with what a handler throws, unchanged", function()
    local reason = setmetatable({}, {
      __tostring = function()
        error("must not be asked")
      end,
    })
    local function throw()
      error(reason)
    end
    local ok, err = pcall(await, Promise.resolve():next(throw))
    assert.is_false(ok)
    assert.is_true(rawequal(reason, err))
    ok, err = pcall(await, Promise.reject():next(nil, throw))
    assert.is_false(ok)
    assert.is_true(rawequal(reason, err))
  end)

  it("S22 does not hand what the fulfilled handler throws to its sibling", function()
    local seen = false
    local p = Promise.resolve():next(function()
      error("thrown", 0)
    end, function()
      seen = true
    end)
    assert.same(rejected("thrown"), outcome(p))
    assert.is_false(seen)
  end)

  it("S22 fulfils the derived promise after a reason was handled", function()
    local p = Promise.reject("r"):next(nil, function(reason)
      return reason .. " handled"
    end)
    assert.same(fulfilled("r handled"), outcome(p))
  end)

  it("S23 waits for a promise or thenable that a handler returns", function()
    local p = Promise.resolve():next(function()
      return sleep(1):next(function()
        return "slept"
      end)
    end)
    assert.same(fulfilled("slept"), outcome(p))
    local q = Promise.resolve():next(function()
      return {
        ["then"] = function(_, _, reject)
          reject("refused")
        end,
      }
    end)
    assert.same(rejected("refused"), outcome(q))
  end)

  it("lets go of its handlers once they have run", function()
    local p, resolve = Promise.with_resolvers()
    p:next(leak.track(function() end, "handler"))
    p:next(nil, leak.track(function() end, "other handler"))
    resolve()
    tide.run()
    collectgarbage()
    assert.equal("fulfilled", p:state())
  end)
end)

describe("promise:catch", function()
  after_each(leak.check)

  it("S22 handles a reason and leaves values alone", function()
    local function handler(reason)
      return "caught " .. tostring(reason)
    end
    assert.same(fulfilled("caught r"), outcome(Promise.reject("r"):catch(handler)))
    assert.same(fulfilled(1, nil, 2), outcome(Promise.resolve(1, nil, 2):catch(handler)))
  end)

  it("S22 passes a rethrown reason on", function()
    local p = Promise.reject("a"):catch(function(reason)
      error(reason .. "b", 0)
    end)
    assert.same(rejected("ab"), outcome(p))
  end)

  it("S22 hands one reason to the handler, nil too", function()
    local count
    await(Promise.reject(nil):catch(function(...)
      count = select("#", ...)
    end))
    assert.equal(1, count)
  end)
end)

describe("promise:finally", function()
  after_each(leak.check)

  it("S24 passes values and reasons through, and hands the function nothing", function()
    local counts = {}
    local function f(...)
      counts[#counts + 1] = select("#", ...)
      return "not used"
    end
    assert.same(fulfilled(1, nil, 3, nil), outcome(Promise.resolve(1, nil, 3, nil):finally(f)))
    assert.same(rejected("r"), outcome(Promise.reject("r"):finally(f)))
    assert.same({ 0, 0 }, counts)
  end)

  it("S24 waits for a returned promise or thenable", function()
    local log, lines = new_log()
    local p = Promise.resolve("v"):finally(function()
      return sleep(1):next(function()
        log("slept")
        return "not used"
      end)
    end)
    log(await(p))
    local q = Promise.reject("r"):finally(function()
      return {
        ["then"] = function(_, resolve)
          log("thenable")
          resolve("not used")
        end,
      }
    end)
    log(select(2, pcall(await, q)))
    assert.same({ "slept", "v", "thenable", "r" }, lines)
  end)

  it("S24 lets a throw or a rejected promise in it win", function()
    local function throw()
      error("finally", 0)
    end
    local function reject()
      return Promise.reject("finally")
    end
    assert.same(rejected("finally"), outcome(Promise.resolve("v"):finally(throw)))
    assert.same(rejected("finally"), outcome(Promise.reject("r"):finally(throw)))
    assert.same(rejected("finally"), outcome(Promise.resolve("v"):finally(reject)))
    assert.same(rejected("finally"), outcome(Promise.reject("r"):finally(reject)))
  end)

  it("S24 ignores what is not callable", function()
    assert.same(fulfilled("v"), outcome(Promise.resolve("v"):finally(nil)))
    assert.same(rejected("r"), outcome(Promise.reject("r"):finally(42)))
  end)
end)

describe("promise:await", function()
  after_each(leak.check)

  it("S04 is await as a method", function()
    assert.same({ 1, nil, 3, n = 3 }, table.pack(Promise.resolve(1, nil, 3):await()))
    local p = Promise.reject("r")
    local ok, err = pcall(p.await, p)
    assert.is_false(ok)
    assert.equal("r", err)
  end)
end)

describe("assimilation", function()
  after_each(leak.check)

  it("S23 rejects a promise that is resolved with itself with a TypeError", function()
    local p, resolve = Promise.with_resolvers()
    resolve(p)
    local ok, err = pcall(await, p)
    assert.is_false(ok)
    assert.equal("TypeError", err.name)
    assert.equal("TypeError: " .. err.message, tostring(err))
  end)

  it("S23 adopts what a promise or thenable settles with", function()
    local settlers = {
      function(v)
        return Promise.resolve(v)
      end,
      function(v)
        return { ["then"] = function(_, resolve) resolve(v) end }
      end,
      function(v)
        return setmetatable({}, {
          __index = { ["then"] = function(_, resolve) resolve(v) end },
        })
      end,
    }
    for i, settler in ipairs(settlers) do
      local p, resolve = Promise.with_resolvers()
      resolve(settler(i))
      assert.same(fulfilled(i), outcome(p))
    end
  end)

  it("S23 calls a thenable's `then` with the thenable and two functions", function()
    local seen
    local thenable = {}
    thenable["then"] = function(...)
      seen = table.pack(...)
      seen[2]()
    end
    await(thenable)
    assert.equal(3, seen.n)
    assert.equal(thenable, seen[1])
    assert.equal("function", type(seen[2]))
    assert.equal("function", type(seen[3]))
  end)

  it("S23 reads `then` once", function()
    local reads = 0
    local thenable = setmetatable({}, {
      __index = function(_, key)
        if key == "then" then
          reads = reads + 1
          return function(_, resolve) resolve("v") end
        end
      end,
    })
    assert.equal("v", await(Promise.resolve(thenable)))
    assert.equal(1, reads)
  end)

  it("S23 takes a callable object for `then`", function()
    local thenable = {
      ["then"] = setmetatable({}, {
        __call = function(_, _, resolve)
          resolve("called")
        end,
      }),
    }
    assert.equal("called", await(thenable))
  end)

  it("S23 assimilates a userdata with a `then`", function()
    local object = io.tmpfile()
    object:close()
    debug.setmetatable(object, {
      __index = { ["then"] = function(_, resolve) resolve("userdata") end },
    })
    assert.equal("userdata", await(object))
  end)

  it("S23 takes values of other types as they are, even if they have a `then`", function()
    local methods = getmetatable("").__index
    methods["then"] = function(_, resolve)
      resolve("assimilated")
    end
    finally(function()
      methods["then"] = nil
    end)
    assert.equal("text", await("text"))
    assert.equal("text", await(Promise.resolve("text")))
  end)

  it("S23 takes a table whose `then` is not callable as a value", function()
    for _, field in ipairs({ 5, "f", true, {} }) do
      local value = { ["then"] = field }
      assert.equal(value, await(value))
    end
  end)

  it("S23 rejects with what reading `then` raises", function()
    local thenable = setmetatable({}, {
      __index = function()
        error("unreadable", 0)
      end,
    })
    assert.same(rejected("unreadable"), outcome(Promise.resolve(thenable)))
    assert.same(rejected("unreadable"), outcome(thenable))
  end)

  it("S23 heeds the first call of a thenable that calls both, or twice, or throws after", function()
    local function try(f)
      return outcome(Promise.resolve({ ["then"] = f }))
    end
    assert.same(fulfilled(1), try(function(_, resolve, reject)
      resolve(1)
      reject(2)
      resolve(3)
    end))
    assert.same(rejected(1), try(function(_, resolve, reject)
      reject(1)
      resolve(2)
      reject(3)
    end))
    assert.same(fulfilled(1), try(function(_, resolve)
      resolve(1)
      error("ignored")
    end))
    assert.same(rejected(1), try(function(_, _, reject)
      reject(1)
      error("ignored")
    end))
    assert.same(rejected("thrown"), try(function()
      error("thrown", 0)
    end))
  end)

  it("S23 resolves through a thousand promises, each with the next", function()
    local last = Promise.resolve("end")
    for _ = 1, 1000 do
      local inner = last
      last = Promise(function(resolve)
        resolve(inner)
      end)
    end
    assert.equal("end", await(last))
  end)
end)

describe("what a promise keeps", function()
  after_each(leak.check)

  it("is collected with its values when nobody holds it", function()
    leak.track(Promise.resolve(leak.track({}, "value")), "fulfilled promise")
    leak.track(Promise.with_resolvers(), "pending promise")
    local p = leak.track(Promise.reject(leak.track({}, "reason")), "rejected promise")
    p:catch(function() end)
    tide.run()
  end)

  it("is collected in a cycle with its own handlers", function()
    local p, resolve = Promise.with_resolvers()
    leak.track(p, "promise")
    leak.track(resolve, "resolve")
    p:next(leak.track(function()
      return p, resolve
    end, "handler"))
  end)

  it("keeps what is waiting for a settled promise until it has run", function()
    local ran = 0
    for _ = 1, 100 do
      Promise.resolve():next(function()
        ran = ran + 1
      end)
    end
    collectgarbage()
    tide.run()
    assert.equal(100, ran)
  end)
end)
