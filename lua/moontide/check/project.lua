--- The files that are checked, and the modules that they require from one another.
local fs = require "moontide.fs"
local parser = require "moontide.check.parser"
local scope = require "moontide.check.scope"
local tide = require "moontide"

local M = {}

-- Where a module may be below a folder of the project.
local TEMPLATES = {
  "?.lua", "?/init.lua", "lua/?.lua", "lua/?/init.lua", "src/?.lua", "src/?/init.lua",
}

local texts -- path -> its content, or false
local scopes -- path -> its scope, or false
local errors -- path -> what its syntax error is
local concerned -- path -> whether a promise may get there
local modules -- folder and name -> path, or false

--- What Lua reads of a file: not the byte order mark, and no first line that is for the shell.
local function read_code(path)
  local content = tide.await(fs.read_file(path)):gsub("^\u{FEFF}", "")
  return (content:gsub("^#[^\n]*", ""))
end

--- Begins anew, with these files. Raises for one that cannot be read.
---@param paths string[]
function M.begin(paths)
  texts, scopes, errors, concerned, modules = {}, {}, {}, {}, {}
  for _, path in ipairs(paths) do
    texts[path] = read_code(path)
  end
end

local function read(path)
  if texts[path] == nil then
    local ok, content = pcall(read_code, path)
    texts[path] = ok and content
  end
  return texts[path]
end

local function parse(path)
  local content = read(path)
  if not content then
    return false
  end
  local text, problem = parser.parse(content)
  errors[path] = problem
  return text and scope.resolve(path, text) or false
end

--- What is known of a file; nil and the error if its syntax is wrong.
---@param path string
---@return moontide.check.Scope?, moontide.check.SyntaxError?
function M.scope(path)
  if scopes[path] == nil then
    scopes[path] = false
    scopes[path] = parse(path)
  end
  return scopes[path] or nil, errors[path]
end

local function parent_of(folder)
  return folder ~= "" and (folder:match("^(.*/)[^/]+/$") or "") or nil
end

local function find_below(folder, name)
  for _, template in ipairs(TEMPLATES) do
    local path = folder .. template:gsub("%?", (name:gsub("%.", "/")))
    if read(path) then
      return path
    end
  end
end

local function folder_of(path)
  return path:match("^.*/") or ""
end

--- The file of a module that is required by one in that folder: below it, or below a folder around
--- it.
local function find_module(folder, name)
  local key = folder .. "\0" .. name
  if modules[key] == nil then
    local around = parent_of(folder)
    modules[key] = find_below(folder, name) or around and find_module(around, name) or false
  end
  return modules[key]
end

local function modules_of(path)
  local list = {}
  for name in (read(path) or ""):gmatch("require%s*%(?%s*[\"']([%w_.-]+)[\"']") do
    list[#list + 1] = find_module(folder_of(path), name) or nil
  end
  return list
end

--- Whether the file, or one of the modules that it leads to, names moontide.
local function leads_to_moontide(path, seen)
  if concerned[path] ~= nil or seen[path] then
    return concerned[path] or false
  end
  seen[path] = true
  local found = (read(path) or ""):find("moontide", 1, true) ~= nil
  for _, module in ipairs(found and {} or modules_of(path)) do
    found = found or leads_to_moontide(module, seen)
  end
  concerned[path] = found or nil
  return found
end

--- Whether a file has to do with moontide: no promise gets to one that neither names it nor
--- requires a module that does.
---@param path string
---@return boolean
function M.is_concerned(path)
  local seen = {}
  if leads_to_moontide(path, seen) then
    return true
  end
  for other in pairs(seen) do
    concerned[other] = false
  end
  return false
end

--- Whether a file can be loaded by Lua.
---@param path string
---@return boolean
function M.is_valid(path)
  return parser.is_valid(read(path) or "")
end

--- Whether one of the files that were read has this text.
---@param part string
---@return boolean
function M.mentions(part)
  for _, content in pairs(texts) do
    if content and content:find(part, 1, true) then
      return true
    end
  end
  return false
end

--- What is known of a module; nil where it is none of the project's.
---@param name string
---@param path string of the file that requires it
---@return moontide.check.Scope?
function M.module(name, path)
  local found = name:find("^[%w_.-]+$") and find_module(folder_of(path), name)
  return found and M.scope(found) or nil
end

return M
