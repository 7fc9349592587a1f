-- Measures moontide and every peer on this machine, side by side, and prints one table.
--
--   lua5.4 bench/run.lua [--rounds N] [ROW...]
--
-- ROW is a benchmark's name, `scale` for what is compared with moontide itself, or one of those in
-- io.lua, which come last.
-- Run it from the project's root (`make bench` does, and sets the paths). README.md says what the
-- rows are and what the programs do.

local dir = arg[0]:match("^(.*/)") or ""
local tables, io_rows = dofile(dir .. "table.lua"), dofile(dir .. "io.lua")
local count = dofile(dir .. "count.lua")

local digits = tables.digits

local ROUNDS = 3
local SMALL, LARGE = 10000, 1000000

local function quote(s) return "'" .. s:gsub("'", [['\'']]) .. "'" end

--- What a command prints, or nil when it fails.
local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  return pipe:close() and text or nil
end

--- The Python that has uvloop, else any.
local function find_python()
  for _, probe in ipairs { "import uvloop", "import asyncio" } do
    for _, name in ipairs { "python3", "/usr/bin/python3" } do
      if output_of(name .. " -c '" .. probe .. "' 2>/dev/null") then return name end
    end
  end
  return "python3"
end

local lua, python = quote(arg[-1]), find_python()
local peers = { "moontide", "bare", "node", "luv", "asyncio", "uvloop" }
local commands = {
  moontide = lua .. " bench/moontide.lua",
  bare = lua .. " bench/bare.lua",
  node = "node --expose-gc bench/node.mjs",
  luv = lua .. " bench/luv.lua",
  asyncio = python .. " bench/python.py asyncio",
  uvloop = python .. " bench/python.py uvloop",
}

--- Those of a program that does the thing once: moontide's by the command, which has chosen its
--- collector.
local commands_once = {
  moontide = lua .. " bin/moontide bench/moontide.lua --once",
  node = "node bench/node.mjs --once",
}

---@class bench.Row
---@field what string
---@field bench string the benchmark's name, the same for all peers
---@field against? string the peer that the target is about
---@field target? number moontide's figure at most: a multiple of the peer's, or bytes
---@field bare? string the benchmark of bare.lua that stands beside it, where it has another name
---@field own? string the benchmark of moontide's own that the target is about
---@field once? boolean the first and only round of a process counts
---@field instructions? boolean it is instructions that are counted
---@field scale? boolean the peer is moontide itself with SMALL operations
---@field large? integer with how many it is compared then, where not LARGE
---@field default? integer operations of the benchmark where it is not LARGE

---@type bench.Row[]
local rows = {
  { what = "`await(nil)`", bench = "await_nil", against = "node", target = 0.5 },
  { what = "await of a settled promise", bench = "await_settled", against = "node", target = 0.6 },
  { what = "await of a pending promise, `with_resolvers` and a microtask", bench = "await_pending",
    against = "bare", target = 4, bare = "pair" },
  { what = "await of a pending promise, `await(p:next(f))`", bench = "await_next", bare = "pair" },
  { what = "call and await, never suspends", bench = "call",
    against = "bare", target = 2.2, bare = "pair" },
  { what = "call and await, one pending promise inside", bench = "call_pending",
    against = "bare", target = 7, bare = "pair" },
  { what = "the same, `await(p:next(f))` inside", bench = "call_next", bare = "pair" },
  { what = "throw and catch across an await", bench = "throw_catch",
    against = "node", target = 1.2 },
  { what = "a generator, one step", bench = "generator", against = "node", target = 3 },
  { what = "chain of 1,000,000 `p:next`", bench = "chain", against = "node", target = 1 },
  { what = "`Promise.all` over 100,000 calls", bench = "all", against = "node", target = 0.9 },
  { what = "1,000,000 sleepers of 10 ms", bench = "sleepers", against = "node", target = 0.8 },
  { what = "1,000,000 sleepers of 1 to 1,000 ms", bench = "sleepers_spread",
    against = "node", target = 0.8 },
  { what = "1,000,000 sleepers of 10 ms, once, by the command", bench = "sleepers", once = true,
    against = "node", target = 0.9 },
  { what = "a crawler's job of 20,000, once, by the command", bench = "crawler", once = true,
    against = "node", target = 1.6 },
  { what = "ns, longest pause beside 100,000 suspended functions, by the command",
    bench = "pause", once = true, against = "node", target = 1.5 },
  { what = "bytes, suspended async function (resident)", bench = "suspended_rss", target = 1350 },
  { what = "bytes, the same (Lua's count)", bench = "suspended_count", target = 1300 },
  { what = "1,000,000 timers of 10 ms", bench = "timers", against = "luv", target = 0.4 },
  { what = "1,000,000 timers of 1 to 1,000 ms", bench = "timers_spread",
    against = "luv", target = 0.4 },
  { what = "an empty group", bench = "group_empty", against = "bare", target = 20, bare = "pair" },
  { what = "`timeout(ms, f)`, f returns at once", bench = "timeout",
    against = "node", target = 3 },
  { what = "100,000 children of a group, spawned and joined", bench = "group_spawn",
    own = "all", target = 1.5 },
  { what = "100,000 children of a group, asleep for 10 ms", bench = "group_sleepers" },
  { what = "the same, cancelled", bench = "group_cancel", own = "group_sleepers", target = 1.5 },
  { what = "two functions and two queues, one hop", bench = "queue",
    against = "bare", target = 4, bare = "pair" },
  { what = "the same against node, two promises a hop", bench = "queue",
    against = "node", target = 1 },
  { what = "the same, each push awaited", bench = "queue_awaited", bare = "pair" },
  { what = "the same as children of a group", bench = "queue_group", bare = "pair" },
  { what = "instructions, `fs.stat` in a group : outside", bench = "fs_stat_group",
    own = "fs_stat", instructions = true, target = 1.15 },
  { what = "N = 1,000,000 : 10,000, `p:next`", bench = "chain", scale = true, target = 1.5 },
  { what = "N = 1,000,000 : 10,000, `Promise.all`", bench = "all", scale = true, target = 1.5,
    default = 100000 },
  { what = "N = 1,000,000 : 10,000, sleepers", bench = "sleepers", scale = true, target = 1.5 },
  { what = "N = 1,000,000 : 10,000, timers", bench = "timers", scale = true, target = 1.5 },
  { what = "N = 100,000 : 10,000, sleepers cancelled", bench = "group_cancel", scale = true,
    target = 1.5, default = 100000, large = 100000 },
}

--- The benchmarks that each peer has; none for a peer that is not on this machine.
local function find_benches()
  local has = {}
  for _, peer in ipairs(peers) do
    has[peer] = {}
    for name in (output_of(commands[peer] .. " 2>/dev/null") or ""):gmatch("%S+") do
      has[peer][name] = true
    end
  end
  if not next(has.moontide) then
    error("moontide does not load: `make bench` builds it and sets the paths", 0)
  end
  return has
end

---@class bench.Measurement
---@field what string
---@field figure fun(): number?
---@field best? number ns per operation or bytes; nil until measured, or when it failed

local function timed(command)
  return function() return tonumber(output_of(command) or "") end
end

local function counted(bench)
  return function()
    if not count.is_possible() then return nil end
    return count.per_operation(lua, count.find(bench))
  end
end

--- A measurement is made once a round, however many rows it stands in.
local function new_plan(has)
  local plan, by_key = {}, {}

  local function add(key, figure)
    if not by_key[key] then
      by_key[key] = { what = key, figure = figure }
      plan[#plan + 1] = by_key[key]
    end
    return by_key[key]
  end

  function plan.add(peer, bench, n)
    if not has[peer][bench] then return nil end
    return add(table.concat({ peer, bench, n }, " "),
      timed(table.concat({ commands[peer], bench, n }, " ")))
  end

  function plan.add_once(peer, bench)
    if not commands_once[peer] or not has[peer][bench] then return nil end
    return add(peer .. " --once " .. bench, timed(commands_once[peer] .. " " .. bench))
  end

  function plan.add_count(bench) return add("instructions " .. bench, counted(bench)) end

  return plan
end

local function measure(m)
  local figure = m.figure()
  if figure then m.best = math.min(m.best or math.huge, figure) end
end

local function plan_row(plan, row)
  row.cells = {}
  if row.scale then
    local large = row.large or LARGE
    local n = (row.default or LARGE) ~= large and large or nil
    row.cells.moontide = plan.add("moontide", row.bench, n)
    row.reference = plan.add("moontide", row.bench, SMALL)
    return
  elseif row.instructions then
    row.cells.moontide = plan.add_count(row.bench)
    row.reference = plan.add_count(row.own)
    return
  end
  local add = row.once and plan.add_once or plan.add
  for _, peer in ipairs(peers) do
    row.cells[peer] = add(peer, peer == "bare" and row.bare or row.bench)
  end
  row.reference = row.own and plan.add("moontide", row.own) or row.cells[row.against]
end

--- ratio, target and verdict of a row
local function judge(row)
  local own = row.cells.moontide and row.cells.moontide.best
  if not row.target then return "", "", "" end
  local target = row.target < 100 and "≤ " .. row.target .. " ×" or "≤ " .. digits(row.target)
  if not own then return "", target, "not measured" end
  local figure = own
  if row.target < 100 then
    local reference = row.reference and row.reference.best
    if not reference then return "", target, "no " .. (row.against or "reference") end
    figure = own / reference
  end
  local ratio = row.target < 100 and string.format("%.2f", figure) or digits(figure)
  local peer = row.against or row.own
  if peer then ratio = ratio .. " × " .. peer end
  if figure <= row.target then return ratio, target, "reached" end
  return ratio, target, string.format("missed by %.0f %%", (figure / row.target - 1) * 100)
end

local function print_table(chosen)
  local lines = {
    { "what (ns per operation)", "moontide", "bare Lua", "node", "luv", "asyncio", "uvloop",
      "ratio", "target", "" },
    { "---", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---" },
  }
  local reached, judged = 0, 0
  for _, row in ipairs(chosen) do
    local line = { row.what }
    for _, peer in ipairs(peers) do
      line[#line + 1] = digits(row.cells[peer] and row.cells[peer].best)
    end
    local ratio, target, verdict = judge(row)
    if target ~= "" then judged = judged + 1 end
    if verdict == "reached" then reached = reached + 1 end
    table.move({ ratio, target, verdict }, 1, 3, #line + 1, line)
    lines[#lines + 1] = line
  end
  tables.print(lines)
  print(string.format("\n%d of %d targets reached.", reached, judged))
end

local function machine()
  local cpuinfo = io.open("/proc/cpuinfo")
  local model = cpuinfo and cpuinfo:read("a"):match("model name%s*:%s*([^\n]+)")
  if cpuinfo then cpuinfo:close() end
  local parts = { model or "unknown CPU", _VERSION }
  local function version(name, command)
    local text = output_of(command .. " 2>/dev/null")
    if text and text ~= "" then parts[#parts + 1] = name .. " " .. text:gsub("%s+$", "") end
  end
  version("node", "node --version")
  version("libuv of luv", lua .. [[ -e 'print(require"luv".version_string())']])
  version("Python", python .. [[ -c 'import platform; print(platform.python_version())']])
  version("uvloop", python .. [[ -c 'import uvloop; print(uvloop.__version__)']])
  return table.concat(parts, ", ")
end

local function parse(args)
  local rounds, wanted = nil, nil
  local i = 1
  while args[i] do
    if args[i] == "--rounds" then
      rounds = math.tointeger(tonumber(args[i + 1]))
      if not rounds or rounds < 1 then error("--rounds wants a number", 0) end
      i = i + 1
    else
      wanted = wanted or {}
      wanted[args[i]] = true
    end
    i = i + 1
  end
  return rounds, wanted
end

--- Takes turns until every measurement of the plan has been made so many times.
local function measure_all(plan, rounds)
  local watched = os.execute("test -t 2")
  for round = 1, rounds do
    for i, m in ipairs(plan) do
      if watched then
        io.stderr:write(string.format("\r\27[Kround %d of %d, %d of %d: %s", round, rounds, i,
          #plan, m.what))
      end
      measure(m)
    end
  end
  if watched then io.stderr:write("\r\27[K") end
end

--- The rows that are wanted, planned.
local function choose(wanted)
  local chosen, plan = {}, nil
  for _, row in ipairs(rows) do
    if not wanted or wanted[row.scale and "scale" or row.bench] then
      plan = plan or new_plan(find_benches())
      plan_row(plan, row)
      chosen[#chosen + 1] = row
    end
  end
  return chosen, plan
end

local rounds, wanted = parse(arg)
local io_wanted = {}
for _, name in ipairs(io_rows.names) do io_wanted[name] = not wanted or wanted[name] or nil end
local chosen, plan = choose(wanted)
if #chosen == 0 and not next(io_wanted) then error("no such row", 0) end

print(machine())
if plan then
  measure_all(plan, rounds or ROUNDS)
  print()
  print_table(chosen)
end
io_rows.run(io_wanted, rounds, lua, python)
