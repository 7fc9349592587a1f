-- A file is read after the scope that opened it has closed it.
-- Line 15, seen by `moontide`.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await = tide.async, tide.await

local open_log = async(function(path)
  local file <close> = await(fs.open(path))
  assert(await(file:stat()).size > 0, "the log is empty")
  return file
end)

local head = async(function(path)
  local log = await(open_log(path))
  return await(log:read(9))
end)

local path = os.tmpname()
local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
await(fs.write_file(path, "high tide, low tide"))
print(await(head(path)))
