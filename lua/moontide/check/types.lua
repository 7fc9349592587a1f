--- What is known of a value. What is not known is nil: no rule says anything of it.
local M = {}

---@class moontide.check.Type
---@field kind "promise"|"function"|"object"|"value"
---@field optional boolean? it may be nil as well
---@field result? moontide.check.Type of a promise: what it is fulfilled with
---@field must_use boolean? of a promise: what it is made by should not be called for nothing
---@field name string? of a value: "string", "nil", ...
---@field node? moontide.check.Node of a function or a table: where it is written
---@field inner? moontide.check.Type of an async function: the function that it was made of
---@field signature? moontide.check.Signature of a function that is annotated
---@field annotation? moontide.check.Annotation of a function whose type is annotated
---@field is_object boolean? of a function: it is an object that is called
---@field class? string of an object that is annotated
---@field var? moontide.check.Variable of a table: fields of this variable are its fields
---@field meta? moontide.check.Type of an object: where its methods are
---@field is_partial boolean? of an object: it may have other fields and methods as well
---@field scope? moontide.check.Scope

--- A value that is no promise, no function and no table.
---@param name string
---@return moontide.check.Type
function M.value(name)
  return { kind = "value", name = name }
end

M.NIL = M.value("nil")
M.BOOLEAN = M.value("boolean")
M.NUMBER = M.value("number")
M.STRING = M.value("string")

---@param result? moontide.check.Type
---@param must_use? boolean
---@return moontide.check.Type
function M.promise(result, must_use)
  while result and result.kind == "promise" do
    result = result.result
  end
  return { kind = "promise", result = result, must_use = must_use }
end

---@param found? moontide.check.Type
---@return moontide.check.Type?
function M.optional(found)
  if not found or found.optional or found == M.NIL then
    return found
  end
  local copy = {}
  for key, value in pairs(found) do
    copy[key] = value
  end
  copy.optional = true
  return copy
end

---@param found moontide.check.Type|false|nil
---@param kind string
---@return boolean
function M.is(found, kind)
  return found and found.kind == kind or false
end

--- Whether it is a promise and nothing else.
---@param found moontide.check.Type|false|nil
---@return boolean
function M.is_promise(found)
  return found and found.kind == "promise" and not found.optional or false
end

local function join_promises(one, other)
  local joined = M.promise(one.result == other.result and one.result or nil,
    one.must_use and other.must_use)
  return (one.optional or other.optional) and M.optional(joined) or joined
end

--- What is known of a value that may be the one or the other.
---@param one? moontide.check.Type
---@param other? moontide.check.Type
---@return moontide.check.Type?
function M.join(one, other)
  if not one or not other then
    return nil
  elseif one == M.NIL then
    return M.optional(other)
  elseif other == M.NIL then
    return M.optional(one)
  elseif one.kind ~= other.kind then
    return nil
  elseif one.kind == "promise" then
    return join_promises(one, other)
  elseif one.kind == "value" then
    return one.name == other.name and one or M.value("value")
  elseif one.class and one.class == other.class then
    return one.optional and one or other
  end
  return one == other and one or nil
end

return M
