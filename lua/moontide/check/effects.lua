--- Whether two calls may run side by side: whether what a function does touches anything but what
--- it has made itself.
local calls = require "moontide.check.calls"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local types = require "moontide.check.types"

local M = {}

--- Whether a variable is one of the function's own, or of a function in it.
local function is_own(var, fn)
  local inside = var.inside
  while inside and inside ~= fn do
    inside = inside.around
  end
  return inside == fn and var.fn ~= fn
end

local function root_of(node)
  while node.tag == "Index" or node.tag == "Paren" do
    node = node[1]
  end
  return node
end

local function is_own_node(node, fn)
  local root = root_of(node)
  return root.tag == "Id" and is_own(root.var, fn) or kinds.is_call(root) or root.tag == "Table"
end

--- Whether a call is of something that is known to keep to itself.
local function is_harmless(call, fn)
  local callee = calls.callee(call)
  if call.tag == "Invoke" then
    local found = kinds.of(call[1])
    return types.is(found, "promise") or found == types.STRING or is_own_node(call[1], fn)
  elseif names.standard(call[1]) then
    return not call[2] or call[2].tag ~= "Id" or not names.standard(call[1]):find("^table%.")
      or is_own(call[2].var, fn)
  elseif not types.is(callee, "function") then
    return false
  end
  return callee.signature ~= nil or M.is_independent(callee)
end

local function keeps_to_itself(fn, top)
  for _, target in ipairs(fn.targets) do
    if not is_own_node(target, top) then
      return false
    end
  end
  for _, call in ipairs(fn.calls) do
    if not is_harmless(call, top) then
      return false
    end
  end
  for _, nested in ipairs(fn.nested) do
    if not keeps_to_itself(nested, top) then
      return false
    end
  end
  return true
end

--- The local variables in the arguments of a call.
local function add_variables(set, node)
  if node.tag == "Id" and node.var.node then
    set[node.var] = true
  end
  for _, part in ipairs(node) do
    if type(part) == "table" then
      add_variables(set, part)
    end
  end
  return set
end

local function variables_of(call)
  local set = {}
  for _, argument in ipairs(calls.arguments(call)) do
    add_variables(set, argument)
  end
  return set
end

--- Whether a variable stands in the arguments of both calls.
---@param one moontide.check.Node
---@param other moontide.check.Node
---@return boolean
function M.share(one, other)
  local variables = variables_of(other)
  for var in pairs(variables_of(one)) do
    if variables[var] then
      return true
    end
  end
  return false
end

--- Whether a function of the project uses nothing that another call could use at the same time.
---@param found moontide.check.Type
---@return boolean
function M.is_independent(found)
  local inner = found.inner or found
  local fn = inner.node
  if not fn or inner.kind ~= "function" then
    return false
  elseif fn.is_independent == nil then
    fn.is_independent = false -- while it is being found out
    fn.is_independent = keeps_to_itself(fn, fn)
  end
  return fn.is_independent
end

return M
