--- Fields of objects: of moontide's, by their annotations, and of tables that the project makes.
local annotated = require "moontide.check.annotated"
local declarations = require "moontide.check.declarations"
local kinds = require "moontide.check.kinds"
local types = require "moontide.check.types"

local M = {}

local function add_literal(list, node, name)
  for _, item in ipairs(node or {}) do
    if item.tag == "Pair" and item[1].tag == "String" and item[1][1] == name then
      list[#list + 1] = { value = item[2], nth = 1 }
    end
  end
end

--- A field that the file gives a table, and whether it does. What is assigned later is not there
--- before.
local function own_field(object, name)
  local var = object.var
  if var and var.is_open then
    return nil, true
  end
  local assigned = var and var.fields[name] or {}
  local list = table.move(assigned, 1, #assigned, 1, {})
  add_literal(list, object.node, name)
  local found = kinds.of_definitions(list)
  return #assigned > 0 and types.optional(found) or found, #list > 0
end

local function declared_field(class, name)
  local field = declarations.field(class, name)
  if type(field) == "string" then
    return annotated.nth(field, 1)
  end
  return field and { kind = "function", signature = field } or nil
end

--- A field of whatever a type is.
---@param base? moontide.check.Type
---@param name string
---@return moontide.check.Type?
function M.of(base, name)
  if types.is(base, "promise") then
    return declared_field("moontide.Promise", name)
  elseif not types.is(base, "object") then
    return nil
  elseif base.class then
    return declared_field(base.class, name)
  end
  local own, is_own = own_field(base, name)
  if is_own or not base.meta then
    return own
  end
  return M.of(M.of(base.meta, "__index"), name)
end

--- A field of what an expression gives; not known if the file assigns it by a name that it has for
--- a table of somebody else's.
---@param node moontide.check.Node
---@param name string
---@return moontide.check.Type?
function M.at(node, name)
  local base, var = kinds.of(node), node.var
  local is_other = base and var and base.var ~= var
  if is_other and (var.fields[name] or var.is_open) then
    return nil
  end
  return M.of(base, name)
end

return M
