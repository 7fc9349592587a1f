-- A callback, as in node's older functions, where options belong.
-- Line 8, seen by `moontide`.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await = tide.async, tide.await

local print_settings = async(function(path)
  fs.read_file(path, function(err, text)
    if err then
      error(err)
    end
    print(text)
  end)
end)

local path = os.tmpname()
await(fs.write_file(path, "color = blue"))
await(print_settings(path))
os.remove(path)
