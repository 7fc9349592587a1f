-- late_child.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_crate = async(function(number)
  await(tide.sleep(1))
  print("crate " .. number)
end)

await(tide.group(function(g)
  g:spawn(load_crate, 1)
  g:spawn(load_crate, 2)
end))

print("loaded")
