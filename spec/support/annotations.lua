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

local function read(path)
  return tide.await(fs.read_file(path))
end

--- The fields of the classes that are declared: class -> list of {name, type, optional}, with those
--- of the classes above it.
---@return table<string, table[]>
function M.fields()
  local classes, parents, class = {}, {}, nil
  for line in M.text():gmatch("[^\n]+") do
    local name, above = line:match("^%-%-%-@class%s+([%w_.]+):?%s*([%w_., ]*)")
    if name then
      class, parents[name], classes[name] = name, above, {}
    end
    local field, mark, kind = line:match("^%-%-%-@field%s+([%w_]+)(%??)%s+(%S+)")
    if field and class then
      table.insert(classes[class], { name = field, type = kind, optional = mark == "?" })
    end
  end
  local function add(into, name)
    for above in (parents[name] or ""):gmatch("[%w_.]+") do
      add(into, above)
    end
    table.move(classes[name] or {}, 1, #(classes[name] or {}), #into + 1, into)
    return into
  end
  local all = {}
  for name in pairs(classes) do
    all[name] = add({}, name)
  end
  return all
end

--- The functions and methods in the order of the files: {receiver, name, is_method, parameters}; a
--- parameter is {name, type, optional}.
---@param is_wanted fun(path: string): boolean
---@return table[]
function M.functions(is_wanted)
  local all = {}
  for _, path in ipairs(M.paths()) do
    local parameters = {}
    for line in (is_wanted(path) and read(path) or ""):gmatch("[^\n]+") do
      local name, mark, kind = line:match("^%-%-%-@param%s+([%w_.]+)(%??)%s+(%S+)")
      local receiver, separator, f = line:match("^function%s+([%w_]+)([.:])([%w_]+)%s*%(")
      if name and name ~= "..." then
        parameters[#parameters + 1] = { name = name, type = kind, optional = mark == "?" }
      elseif receiver then
        all[#all + 1] =
          { receiver = receiver, name = f, is_method = separator == ":", parameters = parameters }
      end
      if not line:match("^%-%-%-") then
        parameters = {}
      end
    end
  end
  return all
end

return M
