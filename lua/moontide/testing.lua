--- For tests: virtual time, a moment when all is blocked, a seeded shuffle.
require "moontide.internal.version"()
local tide = require "moontide"
local core = require("moontide.core").testing

local M = {}

local Clock = { __name = "moontide.Clock" }
Clock.__index = Clock

--- Makes time virtual: it stands still, and jumps to the next timer when nothing else can happen
--- (work that I/O has to end is waited for). One at a time; it is over when it is closed.
function M.clock(options)
  if options ~= nil and type(options) ~= "table" then
    error("bad argument #1 to 'clock' (table expected, got " .. type(options) .. ")", 2)
  end
  local clock = setmetatable({ start = 0 }, Clock) -- before: without it nobody could stop the clock
  core.start_clock(not (options and options.autojump == false))
  clock.start = core.clock_ns()
  return clock
end

--- Virtual ms since the clock was made.
function Clock:elapsed()
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
function Clock:advance(ms) -- luacheck: ignore 212 (there is one clock)
  if type(ms) ~= "number" then
    error("bad argument #1 to 'advance' (number expected, got " .. type(ms) .. ")", 2)
  end
  return advance(ms)
end

function Clock:close() -- luacheck: ignore 212
  core.stop_clock()
end

Clock.__close = Clock.close

--- A promise that is fulfilled when no function can go on without I/O or time.
M.wait_all_tasks_blocked = core.blocked

--- From here on, timers due in the same ms and completions of the same poll come in an order that
--- depends on the seed; nil ends that. Returns the seed.
function M.shuffle(seed)
  if seed ~= nil and math.type(seed) ~= "integer" then
    error("bad argument #1 to 'shuffle' (integer expected, got " .. type(seed) .. ")", 2)
  end
  core.shuffle(seed)
  return seed
end

return M
