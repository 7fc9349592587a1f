-- plain_callback.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local send_heartbeat = async(function(number)
  await(tide.sleep(1))
  print("heartbeat " .. number)
end)

local function start_heartbeat()
  tide.set_timeout(function()
    tide.spawn(send_heartbeat, 1)
  end, 1)
end

start_heartbeat()
