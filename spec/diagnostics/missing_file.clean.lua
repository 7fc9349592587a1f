-- missing_file.lua without the mistake.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await = tide.async, tide.await

local load_settings = async(function(directory)
  return await(fs.read_file(directory .. "/settings.txt"))
end)

local directory = await(fs.mkdtemp(os.tmpname() .. "-"))
local _ <close> = setmetatable({}, { __close = function()
  await(fs.rm(directory, { recursive = true }))
end })
await(fs.write_file(directory .. "/settings.txt", "color = blue"))
print(await(load_settings(directory)))
