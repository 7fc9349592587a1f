-- The function of a timer is no async function, so it cannot await.
-- Line 13, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local send_heartbeat = async(function(number)
  await(tide.sleep(1))
  print("heartbeat " .. number)
end)

local function start_heartbeat()
  tide.set_timeout(function()
    await(send_heartbeat(1))
  end, 1)
end

start_heartbeat()
