--- Calls: what is called, with which arguments, and what it returns.
local annotated = require "moontide.check.annotated"
local declarations = require "moontide.check.declarations"
local fields = require "moontide.check.fields"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local types = require "moontide.check.types"

local M = {}

local promise = types.promise

--- The arguments of a call, without what a method is called on.
---@param call moontide.check.Node
---@return moontide.check.Node[]
function M.arguments(call)
  if not call.arguments then
    call.arguments = table.move(call, call.tag == "Invoke" and 3 or 2, #call, 1, {})
  end
  return call.arguments
end

---- what is called ----

--- Whether two functions both give promises that have to be taken, or both do not.
local function are_alike(one, other)
  local given, others = M.result_of(one, 1), M.result_of(other, 1)
  return types.is(other, "function")
    and (types.is_promise(given) and given.must_use or false)
      == (types.is_promise(others) and others.must_use or false)
end

--- The method that is called. Of an object that may have others than its class, only what methods
--- of that name have in common everywhere in the file.
local function find_method(call)
  local base, name = kinds.of(call[1]), call[2][1]
  local found = fields.at(call[1], name)
  for _, definition in ipairs(found and base.is_partial and call.scope.fields[name] or {}) do
    local other = definition.value and kinds.nth(definition.value, definition.nth)
    if not are_alike(found, other) then
      return nil
    end
  end
  return found
end

local function find_callee(call)
  if call.tag == "Invoke" then
    return find_method(call)
  end
  local callee = kinds.of(call[1])
  local class = callee and callee.class and declarations.class(callee.class)
  if class and class.call then
    local annotation = declarations.types(class.call)[1]
    return { kind = "function", annotation = annotation, is_object = true }
  end
  return callee
end

--- The type of the function that is called.
---@param call moontide.check.Node
---@return moontide.check.Type?
function M.callee(call)
  if call.callee == nil then
    call.callee = false -- not known while it is being found out
    call.callee = find_callee(call) or false
  end
  return call.callee or nil
end

local function signature_of(call)
  local callee = M.callee(call)
  return callee and callee.signature
end

--- Whether a call is one of that function of moontide's: "moontide.await".
---@param call moontide.check.Node
---@param name string
---@return boolean
function M.is_of(call, name)
  local signature = signature_of(call)
  return signature ~= nil and signature.name == name
end

--- Whether a call makes an async function.
---@param call moontide.check.Node
---@return boolean
function M.makes_async(call)
  return M.is_of(call, "moontide.async")
end

--- Whether a call is of `Promise.all` and the like, which take lists.
---@param call moontide.check.Node
---@return boolean
function M.is_combination(call)
  local signature = call.tag == "Call" and signature_of(call)
  local declared = signature and signature.parameters[1]
  return declared and signature.name:find("^moontide%.PromiseClass%.") ~= nil
    and annotated.is_list(declarations.types(declared.type)[1]) or false
end

--- Whether a call is of a function whose source is known.
---@param call moontide.check.Node
---@return boolean
function M.is_of_project(call)
  local callee = M.callee(call)
  return types.is(callee, "function") and callee.node ~= nil
end

--- The name of the function of Lua's own that is called, be it as a method of a string.
---@param call moontide.check.Node
---@return string?
function M.standard(call)
  if call.tag == "Call" then
    return names.standard(call[1])
  elseif call[2][1] == "gsub" or kinds.of(call[1]) == types.STRING then
    return "string." .. call[2][1]
  end
end

--- The annotation of the i-th argument of a call.
---@param call moontide.check.Node
---@param i integer
---@return moontide.check.Annotation?
function M.parameter(call, i)
  local callee = M.callee(call)
  if callee and callee.signature then
    local declared = callee.signature.parameters[i]
    return declared and declarations.types(declared.type)[1]
  end
  return callee and callee.annotation and callee.annotation.parameters[i]
end

---- what functions of the project return ----

--- A promise in a variable that is used elsewhere may be awaited there.
local function is_kept(node)
  while node.tag == "Paren" do
    node = node[1]
  end
  local is_used_once = node.tag == "Id" and node.var.node and #node.var.uses == 1
  return not kinds.is_call(node) and not is_used_once
end

--- Whether the end of a block cannot be reached.
local function never_ends(block)
  local last = block[#block]
  if not last then
    return false
  elseif last.tag == "If" then
    for i = 2, #last, 2 do
      if not never_ends(last[i]) then
        return false
      end
    end
    return #last % 2 == 1 and never_ends(last[#last])
  end
  return last.tag == "Return" or last.tag == "Do" and never_ends(last)
    or last.tag == "Call" and names.standard(last[1]) == "error"
    or last.tag == "While" and last[1].tag == "True"
end

local function join_returns(returns, i)
  local joined
  for k, node in ipairs(returns) do
    local found = kinds.in_list(node, i)
    if types.is(found, "promise") and node[i] and is_kept(node[i]) then
      found = { kind = "promise", result = found.result, optional = found.optional }
    end
    joined = k == 1 and found or types.join(joined, found)
  end
  return joined
end

local function find_result(fn, i)
  if #fn.returns == 0 then
    return types.NIL
  end
  local found = join_returns(fn.returns, i)
  return never_ends(fn[2]) and found or types.optional(found)
end

local function result_of_source(fn, i)
  fn.results = fn.results or {}
  if fn.results[i] == nil then
    fn.results[i] = false -- not known while it is being found out
    fn.results[i] = find_result(fn, i) or false
  end
  return fn.results[i] or nil
end

---- what any function returns ----

local function with_use(found, must_use)
  return types.is(found, "promise") and promise(found.result, must_use) or found
end

--- The i-th result of a function.
---@param callee? moontide.check.Type
---@param i integer
---@return moontide.check.Type?
function M.result_of(callee, i)
  if not types.is(callee, "function") then
    return nil
  elseif callee.is_async then
    return i == 1 and promise(M.result_of(callee.inner, 1), true) or nil
  elseif callee.node then
    return result_of_source(callee.node, i)
  elseif callee.signature then
    return with_use(annotated.nth(callee.signature.returns, i), callee.signature.must_use)
  end
  local declared = callee.annotation and annotated.type_of(callee.annotation.returns[i])
  return with_use(declared, not callee.is_object)
end

--- Whether calling what stands there gives a promise that somebody has to take.
---@param node moontide.check.Node
---@return boolean
function M.gives_promise(node)
  local given = M.result_of(kinds.of(node), 1)
  return types.is_promise(given) and given.must_use or false
end

---- results that depend on the arguments ----

local function argument(call, i)
  return kinds.in_list(M.arguments(call), i)
end

--- What `await` gives of a value.
local function awaited(found)
  if types.is(found, "promise") then
    return found.result
  end
  return found
end

local SPECIAL = {
  ["moontide.async"] = function(call, i)
    return i == 1 and { kind = "function", is_async = true, inner = argument(call, 1) } or nil
  end,
  ["moontide.spawn"] = function(call, i)
    return i == 1 and promise(awaited(M.result_of(argument(call, 1), 1))) or nil
  end,
  ["moontide.await"] = function(call, i)
    return i == 1 and awaited(argument(call, 1)) or nil
  end,
  ["moontide.Promise.await"] = function(call, i)
    return i == 1 and awaited(kinds.of(call[1])) or nil
  end,
  ["moontide.join"] = function(call, i)
    return awaited(argument(call, i))
  end,
  ["moontide.PromiseClass.resolve"] = function(call, i)
    return i == 1 and promise(awaited(argument(call, 1))) or nil
  end,
}

--- Async functions never raise.
local function protected_result(call, i)
  local callee = argument(call, 1)
  return i == 1 and types.BOOLEAN
    or types.is(callee, "function") and callee.is_async and M.result_of(callee, i - 1) or nil
end

local load_module ---@type fun(name: string, path: string): moontide.check.Scope?

--- Says how the module of that name is found, for the file of that path.
---@param load fun(name: string, path: string): moontide.check.Scope?
function M.set_loader(load)
  load_module = load
end

--- The value of a module: moontide's own by its annotations, else what its file returns.
local function required(call)
  local name = M.arguments(call)[1]
  if not name or name.tag ~= "String" then
    return nil
  elseif declarations.class(name[1]) then
    return { kind = "object", class = name[1] }
  end
  local scope = load_module(name[1], call.scope.path)
  return scope and join_returns(scope.returns, 1)
end

local function with_metatable(call)
  local object, meta = argument(call, 1), argument(call, 2)
  if not types.is(meta, "object") or object and object.kind ~= "object" then
    return nil
  end
  local is_partial = not object or object.is_partial
  object = object or {}
  return { kind = "object", node = object.node, var = object.var, meta = meta,
    is_partial = is_partial }
end

-- Functions of Lua's own.
local STANDARD = {
  require = function(call, i)
    return i == 1 and required(call) or nil
  end,
  setmetatable = function(call, i)
    return i == 1 and with_metatable(call) or nil
  end,
  assert = argument,
  pcall = protected_result,
  xpcall = protected_result,
  tostring = function()
    return types.STRING
  end,
  type = function()
    return types.STRING
  end,
}

local function result(call, i)
  local standard = call.tag == "Call" and STANDARD[names.standard(call[1])]
  if standard then
    return standard(call, i)
  end
  local signature = signature_of(call)
  local special = signature and SPECIAL[signature.name]
  if special then
    return special(call, i)
  end
  return M.result_of(M.callee(call), i)
end

kinds.define("Call", result)
kinds.define("Invoke", result)

return M
