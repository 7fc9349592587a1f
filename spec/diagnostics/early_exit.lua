-- The process ends while the file is being written.
-- Line 10, seen by `moontide check`.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await = tide.async, tide.await

local path = os.tmpname()

local save = async(function(text)
  fs.write_file(path, text)
  return #text
end)

print(await(save("high tide")) .. " bytes saved")
os.remove(path)
os.exit(0, true)
