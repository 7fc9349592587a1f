-- S64: work for the processor blocks everything else. An async function is no thread.
local tide = require "moontide"
local async, await = tide.async, tide.await

local CHUNK = 5 -- ms of work between two turns of the loop

local function work_for(ms)
  local start = tide.now()
  while tide.now() - start < ms do end
end

-- wrong: async, but without a pause; and an await of what is already there is no pause either, for
-- microtasks come before timers
local crunch_wrong = async(function(chunks)
  for _ = 1, chunks do
    work_for(CHUNK)
    await(nil)
  end
end)

-- right: lets a whole turn of the loop pass now and then
local crunch = async(function(chunks)
  for _ = 1, chunks do
    work_for(CHUNK)
    await(tide.yield())
  end
end)

--- How often a timer gets its turn while f works.
local function ticks_during(f)
  local ticks = 0
  local timer = tide.set_interval(function() ticks = ticks + 1 end, 1)
  await(f(20))
  tide.clear_interval(timer)
  return ticks
end

print("wrong: the interval fired meanwhile: " .. tostring(ticks_during(crunch_wrong) > 0))
print("right: the interval fired meanwhile: " .. tostring(ticks_during(crunch) > 10))
