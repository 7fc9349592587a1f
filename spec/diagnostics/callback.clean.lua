-- callback.lua without the mistake.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await = tide.async, tide.await

local print_settings = async(function(path)
  local text = await(fs.read_file(path))
  print(text)
end)

local path = os.tmpname()
await(fs.write_file(path, "color = blue"))
await(print_settings(path))
os.remove(path)
