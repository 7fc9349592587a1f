-- A handler fails at the end of a chain that nobody catches.
-- Line 12, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_settings = async(function()
  await(tide.sleep(1))
  return { color = "blue" }
end)

local function apply(settings)
  local size = settings.font.size
  print("size " .. size)
end

load_settings():next(apply)
await(tide.sleep(10))
print("ready")
