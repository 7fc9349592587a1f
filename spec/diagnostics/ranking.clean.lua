-- ranking.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local SCORES = { Ada = 3, Bob = 9, Cleo = 5 }

local score_of = async(function(player)
  await(tide.sleep(1))
  return SCORES[player]
end)

local ranking = async(function(players)
  local scores = {}
  for _, player in ipairs(players) do
    scores[player] = await(score_of(player))
  end
  table.sort(players, function(one, other)
    return scores[one] > scores[other]
  end)
  return players
end)

print(table.concat(await(ranking { "Ada", "Bob", "Cleo" }), " "))
