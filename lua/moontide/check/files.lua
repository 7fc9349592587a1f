--- The files that the command is told to check.
local fs = require "moontide.fs"
local tide = require "moontide"

local M = {}

local await = tide.await

--- What an entry of a folder is; a link is a file where it leads to one.
local function type_of(entry, path)
  local kind = entry.type == "unknown" and await(fs.lstat(path)).type or entry.type
  if kind ~= "link" then
    return kind
  end
  local found, target = pcall(await, fs.stat(path))
  return found and target.type == "file" and "file" or kind
end

local function add_folder(list, folder)
  local entries = await(fs.scandir(folder))
  table.sort(entries, function(one, other)
    return one.name < other.name
  end)
  for _, entry in ipairs(entries) do
    local path = folder:gsub("/?$", "/") .. entry.name
    local kind = type_of(entry, path)
    if kind == "directory" and not entry.name:find("^%.") then
      add_folder(list, path)
    elseif kind == "file" and entry.name:find("%.lua$") then
      list[#list + 1] = path
    end
  end
end

--- Files as they are given, and of folders the `.lua` files in and below them but for hidden
--- folders; each once. Raises for what is not there.
---@param paths string[]
---@return string[]
function M.list(paths)
  local list, seen, once = {}, {}, {}
  for _, path in ipairs(paths) do
    if await(fs.stat(path)).type == "directory" then
      add_folder(list, path)
    else
      list[#list + 1] = path
    end
  end
  for _, path in ipairs(list) do
    if not seen[path] then
      seen[path], once[#once + 1] = true, path
    end
  end
  return once
end

return M
