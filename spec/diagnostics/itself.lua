-- An async function awaits its own promise, by way of a cache.
-- Line 19, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local PARENTS = { reef = "coast", coast = "reef" }

local calls = {}
local load_path

local function load_once(name)
  calls[name] = calls[name] or load_path(name)
  return calls[name]
end

load_path = async(function(name)
  await(tide.sleep(1))
  local parent = PARENTS[name]
  return (parent and await(load_once(parent)) or "") .. "/" .. name
end)

print(await(load_once("reef")))
