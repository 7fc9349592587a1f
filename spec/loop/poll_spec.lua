-- Of: loop/poll
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised
local socket = require "socket"
local tide = require "moontide"

local await, poll, sleep = tide.await, tide.poll, tide.sleep

--- Two ends of a connection, which do not block.
local function connection()
  local server = assert(socket.bind("127.0.0.1", 0))
  local _, port = server:getsockname()
  local client = assert(socket.connect("127.0.0.1", port))
  local peer = assert(server:accept())
  server:close()
  client:settimeout(0)
  peer:settimeout(0)
  return client, peer
end

describe("poll", function()
  local client, peer

  before_each(function()
    client, peer = connection()
  end)

  after_each(function()
    client:close()
    peer:close()
    leak.check()
  end)

  it("is fulfilled when the descriptor is ready, and not before", function()
    local promise = poll(client:getfd(), "r")
    await(sleep(5))
    assert.equal("pending", promise:state())
    peer:send("x")
    assert.equal("r", await(promise))
    assert.equal("x", client:receive(1))
  end)

  it("tells what it is ready for", function()
    assert.equal("w", await(poll(client:getfd(), "w")))
    assert.equal("w", await(poll(client:getfd(), "rw")))
    peer:send("x")
    assert.equal("r", await(poll(client:getfd(), "r")))
    assert.equal("rw", await(poll(client:getfd(), "rw")))
  end)

  it("is readable at the end of the stream", function()
    local promise = poll(client:getfd(), "r")
    peer:close()
    assert.equal("r", await(promise))
    assert.equal("closed", select(2, client:receive(1)))
  end)

  it("may have several who wait for one descriptor", function()
    local fd = client:getfd()
    local readers = { poll(fd, "r"), poll(fd, "r") }
    assert.equal("w", await(poll(fd, "w")))
    assert.equal("pending", readers[1]:state())
    peer:send("x")
    assert.equal("r", await(readers[1]))
    assert.equal("r", await(readers[2]))
  end)

  it("leaves the descriptor alone from the abort on", function()
    local controller = tide.AbortController()
    local fd = client:getfd()
    local promise = poll(fd, "r", { signal = controller.signal })
    controller:abort("enough")
    -- The owner may close it at once, and the number may belong to another one then.
    client:close()
    peer:close()
    client, peer = connection()
    assert.equal("enough", failure(promise))
    assert.equal("w", await(poll(fd, "w")))
    assert.equal("w", await(poll(client:getfd(), "w")))
  end)

  it("rejects for a descriptor that is closed before the loop polls it", function()
    local promise, other = poll(client:getfd(), "r"), poll(client:getfd(), "w")
    client:close()
    for _, each in ipairs({ promise, other }) do
      each:catch(function() end)
    end
    assert.equal("EBADF", failure(promise).code)
    assert.equal("EBADF", failure(other).code)
  end)

  -- libuv forgets a descriptor that one of its handles is closed for, whoever else looks at it:
  -- these take some turns of the loop, and what was aborted must be gone before the first.
  it("may be asked again, as soon as it has been aborted", function()
    local controller = tide.AbortController()
    local fd = client:getfd()
    local promise = poll(fd, "r", { signal = controller.signal })
    tide.set_timeout(controller.abort, 1, controller, "enough")
    assert.equal("enough", failure(promise))
    promise = poll(fd, "r")
    await(sleep(2))
    peer:send("x")
    assert.equal("r", await(tide.timeout(5000, await, promise)))
  end)

  it("may be asked again by the one who gets the answer", function()
    local fd = client:getfd()
    peer:send("x")
    assert.equal("r", await(poll(fd, "r"):next(function()
      client:receive(1)
      return poll(fd, "w"):next(function()
        local promise = poll(fd, "r")
        tide.set_timeout(peer.send, 2, peer, "y")
        return promise
      end)
    end)))
  end)

  it("leaves a number alone that another descriptor has got since the abort", function()
    local controller = tide.AbortController()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local fd = client:getfd()
    local promise, other = poll(fd, "r", { signal = controller.signal }), nil
    tide.set_timeout(function()
      controller:abort("enough")
      client:close()
      client = assert(socket.connect("127.0.0.1", port))
      other = poll(client:getfd(), "r")
    end, 1)
    assert.equal("enough", failure(promise))
    assert.equal(fd, client:getfd())
    await(sleep(2))
    peer:close()
    peer = assert(server:accept())
    server:close()
    peer:send("x")
    assert.equal("r", await(tide.timeout(5000, await, other)))
  end)

  it("does not take the others along when one is aborted", function()
    local controller = tide.AbortController()
    local aborted = poll(client:getfd(), "r", { signal = controller.signal })
    local other = poll(client:getfd(), "r")
    controller:abort("enough")
    assert.equal("enough", failure(aborted))
    peer:send("x")
    assert.equal("r", await(other))
  end)

  it("heeds its group, and leaves no handle", function()
    local fd = client:getfd()
    assert.is_false(await(tide.move_on_after(5, function()
      await(poll(fd, "r"))
    end)))
    await(sleep(1))
    assert.equal(0, core.stats().operations)
    assert.equal(0, core.stats().handles)
  end)

  it("rejects what cannot be polled", function()
    assert.equal("EBADF", failure(poll(99999, "r")).code)
    assert.equal("poll", failure(poll(99999, "r")).syscall)
  end)

  it("raises for wrong arguments", function()
    assert.matches("integer from 0 to 2147483647 expected, got %-1", raised(poll, -1, "r"))
    assert.matches("#2 to 'poll' %('r', 'w' or 'rw' expected, got string%)", raised(poll, 1, "x"))
    assert.matches("integer from 0 to 2147483647 expected, got string", raised(poll, "fd", "r"))
    assert.matches("table expected", raised(poll, client:getfd(), "r", 5))
  end)
end)
