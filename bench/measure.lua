-- What the Lua peers share: pick a benchmark by its name, measure it, print one number.
--
--   lua5.4 bench/PEER.lua              prints the names of its benchmarks
--   lua5.4 bench/PEER.lua NAME [N]     prints ns of CPU time per operation, or the row's own figure
--   lua5.4 bench/PEER.lua --once NAME [N [TIMES]]
--                                      the same of TIMES runs in a row, one unless given, without a
--                                      round before them to warm up
--
-- A benchmark is { n = operations, rounds = rounds, run = function(n) }. The best round counts.
-- `figure = true` marks one whose run(n) returns what is to be printed, bytes of one object say.

local MAX_BATCHES = 20

--- CPU seconds of `batches` runs of n operations. Starts from a collected heap, so that a round
--- does not pay for the garbage of the one before.
local function cpu_seconds(run, n, batches)
  collectgarbage()
  collectgarbage()
  local start = os.clock()
  for _ = 1, batches do run(n) end
  return os.clock() - start
end

local function measure(bench, n)
  if bench.figure then return bench.run(n or bench.n) end
  local full = bench.n
  n = n or full
  -- A small N is repeated: one batch would be too short for the clock, and too short for the
  -- collector to take part in it.
  local batches = math.max(1, math.min(MAX_BATCHES, full // n))
  local best = math.huge
  for _ = 1, bench.rounds do
    best = math.min(best, cpu_seconds(bench.run, n, batches))
  end
  return best * 1e9 / (n * batches)
end

--- Nothing is collected before: the collector has the state that a program finds.
local function measure_once(bench, n, times)
  n, times = n or bench.n, times or 1
  if bench.figure then return bench.run(n) end
  local start = os.clock()
  for _ = 1, times do bench.run(n) end
  return (os.clock() - start) * 1e9 / (n * times)
end

--- Bytes of resident memory; nil where the system does not say (anything but Linux).
local function resident()
  local f = io.open("/proc/self/statm")
  if not f then return nil end
  local _, pages = f:read("n", "n")
  f:close()
  return pages * 4096
end

local M = {}

--- What each of n objects costs that make(i) returns: bytes by Lua's own count, and bytes of
--- resident memory (C memory and the allocator's overhead included), or nil.
function M.bytes_each(n, make)
  local keep = {}
  for i = 1, n do keep[i] = false end -- the list itself is not part of the answer
  collectgarbage()
  collectgarbage()
  local count, rss = collectgarbage("count"), resident()
  for i = 1, n do keep[i] = make(i) end
  collectgarbage()
  collectgarbage()
  count = (collectgarbage("count") - count) * 1024 / n
  return count, rss and (resident() - rss) / n, keep
end

local function list(benches)
  local names = {}
  for key in pairs(benches) do names[#names + 1] = key end
  table.sort(names)
  print(table.concat(names, "\n"))
end

local function integer(text, what)
  return text and (math.tointeger(tonumber(text)) or error(what .. " must be an integer", 0))
end

function M.main(benches, args)
  local once = args[1] == "--once"
  local name, n, times = table.unpack(args, once and 2 or 1)
  if not name then return list(benches) end
  local bench = benches[name] or error("no benchmark " .. name, 0)
  n, times = integer(n, "N"), integer(times, "TIMES")
  local figure = once and measure_once(bench, n, times) or not once and measure(bench, n)
  print(string.format("%.2f", figure))
end

return M
