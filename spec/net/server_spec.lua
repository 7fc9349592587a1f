local tide = require "moontide"
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised
local socket = require "socket"
local sockets = require "spec.support.sockets"

local await, sleep = tide.await, tide.sleep

local function code_of(promise)
  return failure(promise).code
end

describe("server", function()
  after_each(leak.check)

  it("gives connections in their order, those that came before it was asked as well", function()
    local server <close> = core.net.tcp_listen("127.0.0.1", 0)
    local clients = {}
    for i = 1, 5 do
      local stream, connected = core.net.tcp_connect("127.0.0.1", server:address().port)
      await(connected)
      await(stream:write(i))
      clients[i] = stream
    end
    for i = 1, 5 do
      local stream <close> = await(server:accept())
      assert.equal(tostring(i), await(stream:read()))
    end
    sockets.close(table.unpack(clients))
  end)

  it("is an iterator that ends when it is closed", function()
    local server = core.net.tcp_listen("127.0.0.1", 0)
    local port, seen = server:address().port, 0
    local loop = tide.spawn(function()
      for stream in server do
        seen = seen + 1
        stream:destroy()
      end
    end)
    for _ = 1, 3 do
      local stream, connected = core.net.tcp_connect("127.0.0.1", port)
      await(connected)
      assert.is_nil(await(stream:read()))
      sockets.close(stream)
    end
    await(server:close())
    await(loop)
    assert.equal(3, seen)
    assert.is_nil(await(server:accept()))
    assert.is_nil(server:address())
  end)

  it("loses no connection when an accept is aborted", function()
    local server <close> = core.net.tcp_listen("127.0.0.1", 0)
    local controller = tide.AbortController()
    local first = server:accept({ signal = controller.signal })
    local second = server:accept()
    controller:abort("enough")
    assert.equal("enough", failure(first))
    local client, connected = core.net.tcp_connect("127.0.0.1", server:address().port)
    await(connected)
    sockets.close(await(second), client)
  end)

  --- Calls f in the turn in which a new connection has come to the server, but has not been
  --- delivered: first comes the byte that f waits for.
  local function when_one_has_come(server, f)
    local a, b = sockets.pair()
    local promise = b:read():next(f)
    await(sleep(1)) -- both are polled
    a:write("x")
    local client = assert(socket.connect("127.0.0.1", server:address().port))
    await(promise)
    sockets.close(a, b)
    return client
  end

  it("passes a connection on that an aborted accept was to get", function()
    local server <close> = core.net.tcp_listen("127.0.0.1", 0)
    local controller = tide.AbortController()
    local first = server:accept({ signal = controller.signal })
    local second = server:accept()
    first:catch(function() end)
    local client = when_one_has_come(server, function()
      controller:abort("enough")
    end)
    assert.equal("enough", failure(first))
    sockets.close(await(second))
    client:close()
  end)

  it("keeps a connection that an aborted accept was to get for the next", function()
    local server <close> = core.net.tcp_listen("127.0.0.1", 0)
    local controller = tide.AbortController()
    local first = server:accept({ signal = controller.signal })
    first:catch(function() end)
    local client = when_one_has_come(server, function()
      controller:abort("enough")
    end)
    assert.equal("enough", failure(first))
    sockets.close(await(server:accept()))
    client:close()
  end)

  it("promises a connection to one only", function()
    local server = core.net.tcp_listen("127.0.0.1", 0)
    local first, second = server:accept(), nil
    local client = when_one_has_come(server, function()
      second = server:accept()
    end)
    sockets.close(await(first))
    assert.equal("pending", second:state())
    await(server:close())
    assert.is_nil(await(second))
    client:close()
  end)

  it("says what it cannot listen at", function()
    local server <close> = core.net.tcp_listen("127.0.0.1", 0)
    local ok, err = pcall(core.net.tcp_listen, "127.0.0.1", server:address().port)
    assert.is_false(ok)
    assert.equal("EADDRINUSE", err.code)
    assert.matches("127.0.0.1:%d+", err.message)
    assert.matches("IP address expected", raised(core.net.tcp_listen, "localhost", 0))
    assert.matches("integer from 0 to 65535 expected",
      raised(core.net.tcp_listen, "127.0.0.1", 65536))
    assert.matches("field 'backlog'", raised(core.net.tcp_listen, "127.0.0.1", 0, { backlog = 0 }))
  end)

  it("shares its port with others that want that", function()
    local first <close> = core.net.tcp_listen("127.0.0.1", 0, { reuse_port = true })
    local port = first:address().port
    local second <close> = core.net.tcp_listen("127.0.0.1", port, { reuse_port = true })
    assert.equal(port, second:address().port)
  end)

  it("removes its path when it is closed", function()
    local path = os.tmpname()
    os.remove(path)
    local server = core.net.pipe_listen(path)
    assert.equal(path, server:address().path)
    await(server:close())
    assert.is_nil(io.open(path))
    assert.matches("the path is too long", raised(core.net.pipe_listen, ("x"):rep(200)))
    assert.matches("contains a NUL", raised(core.net.pipe_listen, "a\0b"))
  end)

  it("is left alone by a loop that cannot await", function()
    local server <close> = core.net.tcp_listen("127.0.0.1", 0)
    local text
    tide.queue_microtask(function() text = raised(server) end)
    local client, connected = core.net.tcp_connect("127.0.0.1", server:address().port)
    await(connected)
    assert.matches("await outside an async function", text)
    sockets.close(client, await(server:accept()))
  end)

  it("is connected to from a port of one's own", function()
    local server <close> = core.net.tcp_listen("127.0.0.1", 0)
    local free <close> = core.net.tcp_listen("127.0.0.1", 0)
    local port = free:address().port
    await(free:close())
    local options = { local_port = port }
    local client, connected =
      core.net.tcp_connect("127.0.0.1", server:address().port, options)
    await(connected)
    assert.equal(port, client:local_address().port)
    sockets.close(client, await(server:accept()))
  end)

  it("cannot be told of the end before it is connected to", function()
    local server <close> = core.net.tcp_listen("127.0.0.1", 0)
    local client, connected = core.net.tcp_connect("127.0.0.1", server:address().port)
    assert.equal("ENOTCONN", code_of(client:shutdown()))
    client:write("early"):catch(function() end)
    await(connected)
    local stream = await(server:accept())
    await(client:close())
    assert.equal("early", await(stream:read_all()))
    sockets.close(stream)
  end)

  it("says whom it cannot connect to", function()
    local server = core.net.tcp_listen("127.0.0.1", 0)
    local port = server:address().port
    await(server:close())
    local _, connected = core.net.tcp_connect("127.0.0.1", port)
    local err = failure(connected)
    assert.equal("ECONNREFUSED", err.code)
    local text = "ECONNREFUSED: connection refused, connect '127.0.0.1:" .. port .. "'"
    assert.equal(text, err.message)
    _, connected = core.net.pipe_connect("/nonexistent/socket")
    assert.equal("ENOENT", code_of(connected))
  end)
end)
