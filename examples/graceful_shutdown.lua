-- Works until SIGINT or SIGTERM comes; then takes nothing new, finishes what it has taken, for at
-- most GRACE ms, and ends. A second signal does not wait for that.
--
--   moontide examples/graceful_shutdown.lua        and Ctrl-C
local tide = require "moontide"
local await, sleep = tide.await, tide.sleep

local WORKERS, GRACE = 3, 5000
local jobs = tide.queue(8)
local taken, finished = 0, 0

io.stdout:setvbuf "line"

--- Stands for what comes in from outside.
local function take()
  while true do
    await(jobs:push(taken + 1))
    taken = taken + 1
    await(sleep(1))
  end
end

local function work()
  for _ in jobs do
    await(sleep(10))
    finished = finished + 1
  end
end

await(tide.group(function(g)
  local workers = {}
  for i = 1, WORKERS do workers[i] = g:spawn(work) end

  local signals <close> = tide.signal("SIGINT", "SIGTERM")
  await(tide.group(function(intake)
    intake:spawn(take)
    print "ready"
    print("got " .. await(signals:next()))
    intake:stop()
  end))

  jobs:close() -- the workers go on until it is empty
  local _ <close> = tide.set_timeout(g.stop, GRACE, g)
  g:spawn(function()
    if await(signals:next()) then g:stop() end
  end)
  await(tide.Promise.all_settled(workers))
end))

print(finished == taken and "all that was taken is finished" or "some of it is lost")
