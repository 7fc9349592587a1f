-- A host that has a loop of its own and calls into moontide outside its turns. The hosts are
-- processes of their own: the helper of these specs has a timer that they would see.
local child = require "spec.support.child"

local HOST = [[
local tide = require "moontide"
local fs = require "moontide.fs"
local socket = require "socket"

local backend = { getfd = function() return tide.backend_fd() end }

--- What the host's loop does: waits as long as it may, then one turn. Returns whether it slept for
--- ever, which is ten seconds here.
local function turn()
  local ms = tide.backend_timeout()
  local readable = socket.select({ backend }, nil, ms < 0 and 10 or ms / 1000)
  tide.step()
  return ms < 0 and not readable[1]
end

local function turns_until(done)
  for _ = 1, 1000 do
    if done() then return true end
    if turn() then return false, "the host slept" end
  end
  return false, "1000 turns were not enough"
end

local function settled(promise)
  return function() return promise:state() ~= "pending" end
end

local woken = 0
local function wake() woken = woken + 1 end
]]

local function prints(expected, source)
  local result = child.lua_source(HOST .. source)
  assert.equal("", result.err)
  assert.equal(expected, result.out)
  assert.equal(0, result.code)
end

describe("backend_timeout", function()
  for name, step in pairs { ["before the first turn"] = "", ["between two"] = "tide.step()" } do
    it("lets no host sleep over an operation begun " .. name, function()
      prints("true\n", step .. [[
        local stat = fs.stat("/")
        print(turns_until(settled(stat)))
      ]])
    end)
  end

  it("is 0 until the next poll when something waits for a new descriptor", function()
    prints("0\n-1\n", [[
      local server = assert(socket.bind("127.0.0.1", 0))
      tide.step()
      tide.poll(server:getfd(), "r"):catch(function() end)
      print(tide.backend_timeout())
      tide.step()
      print(tide.backend_timeout())
      os.exit(true)
    ]])
  end)

  it("is 0 until the next poll when a turn has begun to wait for a socket", function()
    prints("true\tx\n", [[
      local net = require "moontide.net"
      local server = tide.await(net.listen { host = "127.0.0.1", port = 0 })
      local port = server:address().port
      local client = assert(socket.connect("127.0.0.1", port))
      local got
      tide.spawn(function()
        local peer <close> = tide.await(server:accept())
        got = tide.await(peer:read())
      end)
      for _ = 1, 3 do tide.step() end
      client:send("x")
      print(turns_until(function() return got end), got)
      client:close()
      server:close()
      tide.run()
    ]])
  end)

  it("is 0 when a handle that somebody waits for has been closed outside a turn", function()
    prints("0\ntrue\n", [[
      local net = require "moontide.net"
      local server = tide.await(net.listen { host = "127.0.0.1", port = 0 })
      local accepted = server:accept()
      accepted:catch(function() end)
      for _ = 1, 3 do tide.step() end
      server:close()
      print(tide.backend_timeout())
      print(turns_until(settled(accepted)))
    ]])
  end)

  it("is not 0 for an immediate that was closed", function()
    prints("-1\n", [[
      tide.set_immediate(print):close()
      print(tide.backend_timeout())
    ]])
  end)
end)

describe("step", function()
  it("takes notice of a descriptor that nobody waits for any more", function()
    prints("x\n-1\tfalse\n", [[
      local server = assert(socket.bind("127.0.0.1", 0))
      local port = tonumber((select(2, server:getsockname())))
      local client = tide.await(require("moontide.net").connect { host = "127.0.0.1", port = port })
      local peer = assert(server:accept())
      peer:send("x")
      print(tide.await(client:read()))
      peer:send("y")
      assert(socket.select({ backend }, nil, 10)[1])
      for _ = 1, 3 do tide.step() end
      print(tide.backend_timeout(), socket.select({ backend }, nil, 0)[1] ~= nil)
      client:destroy()
      tide.run()
    ]])
  end)
end)

describe("on_wake", function()
  it("calls its function once for what is begun outside a turn, until the next one", function()
    prints("0\n1\n2\n", [[
      tide.on_wake(wake)
      tide.step()
      print(woken)
      tide.queue_microtask(function() end)
      tide.set_immediate(function() end)
      tide.sleep(1)
      fs.stat("/")
      print(woken)
      while tide.step(1) do end
      tide.set_timeout(function() end, 1)
      print(woken)
      tide.run()
    ]])
  end)

  for name, begin in pairs {
    ["a resolving function"] = "resolve(1)",
    ["a reaction"] = "settled:next(print)",
    ["an async function"] = "tide.spawn(tide.sleep, 1)",
    ["an event"] = "event:set()",
    ["a permit"] = "permit:release()",
    ["a permit that nobody has"] = "permit = nil; collectgarbage(); collectgarbage()",
    ["an abort"] = "controller:abort()",
    ["a group"] = "group:cancel()",
    ["a file"] = "file:close()",
  } do
    it("is for " .. name, function()
      prints("1\n", ([[
        local pending, resolve = tide.Promise.with_resolvers()
        local settled = tide.Promise.resolve()
        local event, semaphore = tide.event(), tide.semaphore(1)
        local permit = tide.await(semaphore:acquire())
        local controller = tide.AbortController()
        local file = tide.await(fs.open("/dev/null"))
        local group
        tide.spawn(function() tide.await(event:wait()) end)
        tide.spawn(function() tide.await(semaphore:acquire()) end)
        tide.spawn(pcall, tide.await, tide.sleep(9999, { signal = controller.signal }))
        tide.spawn(pcall, tide.await, tide.group(function(g)
          group = g
          tide.await(pending)
        end))
        tide.step()
        tide.on_wake(wake)
        BEGIN
        print(woken)
        os.exit(true)
      ]]):gsub("BEGIN", begin))
    end)
  end

  it("is not called in a turn, nor by what only looks", function()
    prints("0\n", [[
      tide.spawn(function()
        tide.await(tide.sleep(1))
        tide.await(fs.stat("/"))
        tide.set_timeout(function() tide.queue_microtask(function() end) end, 1)
      end)
      tide.on_wake(wake)
      tide.now()
      tide.alive()
      tide.backend_fd()
      tide.backend_timeout()
      tide.step()
      tide.run()
      tide.stop()
      print(woken)
    ]])
  end)

  it("has backend_timeout give 0 to its function", function()
    prints("0\n", [[
      tide.step()
      tide.on_wake(function() print(tide.backend_timeout()) end)
      tide.set_timeout(function() end, 1)
      tide.run()
    ]])
  end)

  it("has its function neither drive the loop nor end what has called", function()
    prints("false\tstep is not re-entrant: the loop is running\n1\n", [[
      tide.step()
      tide.on_wake(function()
        print(pcall(tide.step))
        error "never mind"
      end)
      local promise = tide.Promise.resolve(1)
      print(tide.await(promise))
    ]])
  end)

  it("warns of an error of its function", function()
    local result = child.lua_source(HOST .. [[
      warn "@on"
      tide.on_wake(function() error("of the host", 0) end)
      tide.queue_microtask(print, "queued")
      tide.run()
    ]])
    assert.equal("queued\n", result.out)
    assert.matches("^Lua warning: error in on_wake%s.*of the host", result.err)
  end)

  it("is not ended by an error that has no text", function()
    prints("queued\n", [[
      tide.on_wake(function()
        error(setmetatable({}, { __tostring = error }))
      end)
      tide.queue_microtask(print, "queued")
      tide.run()
    ]])
  end)

  it("forgets its function", function()
    prints("0\n", [[
      tide.on_wake(wake)
      tide.on_wake(nil)
      tide.queue_microtask(function() end)
      print(woken)
      tide.run()
    ]])
  end)
end)
