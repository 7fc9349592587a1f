-- A forgotten await as a statement: the answer comes before the work.
-- Line 14, seen by `moontide --debug`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local orders = {}

local save = async(function(order)
  await(tide.sleep(5))
  orders[#orders + 1] = order
end)

local place_order = async(function(order)
  save(order)
  return #orders .. " orders are safe"
end)

print(await(place_order { article = "tea" }))
