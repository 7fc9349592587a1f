-- A handler that does nothing swallows every error.
-- Line 14, seen by `moontide check`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_settings = async(function()
  await(tide.sleep(1))
  return { font = "serif" }
end)

local size = 12
await(load_settings()
  :next(function(settings) size = settings.font.size + 0 end)
  :catch(function() end))
print(size)
