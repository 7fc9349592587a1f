local core = require "moontide.core"
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised
local socket = require "socket"
local tide = require "moontide"

local await, sleep = tide.await, tide.sleep

describe("readable", function()
  local client, peer

  before_each(function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    client, peer = assert(socket.connect("127.0.0.1", port)), assert(server:accept())
    server:close()
    client:settimeout(0)
  end)

  after_each(function()
    client:close()
    peer:close()
    leak.check()
  end)

  it("calls its function as long as there is something to read", function()
    local calls = 0
    local readable = core.readable(client:getfd(), function()
      calls = calls + 1
      if calls == 3 then
        client:receive(1)
      end
    end)
    peer:send("x")
    await(sleep(20))
    assert.equal(3, calls)
    readable:close()
    readable:close()
    peer:send("x")
    await(sleep(5))
    assert.equal(3, calls)
  end)

  it("keeps the loop alive only when it is held", function()
    local readable
    readable = core.readable(client:getfd(), function()
      client:receive(1)
      readable:hold(false)
    end)
    tide.run()
    readable:hold(true)
    readable:hold(true)
    tide.set_timeout(function() peer:send("x") end, 5)
    tide.run()
    assert.is_nil(client:receive(1))
    readable:close()
    readable:hold(true)
  end)

  it("is not collected when it is held", function()
    local called = false
    local weak = setmetatable({}, { __mode = "v" })
    weak[1] = core.readable(client:getfd(), function()
      called = true
      client:receive(1)
    end)
    weak[1]:hold(true)
    leak.collect()
    peer:send("x")
    await(sleep(5))
    assert.is_true(called)
    weak[1]:hold(false)
    leak.collect()
    assert.is_nil(weak[1])
  end)

  it("raises what its function raises, and goes on", function()
    local readable = core.readable(client:getfd(), function()
      client:receive(1)
      error("storm", 0)
    end)
    peer:send("x")
    assert.equal("storm", raised(await, sleep(20)))
    readable:close()
  end)

  it("wants a descriptor and a function", function()
    assert.matches("integer from 0", raised(core.readable))
    assert.matches("function expected", raised(core.readable, client:getfd()))
    assert.is_false((pcall(core.readable, 1000000, print)))
  end)
end)
