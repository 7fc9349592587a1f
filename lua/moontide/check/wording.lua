--- How messages call a piece of code.
local M = {}

local function find_name(node)
  if node.tag == "Id" then
    return node[1]
  elseif node.tag == "Paren" or node.tag == "Call" then
    return find_name(node[1])
  elseif node.tag == "Index" and node[2].tag == "String" then
    local base = node[1].tag ~= "Call" and find_name(node[1])
    return base and base .. "." .. node[2][1] or node[2][1]
  elseif node.tag == "Invoke" then
    return (find_name(node[1]) or "") .. ":" .. node[2][1]
  end
end

--- The name of what an expression stands for: "save", "Users.find", "file:read".
---@param node moontide.check.Node
---@return string
function M.name_of(node)
  return find_name(node) or "the function"
end

--- A promise, by where it comes from: "the promise of 'save'", "the promise 'user'".
---@param node moontide.check.Node
---@return string
function M.promise(node)
  local name = find_name(node)
  local is_call = node.tag == "Call" or node.tag == "Invoke"
  if not name then
    return "a promise"
  end
  return (is_call and "the promise of '%s'" or "the promise '%s'"):format(name)
end

return M
