--- Which functions await.
local calls = require "moontide.check.calls"
local declarations = require "moontide.check.declarations"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local types = require "moontide.check.types"

local M = {}

--- What is called: by `pcall` and `xpcall`, which can be suspended, their argument.
local function callee_of(call)
  local name = call.tag == "Call" and names.standard(call[1])
  if name == "pcall" or name == "xpcall" then
    return call[2] and kinds.of(call[2])
  end
  return calls.callee(call)
end

--- Whether a call suspends who makes it.
local function suspends(call)
  local callee = callee_of(call)
  if not types.is(callee, "function") or callee.is_async then
    return false
  elseif callee.signature then
    return callee.signature.is_async or false
  end
  return callee.node ~= nil and M.place_in(callee.node) ~= nil
end

--- Whether a loop is over a queue, a server or the like, whose items it awaits.
local function is_awaiting(loop)
  local iterated = loop.tag == "Forin" and kinds.of(loop[2][1])
  local class = iterated and iterated.class and declarations.class(iterated.class)
  return class ~= nil and class ~= false and class.call ~= nil
end

local function find(fn)
  for _, call in ipairs(fn.calls) do
    if suspends(call) then
      return call
    end
  end
  for _, loop in ipairs(fn.loops) do
    if is_awaiting(loop) then
      return loop
    end
  end
end

--- A call, or a loop, in a function that suspends it.
---@param fn moontide.check.Node
---@return moontide.check.Node?
function M.place_in(fn)
  if fn.suspending == nil then
    fn.suspending = false -- not known while it is being found out
    fn.suspending = find(fn) or false
  end
  return fn.suspending or nil
end

return M
