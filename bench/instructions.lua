-- Instructions per operation beside those that bench/instructions.txt has.
--
--   lua5.4 bench/instructions.lua [ROW...]    counts and compares
--   lua5.4 bench/instructions.lua --write     counts, compares and writes the file
--   lua5.4 bench/instructions.lua --check     fails when a row has grown by more than 3 %
--
-- Run it from the project's root: `make bench-instructions` writes, `make bench-instructions-check`
-- checks.
local dir = arg[0]:match("^(.*/)") or ""
local count, tables = dofile(dir .. "count.lua"), dofile(dir .. "table.lua")

local FILE = dir .. "instructions.txt"
local MARGIN = 0.03
local lua = arg[-1]

--- Figures by row, and what they were made with.
local function read_table()
  local file <close> = io.open(FILE)
  local before, tools = {}, nil
  if not file then return before end
  for line in file:lines() do
    local row, figure = line:match("^(%S+)%s+(%d+)$")
    if row then before[row] = tonumber(figure) end
    tools = tools or line:match("^# made with (.+)$")
  end
  return before, tools
end

local function write_table(after, tools)
  local file <close> = assert(io.open(FILE, "w"))
  file:write("# Instructions per operation; README.md says how they are counted.\n")
  file:write("# Written by `make bench-instructions`.\n# made with ", tools, "\n")
  for _, row in ipairs(count.rows) do
    file:write(string.format("%-16s %7d\n", row.bench, after[row.bench]))
  end
end

local function measure(wanted)
  local after, watched = {}, os.execute("test -t 2")
  for i, row in ipairs(count.rows) do
    if not wanted or wanted[row.bench] then
      if watched then
        io.stderr:write(string.format("\r\27[K%d of %d: %s", i, #count.rows, row.bench))
      end
      after[row.bench] = math.floor(count.per_operation(lua, row) + 0.5)
    end
  end
  if watched then io.stderr:write("\r\27[K") end
  return after
end

--- Prints rows, before, after and %; how many are within the margin, and how many are not.
local function compare(before, after)
  local lines = {
    { "instructions per operation", "before", "after", "%", "" },
    { "---", "---:", "---:", "---:", "---" },
  }
  local within, above = 0, 0
  for _, row in ipairs(count.rows) do
    local old, new = before[row.bench], after[row.bench]
    if new then
      local growth = old and new / old - 1
      local bad = not growth or growth > MARGIN
      if bad then above = above + 1 else within = within + 1 end
      lines[#lines + 1] = {
        row.bench, tables.digits(old), tables.digits(new),
        growth and string.format("%+.1f", growth * 100) or "",
        not old and "not in the table" or bad and "grown" or "",
      }
    end
  end
  tables.print(lines)
  return within, above
end

local function check(within, above, before_tools, tools)
  if before_tools ~= tools then
    print(string.format("\nNot judged: the table was made with %s; here are %s.",
      before_tools or "nothing", tools))
    return
  end
  -- .ci/run reads this line.
  print(string.format("\n%d rows within bounds, %d above", within, above))
  if above == 0 then return end
  print("A growth that is meant changes the table in the same commit, which says why:\n"
    .. "make bench-instructions")
  os.exit(1)
end

local mode = arg[1] and arg[1]:match("^%-%-(.+)$")
local wanted
for i = mode and 2 or 1, #arg do
  wanted = wanted or {}
  wanted[arg[i]] = count.find(arg[i]) and true or error("no row " .. arg[i], 0)
end
if mode and (mode ~= "write" and mode ~= "check" or wanted) then
  error("usage: lua5.4 bench/instructions.lua [--check | --write | ROW...]", 0)
end
if not count.is_possible() then error("it takes valgrind, and `make` to have built seed.so", 0) end

local before, before_tools = read_table()
local tools = count.tools(lua)
local after = measure(wanted)
print(tools .. "\n")
local within, above = compare(before, after)
if mode == "check" then check(within, above, before_tools, tools) end
if mode == "write" then write_table(after, tools) end
