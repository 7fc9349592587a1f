--- What the annotations in meta/ declare: the classes of moontide, and their functions.
local annotation = require "moontide.check.annotation"
local fs = require "moontide.fs"
local tide = require "moontide"

local M = {}

---@class moontide.check.Parameter
---@field name string
---@field type string

---@class moontide.check.Signature a function that is declared
---@field name string "class.function"
---@field parameters moontide.check.Parameter[]
---@field returns string what stands after each @return, in lines
---@field is_async boolean? it awaits
---@field must_use boolean? what it returns is lost if nobody takes it

---@class moontide.check.Class
---@field name string
---@field parents string[]
---@field fields table<string, string|moontide.check.Signature> types of fields, functions
---@field call string? the type of what it is as a function

---@class moontide.check.Declarations
---@field classes table<string, moontide.check.Class>
---@field aliases table<string, string>

---@type moontide.check.Declarations
local declarations

-- What the lines above a function say of it.
local pending, class

local function new_pending()
  return { parameters = {}, returns = {} }
end

local function parents_of(list)
  local parents = {}
  for name in list:gmatch("[%w_.]+") do
    parents[#parents + 1] = name
  end
  return parents
end

-- By tag: what a line with it does.
local TAGS = {
  class = function(rest)
    local name, parents = rest:match("^([%w_.]+)%S*%s*:?%s*(.*)")
    class = { name = name, parents = rest:find(":") and parents_of(parents) or {}, fields = {} }
    declarations.classes[name] = class
  end,
  field = function(rest)
    local name, kind = rest:match("^([%w_]+%??)%s+(.*)")
    if name and class then
      class.fields[name:gsub("%?", "")] = kind
    end
  end,
  alias = function(rest)
    local name, kind = rest:match("^([%w_.]+)%s+(.*)")
    if name then
      declarations.aliases[name] = kind
    end
  end,
  overload = function(rest)
    if class and #pending.parameters == 0 then
      class.call = rest
    end
  end,
  param = function(rest)
    local name, kind = rest:match("^([%w_.]+)%??%s+(.*)")
    table.insert(pending.parameters, { name = name, type = kind })
  end,
  ["return"] = function(rest)
    table.insert(pending.returns, rest)
  end,
  async = function()
    pending.is_async = true
  end,
  nodiscard = function()
    pending.must_use = true
  end,
}

-- The local variable of a file that stands for a class: its name -> the class.
local receivers

local function declare_function(receiver, name)
  local owner = receivers[receiver]
  owner.fields[name] = {
    name = owner.name .. "." .. name,
    parameters = pending.parameters,
    returns = table.concat(pending.returns, ", "),
    is_async = pending.is_async,
    must_use = pending.must_use,
  }
end

local function read_code(line)
  local receiver = line:match("^local ([%w_]+) = {}")
  if receiver then
    receivers[receiver] = class
  end
  local owner, name = line:match("^function ([%w_]+)[.:]([%w_]+)%(")
  if not owner then
    owner, name = line:match('^([%w_]+)%["([%w_]+)"%] = function')
  end
  if owner then
    declare_function(owner, name)
  end
  local copy, original = line:match('^[%w_]+%["([%w_]+)"%] = [%w_]+%.([%w_]+)$')
  if copy then
    class.fields[copy] = class.fields[original]
  end
  pending = new_pending()
end

local function read_file(path)
  receivers, class, pending = {}, nil, new_pending()
  for line in (tide.await(fs.read_file(path)) .. "\n"):gmatch("([^\n]*)\n") do
    local tag, rest = line:match("^%-%-%-@(%a+)%s*(.*)")
    if tag then
      if TAGS[tag] then
        TAGS[tag](rest)
      end
    elseif not line:find("^%-%-%-") then
      read_code(line)
    end
  end
end

--- The files lie beside the library.
local function folder()
  local path = assert(package.searchpath("moontide.meta.moontide", package.path))
  return (path:gsub("[^/]*$", ""))
end

--- Reads all of them.
function M.load()
  declarations = { classes = {}, aliases = {} }
  for _, entry in ipairs(tide.await(fs.scandir(folder()))) do
    read_file(folder() .. entry.name)
  end
end

--- All that are declared; nil before they are loaded.
---@return table<string, moontide.check.Class>?
function M.classes()
  return declarations and declarations.classes
end

---@param name string
---@return moontide.check.Class?
function M.class(name)
  return declarations.classes[name]
end

--- A field of a class or of those above it.
---@param name string
---@param field string
---@return string|moontide.check.Signature|nil
function M.field(name, field)
  local found = declarations.classes[name]
  if not found then
    return nil
  elseif found.fields[field] then
    return found.fields[field]
  end
  for _, parent in ipairs(found.parents) do
    local inherited = M.field(parent, field)
    if inherited then
      return inherited
    end
  end
end

---@param name string
---@return string?
function M.alias(name)
  return declarations.aliases[name]
end

local read_before = {} -- text -> what it says

--- The types that a text of the annotations says.
---@param text string
---@return moontide.check.Annotation[]
function M.types(text)
  local types = read_before[text] or annotation.read(text)
  read_before[text] = types
  return types
end

return M
