--- What a variable is.
local annotated = require "moontide.check.annotated"
local calls = require "moontide.check.calls"
local declarations = require "moontide.check.declarations"
local items = require "moontide.check.items"
local kinds = require "moontide.check.kinds"
local passing = require "moontide.check.passing"
local types = require "moontide.check.types"

local M = {}

---- variables of loops ----

--- What a call of an object gives, that a loop makes until it gives nil.
local function called_in_loop(object, position)
  local class = object and object.class and declarations.class(object.class)
  local annotation = class and class.call and declarations.types(class.call)[1]
  local given = annotation and annotation.returns[position]
  if given and given.kind == "union" then
    given = given[1]
  end
  return annotated.type_of(given or nil)
end

local function type_in_loop(var)
  local loop = var.loop
  if loop.tag == "Fornum" then
    return types.NUMBER
  elseif items.is_loop(loop) then
    return var.position == 2 and items.of(kinds.of(calls.arguments(loop[2][1])[1])) or nil
  end
  return called_in_loop(kinds.of(loop[2][1]), var.position)
end

---- parameters ----

--- As the one who is handed the function declares it.
local function declared_parameter(fn, position)
  local expected = passing.expected(fn)
  return expected and expected.parameters
    and annotated.type_of(expected.parameters[position]) or nil
end

--- Of what a function is called with, only this is a type that it can rely on.
local function is_telling(found)
  return found and (found.class or found.kind == "promise")
end

--- As all calls of the function have it.
local function called_parameter(fn, position)
  local var = passing.variable_of(fn)
  local joined
  for i, use in ipairs(not var and { fn } or var.node and var.uses or {}) do
    local list, first = passing.arguments_of(use)
    local given = list and list[first + position - 1]
    local found = given and kinds.of(given)
    joined = i == 1 and found or types.join(joined, found)
    if not is_telling(joined) then
      return nil
    end
  end
  return joined
end

local function type_of_parameter(var)
  if var.owner then
    return { kind = "object", meta = M.of(var.owner), var = var, is_partial = true }
  end
  return declared_parameter(var.fn, var.position) or called_parameter(var.fn, var.position)
end

---- all of them ----

local function type_of_definitions(var)
  local found = kinds.of_definitions(var.definitions)
  if types.is(found, "object") and (found.node or found.meta) and not found.var then
    found = { kind = "object", node = found.node, meta = found.meta, var = var,
      is_partial = found.is_partial }
  end
  local may_be_nil = var.begins_nil or not var.node
  return may_be_nil and types.optional(found) or found
end

local function find(var)
  if not var.fn and not var.loop then
    return type_of_definitions(var)
  elseif #var.definitions > 0 then
    return nil
  end
  return var.fn and type_of_parameter(var) or var.loop and type_in_loop(var) or nil
end

---@param var moontide.check.Variable
---@return moontide.check.Type?
function M.of(var)
  if var.type == nil then
    var.type = false -- not known while it is being found out
    var.type = find(var) or false
  end
  return var.type or nil
end

kinds.define("Id", function(node)
  return M.of(node.var)
end)

return M
