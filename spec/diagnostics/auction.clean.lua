-- auction.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local BIDS = { Ada = 120, Bob = 95 }

local bid_of = async(function(who)
  await(tide.sleep(1))
  return BIDS[who]
end)

local winner = async(function(one, other)
  if await(bid_of(one)) > await(bid_of(other)) then
    return one
  end
  return other
end)

print("sold to " .. await(winner("Ada", "Bob")))
