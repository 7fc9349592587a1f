--- Arguments that a function can do nothing with: promises (T103), and what is of another kind than
--- its annotation says (T112).
local annotated = require "moontide.check.annotated"
local calls = require "moontide.check.calls"
local declarations = require "moontide.check.declarations"
local items = require "moontide.check.items"
local kinds = require "moontide.check.kinds"
local standard = require "moontide.check.standard"
local types = require "moontide.check.types"
local wording = require "moontide.check.wording"

local M = {}

---- promises ----

--- Whether the text that a call gives becomes a part of another one.
local function is_part_of_text(call)
  local up = call.up
  return up.tag == "Op" and up[1] == "concat"
    or kinds.is_call(up) and calls.standard(up) == "string.format"
end

--- Whether an argument is a variable that is used elsewhere, where the promise may be awaited.
local function is_used_elsewhere(argument)
  return argument.tag == "Id" and #argument.var.uses > 1
end

--- Whether a function of Lua's own is given a promise that it can do nothing with.
local function is_lost_in(name, call, i, argument, promise)
  if name == "string.format" and is_used_elsewhere(argument) then
    return false
  end
  return standard.takes_values(name, i)
    -- it only looks: who else could await what is made in the call?
    or standard.looks_only(name) and kinds.is_call(argument) and promise.must_use
      and call.is_statement
    or name == "tostring" and promise.must_use and is_part_of_text(call)
      and not is_used_elsewhere(argument)
end

--- A list of promises for who joins its items, or compares them in no way of the program's own.
local function check_items(call, argument, report)
  local name = calls.standard(call)
  local callback = name and standard.callback(name)
  if not name or not standard.reads_items(name) or callback and call[callback + 1] then
    return
  elseif types.is(items.of(kinds.of(argument)), "promise") then
    report("T103", argument, ("'%s' gets a list of promises: await Promise.all of it"):format(name))
  end
end

local function advice(declared)
  if declared and annotated.takes_function(declared) then
    return "it wants the function, not a call of it"
  elseif declared and annotated.is_list(declared) then
    return "it wants one list"
  end
  return "await it"
end

local function check_promise(call, i, argument, report)
  local promise = kinds.of(argument)
  local name = calls.standard(call)
  local declared = not name and calls.parameter(call, i)
  if name and is_lost_in(name, call, i, argument, promise)
    or declared and not annotated.takes_promise(declared) then
    report("T103", argument, ("%s is no argument for '%s': %s"):format(wording.promise(argument),
      wording.name_of(call), advice(declared)))
  end
end

---- options ----

--- The class of options that a table is; nil for objects with methods.
local function class_of(declared)
  local class = declared.kind == "name" and declarations.class(declared.name)
  for _, field in pairs(class and class.fields or {}) do
    if type(field) ~= "string" then
      return nil
    end
  end
  return class or nil
end

local function check_option(call, class, item, report)
  local name = item[1][1]
  local field = declarations.field(class.name, name)
  if not field then
    report("T112", item, ("'%s' has no option '%s'"):format(wording.name_of(call), name))
  elseif types.is(kinds.of(item[2]), "promise")
    and not annotated.takes_promise(declarations.types(field)[1]) then
    report("T103", item[2], ("%s is no value for the option '%s': await it")
      :format(wording.promise(item[2]), name))
  end
end

local function check_options(call, declared, argument, report)
  local class = class_of(declared)
  for _, item in ipairs(class and argument or {}) do
    if item.tag == "Pair" and item[1].tag == "String" then
      check_option(call, class, item, report)
    end
  end
end

---- functions ----

--- Whether an argument is the result of a call, and no function.
local function is_called_first(argument, found)
  return types.is(found, "value") and kinds.is_call(argument)
    and (calls.is_of_project(argument) or calls.is_of(argument, "moontide.await"))
end

local function check_kind(call, i, argument, report)
  local declared = calls.parameter(call, i)
  if not declared then
    return
  end
  local found = kinds.of(argument)
  if types.is(found, "function") and not annotated.may_take_function(declared) then
    report("T112", argument,
      ("a function is no argument #%d for '%s'"):format(i, wording.name_of(call)))
  elseif is_called_first(argument, found) and annotated.takes_function(declared) then
    report("T112", argument,
      ("'%s' wants the function, not a call of it"):format(wording.name_of(call)))
  elseif argument.tag == "Table" then
    check_options(call, declared, argument, report)
  end
end

---@param scope moontide.check.Scope
---@param report moontide.check.Reporter
function M.check(scope, report)
  for _, call in ipairs(scope.calls) do
    for i, argument in ipairs(calls.arguments(call)) do
      if types.is(kinds.of(argument), "promise") then
        check_promise(call, i, argument, report)
      else
        check_kind(call, i, argument, report)
        check_items(call, argument, report)
      end
    end
  end
end

return M
