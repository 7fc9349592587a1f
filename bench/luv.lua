-- Peer: luv, libuv's own binding for Lua, with coroutines written by hand.
local dir = arg[0]:match("^(.*/)") or ""
local measure = dofile(dir .. "measure.lua")
local uv = require "luv"

--- One timer as luv's documentation has it: the callback closes its handle.
local function set_timeout(f, ms)
  local timer = uv.new_timer()
  timer:start(ms, 0, function()
    timer:close()
    f()
  end)
end

local function sleep(ms)
  local co = coroutine.running()
  set_timeout(function() assert(coroutine.resume(co)) end, ms)
  coroutine.yield()
end

local function timers(delay)
  return function(n)
    local fired = 0
    local function count() fired = fired + 1 end
    for i = 1, n do set_timeout(count, delay(i)) end
    uv.run()
    assert(fired == n)
  end
end

local function sleepers(delay)
  return function(n)
    local woken = 0
    local function sleeper(i)
      sleep(delay(i))
      woken = woken + 1
    end
    for i = 1, n do coroutine.wrap(sleeper)(i) end
    uv.run()
    assert(woken == n)
  end
end

local function same() return 10 end
local function spread(i) return 1 + i % 1000 end

local million = 1000000
measure.main({
  timers = { n = million, rounds = 2, run = timers(same) },
  timers_spread = { n = million, rounds = 1, run = timers(spread) },
  sleepers = { n = million, rounds = 1, run = sleepers(same) },
  sleepers_spread = { n = million, rounds = 1, run = sleepers(spread) },
}, arg)
