--- What Ctrl-C does in the REPL: it ends what is being typed, or what that runs, and the program
--- goes on. The await of the top level raises an AbortError; the call or group that it awaits is
--- interrupted, and what that awaits in turn, as by the signal that ends a script. All else is left
--- alone. What catches the error is ended by the next Ctrl-C. SIGTERM ends the program.
local core = require "moontide.core"

local M = {}

local SIGINT <const>, AGAIN <const> = 2, 10 -- AGAIN: ms

local reason
local times = 0 -- since the session has had its turn

--- Interrupts the call at the end of those that await one another; a little later, if that is just
--- about to go on. What awaits something else that is no operation is interrupted itself. Returns
--- whether the promise could be.
local function interrupt(promise)
  local done, call = core.interrupt(promise)
  if done == false and not call then
    core.set_timeout(interrupt, AGAIN, promise):unref()
  elseif done == false and not interrupt(call) then
    core.interrupt(promise, promise)
  end
  return done ~= nil
end

--- Cancels the group in which a function runs that does not come back.
local function interrupt_running()
  local _, is_main = coroutine.running()
  local scope = not is_main and core.current_scope()
  if scope then
    core.interrupt(scope)
  end
end

--- Whether that is what the last interruption raises.
---@param err any
---@return boolean
function M.is_reason(err)
  return reason ~= nil and rawequal(err, reason)
end

--- The session has its turn: nothing is left of what was interrupted.
function M.rest()
  times = 0
  core.insist(false)
end

--- From now on Ctrl-C does that.
function M.heed()
  core.heed_interruptions(function(number, why)
    if number ~= SIGINT then
      os.exit(128 + number, true)
    end
    reason, times = why, times + 1
    core.insist(times > 1)
    interrupt_running()
    local awaited = core.awaited_on_top()
    if awaited then
      interrupt(awaited)
    end
    return true
  end, true)
end

return M
