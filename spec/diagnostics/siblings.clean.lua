-- siblings.lua without the mistake.
local tide = require "moontide"
local await = tide.await

local SHIPS = { Ebb = 20, Flow = 30 }

local function unload(ship)
  await(tide.sleep(1))
  return SHIPS[ship] * 2
end

local function unload_all()
  await(tide.group(function(g)
    g:spawn(unload, "Ebb")
    g:spawn(unload, "Flow")
  end))
  print("all ships are empty")
end

await(tide.spawn(unload_all))
