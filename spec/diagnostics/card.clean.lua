-- card.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_name = async(function(id)
  await(tide.sleep(1))
  return "user " .. id
end)

local print_card = async(function(id)
  local card = {
    id = id,
    name = await(load_name(id)),
  }
  await(tide.sleep(5))
  print(("#%d: %s"):format(card.id, tostring(card.name)))
end)

await(print_card(7))
