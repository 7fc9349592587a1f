--- Objects that are returned to somebody who finds them closed (T113).
local variables = require "moontide.check.variables"

local M = {}

local function check_return(node, fn, report)
  for _, value in ipairs(node) do
    local var = value.tag == "Id" and value.var
    local found = var and var.is_closed and var.inside == fn and variables.of(var)
    if found and found.class then
      report("T113", value, ("'%s' is closed before it is returned"):format(value[1]))
    end
  end
end

---@param scope moontide.check.Scope
---@param report moontide.check.Reporter
function M.check(scope, report)
  for _, node in ipairs(scope.returns) do
    check_return(node, nil, report)
  end
  for _, fn in ipairs(scope.functions) do
    for _, node in ipairs(fn.returns) do
      check_return(node, fn, report)
    end
  end
end

return M
