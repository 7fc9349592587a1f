-- Calls that do not need each other are awaited one by one.
-- Line 13, seen by `moontide check`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_part = async(function(name)
  await(tide.sleep(20))
  return name
end)

local load_page = async(function()
  local head = await(load_part("head"))
  local body = await(load_part("body"))
  return head .. " and " .. body
end)

print(await(load_page()))
