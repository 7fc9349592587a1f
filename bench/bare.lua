-- Peer: Lua's own coroutines, nothing else.
local dir = arg[0]:match("^(.*/)") or ""
local measure = dofile(dir .. "measure.lua")

local resume, yield, create = coroutine.resume, coroutine.yield, coroutine.create

local benches = {}

benches.pair = {
  n = 1000000, rounds = 8,
  run = function(n)
    local co = create(function() while true do yield() end end)
    for _ = 1, n do resume(co) end
  end,
}

local function suspended()
  local co = create(function() yield() end)
  resume(co)
  return co
end

benches.suspended_count = {
  n = 100000, figure = true,
  run = function(n) return (measure.bytes_each(n, suspended)) end,
}

benches.suspended_rss = {
  n = 100000, figure = true,
  run = function(n) return (select(2, measure.bytes_each(n, suspended))) end,
}

measure.main(benches, arg)
