--- Functions as values: which variable one stands in, who is handed it, and what it is called with.
local calls = require "moontide.check.calls"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"

local M = {}

--- The variable that a function is the only value of, be it that it is made an async one first.
---@param fn moontide.check.Node
---@return moontide.check.Variable?
function M.variable_of(fn)
  local value, up = fn, fn.up
  if up and up.tag == "Call" and up[1] ~= fn and calls.makes_async(up) then
    value, up = up, up.up
  end
  if not up or up.tag ~= "Local" and up.tag ~= "Localrec" and up.tag ~= "Set" then
    return nil
  end
  for i, target in ipairs(up[1]) do
    if up[2][i] == value and target.tag == "Id" and names.only_value(target.var) == value then
      return target.var
    end
  end
end

local function position_in(call, node)
  for i, argument in ipairs(calls.arguments(call)) do
    if argument == node then
      return i
    end
  end
end

--- The annotation of the function that is expected where this one is given.
---@param value moontide.check.Node
---@return moontide.check.Annotation?
function M.expected(value)
  local up = value.up
  if up and kinds.is_call(up) then
    local i = position_in(up, value)
    if i and calls.makes_async(up) then
      return M.expected(up)
    end
    return i and calls.parameter(up, i)
  end
  local var = value.tag ~= "Id" and M.variable_of(value)
  for _, use in ipairs(var and var.uses or {}) do
    local found = M.expected(use)
    if found then
      return found
    end
  end
end

--- Where the arguments are that a function is called with: directly, or by `spawn` and the like,
--- which hand on what follows it. A list, and the index of the first of them.
---@param use moontide.check.Node
---@return moontide.check.Node[]?, integer?
function M.arguments_of(use)
  local call = use.up
  if not call or not kinds.is_call(call) then
    return nil
  elseif call[1] == use and call.tag == "Call" then
    return calls.arguments(call), 1
  end
  local callee = calls.callee(call)
  for i, declared in ipairs(callee and callee.signature and callee.signature.parameters or {}) do
    if declared.name == "..." and position_in(call, use) then
      return calls.arguments(call), i
    end
  end
end

return M
