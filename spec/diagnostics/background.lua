-- Nobody handles the failure of what runs in the background.
-- Line 9, seen by `moontide`.
local tide = require "moontide"
local await = tide.await

local function refresh(cache)
  await(tide.sleep(1))
  if not cache.url then
    error("the cache has no url")
  end
  cache.fresh = true
end

local cache = { path = "/tides" }
tide.spawn(refresh, cache)
await(tide.sleep(10))
print("fresh:", cache.fresh)
