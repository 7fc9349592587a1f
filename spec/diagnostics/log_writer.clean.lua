-- log_writer.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local lines = tide.queue()

local write_lines = async(function()
  for line in lines do
    await(tide.sleep(1))
    print("> " .. line)
  end
  print("all written")
end)

tide.spawn(write_lines)
lines:push("ebb")
lines:push("flow")
await(tide.sleep(10))
lines:close()
