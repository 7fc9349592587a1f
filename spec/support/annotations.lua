--- The files with the annotations of what is public.
local fs = require "moontide.fs"
local tide = require "moontide"

local FOLDER = "lua/moontide/meta"

local M = {}

--- Their paths, in the order of their names.
---@return string[]
function M.paths()
  local paths = {}
  for i, entry in ipairs(tide.await(fs.scandir(FOLDER))) do
    paths[i] = FOLDER .. "/" .. entry.name
  end
  table.sort(paths)
  return paths
end

--- One after the other.
---@return string
function M.text()
  local texts = {}
  for i, path in ipairs(M.paths()) do
    texts[i] = tide.await(fs.read_file(path))
  end
  return table.concat(texts)
end

return M
