-- event.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local closed = tide.event()

local clean_up = async(function(path)
  await(closed:wait())
  os.remove(path)
  print("removed")
end)

local use = async(function(path)
  local file = assert(io.open(path, "w"))
  file:write("tide")
  file:close()
  closed:set()
end)

local path = os.tmpname()
tide.spawn(clean_up, path)
await(use(path))
