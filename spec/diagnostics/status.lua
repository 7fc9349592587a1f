-- A promise is compared with a text, and is never equal.
-- Line 12, seen by `moontide --debug`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local status_of = async(function(order)
  await(tide.sleep(1))
  return order % 2 == 0 and "sent" or "open"
end)

local describe = async(function(order)
  if status_of(order) == "sent" then
    return "order " .. order .. " is on its way"
  end
  return "order " .. order .. " is being packed"
end)

print(await(describe(1)))
print(await(describe(2)))
