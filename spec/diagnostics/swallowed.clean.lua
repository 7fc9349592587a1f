-- swallowed.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_settings = async(function()
  await(tide.sleep(1))
  return { font = "serif" }
end)

local size = 12
await(load_settings()
  :next(function(settings) size = settings.font_size or size + 0 end)
  :catch(function(err) print(err) end))
print(size)
