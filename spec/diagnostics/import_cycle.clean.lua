-- import_cycle.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

package.preload["shop.cart"] = function()
  local prices = { tea = 4 }
  return { total = function(article, count) return prices[article] * count end }
end

package.preload["shop.prices"] = function()
  local cart = await(tide.import("shop.cart"))
  return { tea = 4, of_three = function() return cart.total("tea", 3) end }
end

local main = async(function()
  local prices = await(tide.import("shop.prices"))
  print(prices.of_three())
end)

await(main())
