--- Annotations as types.
local declarations = require "moontide.check.declarations"
local types = require "moontide.check.types"

local M = {}

local VALUES = {
  ["nil"] = types.NIL,
  boolean = types.BOOLEAN,
  ["true"] = types.BOOLEAN,
  ["false"] = types.BOOLEAN,
  number = types.NUMBER,
  integer = types.NUMBER,
  string = types.STRING,
  thread = types.value("thread"),
  userdata = types.value("userdata"),
  ["file*"] = types.value("file"),
}

local TABLE = { kind = "object" }
local FUNCTION = { kind = "function" }

local objects = {} -- class -> type

local function object_of(class)
  objects[class] = objects[class] or { kind = "object", class = class }
  return objects[class]
end

local function alias_of(name)
  local alias = declarations.alias(name)
  return alias and declarations.types(alias)[1]
end

local OF_KIND = {
  ["function"] = function(annotation)
    return { kind = "function", annotation = annotation }
  end,
  table = function()
    return TABLE
  end,
  literal = function()
    return types.STRING
  end,
  union = function(annotation)
    local joined = M.type_of(annotation[1])
    for i = 2, #annotation do
      joined = types.join(joined, M.type_of(annotation[i]))
    end
    return joined
  end,
  name = function(annotation)
    local name = annotation.name
    if name == "moontide.Promise" then
      return types.promise(M.type_of(annotation.arguments[1]))
    elseif name == "table" then
      return TABLE
    elseif name == "function" then
      return FUNCTION
    elseif declarations.class(name) then
      return object_of(name)
    end
    return VALUES[name] or M.type_of(alias_of(name))
  end,
}

---@param annotation? moontide.check.Annotation
---@return moontide.check.Type?
function M.type_of(annotation)
  return annotation and OF_KIND[annotation.kind](annotation)
end

--- The i-th of the types that a text says.
---@param text string
---@param i integer
---@return moontide.check.Type?
function M.nth(text, i)
  return M.type_of(declarations.types(text)[i])
end

--- Whether one of the types that an annotation allows is as wanted.
local function allows(annotation, is_wanted)
  local alias = annotation.kind == "name" and alias_of(annotation.name)
  if alias then
    return allows(alias, is_wanted)
  elseif annotation.kind ~= "union" then
    return is_wanted(annotation)
  end
  for _, member in ipairs(annotation) do
    if allows(member, is_wanted) then
      return true
    end
  end
  return false
end

--- Whether it is a name that says nothing: `any`, or a parameter of a generic type.
local function is_unknown(annotation)
  local name = annotation.name
  return annotation.kind == "name" and not VALUES[name] and not declarations.class(name)
    and name ~= "table" and name ~= "function"
end

local function is_promise(annotation)
  return annotation.name == "moontide.Promise" or annotation.name == "moontide.Thenable"
    or is_unknown(annotation)
end

local function is_function(annotation)
  return annotation.kind == "function" or annotation.name == "function"
end

local function is_function_or_unknown(annotation)
  return is_function(annotation) or is_unknown(annotation)
end

local function is_list(annotation)
  return annotation.kind == "table" or annotation.name == "moontide.List"
end

--- Whether a value of the type that is annotated may be a promise.
---@param annotation moontide.check.Annotation
---@return boolean
function M.takes_promise(annotation)
  return allows(annotation, is_promise)
end

--- Whether a function is what is wanted.
---@param annotation moontide.check.Annotation
---@return boolean
function M.takes_function(annotation)
  return allows(annotation, is_function)
end

--- Whether a value of the type may be a function.
---@param annotation moontide.check.Annotation
---@return boolean
function M.may_take_function(annotation)
  return allows(annotation, is_function_or_unknown)
end

--- Whether a list is what is wanted.
---@param annotation moontide.check.Annotation
---@return boolean
function M.is_list(annotation)
  return allows(annotation, is_list)
end

return M
