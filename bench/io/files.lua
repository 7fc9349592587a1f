-- What the programs that read files, and fetch, share: prints the ns of time and of CPU time, of
-- all threads, that one takes.

local PASSES = 4

--- pass() reads `count` files and returns how many bytes they have; the first pass warms up, the
--- best of the others counts. clock() is in seconds.
return function(count, clock, pass)
  local bytes, time, cpu = pass(), math.huge, math.huge
  for _ = 2, PASSES do
    collectgarbage()
    local start, cpu_start = clock(), os.clock()
    assert(pass() == bytes)
    time, cpu = math.min(time, clock() - start), math.min(cpu, os.clock() - cpu_start)
  end
  print(string.format("%.0f %.0f", time * 1e9 / count, cpu * 1e9 / count))
end
