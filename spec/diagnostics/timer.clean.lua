-- timer.lua without the mistake.
local tide = require "moontide"
local await = tide.await

local load = { samples = {} }

local function average(list)
  local sum = 0
  for _, value in ipairs(list) do
    sum = sum + value
  end
  return sum / math.max(#list, 1)
end

local timer = tide.set_interval(function()
  print("load: " .. average(load.samples))
end, 1)

await(tide.sleep(10))
timer:close()
