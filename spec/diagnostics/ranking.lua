-- The comparator of table.sort awaits, where nothing can suspend.
-- Line 14, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local SCORES = { Ada = 3, Bob = 9, Cleo = 5 }

local score_of = async(function(player)
  await(tide.sleep(1))
  return SCORES[player]
end)

local ranking = async(function(players)
  table.sort(players, function(one, other)
    return await(score_of(one)) > await(score_of(other))
  end)
  return players
end)

print(table.concat(await(ranking { "Ada", "Bob", "Cleo" }), " "))
