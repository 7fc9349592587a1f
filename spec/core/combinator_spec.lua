local tide = require "moontide"
local leak = require "spec.support.leak"

local async, await, sleep = tide.async, tide.await, tide.sleep
local Promise = tide.Promise

local function reason_of(p)
  local ok, reason = pcall(await, p)
  assert.is_false(ok)
  return reason
end

local function after(ms, value)
  return sleep(ms):next(function()
    return value
  end)
end

local function fail_after(ms, reason)
  return sleep(ms):next(function()
    error(reason, 0)
  end)
end

local function thenable(value)
  return {
    ["then"] = function(_, resolve)
      resolve(value)
    end,
  }
end

describe("Promise.all", function()
  after_each(leak.check)

  it("S25 fulfils with the values in the order of the list, and their number", function()
    local list = { after(20, "a"), after(1, "b"), "c", thenable("d") }
    assert.same({ "a", "b", "c", "d", n = 4 }, await(Promise.all(list)))
  end)

  it("S25 rejects with the first rejection, not the first in the list", function()
    local list = { fail_after(20, "late"), fail_after(1, "early"), after(1, "value") }
    assert.equal("early", reason_of(Promise.all(list)))
  end)

  it("S25 fulfils with an empty table for an empty list", function()
    assert.same({ n = 0 }, await(Promise.all({})))
  end)

  it("S25 takes n from the list, nil holes and trailing nils included", function()
    local result = await(Promise.all(table.pack(nil, Promise.resolve("b"), nil)))
    assert.same({ nil, "b", nil, n = 3 }, result)
    assert.equal(3, result.n)
  end)

  it("S25 takes the first value of each element", function()
    local result = await(Promise.all({ Promise.resolve(1, 2), Promise.resolve() }))
    assert.same({ 1, nil, n = 2 }, result)
  end)

  it("S25 leaves the list alone and reads it before it returns", function()
    local list = { Promise.resolve("a"), "b" }
    local p = Promise.all(list)
    list[1], list[2], list[3] = "x", "y", "z"
    assert.same({ "a", "b", n = 2 }, await(p))
  end)

  it("S25 rejects with what a thenable among the elements throws", function()
    local bad = {
      ["then"] = function()
        error("thrown", 0)
      end,
    }
    assert.equal("thrown", reason_of(Promise.all({ 1, bad })))
  end)

  it("S25 handles every rejection, so that none is left to report", function()
    local list = {}
    for i = 1, 10 do
      list[i] = Promise.reject(i)
    end
    assert.equal(1, reason_of(Promise.all(list)))
    tide.run()
  end)

  it("S25 keeps the order with many elements", function()
    local f = async(function(i)
      if i % 3 == 0 then
        await(nil)
      end
      return i
    end)
    local list = {}
    for i = 1, 1000 do
      list[i] = f(i)
    end
    local result = await(Promise.all(list))
    assert.equal(1000, result.n)
    for i = 1, 1000 do
      assert.equal(i, result[i])
    end
  end)

  it("is collected when an element stays pending for ever", function()
    local never = leak.track((Promise.with_resolvers()), "element")
    leak.track(Promise.all({ never, leak.track({}, "value") }), "all")
  end)

  it("S25 lets go of the values once it has rejected", function()
    local pending, settle = Promise.with_resolvers()
    local reason = reason_of(Promise.all({
      Promise.resolve(leak.track({}, "value")),
      Promise.reject("r"),
      pending,
    }))
    assert.equal("r", reason)
    settle()
  end)
end)

describe("Promise.all_settled", function()
  after_each(leak.check)

  it("S25 never rejects and tells every outcome", function()
    local result = await(Promise.all_settled({
      after(1, "slow"),
      Promise.reject("bad"),
      "plain",
      thenable("then"),
    }))
    assert.same({
      { status = "fulfilled", value = "slow" },
      { status = "rejected", reason = "bad" },
      { status = "fulfilled", value = "plain" },
      { status = "fulfilled", value = "then" },
      n = 4,
    }, result)
  end)

  it("S25 fulfils with an empty table for an empty list", function()
    assert.same({ n = 0 }, await(Promise.all_settled({})))
  end)

  it("S25 counts nil holes", function()
    assert.same(
      { { status = "fulfilled" }, { status = "rejected" }, { status = "fulfilled" }, n = 3 },
      await(Promise.all_settled({ nil, Promise.reject(nil), nil, n = 3 }))
    )
  end)
end)

describe("Promise.race", function()
  after_each(leak.check)

  it("S25 takes the first settled, fulfilled or rejected", function()
    assert.equal("fast", await(Promise.race({ after(30, "slow"), after(1, "fast") })))
    assert.equal("bad", reason_of(Promise.race({ after(30, "slow"), fail_after(1, "bad") })))
    assert.equal("plain", await(Promise.race({ after(1, "slow"), "plain", Promise.reject(1) })))
  end)

  it("S25 stays pending with an empty list", function()
    local p = Promise.race({})
    tide.run()
    assert.equal("pending", p:state())
  end)

  it("S25 takes a nil hole for a value", function()
    local p = Promise.race({ after(1, "slow"), nil, n = 2 })
    assert.is_nil(await(p))
    assert.equal("fulfilled", p:state())
  end)

  it("S25 hands on all values of the winner or the first one, but nothing of the others", function()
    assert.equal("a", (await(Promise.race({ Promise.resolve("a", "b"), Promise.resolve("c") }))))
  end)
end)

describe("Promise.any", function()
  after_each(leak.check)

  it("S25 takes the first fulfilled and ignores rejections before it", function()
    local list = { Promise.reject("no"), after(30, "slow"), after(1, "fast"), fail_after(1, "no") }
    assert.equal("fast", await(Promise.any(list)))
  end)

  it("S25 rejects with an AggregateError of all reasons, in the order of the list", function()
    local first, third = {}, {}
    local list = { Promise.reject(first), fail_after(1, "b"), Promise.reject(third) }
    local err = reason_of(Promise.any(list))
    assert.equal("AggregateError", err.name)
    assert.equal("string", type(err.message))
    assert.equal("AggregateError: " .. err.message, tostring(err))
    assert.equal(3, err.errors.n)
    assert.equal(first, err.errors[1])
    assert.equal("b", err.errors[2])
    assert.equal(third, err.errors[3])
  end)

  it("S25 rejects at once with an empty list", function()
    local err = reason_of(Promise.any({}))
    assert.equal("AggregateError", err.name)
    assert.equal(0, err.errors.n)
    assert.same({ n = 0 }, err.errors)
  end)

  it("S25 keeps nil reasons and counts them", function()
    local err = reason_of(Promise.any({ Promise.reject(nil), Promise.reject(false) }))
    assert.equal(2, err.errors.n)
    assert.is_nil(err.errors[1])
    assert.is_false(err.errors[2])
  end)

  it("S25 fulfils with nil for a hole", function()
    local p = Promise.any({ nil, Promise.reject("no"), n = 2 })
    assert.is_nil(await(p))
  end)
end)

describe("Promise.try", function()
  after_each(leak.check)

  it("S26 calls at once, with the arguments given", function()
    local seen
    local p = Promise.try(function(...)
      seen = table.pack(...)
      return ...
    end, 1, nil, 3, nil)
    assert.same({ 1, nil, 3, nil, n = 4 }, seen)
    assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(await(p)))
  end)

  it("S26 turns a throw into a rejection, unchanged", function()
    local reason = {}
    local p = Promise.try(function()
      error(reason)
    end)
    assert.equal(reason, reason_of(p))
  end)

  it("S26 adopts a returned promise or thenable", function()
    assert.equal("slept", await(Promise.try(after, 1, "slept")))
    assert.equal("then", await(Promise.try(thenable, "then")))
  end)

  it("S26 returns a new promise, even for a function that returns one", function()
    local inner = Promise.resolve(1)
    local p = Promise.try(function()
      return inner
    end)
    assert.are_not.equal(inner, p)
    assert.equal(1, await(p))
  end)
end)

describe("Promise.with_resolvers", function()
  after_each(leak.check)

  it("S26 returns a pending promise and its two functions", function()
    local made = table.pack(Promise.with_resolvers())
    assert.equal(3, made.n)
    local p, resolve = made[1], made[2]
    assert.equal("pending", p:state())
    resolve("v")
    assert.equal("v", await(p))
    local q, _, reject = Promise.with_resolvers()
    reject("r")
    assert.equal("r", reason_of(q))
  end)

  it("S26 returns functions that return nothing", function()
    local p, resolve, reject = Promise.with_resolvers()
    assert.equal(0, select("#", resolve(1)))
    assert.equal(0, select("#", reject(1)))
    assert.equal(1, await(p))
  end)
end)

describe("Promise.all_keyed", function()
  after_each(leak.check)

  it("S26 fulfils with the values under their keys", function()
    local result = await(Promise.all_keyed({
      a = after(2, "A"),
      b = Promise.resolve("B"),
      c = "C",
      d = thenable("D"),
      [1] = Promise.resolve("one"),
    }))
    assert.same({ a = "A", b = "B", c = "C", d = "D", [1] = "one" }, result)
  end)

  it("S26 rejects with the first rejection", function()
    assert.equal("early", reason_of(Promise.all_keyed({
      a = fail_after(20, "late"),
      b = fail_after(1, "early"),
    })))
  end)

  it("S26 fulfils with an empty table for an empty table", function()
    assert.same({}, await(Promise.all_keyed({})))
  end)
end)

describe("Promise.all_settled_keyed", function()
  after_each(leak.check)

  it("S26 tells every outcome under its key", function()
    local result = await(Promise.all_settled_keyed({
      good = after(1, "A"),
      bad = Promise.reject("B"),
      plain = "C",
    }))
    assert.same({
      good = { status = "fulfilled", value = "A" },
      bad = { status = "rejected", reason = "B" },
      plain = { status = "fulfilled", value = "C" },
    }, result)
    assert.same({}, await(Promise.all_settled_keyed({})))
  end)
end)
