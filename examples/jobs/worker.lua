-- Works on the jobs of the queue `jobs`, until SIGINT or SIGTERM comes: then it takes nothing new,
-- does what it has taken, and ends. A second signal does not wait for that: others take it over.
--
--   moontide examples/jobs/worker.lua [ADDRESS [LEASE]]
--
-- ADDRESS is that of Redis, HOST:PORT or the path of a socket, default 127.0.0.1:6379. Run as many
-- as there is work for, on as many machines; LEASE, in ms, must be the same for all.
package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local queue = require "queue"
local tide = require "moontide"

local await = tide.await

io.stdout:setvbuf "line"

--- Stands for work: "sleep MS". It may be done twice, under one id.
local function handle(job)
  print(("%s begins, attempt %d"):format(job.id, job.attempt))
  local ms = job.payload:match("^sleep (%d+)$") or error("no such work: " .. job.payload, 0)
  await(tide.sleep(tonumber(ms)))
end

local function report(job, outcome, err)
  print(("%s %s%s"):format(job.id, outcome, err and ": " .. tostring(err) or ""))
end

local lease = tonumber(arg[2])
local jobs <close> = queue.open(arg[1] or "127.0.0.1:6379", "jobs", {
  lease = lease, backoff = lease and lease / 4,
})
local worker = jobs:worker(handle, report)

await(tide.group(function(g)
  local signals <close> = tide.signal("SIGINT", "SIGTERM")
  local waiting = g:spawn(function()
    await(signals:next())
    worker:stop()
    await(signals:next())
    g:cancel("a second signal")
  end)
  worker:run()
  g:stop(waiting)
end))
print "everything that was taken is done"
