-- All takes one list; here it got several promises.
-- Line 12, seen by `moontide`.
local tide = require "moontide"
local async, await, Promise = tide.async, tide.await, tide.Promise

local price_of = async(function(article, euros)
  await(tide.sleep(1))
  return ("%s: %d euros"):format(article, euros)
end)

local tags = async(function()
  return await(Promise.all(price_of("tea", 4), price_of("bread", 3)))
end)

for _, tag in ipairs(await(tags())) do
  print(tag)
end
