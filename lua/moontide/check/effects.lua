--- Whether two calls may run side by side: whether what they do touches anything but what they have
--- made themselves.
local annotated = require "moontide.check.annotated"
local calls = require "moontide.check.calls"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local standard = require "moontide.check.standard"
local types = require "moontide.check.types"

local M = {}

---@type table<string, table<string, boolean>> functions that change nothing, by class
M.READING = {
  ["moontide.fs"] = { read_file = true, stat = true, lstat = true, statfs = true, access = true,
    scandir = true, readlink = true, realpath = true },
  ["moontide.dns"] = { lookup = true, reverse = true },
}

-- Classes whose functions only wait, or call what they are given.
local WAITING = { moontide = true, ["moontide.PromiseClass"] = true }

local function class_and_name(signature)
  return signature.name:match("^(.*)%.([%w_]+)$")
end

local function is_reading(signature)
  local class, name = class_and_name(signature)
  return M.READING[class] ~= nil and M.READING[class][name] ~= nil
end

local function is_waiting(signature)
  return WAITING[class_and_name(signature)] or false
end

---- what a function has made itself ----

--- Whether a variable is one of the function's own, or of a function in it.
local function is_own(var, fn)
  local inside = var.inside
  while inside and inside ~= fn do
    inside = inside.around
  end
  return inside == fn and var.fn ~= fn
end

local is_new

--- Whether nobody else has what a variable of the function's own holds.
local function holds_new(var, fn)
  if not is_own(var, fn) or var.fn or var.loop then
    return false
  elseif var.is_new == nil then
    var.is_new = false -- while it is being found out
    local found = true
    for _, definition in ipairs(var.definitions) do
      found = found and (not definition.value or is_new(definition.value, fn))
    end
    var.is_new = found
  end
  return var.is_new
end

--- Whether an operation is awaited there that gives data or an object of moontide's.
local function awaits_operation(call)
  local operation = calls.is_of(call, "moontide.await") and call[2]
  local callee = operation and kinds.is_call(operation) and calls.callee(operation)
  local signature, given = callee and callee.signature, kinds.of(call)
  return signature and (is_reading(signature) or given and given.class ~= nil) or false
end

--- Whether a call gives what nobody else has: a value, or what an operation has made.
local function gives_new(call)
  local name = calls.standard(call)
  return types.is(kinds.of(call), "value") or name and standard.gives_value(name)
    or awaits_operation(call)
end

local NEW = { Table = true, String = true, Number = true, Nil = true, True = true, False = true,
  Function = true }

--- Whether nobody else has what an expression gives.
function is_new(node, fn)
  if node.tag == "Id" then
    return holds_new(node.var, fn)
  elseif node.tag == "Op" then
    local is_choice = node[1] == "and" or node[1] == "or"
    return not is_choice or is_new(node[2], fn) and is_new(node[3], fn)
  elseif node.tag == "Paren" then
    return is_new(node[1], fn)
  end
  return NEW[node.tag] or kinds.is_call(node) and gives_new(node) or false
end

---- calls ----

--- Whether the function that is called may call its i-th argument.
local function may_call(call, i)
  local name, declared = calls.standard(call), calls.parameter(call, i)
  if name then
    return standard.calls_argument(name, call.tag == "Invoke" and i + 1 or i)
  end
  return declared ~= nil and annotated.takes_function(declared)
end

--- Whether an argument, if it is called, keeps to itself. A function that is written there is
--- looked at as a part of the one around it.
local function is_harmless_argument(call, i)
  local argument = calls.arguments(call)[i]
  local found, name = kinds.of(argument), names.standard(argument)
  if types.is(found, "function") then
    return argument.tag == "Function" or M.is_independent(found)
      or found.signature ~= nil and (is_reading(found.signature) or is_waiting(found.signature))
  end
  return found ~= nil or name and standard.is_pure(name) or not may_call(call, i)
end

local function has_harmless_arguments(call)
  for i in ipairs(calls.arguments(call)) do
    if not is_harmless_argument(call, i) then
      return false
    end
  end
  return true
end

local function is_harmless_method(call, fn)
  local found = kinds.of(call[1])
  return types.is(found, "promise")
    or types.is(found, "object") and found.class == "moontide.Group" or is_new(call[1], fn)
end

--- Whether a call touches nothing but what the function has made; without one, nothing at all.
local function is_harmless(call, fn)
  local name, callee = calls.standard(call), calls.callee(call)
  if not has_harmless_arguments(call) then
    return false
  elseif name then
    return standard.is_pure(name)
      or standard.changes_argument(name) and call[2] ~= nil and is_new(call[2], fn)
  elseif call.tag == "Invoke" then
    return is_harmless_method(call, fn)
  elseif not types.is(callee, "function") then
    return false
  elseif callee.signature then
    return is_reading(callee.signature) or is_waiting(callee.signature)
  end
  return M.is_independent(callee)
end

---- functions ----

local function is_harmless_target(target, fn)
  if target.tag == "Id" then
    return is_own(target.var, fn)
  end
  return is_new(target[1], fn)
end

local function keeps_to_itself(fn, top)
  for _, target in ipairs(fn.targets) do
    if not is_harmless_target(target, top) then
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

--- Whether all calls in an expression are independent, but for one of its parts.
local function has_independent_parts(node)
  if kinds.is_call(node) and not is_harmless(node, node.fn) or node.tag == "Function" then
    return false
  end
  for _, part in ipairs(node) do
    if type(part) == "table" and not has_independent_parts(part) then
      return false
    end
  end
  return true
end

--- Whether nothing could tell when a call is made whose promise is awaited: of an async function
--- that keeps to itself, or of an operation that changes nothing.
---@param call moontide.check.Node
---@return boolean
function M.is_independent_call(call)
  local callee = calls.callee(call)
  if call.tag ~= "Call" or not types.is(callee, "function") then
    return false
  end
  local is_alone = callee.signature and is_reading(callee.signature)
    or callee.is_async and M.is_independent(callee)
  for _, argument in ipairs(is_alone and calls.arguments(call) or {}) do
    if not has_independent_parts(argument) then
      return false
    end
  end
  return is_alone or false
end

return M
