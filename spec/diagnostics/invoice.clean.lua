-- invoice.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local PRICES = { tea = 4, bread = 3, honey = 9 }

local price_of = async(function(article)
  await(tide.sleep(1))
  return PRICES[article]
end)

local total = async(function(articles)
  local sum = 0
  for _, article in ipairs(articles) do
    sum = sum + await(price_of(article))
  end
  return sum
end)

print("to pay: " .. await(total { "tea", "honey" }))
