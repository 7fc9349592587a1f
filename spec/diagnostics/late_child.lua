-- A group is asked for another child when it is over.
-- Line 18, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local crew

local load_crate = async(function(number)
  await(tide.sleep(1))
  print("crate " .. number)
end)

await(tide.group(function(g)
  crew = g
  g:spawn(load_crate, 1)
end))

crew:spawn(load_crate, 2)
print("loaded")
