--- Handlers of `next`, `catch` and `finally`.
local calls = require "moontide.check.calls"
local kinds = require "moontide.check.kinds"
local promises = require "moontide.check.promises"
local types = require "moontide.check.types"
local wording = require "moontide.check.wording"

local M = {}

---- T108: a missing return ----

--- Whether somebody waits for what the chain makes of its handler's result.
local function is_waited_for(chain)
  return not chain.is_statement
end

--- The last statement of a handler starts something, and nobody gets its promise.
local function check_return(call, report)
  local chain = call.is_statement and promises.is_end_of_handler(call)
  local found = chain and kinds.of(call)
  if not types.is(found, "promise") then
    return
  elseif found.must_use or promises.is_chain(call) and is_waited_for(chain) then
    report("T108", call, ("the handler of '%s' does not return %s"):format(chain[2][1],
      wording.promise(call)))
  end
end

---- T110: an empty handler ----

--- Whether nothing is in the function, not even a comment on why.
local function is_empty(fn, chars)
  return fn.tag == "Function" and #fn[2] == 0
    and not chars:get_substring(fn.offset, fn.end_offset):find("--", 1, true)
end

--- The handler of failures among a call's arguments.
local function handler_of(call)
  local arguments = calls.arguments(call)
  if call.tag == "Invoke" and promises.is_chain(call) then
    return call[2][1] == "catch" and arguments[1] or call[2][1] == "next" and arguments[2]
  end
  return calls.is_of(call, "moontide.on_unhandled_rejection") and arguments[1]
end

local function check_handler(call, chars, report)
  local handler = handler_of(call)
  if handler and is_empty(handler, chars) then
    report("T110", handler, "an empty handler swallows every error")
  end
end

---@param scope moontide.check.Scope
---@param report moontide.check.Reporter
function M.check(scope, report)
  for _, call in ipairs(scope.calls) do
    check_return(call, report)
    check_handler(call, scope.text.chars, report)
  end
end

return M
