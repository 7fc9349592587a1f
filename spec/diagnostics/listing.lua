-- A forgotten await: a loop over a promise.
-- Line 9, seen by `moontide`.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await = tide.async, tide.await

local count_files = async(function(directory)
  local count = 0
  for _, entry in ipairs(fs.scandir(directory)) do
    if entry.type == "file" then
      count = count + 1
    end
  end
  return count
end)

local directory = await(fs.mkdtemp(os.tmpname() .. "-"))
await(fs.write_file(directory .. "/one.txt", "1"))
print("files: " .. await(count_files(directory)))
await(fs.rm(directory, { recursive = true }))
