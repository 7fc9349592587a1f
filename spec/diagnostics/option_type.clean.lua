-- option_type.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local fetch = async(function(url)
  await(tide.sleep(#url))
  return "text of " .. url
end)

local read_limit = async(function()
  await(tide.sleep(1))
  return ("limit = 2"):match("%d+")
end)

local crawl = async(function(urls)
  local limit = tonumber(await(read_limit()))
  return await(tide.map(urls, fetch, { concurrency = limit }))
end)

print(#await(crawl { "/sun", "/moon", "/tide" }))
