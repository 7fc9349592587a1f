-- What spec/host/oom.c runs of streams and servers; as core.lua. Both ends of a connection are the
-- same function's, and what is read has been written before: nobody waits for bytes that a function
-- which ran out of memory was to send.
local mode, directory = ...
local core = require "moontide.core"
local tide = require "moontide"

local await, net = tide.await, core.net

local function nothing() end

local function fails(...)
  assert(not pcall(...))
end

--- string.rep would make a buffer of its own, for which Lua tries only once.
local function big(n)
  local text = "0123456789abcdef"
  while #text < n do
    text = text .. text
  end
  return text
end

local path = directory .. "/socket"

local function connect(server)
  local address = server:address()
  if address.path then
    return net.pipe_connect(address.path)
  end
  return net.tcp_connect(address.address, address.port)
end

local function with_pair(server, f)
  local client, connected = connect(server)
  local _ <close> = client
  await(connected)
  local stream <close> = await(server:accept())
  f(client, stream, server)
end

local function reading(a, b)
  await(a:write("one\ntwo;three", 4, "\n"))
  assert(await(b:read_line()) == "one")
  assert(await(b:read_until(";")) == "two;")
  assert(await(b:read(2)) == "th")
  assert(await(b:read_exactly(4)) == "ree4")
  fails(await, b:read_line({ limit = 1, signal = tide.AbortSignal.abort() }))
  await(a:write(big(16384)))
  fails(await, b:read_until("y", { limit = 10 }))
  fails(b.chunks, b, 0)
  local waiting = a:read_exactly(3)
  await(b:write("ab"))
  await(b:write("cd"))
  assert(await(waiting) == "abc")
  await(a:shutdown())
  fails(await, b:read_exactly(100000))
  assert(#await(b:read_all()) == 16385)
  assert(await(b:read()) == nil)
  fails(await, b:read_exactly(1))
  fails(await, a:write("more"))
end

local function loops(a, b)
  await(b:write("one\ntwo\n"))
  await(b:shutdown())
  for line in a:lines() do
    await(a:write(line))
  end
  await(a:close())
  local n = 0
  for chunk in b:chunks(2) do
    n = n + #chunk
  end
  assert(n == 6)
end

local function cancelling(a, b, server)
  local controller = tide.AbortController()
  local promise = a:read(1, { signal = controller.signal })
  controller:abort("enough")
  fails(await, promise)
  assert(not await(tide.move_on_after(1, function() await(a:read()) end)))
  assert(not await(tide.move_on_after(1, function() for _ in b:chunks() do end end)))
  assert(not await(tide.move_on_after(1, function() await(server:accept()) end)))
  if a:local_address().path then -- a tcp socket takes megabytes
    promise = a:write(big(65536), big(65536), big(262144), { signal = tide.AbortSignal.timeout(1) })
    fails(await, promise)
  end
  promise = b:read_exactly(1 << 30)
  b:close()
  fails(await, promise)
end

local function fed()
  local reader
  reader = core.reader(function()
    reader:feed("one\n")
  end)
  assert(await(reader:read_line()) == "one")
  assert(await(reader:read_exactly(6)) == "one\non")
  reader:finish("end")
  assert(await(reader:read()) == "e\n")
  fails(await, reader:read())
  reader = core.reader(error)
  fails(await, reader:read())
end

local function refused()
  local _, connected = net.pipe_connect(directory .. "/absent")
  fails(await, connected)
  fails(net.pipe_listen, directory)
  fails(net.tcp_listen, "127.0.0.1", 0, { backlog = -1 })
end

--- What has connected is accepted without a turn of the loop.
local function at_once()
  local server <close> = net.tcp_listen("127.0.0.1", 0)
  local client, connected = connect(server)
  local _ <close> = client
  local stream <close> = net.accept_now(server)
  assert(stream and not net.accept_now(server))
  await(connected)
end

local function each_kind(f)
  local tcp <close> = net.tcp_listen("127.0.0.1", 0, { reuse_port = true })
  with_pair(tcp, f)
  os.remove(path)
  local pipe <close> = net.pipe_listen(path)
  with_pair(pipe, f)
end

local function flight()
  local arrived = 0
  local function arrive() arrived = arrived + 1 end
  local server = net.tcp_listen("127.0.0.1", 0)
  for _ = 1, 2 do
    local client, connected = connect(server)
    connected:next(arrive, nothing)
    server:accept():next(function(stream)
      stream:write("line\n"):next(arrive)
      stream:read():next(arrive, arrive)
    end)
    client:read_line():next(arrive, arrive)
  end
  tide.spawn(function()
    for stream in server do
      stream:close()
    end
  end)
  return function() return arrived end
end

if mode == "whole" then
  for _, part in ipairs { reading, loops, cancelling } do
    await(tide.spawn(each_kind, part))
  end
  await(tide.spawn(fed))
  await(tide.spawn(refused))
  at_once()
  for _ = 1, 3 do
    flight()
    tide.step(1)
  end
end
return flight()
