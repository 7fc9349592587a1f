-- A forgotten await: promises are compared by size.
-- Line 14, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local BIDS = { Ada = 120, Bob = 95 }

local bid_of = async(function(who)
  await(tide.sleep(1))
  return BIDS[who]
end)

local winner = async(function(one, other)
  if bid_of(one) > bid_of(other) then
    return one
  end
  return other
end)

print("sold to " .. await(winner("Ada", "Bob")))
