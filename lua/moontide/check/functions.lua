--- Functions that are called where they cannot do what they are for: async ones by who ignores
--- their promises, and those that await where nothing can suspend.
local calls = require "moontide.check.calls"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local project = require "moontide.check.project"
local standard = require "moontide.check.standard"
local suspension = require "moontide.check.suspension"
local types = require "moontide.check.types"
local wording = require "moontide.check.wording"

local M = {}

--- Of a function of Lua's own, which argument this is: of a method, the string is the first.
local function position_of(call, i)
  return call.tag == "Invoke" and i + 1 or i
end

---- T106: pcall ----

local function is_name(node, var)
  return node.tag == "Id" and node.var == var
end

local function is_negation(node, var)
  return node.tag == "Op" and node[1] == "not" and is_name(node[2], var)
end

--- Whether a part of an `if` is reached only where the variable is false.
local function is_branch_of_failure(statement, part, ok)
  for i = 1, #statement - 1, 2 do
    if statement[i + 1] == part then
      return is_negation(statement[i], ok)
    elseif is_name(statement[i], ok) then
      return true -- a later branch
    end
  end
  return is_name(statement[1], ok)
end

--- Whether a statement before this one leaves the block where the variable is true.
local function is_after_success(block, place, ok)
  for i = 1, place - 1 do
    local statement = block[i]
    local body = statement.tag == "If" and is_name(statement[1], ok) and statement[2]
    if body and body[#body] and body[#body].tag == "Return" then
      return true
    end
  end
  return false
end

--- Whether a node is evaluated only where the variable is false, or stands beside it in `assert`.
local function is_of_failure(node, ok)
  local up = node.up
  while up do
    if up.tag == "If" and is_branch_of_failure(up, node, ok)
      or up.tag == "Op" and up[1] == "and" and up[3] == node and is_negation(up[2], ok)
      or up.tag == "Op" and up[1] == "or" and up[3] == node and is_name(up[2], ok)
      or up.tag == "Call" and names.standard(up[1]) == "assert" and is_name(up[2], ok)
      or node.place and is_after_success(up, node.place, ok) then
      return true
    elseif up.tag == "Function" then
      return false
    end
    node, up = up, up.up
  end
  return false
end

--- Whether what a protected call has returned is used for the failure only, that never comes.
local function is_promise_lost(call)
  local up = call.up
  if call.is_statement or kinds.is_call(up) and calls.is_of(up, "moontide.await") then
    return true
  elseif up.tag ~= "Local" then
    return up.tag == "If" or up.tag == "While" or up.tag == "Op" or up.tag == "Repeat"
  elseif up[2][#up[2]] ~= call then
    return true
  end
  local ok, result = up[1][#up[2]], up[1][#up[2] + 1]
  for _, use in ipairs(result and result.var.uses or {}) do
    if not ok or not is_of_failure(use, ok.var) then
      return false
    end
  end
  return ok ~= nil
end

local function check_protected(call, report)
  local name, first = names.standard(call[1]), calls.arguments(call)[1]
  if name ~= "pcall" and name ~= "xpcall" or not first then
    return
  elseif calls.gives_promise(first) and is_promise_lost(call) then
    report("T106", call, ("%s catches nothing: '%s' returns a promise; %s(await, ...) awaits it")
      :format(name, wording.name_of(first), name))
  elseif kinds.is_call(first) and calls.is_of(first, "moontide.await") then
    report("T106", first, ("await raises before %s is called: %s(await, ...)"):format(name, name))
  end
end

---- T107: await where nothing can suspend ----

--- The function that an argument is, if its source is known.
local function source_of(argument)
  local found = kinds.of(argument)
  return types.is(found, "function") and found.node or nil
end

local function report_await(call, argument, callee, report)
  local suspending = suspension.place_in(source_of(argument))
  local is_here = argument.tag == "Function" and suspending.fn == argument
  local message = is_here and ("await cannot suspend inside %s, called at line %d")
    or ("'%s', called by %s, awaits, where it cannot suspend")
  if is_here then
    report("T107", suspending, message:format(callee, call.line))
  else
    report("T107", argument, message:format(wording.name_of(argument), callee))
  end
end

--- Whether whoever is handed the function cannot let it await: never, or not in async functions,
--- which a call in a function may be of. moontide.coroutine may have taken the place of Lua's own.
local function forbids_await(call, i)
  local name = calls.standard(call)
  if name then
    return standard.callback(name) == position_of(call, i) and call.fn ~= nil
      and not (name:find("^coroutine%.") and project.mentions("moontide.coroutine"))
  end
  local declared = calls.parameter(call, i)
  if not declared then
    return false
  elseif declared.kind == "function" then
    return not declared.is_async and call.fn ~= nil
  end
  return declared.kind == "name" and declared.name == "moontide.Callable"
end

local function check_awaits(call, report)
  for i, argument in ipairs(calls.arguments(call)) do
    local fn = source_of(argument)
    if fn and forbids_await(call, i) and suspension.place_in(fn) then
      report_await(call, argument, calls.standard(call) or wording.name_of(call), report)
    end
  end
end

--- Functions whose body is known to be that of an async function.
local function is_async_body(fn)
  local up = fn and fn.up
  return up ~= nil and up.tag == "Call" and up[2] == fn and calls.makes_async(up)
end

local function check_run(call, report)
  if is_async_body(call.fn) and calls.is_of(call, "moontide.run") then
    report("T107", call, "run cannot be called inside an async function: await the call")
  end
end

---- T109: promises that nobody looks at ----

--- Whether a function does nothing with a parameter but call it and drop what that returns.
local function drops_results_of(fn, position)
  local parameter = fn[1][position]
  local var = parameter and parameter.var
  if not var or #var.uses == 0 or #var.definitions > 0 then
    return false
  end
  for _, use in ipairs(var.uses) do
    local call = use.up
    if call.tag ~= "Call" or call[1] ~= use or not call.is_statement or call.fn ~= fn then
      return false
    end
  end
  return true
end

local function ignores(call, i)
  local name = calls.standard(call)
  if name then
    return standard.consumer(name) == position_of(call, i)
  end
  local callee = calls.callee(call)
  if not types.is(callee, "function") or callee.is_async or not callee.node then
    return false
  end
  return drops_results_of(callee.node, position_of(call, i))
end

local function check_ignored(call, report)
  for i, argument in ipairs(calls.arguments(call)) do
    if calls.gives_promise(argument) and ignores(call, i) then
      local callee = calls.standard(call) or wording.name_of(call)
      report("T109", argument, ("'%s' ignores the promises of '%s'"):format(callee,
        wording.name_of(argument)))
    end
  end
end

-- Metamethods whose results are dropped, or taken for something else.
local METAMETHODS = {
  __close = true, __gc = true, __newindex = true, __eq = true, __lt = true, __le = true,
  __tostring = true,
}

local function check_metamethods(scope, report)
  for _, node in ipairs(scope.tables) do
    for _, item in ipairs(node) do
      if item.tag == "Pair" and METAMETHODS[item[1][1]] and calls.gives_promise(item[2]) then
        report("T109", item[2], ("the promise of %s is ignored"):format(item[1][1]))
      end
    end
  end
end

---@param scope moontide.check.Scope
---@param report moontide.check.Reporter
function M.check(scope, report)
  for _, call in ipairs(scope.calls) do
    if call.tag == "Call" then
      check_protected(call, report)
    end
    check_awaits(call, report)
    check_run(call, report)
    check_ignored(call, report)
  end
  check_metamethods(scope, report)
end

return M
