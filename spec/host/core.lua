-- What spec/host/oom.c runs: what the core can do, once and small. Arguments: the mode, a directory
-- for files, and the descriptors of a pipe's two ends. Modes: "whole" runs all of it and leaves
-- work in flight for the host to close; "flight" only leaves work in flight, and returns a function
-- that tells what has arrived.
--
-- The host makes single allocations fail, so any line may raise. That is fine as long as nothing
-- here waits for a line that was not reached: no loop without an end, no handle that only a later
-- line would close.

local mode, directory, readable, writable = ...
local core = require "moontide.core"
local coroutines = require "moontide.coroutine"
local dns = require "moontide.dns"
local fs = require "moontide.fs"
local net = require "moontide.net"
local system = require "moontide.os"
local tide = require "moontide"

local async, await, Promise = tide.async, tide.await, tide.Promise

local function nothing() end

local function fails(...)
  assert(not pcall(...))
end

local function closing(f)
  return setmetatable({}, { __close = f })
end

local function promises()
  local pending, resolve, reject = Promise.with_resolvers()
  local sum
  local chain = pending:next(function(a, b)
    sum = a + b
    return Promise.resolve(sum)
  end):next():catch(nothing):finally(nothing)
  resolve(1, 2)
  reject "too late"
  assert(await(chain) == 3 and sum == 3 and pending:state() == "fulfilled")

  fails(await, Promise.reject "reason")
  fails(await, Promise(function() error { "thrown" } end))
  fails(await, Promise.resolve():next(function() error "thrown" end))
  fails(await, Promise.resolve():finally(function() return Promise.reject(1) end))
  local own, resolve_own = Promise.with_resolvers()
  resolve_own(own)
  fails(await, own)

  local thenable = { ["then"] = function(_, f) f(7, 8) end }
  assert(await(thenable) == 7)
  assert(await(Promise.resolve(thenable)) == 7)
  fails(await, { ["then"] = function() error "no" end })
  fails(await, setmetatable({}, { __index = function() error "no" end }))
end

local function combinators()
  local function three()
    local later = tide.sleep(1):next(function() return 3 end)
    return Promise.resolve(1), 2, later
  end
  assert(await(Promise.all { three() }).n == 3)
  assert(#await(Promise.all_settled { Promise.reject(1), three() }) == 4)
  assert(await(Promise.race { three() }) == 1)
  assert(await(Promise.any { Promise.reject(1), three() }) == 1)
  assert(await(Promise.all {}).n == 0)
  fails(await, Promise.any { Promise.reject(1), Promise.reject(2) })
  fails(await, Promise.all { Promise.reject(1), three() })
  assert(await(Promise.all_keyed { a = 1, b = Promise.resolve(2) }).b == 2)
  assert(await(Promise.all_settled_keyed { a = 1 }).a.value == 1)
  assert(await(Promise.try(function(v) return v end, 5)) == 5)
  local a, _, c = tide.join(three())
  assert(a == 1 and c == 3)
end

local function functions()
  local double = async(function(v, ...)
    local _ <close> = closing(nothing)
    await(nil)
    return await(v) * 2, ...
  end)
  local results = table.pack(await(double(Promise.resolve(2), nil, nil)))
  assert(results[1] == 4 and results.n == 3)
  assert(await(tide.spawn(function() return double(3) end)) == 6)
  fails(await, double {})

  local gate, open = Promise.with_resolvers()
  local closed = 0
  local function waiter()
    local _ <close> = closing(function()
      await()
      closed = closed + 1
    end)
    local ok = pcall(await, gate)
    for value in coroutine.wrap(function() coroutine.yield(ok) end) do
      assert(value)
    end
  end
  local both = { tide.spawn(waiter), tide.spawn(waiter) }
  tide.queue_microtask(open, "open")
  await(Promise.all(both))
  assert(closed == 2)

  fails(table.sort, { 2, 1 }, function() await(1) end)
  fails(coroutine.wrap(function() await(1) end))
  assert(select("#", tide.traceback("message", both[1])) == 1)
  assert(tide.traceback("message"))

  local callback_last = tide.promisify(function(v, done)
    tide.set_immediate(done, nil, v)
  end)
  assert(await(callback_last(9)) == 9)
  package.preload.host_module = function()
    await(tide.yield())
    return {}
  end
  assert(await(tide.import "host_module"))

  local var = tide.ContextVar("host", 0)
  local seen = var:run(1, function()
    return tide.sleep(1):next(function() return var:get() end)
  end)
  assert(await(seen) == 1 and var:get() == 0)
end

local function deep(n)
  if n > 0 then
    await(tide.spawn(deep, n - 1))
  end
end

local function loop()
  local count = 0
  local done, resolve = Promise.with_resolvers()
  local interval <close> = tide.set_interval(function()
    count = count + 1
    if count == 2 then
      resolve()
    end
  end, 1)
  local timeout <close> = tide.set_timeout(nothing, 10000)
  timeout:unref():ref()
  tide.clear_timeout(tide.set_timeout(nothing, 10000, 1, 2, nil))
  tide.clear_immediate(tide.set_immediate(nothing))
  tide.set_immediate(function(...) return assert(select("#", ...) == 2) end, 1, nil)
  tide.queue_microtask(nothing, 1, nil)
  tide.queue_microtask(function(v) return assert(v == 1) end, 1)
  await(done)
  tide.clear_interval(interval)
  assert(tide.now() > 0)
end

local function files()
  local path = directory .. "/file"
  await(fs.write_file(path, ("text"):rep(50)))
  local text, stat, entries =
    tide.join(fs.read_file(path), fs.stat(path), fs.scandir(directory))
  assert(#text == 200 and stat.size == 200 and entries[1].type == "file")
  local absent = directory .. "/absent"
  fails(await, fs.read_file(absent))
  fails(await, fs.write_file(absent .. "/file", "text"))
  fails(await, fs.scandir(absent))
  local ok, err = pcall(await, fs.stat(absent))
  assert(not ok and tostring(err))
end

local function names()
  local address, list = tide.join(dns.lookup "localhost", dns.lookup("localhost", { all = true }))
  assert(address and list[1].address == address)
  assert(await(dns.lookup "127.0.0.1") == "127.0.0.1")
  assert(await(dns.lookup("::1", { all = true }))[1].family == 6)
  fails(await, dns.lookup("127.0.0.1", { family = 6 }))
  fails(await, dns.lookup "no name")
  fails(await, dns.lookup("localhost", { signal = tide.AbortSignal.abort() }))
  pcall(await, dns.reverse "127.0.0.1")
  fails(dns.reverse, "localhost")
  fails(tide.set_thread_pool_size, 4)
end

local function facts()
  for name, f in pairs(system) do
    if not (name:find "env" or name == "random_bytes") then
      assert(f())
    end
  end
  system.setenv("MOONTIDE_HOST", ("long"):rep(100))
  assert(#system.getenv "MOONTIDE_HOST" == 400 and #system.environ().MOONTIDE_HOST == 400)
  system.unsetenv "MOONTIDE_HOST"
  fails(system.getenv, "")
  assert(#await(system.random_bytes(16)) == 16 and #await(system.random_bytes(1000)) == 1000)
  fails(await, system.random_bytes(1000, { signal = tide.AbortSignal.abort() }))
end

local function rejections()
  local reported, handled = 0, 0
  tide.on_unhandled_rejection(function() reported = reported + 1 end)
  tide.on_rejection_handled(function() handled = handled + 1 end)
  local forgotten = Promise.reject "forgotten"
  await(tide.sleep(1))
  forgotten:catch(nothing)
  await(tide.sleep(1))
  tide.on_unhandled_rejection(nil)
  tide.on_rejection_handled(nil)
  assert(reported == 1 and handled == 1)
end

local function signals()
  local watched <close> = tide.signal("SIGUSR1", "SIGUSR2")
  local waits = { watched:next(), watched:next() }
  assert(waits[2]:state() == "pending")
  tide.signal("SIGUSR1") -- for the collector
  local _ <close> = tide.set_timeout(watched.close, 150, watched) -- should the cancellation fail
  assert(not await(tide.move_on_after(1, function() await(watched:next()) end)))
  fails(tide.signal, "SIGUSR1", "SIGKILL")
  fails(await, tide.poll(99999, "r"))
  watched:close()
  await(Promise.all(waits))
  assert(await(watched:next()) == nil)
end

local function polls()
  assert(await(tide.poll(writable, "rw")) == "w")
  local controller = tide.AbortController()
  local waits = {
    tide.poll(readable, "r", { signal = controller.signal }),
    tide.poll(readable, "r", { signal = controller.signal }),
  }
  controller:abort()
  assert(await(Promise.all_settled(waits))[2].status == "rejected")
  assert(not await(tide.move_on_after(1, function() await(tide.poll(readable, "r")) end)))
end

local function datagrams()
  local host = "127.0.0.1"
  local a <close> = net.udp()
  local b <close> = net.udp { host = host, broadcast = true, max_length = 5 }
  local port = b:address().port
  local waits = { b:receive(), b:receive() }
  for _, text in ipairs { "one", "two", "", "more than fits", "kept" } do
    await(a:send(text, host, port))
  end
  assert(await(waits[1]) == "one" and await(waits[2]) == "two" and await(b:receive()) == "")
  local data, peer = await(b:receive())
  assert(data == "more " and peer.truncated)
  a:connect(host, port)
  assert(a:peer_address().port == port)
  a:disconnect()
  assert(not a:peer_address())
  fails(await, a:send("no address"))
  fails(net.udp, { host = host, port = port })
  assert(await(b:receive()) == "kept")
  local _ <close> = tide.set_timeout(b.close, 150, b) -- should the cancellation fail
  await(tide.move_on_after(1, function() await(b:receive()) end))
  net.udp() -- for the collector
  local rest = b:receive()
  b:close()
  assert(await(rest) == nil)
  fails(await, b:send("closed", host, port))
end

local function flight()
  local arrived = 0
  local function arrive() arrived = arrived + 1 end
  tide.queue_microtask(arrive)
  tide.set_immediate(arrive)
  tide.set_timeout(arrive, 1)
  tide.set_timeout(arrive, 1e9)
  tide.set_interval(arrive, 1):unref()
  tide.set_interval(arrive, 1)
  local never = Promise(nothing)
  local awaited = { never, tide.sleep(1e9), tide.yield(), fs.scandir(directory) }
  for _, promise in ipairs(awaited) do
    tide.spawn(function()
      local _ <close> = closing(nothing)
      await(tide.spawn(function()
        await(promise)
        arrive()
      end))
    end)
  end
  fs.write_file(directory .. "/flight", "text"):next(arrive)
  fs.read_file(directory .. "/flight"):next(arrive, arrive)
  fs.stat(directory):next(arrive)
  dns.lookup("localhost"):next(arrive)
  system.random_bytes(1000):next(arrive)
  tide.signal("SIGUSR1"):next():next(arrive)
  tide.poll(readable, "r"):next(arrive)
  local socket = net.udp { host = "127.0.0.1" }
  socket:receive():next(arrive)
  for _ = 1, 3 do
    socket:send("text", "127.0.0.1", socket:address().port):next(arrive)
  end
  Promise.race { never, tide.sleep(1e9), tide.sleep(1) }:next(arrive)
  Promise.all { never, tide.sleep(1) }:next(arrive)
  setmetatable({ never }, { __gc = function() pcall(tide.set_timeout, nothing, 1) end })
  return function() return arrived end
end

--- Awaits in coroutines inside one another, with a context.
local function relays()
  local function wait(n)
    local _ <close> = closing(function() await(nil) end)
    if n > 0 then return coroutines.wrap(wait)(n - 1) end
    await(tide.yield())
    coroutines.yield(await(Promise.resolve(1, nil)))
    error(await(1), 0)
  end
  local function run()
    local co = coroutines.create(wait)
    assert(coroutines.resume(co, 0))
    fails(coroutines.wrap(function()
      local f = coroutines.wrap(wait)
      f(2)
      f()
      await(Promise.reject "raised")
    end))
    coroutines.resume(co)
    coroutines.close(co)
  end
  run()
  tide.ContextVar("var"):run("value", run)
  tide.spawn(function() coroutines.wrap(await)(Promise(nothing)) end)
end

if mode == "whole" then
  local parts = {
    promises, combinators, functions, loop, files, names, facts, signals, polls, datagrams,
    rejections, relays,
  }
  for _, part in ipairs(parts) do
    await(tide.spawn(part))
  end
  tide.run(async(deep), 28) -- deeper than the core nests resumes
  fails(tide.run, error, "raised")
  local ok, err = pcall(tide.run, function() await(Promise(nothing)) end)
  assert(not ok and (type(err) == "string" or not err.tasks or err.tasks[1].count == 1))
  Promise.reject "nobody looks"
  fails(tide.run)
  tide.set_timeout(error, 1, "raised")
  fails(tide.run)
  tide.set_timeout(tide.stop, 1)
  tide.set_interval(nothing, 1):unref()
  tide.run()
  assert(not tide.alive() and tide.backend_fd() and tide.backend_timeout())
  local woken = 0
  tide.on_wake(function()
    woken = woken + 1
  end)
  tide.queue_microtask(function() end)
  tide.on_wake(nil)
  tide.run()
  assert(woken == 1)
  tide.step(1)
  assert(core.stats())
  core.listen("SIGUSR1", nothing)
  for _ = 1, 3 do
    flight()
    tide.step(1)
  end
  -- Not their texts: Lua's buffers for long strings do not try a second time.
  assert(tide.handles()[1].kind == "timer" and #tide.tasks() > 0)
  assert(collectgarbage("isrunning"))
end
return flight()
