--- What a line may go on to: globals, fields, methods, and after `require "` the public modules.
---
--- Nothing of the program is called for that: what only a function __index knows is not found.
local M = {}

local DEEPEST <const> = 20 -- __index of __index

--- The values that are looked into for the fields of one: itself, and what its __index are.
local function tables_of(value)
  local tables = {}
  for _ = 1, DEEPEST do
    if type(value) == "table" then
      tables[#tables + 1] = value
    end
    local meta = debug.getmetatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
    if value == nil then
      break
    end
  end
  return tables
end

local function field_of(value, name)
  for _, t in ipairs(tables_of(value)) do
    local field = rawget(t, name)
    if field ~= nil then
      return field
    end
  end
end

--- The value that `a.b:c` names, or nil.
local function value_at(path)
  local value = _G
  for name in path:gmatch("[^.:]+") do
    value = field_of(value, name)
    if value == nil then
      return nil
    end
  end
  return value
end

local function is_callable(value)
  local meta = debug.getmetatable(value)
  return type(value) == "function" or type(meta) == "table" and rawget(meta, "__call") ~= nil
end

--- The names of fields that begin so, in order; those that begin with `_` only if that is typed.
local function names_in(value, beginning, is_wanted)
  local names, seen = {}, {}
  for _, t in ipairs(tables_of(value)) do
    for name, field in next, t do
      if type(name) == "string" and not seen[name] and name:find("^[%a_][%w_]*$")
        and name:sub(1, #beginning) == beginning
        and (name:sub(1, 1) ~= "_" or beginning ~= "")
        and is_wanted(field)
      then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  table.sort(names)
  return names
end

local function anything()
  return true
end

--- With what stands before them.
local function prefixed(prefix, names)
  for i, name in ipairs(names) do
    names[i] = prefix .. name
  end
  return names
end

local function complete_expression(word)
  local before, path = word:match("^(.-)([%a_]?[%w_.:]*)$")
  local object, separator, beginning = path:match("^(.*)([.:])([%w_]*)$")
  if not object then
    return prefixed(before, names_in(_G, path, anything))
  end
  local value = object:find("^[%a_]") and value_at(object)
  local names = names_in(value, beginning, separator == ":" and is_callable or anything)
  return prefixed(before .. object .. separator, names)
end

local function complete_module(modules, beginning)
  local names = {}
  for _, name in ipairs(modules) do
    if name:sub(1, #beginning) == beginning then
      names[#names + 1] = name
    end
  end
  return names
end

--- A function that completes a line.
---@param modules string[] names
---@return fun(text: string, from: integer): string[], string? # text is the line up to the cursor,
---its last word begins at from; the words that it may become, and what is to follow such a word
function M.new(modules)
  return function(text, from)
    local quote, beginning = text:match("%f[%w_]require%s*%(?%s*([\"'])([%w_.]*)$")
    if quote then
      return complete_module(modules, beginning), quote
    end
    return complete_expression(text:sub(from))
  end
end

return M
