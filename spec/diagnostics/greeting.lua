-- A forgotten await: the name is a promise, and is concatenated.
-- Line 15, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local NAMES = { [7] = "Ada" }

local load_name = async(function(id)
  await(tide.sleep(1))
  return NAMES[id] or error("no user " .. id)
end)

local greet = async(function(id)
  local name = load_name(id)
  return "Hello, " .. name .. "!"
end)

print(await(greet(7)))
