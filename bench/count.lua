-- Counts the instructions of one operation of bench/moontide.lua's, by valgrind's callgrind: the
-- difference of a long run and a short one, by how many operations more the long one has.
--
-- What else decides how many there are is held fast: addresses, environment, and the seed of Lua's
-- string hashes, which comes of the time. The mean over several seeds is taken, so that a new name
-- somewhere, which makes other strings collide, counts for little.

local SEEDS = { 1, 2, 3 }
local SEED_LIBRARY = "build/bench/seed.so"

---@class bench.Counted
---@field bench string
---@field n integer operations of one round: few, so that what is alive at a time stays the same
---@field rounds integer of the short run
---@field more integer rounds that the long run has more

local M = {}

---@type bench.Counted[]
M.rows = {
  { bench = "await_nil", n = 1000, rounds = 2, more = 20 },
  { bench = "await_settled", n = 1000, rounds = 2, more = 20 },
  { bench = "await_pending", n = 1000, rounds = 2, more = 10 },
  { bench = "call", n = 1000, rounds = 2, more = 10 },
  { bench = "call_pending", n = 1000, rounds = 2, more = 10 },
  { bench = "chain", n = 1000, rounds = 2, more = 10 },
  { bench = "all", n = 1000, rounds = 2, more = 10 },
  { bench = "throw_catch", n = 200, rounds = 2, more = 10 },
  { bench = "group_empty", n = 200, rounds = 2, more = 10 },
  { bench = "timeout", n = 200, rounds = 2, more = 10 },
  { bench = "group_spawn", n = 200, rounds = 2, more = 10 },
  { bench = "group_cancel", n = 200, rounds = 2, more = 10 },
  { bench = "queue", n = 1000, rounds = 1, more = 4 },
  { bench = "generator", n = 1000, rounds = 1, more = 4 },
  { bench = "fs_stat", n = 200, rounds = 2, more = 10 },
  { bench = "fs_stat_group", n = 200, rounds = 2, more = 10 },
}

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  return pipe:close() and text or nil
end

--- Valgrind gives addresses of its own, but where it lies itself is the system's choice.
local fixed = output_of("setarch -R true 2>/dev/null") and "setarch -R " or ""

--- Paths are relative, so that a checkout elsewhere has an environment of the same size.
local function start(lua, bench, n, rounds, seed)
  return assert(io.popen(table.concat({
    fixed .. "env -i LD_PRELOAD=./" .. SEED_LIBRARY,
    "BENCH_TIME=" .. seed,
    "UV_THREADPOOL_SIZE=1",
    "LUA_PATH='./lua/?.lua;./lua/?/init.lua' LUA_CPATH='./build/release/?.so'",
    "\"$(command -v valgrind)\" --tool=callgrind --callgrind-out-file=/dev/null",
    "\"$(command -v " .. lua .. ")\" bench/moontide.lua --once",
    bench, n, rounds, "2>&1",
  }, " ")))
end

local function finish(pipe)
  local text = pipe:read("a")
  local count = pipe:close() and text:match("Collected%s*:%s*(%d+)")
  return count and math.tointeger(count) or error("callgrind: " .. text, 0)
end

--- Whether there is all that counting takes.
function M.is_possible()
  local library = io.open(SEED_LIBRARY)
  if library then library:close() end
  return library ~= nil and output_of("valgrind --version 2>/dev/null") ~= nil
end

--- Instructions of one operation; lua is a command.
---@param lua string
---@param row bench.Counted
---@return number
function M.per_operation(lua, row)
  local sum = 0
  for _, seed in ipairs(SEEDS) do
    local short = start(lua, row.bench, row.n, row.rounds, seed)
    local long = start(lua, row.bench, row.n, row.rounds + row.more, seed)
    short, long = finish(short), finish(long)
    sum = sum + (long - short) / (row.n * row.more)
  end
  return sum / #SEEDS
end

---@param bench string
---@return bench.Counted?
function M.find(bench)
  for _, row in ipairs(M.rows) do
    if row.bench == bench then return row end
  end
end

--- What makes the machine code, and whose code is counted besides moontide's.
function M.tools(lua)
  local function word(command, pattern)
    return ((output_of(command .. " 2>/dev/null") or ""):match(pattern or "%S+") or "unknown")
  end
  local cc = os.getenv("CC") or "cc"
  local clang = output_of("echo __clang__ | " .. cc .. " -E -P - 2>/dev/null") == "1\n"
  local flags = (" " .. (os.getenv("CFLAGS") or "-O2")):gsub("%s+$", "")
  return table.concat({
    (clang and "clang " or "gcc ") .. word(cc .. " -dumpfullversion -dumpversion") .. flags,
    "Lua " .. word(lua .. " -v", "%d+%.%d+%.%d+"),
    "libuv " .. word("pkg-config --modversion libuv"),
    word("getconf GNU_LIBC_VERSION", "[^\n]+"),
    word("uname -m"),
  }, ", ")
end

return M
