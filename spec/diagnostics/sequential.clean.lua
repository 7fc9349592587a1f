-- sequential.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_part = async(function(name)
  await(tide.sleep(20))
  return name
end)

local load_page = async(function()
  local head, body = tide.join(load_part("head"), load_part("body"))
  return head .. " and " .. body
end)

print(await(load_page()))
