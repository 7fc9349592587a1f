-- A child of a group fails, and ends the others.
-- Line 10, seen by `moontide`.
local tide = require "moontide"
local await = tide.await

local SHIPS = { Ebb = 20, Flow = nil }

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
