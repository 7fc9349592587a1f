--- For tests: virtual time, a moment when all is blocked, a seeded shuffle.
require "moontide.internal.version"()
local tide = require "moontide"
local core = require("moontide.core").testing
local argument = require "moontide.internal.argument"

local M = {}

local Clock = { __name = "moontide.Clock" }
Clock.__index = Clock

--- Makes time virtual: it stands still, and jumps to the next timer when nothing else can happen
--- (work that I/O has to end is waited for). One at a time; it is over when it is closed.
function M.clock(options)
  argument.check_options(options, { { "autojump", "boolean" } }, 1, "testing.clock")
  local clock = setmetatable({ start = 0 }, Clock) -- before: without it nobody could stop the clock
  core.start_clock(not (options and options.autojump == false))
  clock.start = core.clock_ns()
  return clock
end

--- Virtual ms since the clock was made.
function Clock:elapsed()
  argument.check_self(self, Clock, "clock:elapsed")
  return (core.clock_ns() - self.start) / 1e6 -- whole ns: a difference of floats would be rounded
end

local advance = tide.async(function(ms)
  local target = core.clock_ns() + math.ceil(ms * 1e6)
  while true do
    tide.await(core.blocked())
    local due = core.next_timer()
    if not due or due > target then
      break
    end
    core.set_clock(due)
  end
  core.set_clock(target)
end)

--- Lets ms pass: the timers due by then fire in their order, each at its time.
function Clock:advance(ms)
  argument.check_self(self, Clock, "clock:advance")
  argument.check("ms", ms, 1, "clock:advance")
  return advance(ms)
end

function Clock:close()
  argument.check_self(self, Clock, "clock:close")
  core.stop_clock()
end

Clock.__close = Clock.close

--- A promise that is fulfilled when no function can go on without I/O or time.
M.wait_all_tasks_blocked = core.blocked

--- From here on, timers due in the same ms and completions of the same poll come in an order that
--- depends on the seed; nil ends that. Returns the seed.
function M.shuffle(seed)
  argument.check("integer?", seed, 1, "testing.shuffle")
  core.shuffle(seed)
  return seed
end

return M
