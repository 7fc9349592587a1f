-- door.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local GUESTS = { Ada = true }

local is_guest = async(function(name)
  await(tide.sleep(1))
  return GUESTS[name] or false
end)

local open_door = async(function(name)
  if await(is_guest(name)) then
    return name .. " comes in"
  end
  return name .. " stays outside"
end)

print(await(open_door("Ada")))
print(await(open_door("Mallory")))
