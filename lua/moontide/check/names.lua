--- What a name stands for that is given a value once only.
local M = {}

--- The only value that a variable is ever given; nil where it is given several, or none.
---@param var moontide.check.Variable
---@return moontide.check.Node?
function M.only_value(var)
  local definition = var.definitions[1]
  if #var.definitions == 1 and definition.nth == 1 and not var.fn then
    return definition.value or nil
  end
end

--- Whether a variable is a global that the file leaves as it is.
local function is_foreign(var)
  return not var.node and #var.definitions == 0
end

--- The name of a function of Lua's own: "pcall", "table.sort".
---@param node moontide.check.Node
---@return string?
function M.standard(node)
  if node.tag == "Id" then
    local value = M.only_value(node.var)
    return is_foreign(node.var) and node[1]
      or value and value ~= node and value.tag ~= "Function" and M.standard(value) or nil
  elseif node.tag == "Index" and node[1].tag == "Id" and node[2].tag == "String" then
    return is_foreign(node[1].var) and node[1][1] .. "." .. node[2][1] or nil
  end
end

return M
