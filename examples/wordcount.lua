-- Counts lines, words and bytes, many files at a time:
--
--   moontide examples/wordcount.lua [--concurrency N] PATH...
--
-- A PATH may be a directory: all files below it count, links do not. A line for each PATH and a
-- total are printed as wc does. What cannot be read gives a line on stderr and, in the end, the
-- exit code 1.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await, Promise = tide.async, tide.await, tide.Promise

local EXIT_FAILED, EXIT_USAGE = 1, 64

local function usage()
  io.stderr:write("usage: wordcount.lua [--concurrency N] PATH...\n")
  os.exit(EXIT_USAGE)
end

local function parse(args)
  local concurrency, first = 16, 1
  if args[1] == "--concurrency" then
    concurrency = math.tointeger(tonumber(args[2]))
    first = 3
  end
  if not concurrency or concurrency < 1 or not args[first] then usage() end
  return concurrency, table.move(args, first, #args, 1, {})
end

--- Returns a function that awaits f(...), but lets only n such calls be in flight. It matters for
--- trees: every open file costs a descriptor and the memory of its contents.
local function limited(n)
  local free = n
  local waiting, head, tail = {}, 1, 0

  local function release()
    if head > tail then
      free = free + 1
      return
    end
    local wake = waiting[head]
    waiting[head] = nil
    head = head + 1
    wake()
  end
  local permit = setmetatable({}, { __close = release })

  return function(f, ...)
    if free > 0 then
      free = free - 1
    else
      local turn, wake = Promise.with_resolvers()
      tail = tail + 1
      waiting[tail] = wake
      await(turn)
    end
    local _ <close> = permit
    return await(f(...))
  end
end

local concurrency, paths = parse(arg)
local call = limited(concurrency)
local failed = false

local function sum(list)
  local total = { lines = 0, words = 0, bytes = 0 }
  for i = 1, list.n do
    for key, value in pairs(list[i] or {}) do total[key] = total[key] + value end
  end
  return total
end

local function count_file(path)
  local text = call(fs.read_file, path)
  local _, lines = text:gsub("\n", "")
  local _, words = text:gsub("%S+", "")
  return { lines = lines, words = words, bytes = #text }
end

local count

local function count_directory(path)
  local entries = call(fs.scandir, path)
  local counts = { n = #entries }
  for i, entry in ipairs(entries) do
    counts[i] = entry.type ~= "link" and count(path:gsub("/$", "") .. "/" .. entry.name) or nil
  end
  return sum(await(Promise.all(counts)))
end

local function count_any(path)
  local kind = call(fs.stat, path).type
  return kind == "directory" and count_directory(path) or count_file(path)
end

--- The counts of a file or a tree; nil, and a line on stderr, when the system refuses it.
count = async(function(path)
  local ok, result = pcall(count_any, path)
  if ok then return result end
  if type(result) ~= "table" or result.name ~= "SystemError" then error(result, 0) end
  failed = true
  io.stderr:write("wordcount: ", result.message, "\n")
  return nil
end)

local function print_line(counts, name)
  print(("%7d %7d %7d %s"):format(counts.lines, counts.words, counts.bytes, name))
end

local calls = { n = #paths }
for i, path in ipairs(paths) do calls[i] = count(path) end
local counts = await(Promise.all(calls)) -- all of them are in flight

for i, path in ipairs(paths) do
  if counts[i] then print_line(counts[i], path) end
end
if #paths > 1 then print_line(sum(counts), "total") end
if failed then os.exit(EXIT_FAILED) end
