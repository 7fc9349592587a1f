local tide = require "moontide"
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new

local async, await, sleep = tide.async, tide.await, tide.sleep
local Promise = tide.Promise

local function after(ms, value)
  return sleep(ms):next(function()
    return value
  end)
end

describe("join", function()
  after_each(leak.check)

  it("S09 returns the first value of each, positionally, nils included", function()
    local got = table.pack(tide.join(after(5, "a"), Promise.resolve(nil), "c", nil))
    assert.same({ "a", nil, "c", nil, n = 4 }, got)
    assert.equal(0, select("#", tide.join()))
    assert.equal(1, select("#", tide.join(Promise.resolve(1, 2))))
  end)

  it("S09 raises the first rejection unchanged", function()
    local reason = {}
    local ok, err = pcall(tide.join, after(1), Promise.reject(reason))
    assert.is_false(ok)
    assert.equal(reason, err)
  end)

  it("S09 takes the longest of the latencies, awaits in a row take the sum", function()
    local start = tide.now()
    tide.join(sleep(60), sleep(60), sleep(60))
    local together = tide.now() - start
    start = tide.now()
    for _ = 1, 3 do
      await(sleep(60))
    end
    local in_a_row = tide.now() - start
    assert.is_true(together >= 60)
    assert.is_true(in_a_row >= 180)
    assert.is_true(together < in_a_row)
  end)

  it("S09 runs what it waits for concurrently", function()
    local log, lines = new_log()
    local f = async(function(name)
      log(name, "in")
      await(nil)
      log(name, "out")
      return name
    end)
    log(tide.join(f("a"), f("b")))
    assert.same({ "a in", "b in", "a out", "b out", "a b" }, lines)
  end)
end)

describe("promisify", function()
  after_each(leak.check)

  it("awaits a function that calls back with (err, ...)", function()
    local function later(a, b, callback)
      tide.set_timeout(callback, 1, nil, a + b, nil, "last")
    end
    local f = tide.promisify(later)
    assert.same({ 3, nil, "last", n = 3 }, table.pack(await(f(1, 2))))
  end)

  it("rejects with err, or with what the function throws", function()
    local reason = {}
    local ok, err = pcall(await, tide.promisify(function(callback)
      callback(reason)
    end)())
    assert.is_false(ok)
    assert.equal(reason, err)
    ok, err = pcall(await, tide.promisify(function()
      error(reason)
    end)())
    assert.is_false(ok)
    assert.equal(reason, err)
  end)

  it("keeps nil arguments before the callback in their places", function()
    local f = tide.promisify(function(...)
      local args = table.pack(...)
      args[args.n](nil, args.n, args[1], args[3])
    end)
    assert.same({ 4, "a", nil, n = 3 }, table.pack(await(f("a", nil, nil))))
  end)

  it("heeds the first call only", function()
    local f = tide.promisify(function(callback)
      callback(nil, 1)
      callback("no")
      callback(nil, 2)
    end)
    assert.equal(1, await(f()))
  end)
end)
