local tide = require "moontide"
local leak = require "spec.support.leak"
local names_of = require "moontide.http.names"

local await = tide.await

describe("names", function()
  after_each(leak.check)

  it("gives all addresses of a host, and nothing for an address", function()
    local names = names_of.new()
    assert.matches("127.0.0.1", await(names:find("localhost")), 1, true)
    assert.is_nil(names:find("127.0.0.1"))
    assert.is_nil(names:find("[::1]"))
  end)

  it("looks up once for all who ask", function()
    local names = names_of.new()
    local promise = names:find("localhost")
    assert.equal(promise, names:find("localhost"))
    await(promise)
    assert.equal(promise, names:find("localhost"))
    names:forget("localhost")
    assert.not_equal(promise, names:find("localhost"))
  end)

  it("does not end with who has asked first", function()
    local names = names_of.new()
    local ok = pcall(await, tide.group(function()
      names:find("localhost")
      error("storm", 0)
    end))
    assert.is_false(ok)
    assert.matches("127.0.0.1", await(names:find("localhost")), 1, true)
  end)

  it("forgets what it could not find", function()
    local names = names_of.new()
    local promise = names:find("nobody.invalid")
    assert.matches("^EAI_", select(2, pcall(await, promise)).code)
    await(nil)
    assert.not_equal(promise, names:find("nobody.invalid"))
    pcall(await, names:find("nobody.invalid"))
  end)
end)
