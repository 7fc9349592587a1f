-- Adds jobs to the queue `jobs`, and says where those are that it has:
--
--   moontide examples/jobs/produce.lua ADDRESS [JOB...]
--   moontide examples/jobs/produce.lua 127.0.0.1:6379 "sleep 100" "sleep 2000" "dance"
package.path = arg[0]:gsub("[^/]*$", "") .. "?.lua;" .. package.path
local queue = require "queue"
local tide = require "moontide"

local jobs <close> = queue.open(arg[1] or error("usage: produce.lua ADDRESS [JOB...]", 0), "jobs")

tide.await(tide.each({ table.unpack(arg, 2) }, function(payload)
  print(jobs:add(payload), payload)
end))

local counts = jobs:counts()
print(("%d waiting, %d running, %d delayed, %d dead"):format(counts.waiting, counts.running,
  counts.delayed, counts.dead))
for _, letter in ipairs(jobs:dead()) do
  print(("%s dead after %s attempts: %s"):format(letter.id, letter.attempts, letter.reason))
end
