-- status.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local status_of = async(function(order)
  await(tide.sleep(1))
  return order % 2 == 0 and "sent" or "open"
end)

local describe = async(function(order)
  if await(status_of(order)) == "sent" then
    return "order " .. order .. " is on its way"
  end
  return "order " .. order .. " is being packed"
end)

print(await(describe(1)))
print(await(describe(2)))
