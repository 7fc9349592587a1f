--- What is awaited, but is no promise (T111), and promises that `await` and `all` do not see.
local calls = require "moontide.check.calls"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local types = require "moontide.check.types"
local wording = require "moontide.check.wording"

local M = {}

--- The name of the function of moontide's that is called: `pcall(await, ...)` calls await.
local function name_of(call)
  local standard = call.tag == "Call" and names.standard(call[1])
  local callee = (standard == "pcall" or standard == "xpcall") and call[2] and kinds.of(call[2])
    or calls.callee(call)
  return callee and callee.signature and callee.signature.name
end

---- T111: no promise ----

local function check_awaited(node, report)
  local found, name = kinds.of(node), wording.name_of(node)
  if calls.gives_promise(node) then
    report("T111", node, ("'%s' is awaited, but not called"):format(name))
  elseif types.is(found, "object") and found.class then
    report("T111", node, ("'%s' is awaited, but is no promise"):format(name))
  end
end

local function check_list(list, report)
  for _, node in ipairs(list) do
    if node.tag ~= "Pair" then
      check_awaited(node, report)
    end
  end
end

--- `async(f)` as a statement runs nothing.
local function check_made(call, report)
  if call.is_statement and calls.makes_async(call) then
    report("T111", call, "an async function is made, but not called: spawn calls it")
  end
end

---- left out ----

local function check_await(call, report)
  local arguments = calls.arguments(call)
  local is_promise = arguments[2] and types.is(kinds.of(arguments[1]), "promise")
  if is_promise and types.is(kinds.of(arguments[2]), "promise") then
    report("T103", arguments[2], "await takes one promise: join takes several")
  end
end

--- Whether a table has names only.
local function has_names(list)
  for _, item in ipairs(list) do
    if item.tag ~= "Pair" or item[1].tag ~= "String" or item[1][1] == "n" then
      return false
    end
  end
  return #list > 0
end

local function check_combination(call, report)
  local list = calls.arguments(call)[1]
  if not list or list.tag ~= "Table" then
    return
  end
  check_list(list, report)
  if has_names(list) then
    report("T112", list, ("'%s' takes a list: %s_keyed takes names"):format(wording.name_of(call),
      wording.name_of(call)))
  end
end

---@param scope moontide.check.Scope
---@param report moontide.check.Reporter
function M.check(scope, report)
  for _, call in ipairs(scope.calls) do
    local name = name_of(call)
    if name == "moontide.await" or name == "moontide.join" then
      check_list(calls.arguments(call), report)
    elseif calls.is_combination(call) then
      check_combination(call, report)
    end
    if calls.is_of(call, "moontide.await") then
      check_await(call, report)
    end
    check_made(call, report)
  end
end

return M
