-- missing_return.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_user = async(function(id)
  await(tide.sleep(1))
  return { id = id, name = "Ada" }
end)

local load_orders = async(function(user)
  await(tide.sleep(1))
  return { user.name .. "'s tea", user.name .. "'s bread" }
end)

local chain = load_user(7)
  :next(function(user)
    return load_orders(user)
  end)
  :next(function(orders)
    print("orders: " .. (orders and #orders or "none"))
  end)

await(chain)
