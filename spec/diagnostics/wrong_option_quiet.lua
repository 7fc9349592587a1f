-- An option's name is misspelt, and nothing shows it: the limit does not hold.
-- Line 16, seen by `moontide check`.
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
await(tide.each(URLS, fetch, { concurency = 2 }))
print("at most " .. most .. " at the same time")
