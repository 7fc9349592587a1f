-- for_each.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local function for_each(list, f)
  for i = 1, #list do
    f(list[i])
  end
end

local washed = 0

local wash = async(function(plate)
  await(tide.sleep(plate))
  washed = washed + 1
end)

local wash_up = async(function(plates)
  await(tide.each(plates, wash))
  print(washed .. " of " .. #plates .. " plates are clean")
end)

for_each({ "wash", "dry" }, print)
await(wash_up { 3, 1, 2 })
