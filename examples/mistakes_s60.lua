-- S60: a forgotten await. The promise is there, its value is not; and a promise counts as true.
local tide = require "moontide"
local async, await = tide.async, tide.await

local is_allowed = async(function(user)
  await(tide.sleep(1))
  return user == "ada"
end)

-- wrong: asks whether there is a promise
local function open_door_wrong(user)
  if is_allowed(user) then return user .. " comes in" end -- moontide: ignore T102
  return user .. " stays outside"
end

-- right: asks what it was fulfilled with
local open_door = async(function(user)
  if await(is_allowed(user)) then return user .. " comes in" end
  return user .. " stays outside"
end)

print("wrong: " .. open_door_wrong("mallory"))
print("right: " .. await(open_door("mallory")))
print("right: " .. await(open_door("ada")))
