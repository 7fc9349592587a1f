-- Processes that fork after moontide was loaded, each in a process of its own.
local child = require "spec.support.child"
local compile = require "spec.support.compile"

local PRELUDE = [[
local process = require "fork"
local tide = require "moontide"
local fs = require "moontide.fs"
local socket = require "socket"

--- Two ends of a connection, of luasocket.
local function pair()
  local server = assert(socket.bind("127.0.0.1", 0))
  local _, port = server:getsockname()
  local one = assert(socket.connect("127.0.0.1", port))
  local other = assert(server:accept())
  server:close()
  return one, other
end

local function readable(fd, seconds)
  return socket.select({ { getfd = function() return fd end } }, nil, seconds)[1] ~= nil
end
]]

describe("a fork", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. child.quote(folder))
    compile.module("spec/support/fork.c", folder .. "/fork.so")
  end)

  teardown(function()
    os.execute("rm -r " .. child.quote(folder))
  end)

  local function prints(expected, source)
    local path = ("package.cpath = %q .. package.cpath\n"):format(folder .. "/?.so;")
    local result = child.lua_source(path .. PRELUDE .. source)
    assert.equal("", result.err)
    assert.equal(expected, result.out)
    assert.equal(0, result.code)
  end

  it("leaves the parent alone whatever the child waits for", function()
    prints("false\n0\n", [[
      local mine, theirs = pair()
      tide.step()
      local pid = process.fork()
      if pid == 0 then
        local one, other = pair()
        tide.poll(one:getfd(), "r"):catch(function() end)
        tide.step()
        other:send("x") -- the child is not going to look
        theirs:send("ready\n")
        theirs:receive()
        os.exit(0, true)
      end
      assert(mine:receive() == "ready")
      print(readable(tide.backend_fd(), 0.05))
      mine:send("done\n")
      print(process.wait(pid))
    ]])
  end)

  for name, turn in pairs { ["with"] = "tide.step()", ["without"] = "" } do
    it("leaves the parent's wait alone when a child ends " .. name .. " a turn", function()
      prints("0\nr\n", [[
        local mine, theirs = pair()
        local ready = tide.poll(mine:getfd(), "r")
        tide.step()
        local pid = process.fork()
        if pid == 0 then
          ]] .. turn .. [[
          os.exit(0, true)
        end
        print(process.wait(pid))
        theirs:send("x")
        print(tide.await(tide.Promise.race {
          ready,
          tide.sleep(10000):next(function() return "the wait is gone" end),
        }))
      ]])
    end)
  end

  it("lets the child go on with what it waits for", function()
    prints("child\tr\tdirectory\n0\n", [[
      local mine, theirs = pair()
      local ready = tide.poll(mine:getfd(), "r")
      tide.step()
      local pid = process.fork()
      if pid == 0 then
        tide.set_timeout(function() theirs:send("x") end, 1)
        print("child", tide.await(ready), tide.await(fs.stat("/")).type)
        os.exit(0, true)
      end
      print(process.wait(pid))
      mine, theirs = nil, nil
      os.exit(0, true)
    ]])
  end)

  it("gives a host in the child a descriptor of its own", function()
    prints("0\tfalse\ttrue\n0\n", [[
      local mine, theirs = pair()
      tide.step()
      local pid = process.fork()
      if pid == 0 then
        local fd = tide.backend_fd()
        tide.poll(mine:getfd(), "r"):catch(function() end)
        io.write(tide.backend_timeout(), "\t")
        tide.step()
        local before = readable(fd, 0)
        theirs:send("x")
        print(before, readable(fd, 10))
        os.exit(0, true)
      end
      print(process.wait(pid))
    ]])
  end)

  it("leaves the child with the watch over its jobs", function()
    prints("a job holds the loop for more than 20 ms\n0\n", [[
      tide.debug({ slow = 20, report = function(text) print((text:match("a job[^\n]*"))) end })
      tide.await(tide.sleep(1))
      local pid = process.fork()
      if pid == 0 then
        tide.set_timeout(function()
          local since = os.clock()
          while os.clock() - since < 0.3 do end
        end, 1)
        tide.run()
        os.exit(0, true)
      end
      print(process.wait(pid))
    ]])
  end)

  it("lets the child end when the parent has used threads", function()
    prints("0\n", [[
      tide.await(fs.stat("/"))
      local pid = process.fork()
      if pid == 0 then os.exit(0, true) end
      print(process.wait(pid))
    ]])
  end)

  it("wakes the child though its parent was just about to be woken", function()
    prints("0\ndirectory\n", [[
      local stat = fs.stat("/")
      os.execute("sleep 0.05") -- the threads are done, and the loop has not polled
      local pid = process.fork()
      if pid == 0 then
        tide.await(fs.stat("/"))
        os.exit(0, true)
      end
      print(process.wait(pid))
      print(tide.await(stat).type)
    ]])
  end)

  it("lets the child end though the threads have stayed behind", function()
    prints("0\n", [[
      local fifo = os.tmpname()
      os.remove(fifo)
      os.execute("mkfifo " .. fifo)
      local reading = {}
      for i = 1, 6 do -- more than there are threads
        reading[i] = fs.read_file(fifo):catch(function() end)
      end
      tide.step(50)
      local pid = process.fork()
      if pid == 0 then os.exit(0, true) end
      print(process.wait(pid))
      local writer = io.open(fifo, "w")
      os.remove(fifo)
      writer:close()
      tide.await(tide.Promise.all(reading))
    ]])
  end)
end)
