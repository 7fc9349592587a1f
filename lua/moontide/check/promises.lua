--- Promises that are lost, or taken for the values that they are promises of.
local calls = require "moontide.check.calls"
local fields = require "moontide.check.fields"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local types = require "moontide.check.types"
local variables = require "moontide.check.variables"
local wording = require "moontide.check.wording"

local M = {}

---@alias moontide.check.Reporter fun(code: string, node: moontide.check.Node, message: string)

---- T101: dropped ----

--- A function that a test calls to see it raise: what it calls returns nothing that counts.
local function is_expected_to_raise(fn)
  local call = fn and fn.up
  return call ~= nil and kinds.is_call(call)
    and wording.name_of(call):find("^assert%.[%w_.]*error") ~= nil
end

--- Whether the function is a handler of `next` and the like, and the call its last statement.
function M.is_end_of_handler(call)
  local fn = call.fn
  local chain = fn and call.up == fn[2] and fn[2][#fn[2]] == call and fn.up
  return chain ~= nil and chain ~= false and M.is_chain(chain) and chain
end

--- Whether a call is `next`, `catch` or `finally` of a promise.
function M.is_chain(call)
  return call.tag == "Invoke" and types.is(kinds.of(call[1]), "promise")
    and (call[2][1] == "next" or call[2][1] == "catch" or call[2][1] == "finally")
end

--- `assert` as a statement only tests what it is given.
local function is_assertion(call)
  return call.is_statement and call.tag == "Call" and names.standard(call[1]) == "assert"
end

local function check_dropped(scope, report)
  for _, call in ipairs(scope.calls) do
    local found = call.is_statement and kinds.of(call)
    if types.is(found, "promise") and found.must_use and not is_expected_to_raise(call.fn)
      and not is_assertion(call) and not M.is_end_of_handler(call) then
      report("T101", call,
        wording.promise(call) .. " is dropped: await it, keep it, or spawn the call")
    end
  end
end

local function check_unused(scope, report)
  for _, var in ipairs(scope.variables) do
    local definition = var.definitions[1]
    local value = definition and definition.value
    if value and #var.uses == 0 and #var.definitions == 1 and not var.name:find("^_")
      and kinds.is_call(value) and definition.nth == 1 and not var.is_closed then
      local found = kinds.of(value)
      if types.is(found, "promise") and found.must_use then
        report("T101", value, ("the promise '%s' is never used: await it"):format(var.name))
      end
    end
  end
end

---- T102: tested ----

local function report_condition(node, report)
  if types.is_promise(kinds.of(node)) then
    report("T102", node, wording.promise(node) .. " as a condition is always true: await it")
  end
end

--- All that decides about a condition.
local function check_condition(node, report)
  if node.tag == "Op" and (node[1] == "and" or node[1] == "or") then
    check_condition(node[3], report)
  elseif node.tag == "Paren" then
    check_condition(node[1], report)
  else
    report_condition(node, report)
  end
end

local function check_conditions(scope, report)
  for _, node in ipairs(scope.conditions) do
    check_condition(node, report)
  end
  for _, node in ipairs(scope.operations) do
    if node[1] == "not" or node[1] == "and" or node[1] == "or" then
      report_condition(node[2], report)
    end
  end
  for _, call in ipairs(scope.calls) do
    if is_assertion(call) and call[2] then
      report_condition(call[2], report)
    end
  end
end

---- T103: an operand ----

local LOGICAL = { ["and"] = true, ["or"] = true, ["not"] = true }

local function report_operand(node, report)
  report("T103", node, wording.promise(node) .. " as an operand: await it")
end

--- What a promise is never equal to.
local function is_something_else(found, node)
  return types.is(found, "value") or node.tag == "Table" or node.tag == "Function"
end

local function check_comparison(one, other, report)
  if types.is_promise(kinds.of(one)) and is_something_else(kinds.of(other), other) then
    report("T103", one, wording.promise(one) .. " equals no value: await it")
  end
end

local function check_operation(node, report)
  local operator = node[1]
  if operator == "eq" or operator == "ne" then
    check_comparison(node[2], node[3], report)
    check_comparison(node[3], node[2], report)
  elseif not LOGICAL[operator] then
    for i = 2, #node do
      if types.is(kinds.of(node[i]), "promise") then
        report_operand(node[i], report)
      end
    end
  end
end

local function check_operands(scope, report)
  for _, node in ipairs(scope.operations) do
    check_operation(node, report)
  end
  for _, loop in ipairs(scope.loops) do
    for i = 2, loop.tag == "Fornum" and #loop - 1 or 0 do
      if types.is(kinds.of(loop[i]), "promise") then
        report_operand(loop[i], report)
      end
    end
  end
end

---- T104: a key ----

--- A set of promises has them in variables; what is made in the brackets is nobody's.
local function check_key(key, report)
  if kinds.is_call(key) and types.is(kinds.of(key), "promise") then
    report("T104", key, wording.promise(key) .. " as a key is found by nobody: await it")
  end
end

--- Whether a variable does nothing but find fields.
local function is_only_key(var)
  for _, use in ipairs(var.uses) do
    if use.up.tag ~= "Index" or use.up[2] ~= use or use.up.is_assigned then
      return false
    end
  end
  return #var.uses > 0
end

local function check_variable_as_key(var, report)
  local value = names.only_value(var)
  local found = value and kinds.is_call(value) and is_only_key(var) and kinds.of(value)
  if types.is(found, "promise") and found.must_use then
    report("T104", var.uses[1], wording.promise(var.uses[1]) .. " is a key only: await it")
  end
end

local function check_keys(scope, report)
  for _, var in ipairs(scope.variables) do
    check_variable_as_key(var, report)
  end
  for _, node in ipairs(scope.indexes) do
    check_key(node[2], report)
  end
  for _, node in ipairs(scope.tables) do
    for _, item in ipairs(node) do
      if item.tag == "Pair" then
        check_key(item[1], report)
      end
    end
  end
end

---- T105: what promises have not ----

local function has_field(key)
  return key.tag == "String" and fields.of({ kind = "promise" }, key[1]) ~= nil
end

local function report_field(node, base, key, report)
  local name = key.tag == "String" and "'" .. key[1] .. "'" or "of that kind"
  report("T105", node, ("%s has no field %s: await it"):format(wording.promise(base), name))
end

local function check_fields(scope, report)
  for _, node in ipairs(scope.indexes) do
    if types.is(kinds.of(node[1]), "promise") and not has_field(node[2]) then
      report_field(node, node[1], node[2], report)
    end
  end
  for _, call in ipairs(scope.calls) do
    local found = kinds.of(call[1])
    if types.is(found, "promise") then
      if call.tag == "Call" then
        report("T105", call, wording.promise(call[1]) .. " is called: await it")
      elseif not has_field(call[2]) then
        report_field(call, call[1], call[2], report)
      end
    end
  end
end

local function check_loops(scope, report)
  for _, loop in ipairs(scope.loops) do
    local iterated = loop.tag == "Forin" and loop[2][1]
    local found = iterated and kinds.of(iterated)
    if types.is(found, "promise") then
      report("T105", iterated, wording.promise(iterated) .. " is no iterator: await it")
    elseif types.is_promise(calls.result_of(found, 1)) then
      report("T105", iterated, ("a loop over '%s' gets promises, and never ends")
        :format(wording.name_of(iterated)))
    end
  end
end

local function check_closed(scope, report)
  for _, var in ipairs(scope.variables) do
    local found = var.is_closed and variables.of(var)
    if types.is(found, "promise") then
      report("T105", var.node, ("the promise '%s' cannot be closed: await it"):format(var.name))
    end
  end
end

---@param scope moontide.check.Scope
---@param report moontide.check.Reporter
function M.check(scope, report)
  check_dropped(scope, report)
  check_unused(scope, report)
  check_conditions(scope, report)
  check_operands(scope, report)
  check_keys(scope, report)
  check_fields(scope, report)
  check_loops(scope, report)
  check_closed(scope, report)
end

return M
