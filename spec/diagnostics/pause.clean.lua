-- pause.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local attempts = 0

local function connect()
  attempts = attempts + 1
  if attempts < 3 then
    error("the harbour is closed", 0)
  end
  return "a berth"
end

local connect_patiently = async(function()
  for attempt = 1, 5 do
    local ok, result = pcall(connect)
    if ok then return result end
    await(tide.sleep(attempt))
  end
end)

print(await(connect_patiently()))
