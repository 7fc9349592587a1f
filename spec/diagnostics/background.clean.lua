-- background.lua without the mistake.
local tide = require "moontide"
local await = tide.await

local function refresh(cache)
  await(tide.sleep(1))
  if not cache.url then
    error("the cache has no url")
  end
  cache.fresh = true
end

local cache = { url = "/tides" }
tide.spawn(refresh, cache)
await(tide.sleep(10))
print("fresh:", cache.fresh)
