-- An option's name is misspelt.
-- Line 8, seen by `moontide check`.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await = tide.async, tide.await

local prepare = async(function(directory)
  await(fs.mkdir(directory .. "/a/b", { recursiv = true }))
  return "ready"
end)

local directory = await(fs.mkdtemp(os.tmpname() .. "-"))
print(await(prepare(directory)))
await(fs.rm(directory, { recursive = true }))
