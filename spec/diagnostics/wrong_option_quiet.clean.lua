-- wrong_option_quiet.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local running, most = 0, 0

local fetch = async(function(url)
  running = running + 1
  most = math.max(most, running)
  await(tide.sleep(#url))
  running = running - 1
end)

local URLS = { "/sun", "/moon", "/tide", "/ebb", "/flow" }
await(tide.each(URLS, fetch, { concurrency = 2 }))
print("at most " .. most .. " at the same time")
