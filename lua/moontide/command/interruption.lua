--- What SIGINT and SIGTERM do to a program that the command runs.
---
--- Functions and groups that belong to no group are looked for when the signal has come: until then
--- nobody need know them. Those that are suspended are interrupted where they await; who awaits a
--- call gets what becomes of that. Those about to go on are looked at again a little later.
local core = require "moontide.core"

local M = {}

local GRACE, AGAIN = 5000, 10 -- ms

-- The signal's number and what is raised, once it has come; what it has interrupted.
local number, reason, interrupted

--- Interrupts what is not yet; `calls` has what each of them awaits.
local function interrupt(promises, calls)
  local rest = {}
  for _, promise in ipairs(promises) do
    local done, call = core.interrupt(promise, calls[promise])
    if not done then
      rest[#rest + 1] = promise
      calls[promise] = call
    end
  end
  if #rest > 0 then
    core.set_timeout(interrupt, AGAIN, rest, calls):unref()
  end
end

--- Leaves at once, whatever is still running.
local function leave()
  io.stdout:flush()
  os.exit(M.code())
end

--- The exit code, if the program was interrupted.
---@return integer?
function M.code()
  return number and 128 + number
end

--- Whether that is what the interruption raises.
---@param err any
---@return boolean
function M.is_reason(err)
  return number ~= nil and rawequal(err, reason)
end

--- From now on the signals interrupt the program.
function M.heed()
  core.heed_interruptions(function(which, why)
    number, reason = which, why
    interrupted = core.interruptible()
    core.set_timeout(leave, GRACE):unref()
    interrupt(interrupted, {})
  end)
end

--- Waits until what was interrupted is over; errors that come out of the loop are told.
---@param handler fun(err: any): any
---@param tell fun(err: any)
function M.finish(handler, tell)
  local function wait()
    while #interrupted > 0 do
      core.settle(interrupted[#interrupted])
      interrupted[#interrupted] = nil
    end
    core.step()
  end
  repeat
    local ok, err = xpcall(wait, handler)
    if not ok then
      tell(err)
    end
  until ok
end

return M
