--- Hints: what could run side by side.
local calls = require "moontide.check.calls"
local effects = require "moontide.check.effects"
local items = require "moontide.check.items"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local wording = require "moontide.check.wording"

local M = {}

--- The call in `await(call)`.
local function awaited_call(node)
  if node and node.tag == "Call" and #node == 2 and calls.is_of(node, "moontide.await") then
    return kinds.is_call(node[2]) and node[2] or nil
  end
end

--- Whether one of the variables is used in a part of the tree.
local function uses(node, variables)
  for _, variable in ipairs(variables) do
    for _, use in ipairs(variable.var.uses) do
      local up = use
      while up do
        if up == node then
          return true
        end
        up = up.up
      end
    end
  end
  return false
end

---- T201: one after the other ----

--- `local a = await(f())`: the call.
local function awaited_local(statement)
  return statement.tag == "Local" and statement[2] and #statement[2] == 1
    and awaited_call(statement[2][1]) or nil
end

local function report_sequence(first, second, report)
  report("T201", second, ("'%s' begins when '%s' has ended, and does not need it: join runs both")
    :format(wording.name_of(second), wording.name_of(first)))
end

local function check_pair(first, second, report)
  if effects.is_independent_call(first) and effects.is_independent_call(second) then
    report_sequence(first, second, report)
  end
end

local function check_neighbours(one, other, report)
  local first, second = awaited_local(one), awaited_local(other)
  if first and second and not uses(second, one[1]) then
    check_pair(first, second, report)
  end
end

--- `local a, b = await(f()), await(g())`
local function check_list(statement, report)
  local values = statement.tag == "Local" and statement[2] or {}
  local first, second = awaited_call(values[1]), awaited_call(values[2])
  if first and second then
    check_pair(first, second, report)
  end
end

---- T202: one item after the other ----

local function is_over_list(loop)
  return items.is_loop(loop)
    or loop.tag == "Fornum" and loop[3].tag == "Op" and loop[3][1] == "len"
end

--- `#list + 1`, or the number of the item.
local function is_place(key, loop)
  local counter = loop.tag == "Fornum" and loop[1] or loop[1][1]
  return key.tag == "Id" and key.var == counter.var
    or key.tag == "Op" and key[1] == "add" and key[2].tag == "Op" and key[2][1] == "len"
end

--- `list[i] = value` and `table.insert(list, value)`: the value, and the list.
local function collected(statement, loop)
  local target = statement.tag == "Set" and #statement[1] == 1 and statement[1][1]
  if target and target.tag == "Index" and is_place(target[2], loop) then
    return statement[2][1], target[1]
  elseif statement.tag == "Call" and names.standard(statement[1]) == "table.insert" then
    return statement[#statement], statement[2]
  end
end

--- The call in a loop that does nothing but collect what it gives, and the list.
local function collecting_call(loop)
  local body = loop[#loop]
  if #body == 0 or #body > 2 then
    return nil
  end
  local value, list = collected(body[#body], loop)
  if #body == 1 then
    return value and awaited_call(value), list
  end
  local is_same = value and value.tag == "Id" and body[1].tag == "Local"
    and body[1][1][1].var == value.var
  return is_same and awaited_local(body[1]), list
end

--- Whether the calls of a loop need nothing of what is collected there.
local function is_parallel(call, list)
  return list.tag == "Id" and not uses(call, { list }) and effects.is_independent_call(call)
end

local function check_loop(loop, report)
  if not is_over_list(loop) then
    return
  end
  local call, list = collecting_call(loop)
  if call and is_parallel(call, list) then
    report("T202", call, ("each '%s' begins when the one before has ended: map runs all of them")
      :format(wording.name_of(call)))
  end
end

---@param scope moontide.check.Scope
---@param report moontide.check.Reporter
function M.check(scope, report)
  for _, block in ipairs(scope.blocks) do
    for i, statement in ipairs(block) do
      check_list(statement, report)
      if block[i + 1] then
        check_neighbours(statement, block[i + 1], report)
      end
    end
  end
  for _, loop in ipairs(scope.loops) do
    check_loop(loop, report)
  end
end

return M
