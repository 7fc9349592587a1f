--- Waiting at top level while other things go on, which may fail.
local core = require "moontide.core"
local interruption = require "moontide.repl.interruption"

local M = {}

--- What the promise is fulfilled with; raises what it is rejected with, or the interruption. Errors
--- of others, which come out of the loop meanwhile, are told.
---@generic T
---@param promise moontide.Promise<T>
---@param handler fun(err: any): any message handler
---@param tell fun(failure: any) is given what the handler returns
---@return T
function M.wait(promise, handler, tell)
  while true do
    local ok, result = xpcall(core.await, handler, promise)
    if ok then
      return result
    elseif promise:state() ~= "pending" or interruption.is_reason(result) then
      error(result, 0)
    end
    tell(result)
  end
end

return M
