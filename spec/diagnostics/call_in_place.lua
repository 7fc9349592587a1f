-- The function was called where it should be handed over.
-- Line 12, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_page = async(function(url)
  await(tide.sleep(1))
  return "text of " .. url
end)

local load_in_time = async(function(url)
  return await(tide.timeout(1000, load_page(url)))
end)

print(await(load_in_time("/tides")))
