-- moontide's own. `lua5.4 bench/io/moontide.lua NAME ...`, as README.md has it.
local tide = require "moontide"
local fs = require "moontide.fs"
local http = require "moontide.http"
local net = require "moontide.net"
local process = require "moontide.process"

local await, map, spawn = tide.await, tide.map, tide.spawn
local dir = arg[0]:match("^(.*/)") or ""

local ADDRESS = { host = "127.0.0.1", port = 0 }

local programs = {}

--- Prints the port of a server.
local function announce(server)
  print(server:address().port)
  io.stdout:flush()
end

local function listen()
  local server = await(net.listen(ADDRESS))
  announce(server)
  return server
end

local function echo(conn)
  for chunk in conn:chunks() do conn:write(chunk):await() end
  conn:close()
end

function programs.echo()
  for conn in listen() do spawn(echo, conn) end
end

--- `net.serve` closes what it has handed over.
local function answer(conn)
  for chunk in conn:chunks() do conn:write(chunk):await() end
end

function programs.echo_serve()
  announce(await(net.serve(ADDRESS, answer)))
end

local function answer_messages(ws)
  for message, kind in ws do ws:send(message, { binary = kind == "binary" }):await() end
end

function programs.websocket()
  local function handler(request) return request:websocket(answer_messages) end
  announce(await(http.serve(ADDRESS, handler)))
end

local pages = {}

pages["/"] = function() return "hello, world\n" end

pages["/json"] = function(request)
  local value = await(request:json())
  return { json = { name = value.name, n = value.of.n, tags = value.tags } }
end

pages["/sleep"] = function()
  await(tide.sleep(1))
  return "hello, world\n"
end

function programs.http(path)
  pages["/file"] = function() return { file = path } end
  announce(await(http.serve(ADDRESS, function(request) return pages[request.path](request) end)))
end

local function pass_on(a, b)
  for chunk in a:chunks() do b:write(chunk):await() end
  await(b:shutdown())
end

function programs.proxy(port)
  local function serve(client)
    local target = await(net.connect { host = ADDRESS.host, port = port })
    tide.join(spawn(pass_on, client, target), spawn(pass_on, target, client))
    client:close()
    target:close()
  end
  for conn in listen() do spawn(serve, conn) end
end

function programs.files(directory, count, most)
  local paths, options = {}, { concurrency = most }
  for i = 1, count do paths[i] = directory .. "/" .. i end
  local function clock() return tide.now() / 1e3 end
  dofile(dir .. "files.lua")(count, clock, function()
    local bytes = 0
    await(map(paths, function(path)
      local data = await(fs.read_file(path))
      bytes = bytes + #data
    end, options))
    return bytes
  end)
end

function programs.fetch(port, count, most)
  local url, list = ("http://127.0.0.1:%d/"):format(port), {}
  for i = 1, count do list[i] = i end
  local function clock() return tide.now() / 1e3 end
  dofile(dir .. "files.lua")(count, clock, function()
    local bytes = 0
    await(tide.each(list, function()
      local text = await(await(http.fetch(url)):text())
      bytes = bytes + #text
    end, { concurrency = most }))
    return bytes
  end)
end

--- Bytes of a connection that nothing comes from, and of the function that waits for its first
--- chunk: resident, and by Lua's count.
function programs.idle(count)
  local measure = dofile(dir .. "../measure.lua")
  local server = await(net.listen(ADDRESS))
  local port = server:address().port
  local peer = assert(io.popen(string.format("build/bench/hold %d %d", port, count + 1), "w"))
  spawn(echo, await(server:accept())) -- what is made once is not part of the answer
  local by_count, resident = measure.bytes_each(count, function()
    return spawn(echo, await(server:accept()))
  end)
  print(string.format("%.0f %.0f", resident, by_count))
  peer:close()
  os.exit(true)
end

--- The same of the connections of a service, with all that serves them; held with these arguments.
local function measure_service(service, count, arguments)
  local measure = dofile(dir .. "../measure.lua")
  local peers = {}
  local function hold(connections)
    local command = string.format("build/bench/hold %d %d %s", service:address().port, connections,
      arguments)
    peers[#peers + 1] = assert(io.popen(command, "w"))
  end
  local function wait_for(connections)
    while service:connections() < connections do await(tide.sleep(1)) end
  end
  hold(1) -- what is made once is not part of the answer
  wait_for(1)
  local by_count, resident = measure.bytes_each(count, function(i)
    if i == 1 then hold(count) end
    wait_for(i + 1)
    if i == count then await(tide.sleep(100)) end
  end)
  print(string.format("%.0f %.0f", resident, by_count))
  for _, peer in ipairs(peers) do peer:close() end
  os.exit(true)
end

function programs.idle_serve(count)
  measure_service(await(net.serve(ADDRESS, answer)), count, "")
end

--- Each of them has asked for something once.
function programs.idle_http(count)
  measure_service(await(http.serve(ADDRESS, pages["/"])), count, "/")
end

local function resident_mib()
  local _, pages_held = assert(fs.read_file("/proc/self/statm"):await()):match("(%d+) (%d+)")
  return pages_held * 4096 / 2 ^ 20
end

--- Resident memory after so many requests, in % of that after a tenth of them.
function programs.http_memory(count)
  local served, before = 0, nil
  local service = await(http.serve(ADDRESS, function()
    served = served + 1
    return "hello, world\n"
  end))
  local command = string.format("exec build/bench/load %d $PPID 64 0 600000 GET / >/dev/null 2>&1",
    service:address().port)
  local load = await(process.spawn("sh", { "-c", command }))
  while served < count * 1.1 do
    await(tide.sleep(10))
    if not before and served > count / 10 then before = resident_mib() end
  end
  print(string.format("%.1f %.1f", resident_mib() / before * 100, before))
  load:kill("SIGKILL")
  await(load:wait())
  os.exit(true)
end

local arguments = {}
for i = 2, #arg do arguments[i - 1] = math.tointeger(tonumber(arg[i])) or arg[i] end
tide.run(programs[arg[1]], table.unpack(arguments))
