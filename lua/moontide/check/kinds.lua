--- What an expression is: a promise, an async function, an object of moontide's, or not known. Here
--- are constants and operators; the modules for calls, items and variables define the rest. Each
--- part of a tree is looked at once.
local types = require "moontide.check.types"

local M = {}

local join, optional = types.join, types.optional

---@param node moontide.check.Node
---@return boolean
function M.is_call(node)
  return node.tag == "Call" or node.tag == "Invoke"
end

-- By tag: the type of an expression's first value; of a call, of its i-th.
local EXPRESSIONS = {
  Nil = function()
    return types.NIL
  end,
  True = function()
    return types.BOOLEAN
  end,
  False = function()
    return types.BOOLEAN
  end,
  Number = function()
    return types.NUMBER
  end,
  String = function()
    return types.STRING
  end,
  Function = function(node)
    return { kind = "function", node = node }
  end,
  Table = function(node)
    return { kind = "object", node = node }
  end,
  Paren = function(node)
    return M.of(node[1])
  end,
}

--- Says how the type of expressions with that tag is found.
---@param tag string
---@param find fun(node: moontide.check.Node, i: integer): moontide.check.Type?
function M.define(tag, find)
  EXPRESSIONS[tag] = find
end

--- The first value of an expression.
---@param node moontide.check.Node
---@return moontide.check.Type?
function M.of(node)
  local found = node.type
  if found == nil then
    local find = EXPRESSIONS[node.tag]
    node.type = false -- not known while it is being found out
    found = find and find(node, 1) or false
    node.type = found
  end
  return found or nil
end

--- The i-th value of one expression.
---@param node moontide.check.Node
---@param i integer
---@return moontide.check.Type?
function M.nth(node, i)
  if i == 1 then
    return M.of(node)
  end
  return M.is_call(node) and EXPRESSIONS[node.tag](node, i) or nil
end

--- The i-th value of a list of expressions; nil the value for what comes after its end.
---@param list moontide.check.Node[]
---@param i integer
---@return moontide.check.Type?
function M.in_list(list, i)
  if i < #list then
    return M.of(list[i])
  elseif #list == 0 then
    return types.NIL
  end
  return M.nth(list[#list], i - #list + 1)
end

--- What a variable or a field is given in several places.
---@param definitions moontide.check.Definition[]
---@return moontide.check.Type?
function M.of_definitions(definitions)
  local joined
  for i, definition in ipairs(definitions) do
    local found = definition.value and M.nth(definition.value, definition.nth) or nil
    joined = i == 1 and found or join(joined, found)
  end
  return joined
end

---- operators ----

--- Whether it is sure to be true as a condition.
local function is_true(found)
  return found and found.kind ~= "value" and not found.optional
end

local OPERATORS = {
  ["and"] = function(node)
    local right = M.of(node[3])
    return is_true(M.of(node[2])) and right or optional(right)
  end,
  ["or"] = function(node)
    local left = M.of(node[2])
    return is_true(left) and left or join(left, M.of(node[3]))
  end,
  len = function()
    return types.NUMBER
  end,
  concat = function()
    return types.STRING
  end,
}
for _, name in ipairs { "not", "eq", "ne", "lt", "le", "gt", "ge" } do
  OPERATORS[name] = function()
    return types.BOOLEAN
  end
end

M.define("Op", function(node)
  local operator = OPERATORS[node[1]]
  return operator and operator(node)
end)

return M
