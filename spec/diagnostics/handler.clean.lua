-- handler.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_settings = async(function()
  await(tide.sleep(1))
  return { color = "blue" }
end)

local function apply(settings)
  local size = settings.font and settings.font.size or 12
  print("size " .. size)
end

load_settings():next(apply)
await(tide.sleep(10))
print("ready")
