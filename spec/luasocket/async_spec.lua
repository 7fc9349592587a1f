-- What LuaSocket's sockets cannot do: wait beside each other, be cancelled, be closed while
-- somebody waits. That they do the same otherwise: luasocket_spec.lua.
local background = require "spec.support.background"
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local luasocket = require "spec.support.luasocket"
local plain = require "socket"
local raised = require("spec.support.raised").raised
local socket = require "moontide.luasocket"
local tide = require "moontide"

local await, sleep, spawn = tide.await, tide.sleep, tide.spawn

--- Both ends of a connection, ours and LuaSocket's, which does not block.
local function connection()
  local server = assert(plain.bind("127.0.0.1", 0))
  local _, port = server:getsockname()
  local ours = assert(socket.connect("127.0.0.1", port))
  local peer = assert(server:accept())
  server:close()
  peer:settimeout(0)
  return ours, peer
end

--- Nothing waits, and nothing is polled.
local function check_idle()
  files.eventually(function()
    local stats = core.stats()
    return stats.operations == 0 and stats.handles == 0
  end)
end

-- More than the system takes while nobody reads.
local MUCH = ("x"):rep(20000000)

--- A UDP socket with a port.
local function bound()
  local u = assert(socket.udp())
  assert(u:setsockname("127.0.0.1", 0))
  return u
end

-- What waits for ever: name -> what makes a socket, and what is called with it. The third function
-- shows that the socket is of use after that.
local WAITS = {
  ["receive, a line"] = { "connected", function(c) return c:receive() end },
  ["receive, a number"] = { "connected", function(c) return c:receive(10) end },
  ["receive, much"] = { "connected", function(c) return c:receive(2000000) end },
  ["receive, everything"] = { "connected", function(c) return c:receive("*a") end },
  ["send"] = { "connected", function(c) return c:send(MUCH) end },
  ["connect"] = { "connecting", function(c, port) return c:connect("127.0.0.1", port) end },
  ["accept"] = { "server", function(c) return c:accept() end },
  ["udp receive"] = { "datagrams", function(c) return c:receive() end },
  ["udp receivefrom"] = { "datagrams", function(c) return c:receivefrom() end },
}

local MAKE = {
  connected = connection,
  connecting = function()
    local _, port, stop = luasocket.full_server(plain)
    return socket.tcp(), { close = stop }, port
  end,
  server = function()
    return socket.bind("127.0.0.1", 0)
  end,
  datagrams = bound,
}

--- Calls f(wait, c, peer), where wait() calls what waits with the socket c.
local function with_wait(entry, f)
  local c, peer, port = MAKE[entry[1]]()
  f(function()
    return entry[2](c, port)
  end, c, peer)
  c:close()
  if peer then
    peer:close()
  end
end

describe("luasocket", function()
  setup(luasocket.start)

  teardown(background.stop)

  after_each(leak.check)

  for name, entry in pairs(WAITS) do
    it("waits in an async function, while the loop goes on: " .. name, function()
      with_wait(entry, function(wait, c)
        local promise = spawn(wait)
        for _ = 1, 3 do
          await(sleep(1))
        end
        assert.equal("pending", promise:state())
        c:close()
        assert.equal("closed", select(2, await(promise)))
        check_idle()
      end)
    end)

    it("is cancelled with its group, and can be used again: " .. name, function()
      with_wait(entry, function(wait, c)
        assert.is_false(await(tide.move_on_after(5, wait)))
        check_idle()
        c:settimeout(0.01)
        assert.equal("timeout", select(2, await(spawn(wait))))
        check_idle()
      end)
    end)

    it("raises what a group fails with: " .. name, function()
      with_wait(entry, function(wait)
        local reason
        assert.equal("storm", failure(tide.group(function(g)
          g:spawn(function()
            reason = raised(wait)
            error(reason, 0)
          end)
          await(sleep(1))
          error("storm", 0)
        end)))
        assert.equal("AbortError", reason.name)
        check_idle()
      end)
    end)

    it("says where it cannot wait, and leaves nothing: " .. name, function()
      with_wait(entry, function(wait)
        local message
        tide.set_immediate(function()
          message = raised(wait)
        end)
        await(sleep(5))
        assert.matches("await outside an async function", message)
        check_idle()
      end)
    end)
  end

  it("needs no await where the timeout is 0", function()
    local c, peer = connection()
    peer:send("one\ntwo")
    local results
    tide.set_immediate(function()
      c:settimeout(0)
      results = { c:receive(), table.pack(c:receive()), c:send("x") }
    end)
    await(sleep(5))
    assert.same({ "one", { n = 3, nil, "timeout", "two" }, 1 }, results)
    c:close()
    peer:close()
  end)

  it("raises what its tide.timeout raises", function()
    local c, peer = connection()
    assert.equal("TimeoutError", failure(tide.timeout(5, c.receive, c)).name)
    check_idle()
    c:close()
    peer:close()
  end)

  describe("that is cancelled loses nothing", function()
    local c, peer

    before_each(function()
      c, peer = connection()
    end)

    after_each(function()
      c:close()
      peer:close()
    end)

    --- Lets receive wait until it has got the text, and cancels it.
    local function cancel(text, ...)
      peer:send(text)
      assert.is_false(await(tide.move_on_after(10, c.receive, c, ...)))
      assert.is_true(c:dirty())
    end

    it("of a line", function()
      cancel("on")
      peer:send("e\ntwo\n")
      assert.equal("one", c:receive())
      assert.is_true(c:dirty())
      assert.equal("two", c:receive())
      assert.is_false(c:dirty())
    end)

    it("of a number", function()
      cancel("12\n3", 10)
      assert.equal("12", c:receive())
      peer:send("4567")
      assert.equal("pre345", c:receive(6, "pre"))
      assert.equal("67", c:receive(2))
      cancel("12", 10)
      assert.equal("1", c:receive(1))
      assert.equal("", c:receive(0))
      assert.equal("2", c:receive(1))
      assert.is_false(c:dirty())
    end)

    it("of much, and not the prefix, which its caller has", function()
      cancel("12", 2000000, "pre")
      cancel("34", 2000000, "pre")
      peer:close()
      local data, err, partial = c:receive(2000000, "pre")
      assert.same({ n = 3, nil, "closed", "pre1234" }, table.pack(data, err, partial))
    end)

    it("of everything", function()
      cancel("12", "*a")
      peer:close()
      assert.equal("12", c:receive("*a"))
      assert.equal("closed", select(2, c:receive("*a")))
    end)
  end)

  it("is closed while it waits, with what has come", function()
    local c, peer = connection()
    peer:send("par")
    local promises = { spawn(c.receive, c), spawn(c.receive, c, 5) }
    await(sleep(5))
    c:close()
    local _, err, partial = await(promises[1])
    assert.same({ "closed", "par" }, { err, partial })
    _, err, partial = await(promises[2])
    assert.same({ "closed", "" }, { err, partial })
    check_idle()
    peer:close()
  end)

  it("is not out of time because the loop had none", function()
    local c, peer = connection()
    local server = assert(plain.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local other = socket.tcp()
    c:settimeout(0.005)
    other:settimeout(0.005)
    local received, connected = spawn(c.receive, c), spawn(other.connect, other, "127.0.0.1", port)
    peer:send("one\n")
    plain.sleep(0.02)
    assert.equal("one", await(received))
    assert.equal(1, await(connected))
    assert.equal("timeout", select(2, c:receive()))
    c:close()
    peer:close()
    other:close()
    server:close()
  end)

  it("can be read and written at once", function()
    local c, peer = connection()
    local reader, writer = spawn(c.receive, c), spawn(c.send, c, MUCH .. "end\n")
    peer:send("one\n")
    assert.equal("one", await(reader))
    assert.equal("pending", writer:state())
    local tail = ""
    files.eventually(function()
      local data, _, partial = peer:receive(1000000)
      tail = (tail .. (data or partial)):sub(-4)
      return tail == "end\n"
    end)
    assert.equal(#MUCH + 4, await(writer))
    c:close()
    peer:close()
  end)

  it("has a timeout for each who waits", function()
    local c, peer = connection()
    local writer = spawn(c.send, c, MUCH)
    c:settimeout(0.005)
    assert.equal("timeout", select(2, c:receive()))
    assert.equal("pending", writer:state())
    c:close()
    assert.equal("closed", select(2, await(writer)))
    peer:close()
  end)

  it("lets the others have a turn, though there is always something to read", function()
    local c, peer = connection()
    peer:send(("x\n"):rep(1000))
    local seen
    await(sleep(5))
    await(spawn(function()
      tide.set_immediate(function()
        seen = true
      end)
      local lines = 0
      while not seen do
        assert.equal("x", c:receive())
        lines = lines + 1
      end
      assert.is_true(lines < 1000)
    end))
    c:close()
    peer:close()
  end)

  it("waits for a hundred connections at once", function()
    local N = 100
    local server = assert(socket.bind("127.0.0.1", 0, N))
    local _, port = server:getsockname()
    local log = {}
    await(tide.group(function(g)
      local accepted = {}
      for i = 1, N do
        g:spawn(function()
          local c = assert(socket.connect("127.0.0.1", port))
          local _, line = c:send(i .. "\n"), c:receive()
          log[#log + 1] = line
          c:close()
        end)
      end
      for i = 1, N do
        local c = assert(server:accept())
        accepted[tonumber(c:receive())] = c
        assert.is_nil(log[1], i)
      end
      for i = N, 1, -1 do
        accepted[i]:send(i .. "\n")
        accepted[i]:close()
        await(sleep(0))
      end
    end))
    for i = 1, N do
      assert.equal(tostring(N + 1 - i), log[i])
    end
    server:close()
  end)

  it("leaves no descriptor open", function()
    local before = files.descriptors()
    for _ = 1, 20 do
      local c, peer = connection()
      local promise = spawn(c.receive, c)
      c:close()
      await(promise)
      peer:close()
    end
    check_idle()
    assert.equal(before, files.descriptors())
  end)

  describe("select", function()
    local c, peer

    before_each(function()
      c, peer = connection()
    end)

    after_each(function()
      c:close()
      peer:close()
      check_idle()
    end)

    it("waits in an async function, while the loop goes on", function()
      local promise = spawn(socket.select, { c }, {})
      await(sleep(2))
      assert.equal("pending", promise:state())
      peer:send("x")
      local readers, writers, err = await(promise)
      assert.same({ c, nil, 0 }, { readers[1], err, #writers })
    end)

    it("takes LuaSocket's own sockets, and what has a descriptor", function()
      local other = {
        getfd = function()
          return c:getfd()
        end,
        dirty = function()
          return false
        end,
      }
      local promise = spawn(socket.select, { peer, other }, nil, 10)
      await(sleep(2))
      c:send("x")
      assert.same({ peer }, { (await(promise))[1] })
      peer:send("x")
      assert.equal(other, socket.select({ other })[1])
    end)

    it("is cancelled with its group", function()
      assert.is_false(await(tide.move_on_after(5, socket.select, { c }, {})))
      check_idle()
      assert.is_false(await(tide.move_on_after(5, socket.select, { c }, nil, 100)))
    end)

    it("says that a timeout must be a number", function()
      local err = raised(function()
        return (socket.select({ c }, {}, "soon"))
      end)
      assert.matches("async_spec.lua:%d+: bad argument #3 to 'select' %(number expected, got", err)
    end)

    it("says where it cannot wait", function()
      local message
      tide.set_immediate(function()
        message = raised(socket.select, { c })
      end)
      await(sleep(5))
      assert.matches("await outside an async function", message)
    end)
  end)

  describe("sleep", function()
    it("lets the loop go on, and is cancelled", function()
      local slept = spawn(socket.sleep, 0.01)
      await(sleep(1))
      assert.equal("pending", slept:state())
      await(slept)
      assert.is_false(await(tide.move_on_after(2, socket.sleep, 100)))
      socket.sleep(-1)
      assert.matches("number expected", raised(socket.sleep))
    end)
  end)

  describe("names", function()
    it("are looked up in a thread, and cancelled", function()
      local promise = spawn(socket.connect, "no name", 80)
      assert.equal("pending", promise:state())
      assert.is_true(core.stats().operations > 0)
      assert.matches("^host or service", select(2, await(promise)))
      local reason
      local promise_of_group = tide.group(function(g)
        g:spawn(function()
          reason = raised(socket.connect, "no name", 80)
          error(reason, 0)
        end)
        g:cancel()
      end)
      assert.equal(select(2, pcall(await, promise_of_group)), reason)
      assert.equal("AbortError", reason.name)
    end)

    it("that are addresses need no await", function()
      local c
      tide.set_immediate(function()
        c = socket.tcp()
        c:settimeout(0)
        c:connect("127.0.0.1", luasocket.port)
      end)
      await(sleep(5))
      assert.equal("w", await(tide.poll(c:getfd(), "w")))
      c:close()
    end)
  end)

  describe("protect", function()
    it("lets what it calls await", function()
      local c, peer = connection()
      local try = socket.newtry(function()
        c:close()
      end)
      local promise = spawn(socket.protect(function()
        assert.equal("one", try(c:receive()))
        return try(c:receive())
      end))
      await(sleep(1))
      peer:send("one\n")
      await(sleep(1))
      peer:close()
      assert.same({ n = 2, nil, "closed" }, table.pack(await(promise)))
      assert.equal(-1, c:getfd())
    end)

    it("lets a cancellation through", function()
      local c, peer = connection()
      assert.is_false(await(tide.move_on_after(5, socket.protect(function()
        return socket.try(c:receive())
      end))))
      c:close()
      peer:close()
    end)
  end)

  describe("install", function()
    it("takes LuaSocket's place until that is undone", function()
      local loaded = package.loaded
      local core_before, http_before = loaded["socket.core"], loaded["socket.http"]
      local restore = socket.install()
      assert.equal(socket, require "socket")
      assert.equal(socket, require "socket.core")
      assert.is_nil(loaded["socket.http"])
      socket.install()()
      assert.equal(socket, require "socket")
      restore()
      assert.equal(plain, require "socket")
      assert.equal(core_before, loaded["socket.core"])
      assert.equal(http_before, loaded["socket.http"])
    end)

    it("is all that changes anything for others", function()
      local code = [[
        local before = require "socket"
        local connect, try = before.connect, before.try
        require "moontide.luasocket"
        assert(require "socket" == before and require "socket.core" == before)
        assert(before.connect == connect and before.try == try)
        print "the same"
      ]]
      local result = require("spec.support.child").lua_source(code)
      assert.equal("the same\n", result.out .. result.err)
    end)
  end)
end)
