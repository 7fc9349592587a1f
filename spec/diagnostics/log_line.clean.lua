-- log_line.lua without the mistake.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await = tide.async, tide.await

local log = async(function(path, text)
  await(fs.append_file(path, text .. "\n"))
  return #text
end)

local path = os.tmpname()
print(await(log(path, "the tide comes in")))
await(tide.sleep(20))
print(await(fs.read_file(path)))
os.remove(path)
