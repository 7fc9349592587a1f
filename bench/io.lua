-- The rows about input and output: programs of moontide's and of others, in bench/io/, each in a
-- process of its own. run.lua asks for them; README.md says what they do.
local dir = arg[0]:match("^(.*/)") or ""
local tables = dofile(dir .. "table.lua")

local ROUNDS = 7
local WARM_UP_MS, MS = 200, 500 -- of an echo server, in each round
local CONNECTIONS, SIZE = 64, 64
local BULK = 1 << 30
local FILES, FILE_SIZE, AT_ONCE = 10000, 1024, 64
local SERVED = 1 << 20 -- bytes of the file that is served
local SLEEPERS = 1000 -- connections whose handlers sleep
local REQUESTS = 1000000 -- after which a server is to have the memory that it had before
local FETCHES = 20000
local IDLE = 5000
local LIMIT_S = 900 -- no process outlives that

---@class bench.Contender
---@field what string
---@field command string
---@field target? number of moontide's figure, as a multiple of this one's; servers': by CPU time
---@field rate? number the same by time, where a server has a target by that as well
---@field limit? number of the figure itself
---@field pid? integer of a server that runs, and
---@field port? integer where it listens
---@field figures number[][] one entry a round: two numbers, by time and by CPU time mostly

---@class bench.Workload
---@field name string
---@field what string with the unit of the figures
---@field contenders bench.Contender[] the first one is moontide
---@field more? boolean the more the better: targets are the least
---@field rounds? integer
---@field by_cpu? boolean whether targets are of CPU time, though contenders are no servers
---@field figures? string[] what the two are called, where not `by time` and `by CPU time`
---@field prepare? fun(session: bench.Session): string the last argument of all commands
---@field load? fun(server: bench.Contender): string the command that prints the figures of a
--- server; without it, contenders are no servers and print them themselves

---- processes ----

local function succeeds(command) return (os.execute("(" .. command .. ") >/dev/null 2>&1")) end

local pinned = succeeds "taskset -c 0 true && taskset -c 1 true"
local limited = succeeds "timeout --foreground 1 true"

--- Servers have one core, what loads them has another, where there are two.
local function on_core(core, command)
  return pinned and string.format("taskset -c %d %s", core, command) or command
end

local function open(command)
  if limited then command = string.format("timeout --foreground %d %s", LIMIT_S, command) end
  return assert(io.popen("exec " .. command))
end

--- The numbers that a command prints; none if it fails.
local function numbers_of(command)
  local pipe, numbers = open(command), {}
  for word in pipe:read("a"):gmatch("%S+") do numbers[#numbers + 1] = tonumber(word) end
  return pipe:close() and numbers or {}
end

---@class bench.Session
---@field start fun(command: string): integer?, integer? pid and port of a server
---@field finally fun(f: function)

--- Ends what it has started, and calls what was given to `finally`, when the variable is left.
---@return bench.Session
local function new_session()
  local endings = {}
  local session = {}

  function session.finally(f) table.insert(endings, f) end

  --- Starts a server, which prints its port; its pid and port, or nothing if it does not start.
  function session.start(command)
    local pipe = open([[sh -c 'echo $$; exec "$0" "$@"' ]] .. on_core(0, command))
    local pid, port = pipe:read("n", "n")
    if not port then return nil end
    session.finally(function()
      os.execute("kill " .. pid)
      pipe:close()
    end)
    return pid, port
  end

  return setmetatable(session, {
    __close = function()
      for _, f in ipairs(endings) do f() end
    end,
  })
end

---- rounds ----

local function measure(workload, contender, argument)
  if not workload.load then return numbers_of(contender.command .. argument) end
  return contender.pid and numbers_of(workload.load(contender)) or {}
end

local function run(workload, rounds)
  local session <close> = new_session()
  local argument = workload.prepare and " " .. workload.prepare(session) or ""
  for _, contender in ipairs(workload.contenders) do
    contender.figures = {}
    if workload.load then
      contender.pid, contender.port = session.start(contender.command .. argument)
    end
  end
  for round = 1, workload.rounds or rounds do
    for _, contender in ipairs(workload.contenders) do
      contender.figures[round] = measure(workload, contender, argument)
    end
  end
end

---- the table ----

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

--- The median over the rounds of what f makes of a round's figures of this and of another one.
local function over_rounds(contender, other, f)
  local values = {}
  for round, figures in ipairs(contender.figures) do
    values[#values + 1] = f(figures, other.figures[round])
  end
  return median(values)
end

local function figure_of(contender, i)
  return over_rounds(contender, contender, function(own) return own[i] end)
end

local function ratio_of(contender, other, i)
  return over_rounds(contender, other, function(own, its)
    return own[i] and its[i] and own[i] / its[i]
  end)
end

--- The target and whether it was reached.
local function judge(figure, target, sign, unit)
  if not target or not figure then return "", "" end
  local excess = sign == "≥" and 1 - figure / target or figure / target - 1
  local verdict = excess <= 0 and "reached"
    or string.format("missed by %.0f %%", math.ceil(excess * 100))
  return sign .. " " .. (target < 100 and target or tables.digits(target)) .. unit, verdict
end

local function line_of(workload, contender)
  local own, by_time, by_cpu = workload.contenders[1], "", ""
  local figure = figure_of(contender, 1)
  local target, verdict = judge(figure, contender.limit, "≤", "")
  if contender ~= own then
    local ratio, ratio_cpu = ratio_of(own, contender, 1), ratio_of(own, contender, 2)
    by_time = ratio and string.format("%.2f", ratio) or ""
    by_cpu = ratio_cpu and string.format("%.2f", ratio_cpu) or ""
    local sign = workload.more and "≥" or "≤"
    local judged = (workload.load or workload.by_cpu) and ratio_cpu or ratio
    target, verdict = judge(judged, contender.target, sign, " ×")
    if contender.rate then
      local rate, reached = judge(ratio, contender.rate, sign, " × by time")
      target = target == "" and rate or target .. ", " .. rate
      verdict = (verdict == "" or verdict == "reached") and reached or verdict
    end
  end
  return { contender.what, tables.digits(figure), tables.digits(figure_of(contender, 2)),
    by_time, by_cpu, target, verdict }
end

local function print_workload(workload)
  local skipped = {}
  local first, second = table.unpack(workload.figures or { "by time", "by CPU time" })
  local lines = {
    { workload.what, first, second, "moontide : it", "by CPU time", "target", "" },
    { "---", "---:", "---:", "---:", "---:", "---:", "---" },
  }
  for _, contender in ipairs(workload.contenders) do
    local list = figure_of(contender, 1) and lines or skipped
    list[#list + 1] = list == lines and line_of(workload, contender) or contender.what
  end
  print()
  tables.print(lines)
  if #skipped > 0 then print("\nNot here, or failed: " .. table.concat(skipped, "; ") .. ".") end
end

---- the workloads ----

--- What loads a server with round trips of that kind.
local function ping_pong(kind, connections)
  return function(server)
    return on_core(1, string.format("build/bench/load %d %d %d %d %d %s", server.port, server.pid,
      connections or CONNECTIONS, WARM_UP_MS, MS, kind))
  end
end

local echo, framed = ping_pong("echo " .. SIZE), ping_pong("websocket " .. SIZE)

local function send(proxy)
  return on_core(1, string.format("build/bench/bulk source %d %d %d", proxy.port, proxy.pid, BULK))
end

--- Starts what a proxy sends to; its port.
local function start_sink(session)
  local _, port = session.start("build/bench/bulk sink")
  return port or error("build/bench/bulk does not run: `make bench` builds it", 0)
end

--- Makes the files that are to be read; the arguments that say which.
local function make_files(session)
  local pipe = assert(io.popen("mktemp -d"))
  local directory = assert(pipe:read("l"))
  pipe:close()
  session.finally(function() os.execute("rm -r '" .. directory .. "'") end)
  for i = 1, FILES do
    local file <close> = assert(io.open(directory .. "/" .. i, "w"))
    file:write(string.rep("x", FILE_SIZE))
  end
  return string.format("'%s' %d %d", directory, FILES, AT_ONCE)
end

--- Makes the file that is served; its path.
local function make_file(session)
  local path = os.tmpname()
  session.finally(function() os.remove(path) end)
  local file <close> = assert(io.open(path, "w"))
  file:write(string.rep("x", SERVED))
  return path
end

--- Starts nginx, which replies with a few bytes; the arguments of who fetches them.
local function start_nginx(session)
  local pipe = assert(io.popen("mktemp -d"))
  local directory = assert(pipe:read("l"))
  pipe:close()
  session.finally(function() os.execute("rm -r '" .. directory .. "'") end)
  local port = math.random(20000, 30000)
  local file <close> = assert(io.open(directory .. "/nginx.conf", "w"))
  file:write("daemon off; master_process off; error_log stderr; events {}\n",
    "pid ", directory, "/pid;\n",
    "http { access_log off; keepalive_requests 1000000000; server {\n",
    "listen 127.0.0.1:", port, "; location / { return 200 'hello'; } } }\n")
  file:flush()
  session.start(("sh -c 'echo %d; exec nginx -p %s -c %s/nginx.conf 2>/dev/null'"):format(port,
    directory, directory))
  os.execute("sleep 1") -- it is there by then, or not at all
  return string.format("%d %d %d", port, FETCHES, AT_ONCE)
end

---@return bench.Workload[]
local function new_workloads(lua, python)
  local own, luv = lua .. " bench/io/moontide.lua ", lua .. " bench/io/luv.lua "

  local function peer(what, command, target)
    return { what = what, command = command .. " 2>/dev/null", target = target }
  end

  --- Servers that answer requests of a kind, and the targets by CPU time and by time.
  local function http(name, what, kind, target, rate, connections)
    local node = peer("node", "node bench/io/node.mjs http", target)
    node.rate = rate
    return { name = name, what = what .. " (requests per second)", more = true, prepare = make_file,
      load = ping_pong(kind, connections),
      contenders = { { what = "moontide", command = own .. "http" }, node } }
  end

  return {
    { name = "echo", what = "echo, `conn:chunks()` (round trips per second)", more = true,
      load = echo,
      contenders = {
        { what = "moontide", command = own .. "echo" },
        peer("C, libuv", "build/bench/echo", 0.85),
        peer("C, libuv, `uv_try_write`", "build/bench/echo try"),
        peer("luv, callbacks", luv .. "echo", 1),
        peer("luv, coroutines", luv .. "echo_coroutines"),
        peer("node", "node bench/io/node.mjs echo", 1),
        peer("uvloop, Protocol", python .. " bench/io/python.py echo", 1),
        peer("uvloop, streams", python .. " bench/io/python.py echo_streams"),
        peer("cqueues", lua .. " bench/io/cqueues.lua echo", 1),
      } },
    { name = "echo_serve", what = "echo, `net.serve` (round trips per second)", more = true,
      load = echo,
      contenders = {
        { what = "moontide", command = own .. "echo_serve" },
        peer("C, libuv", "build/bench/echo", 0.85),
      } },
    { name = "websocket", what = "echo, `request:websocket` (round trips per second)", more = true,
      load = framed,
      contenders = {
        { what = "moontide", command = own .. "websocket" },
        peer("node, `ws`", "node bench/io/node.mjs websocket", 1.5),
      } },
    http("http_hello", "hello, by an async handler", "GET /", 2, 1.7),
    http("http_json", "JSON in and out", "POST /json", 1 / 0.6, 1.5),
    http("http_sleep", "`await(tide.sleep(1))` in the handler, 1,000 connections", "GET /sleep",
      nil, 1.3, SLEEPERS),
    http("http_file", "a file of 1 MiB", "GET /file", nil, 1.5),
    { name = "proxy", what = "1 GiB through a proxy (MiB per second)", more = true,
      prepare = start_sink, load = send,
      contenders = {
        { what = "moontide", command = own .. "proxy" },
        peer("C, libuv", "build/bench/proxy", 0.9),
      } },
    { name = "files", what = "10,000 files, 64 at a time (ns per file)", prepare = make_files,
      contenders = {
        { what = "moontide", command = own .. "files" },
        peer("luv, callbacks", luv .. "files", 1),
      } },
    { name = "fetch", what = "20,000 fetches from nginx, 64 at a time (ns per fetch)",
      prepare = start_nginx, by_cpu = true,
      contenders = {
        { what = "moontide", command = on_core(1, own .. "fetch") },
        peer("node", on_core(1, "node bench/io/node.mjs fetch"), 0.15),
      } },
    { name = "idle", what = "an idle connection (bytes)", rounds = 1,
      figures = { "resident", "by Lua's count" },
      contenders = {
        { what = "moontide", command = own .. "idle " .. IDLE, limit = 4096 },
      } },
    { name = "idle_serve", what = "an idle connection of `net.serve` (bytes)", rounds = 1,
      figures = { "resident", "by Lua's count" },
      contenders = {
        { what = "moontide", command = own .. "idle_serve " .. IDLE, limit = 3072 },
      } },
    { name = "idle_http", what = "an idle connection of `http.serve`, after a request (bytes)",
      rounds = 1, figures = { "resident", "by Lua's count" },
      contenders = {
        { what = "moontide", command = own .. "idle_http " .. IDLE, limit = 4096 },
      } },
    { name = "http_memory", what = "hello, memory after 1,000,000 requests (% of that before)",
      rounds = 1, figures = { "resident", "MiB before" },
      contenders = {
        { what = "moontide", command = own .. "http_memory " .. REQUESTS, limit = 101 },
      } },
  }
end

local M = { names = { "echo", "echo_serve", "websocket", "http_hello", "http_json", "http_sleep",
  "http_file", "proxy", "files", "fetch", "idle", "idle_serve", "idle_http", "http_memory" } }

--- Measures the workloads that wanted[name] is true for, and prints a table of each. lua and python
--- are commands.
function M.run(wanted, rounds, lua, python)
  for _, workload in ipairs(new_workloads(lua, python)) do
    if wanted[workload.name] then
      run(workload, rounds or ROUNDS)
      print_workload(workload)
    end
  end
end

return M
