local child = require "spec.support.child"
local core = require "moontide.core"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local sockets = require "spec.support.sockets"
local tide = require "moontide"

local await = tide.await

-- Lua drops the finalizer of an object when it has no memory to call it, and frees the object all
-- the same. Here it is as if that came to pass for each handle.
local PRELUDE = [[
  local core = require "moontide.core"
  local fs = require "moontide.fs"
  local net = require "moontide.net"
  local tide = require "moontide"
  local await, sleep = tide.await, tide.sleep
  local HOST = "127.0.0.1"

  local lost
  for _, class in ipairs { "Poll", "Reader", "Server", "Signal", "Stream", "Watch", "net.UDP" } do
    debug.getregistry()["moontide." .. class].__gc = function() lost = true end
  end

  -- Has freed what nobody has any more, and writes over the memory of that.
  local function collect()
    for _ = 1, 3 do collectgarbage() end
    local over = {}
    for size = 16, 20000, 8 do over[#over + 1] = ("\255"):rep(size) end
  end

  -- Calls f, and has freed what it drops, once no turn of the loop holds that.
  local function drop(f)
    local result = f()
    await(sleep(1))
    collect()
    return result
  end

  -- Both ends of a connection, which have both read.
  local function connect()
    local server <close> = await(net.listen { host = HOST })
    local a = await(net.connect { host = HOST, port = server:address().port })
    local b = await(server:accept())
    for _, stream in ipairs { a, b } do await(stream:write "first") end
    for _, stream in ipairs { a, b } do await(stream:read()) end
    return a, b
  end
]]

-- What is on its way arrives, nothing keeps the loop alive, and the runtime, as it closes, finds
-- all that is open.
local REST = [[
  await(sleep(10))
  collect()
  await(sleep(1))
  print(lost, tide.alive())
  os.exit(true, true)
]]

local function survives(source)
  local result = child.lua_source(PRELUDE .. source .. REST)
  assert.same({ code = 0, out = "true\tfalse\n", err = "" }, result)
end

describe("a handle whose finalizer was lost #closing", function()
  it("goes on to receive datagrams", function()
    survives [[
      local sender = net.udp()
      local port = drop(function()
        local socket = net.udp { host = HOST }
        local port = socket:address().port
        await(sender:send("first", HOST, port))
        await(socket:receive())
        return port
      end)
      for i = 1, 100 do await(sender:send(("x"):rep(i * 10), HOST, port)) end
    ]]
  end)

  it("goes on to read what comes to a stream", function()
    survives [[
      local stream = drop(function() return (connect()) end)
      stream:write(("x"):rep(1000000))
    ]]
  end)

  it("keeps what a stream has received, and what it has still to write", function()
    survives [[
      local stream = drop(function()
        local a, b = connect()
        await(a:write(("x"):rep(100000)))
        await(b:read(1))
        b:write(("x"):rep(10000000))
        return a
      end)
      await(stream:read_exactly(10000000))
    ]]
  end)

  it("goes on to accept connections", function()
    survives [[
      local port = drop(function() return core.net.tcp_listen(HOST, 0):address().port end)
      local connections = {}
      for i = 1, 3 do connections[i] = net.connect { host = HOST, port = port } end
    ]]
  end)

  it("goes on to take signals", function()
    survives [[
      drop(function() tide.signal("SIGUSR1", "SIGUSR2") end)
      for _ = 1, 3 do os.execute "kill -USR1 $PPID; kill -USR2 $PPID" end
    ]]
  end)

  it("goes on to watch a directory", function()
    survives [[
      local directory = await(fs.mkdtemp "/tmp/moontide-")
      drop(function() fs.watch(directory) end)
      await(fs.write_file(directory .. "/file", "text"))
      await(fs.rm(directory, { recursive = true }))
    ]]
  end)

  it("has been closed when nobody polls", function()
    survives [[
      local pipe <close> = io.popen("cat", "w")
      drop(function() await(tide.poll(core.process.descriptor(pipe), "w")) end)
    ]]
  end)

  it("keeps what was fed to a reader", function()
    survives [[
      drop(function() core.reader():feed(("x"):rep(100000)) end)
    ]]
  end)

  it("is closed when it was on its way to that", function()
    survives [[
      local closed = drop(function()
        local a, b = connect()
        b:destroy()
        return a:close()
      end)
      await(closed)
    ]]
  end)
end)

describe("the memory of handles", function()
  after_each(leak.check)

  --- Kilobytes in use after a hundred calls of `f`, when all has come to rest.
  local function after(f)
    for _ = 1, 100 do
      f()
    end
    leak.check()
    return collectgarbage "count"
  end

  --- The first calls have made the tables as large as they have to be.
  local function stays(f)
    after(f)
    local before = after(f)
    local grown = after(f) - before
    assert.is_true(grown < 10, grown .. " KB")
  end

  it("is free when they were closed", function()
    stays(function()
      net.udp():close()
    end)
  end)

  it("is free when they were collected", function()
    stays(function()
      net.udp()
      tide.signal "SIGUSR1"
    end)
  end)

  it("is free when nothing was ever open", function()
    stays(function()
      core.reader():feed "text"
    end)
  end)

  it("is free when something was read from them", function()
    stays(function()
      local a, b = sockets.pair "pipe"
      await(a:write "text")
      await(b:read())
      await(b:write "text")
      await(a:read())
      b:close()
    end)
  end)
end)
