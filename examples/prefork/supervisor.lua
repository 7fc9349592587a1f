-- Keeps several processes running that serve the same port. It knows nothing about what they do:
-- a worker prints `ready` when it is, ends in good order at SIGTERM, and at the end of its stdin,
-- which means that the supervisor has gone.
--
--   moontide examples/prefork/supervisor.lua COUNT SCRIPT [ARGUMENT...]
--   moontide examples/prefork/supervisor.lua 4 examples/prefork/worker.lua 8080
--
-- SIGHUP replaces the workers, one after the other, by new processes with the code that is there
-- now; if one of these does not become ready, the old ones stay. SIGTERM and SIGINT end all. A
-- worker that ends by itself is replaced, later each time if it does not last.
local process = require "moontide.process"
local tide = require "moontide"

local await, sleep = tide.await, tide.sleep

local START, GRACE = 10000, 30000 -- ms to become ready, and to end
local SHORTEST, LONGEST = 100, 30000 -- ms before a worker is replaced that has not lasted
local STEADY = 10000 -- ms after which a worker has lasted

local count, script = math.tointeger(tonumber(arg[1])), arg[2]
if not count or not script then
  io.stderr:write("usage: supervisor.lua COUNT SCRIPT [ARGUMENT...]\n")
  os.exit(64)
end

io.stdout:setvbuf "line"

local places = {} -- of each, `worker`: who has it
local workers = {} -- set of those that have not ended
local stopping = false

--- How this script was started, and with that, any other one.
local function command()
  local first = 0
  while arg[first - 1] do first = first - 1 end
  local words = { table.unpack(arg, first, -1) }
  table.move(arg, 2, #arg, #words + 1, words)
  return table.remove(words, 1), words
end

local function log(worker, text) print(("%d %s"):format(worker.child.pid, text)) end

---- one worker ----

--- Passes on what it prints; returns what has become of it.
local function watch(worker)
  for line in worker.child.stdout:lines() do
    if line == "ready" then worker.ready:set() end
    log(worker, line)
  end
  local outcome = await(worker.child:wait())
  workers[worker] = nil
  log(worker, "ended: " .. (outcome.signal or outcome.code))
end

local function start(g)
  local program, arguments = command()
  local worker = { began = tide.now(), ready = tide.event() }
  worker.child = await(process.spawn(program, arguments, { stdin = "pipe", stdout = "pipe" }))
  worker.ended = g:spawn(watch, worker)
  workers[worker] = true
  return worker
end

local function becomes_ready(worker)
  await(tide.move_on_after(START, function()
    await(tide.Promise.race { worker.ready:wait(), worker.ended })
  end))
  return worker.ready:is_set()
end

--- Has it end what it has begun, within the grace.
local function drain(worker)
  if not workers[worker] then return end
  worker.child:kill "SIGTERM"
  local _ <close> = tide.set_timeout(function() worker.child:kill "SIGKILL" end, GRACE)
  await(worker.ended)
end

---- all of them ----

--- Keeps a place taken.
local function keep(g, place)
  local delay = SHORTEST
  while not stopping do
    if not workers[place.worker] then place.worker = start(g) end
    local worker = place.worker
    await(worker.ended)
    if worker == place.worker then -- nobody has replaced it
      if tide.now() - worker.began > STEADY then delay = SHORTEST end
      await(sleep(delay))
      delay = math.min(2 * delay, LONGEST)
    end
  end
end

--- Puts a new worker in the place; whether there is one.
local function replace(g, place)
  local old, new = place.worker, start(g)
  if not becomes_ready(new) then
    drain(new)
    return false
  end
  place.worker = new
  drain(old)
  return true
end

local turn = tide.mutex()

local function reload(g)
  local _ <close> = await(turn:acquire())
  for _, place in ipairs(places) do
    if stopping or not replace(g, place) then
      print "not reloaded"
      return
    end
  end
  print "reloaded"
end

local function stop()
  stopping = true
  local all = {}
  for worker in pairs(workers) do all[#all + 1] = worker end
  await(tide.each(all, drain))
end

await(tide.group(function(g)
  local signals <close> = tide.signal("SIGHUP", "SIGINT", "SIGTERM")
  for i = 1, count do
    places[i] = {}
    g:spawn(keep, g, places[i])
  end
  while await(signals:next()) == "SIGHUP" do g:spawn(reload, g) end
  stop()
  g:stop() -- who waits to start others
end))
