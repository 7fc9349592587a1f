-- Runs every example and compares what it prints with expected/NAME.txt (`make examples`). The
-- programs in README.md are examples as well, its spec too: what they print stands below them.
--
--   lua5.4 examples/check.lua [NAME...]      from the project's root
--
-- An expected file holds stdout; then, where there is any, a line `[stderr]` and stderr; then,
-- unless it is 0, a line `[exit CODE]`. Times read `N ms` and `N seconds` there,
-- ports `port N`.

--- A file grows, is emptied and is rotated, and the program follows it.
local TAIL = [[(
dir=$(mktemp -d); log=$dir/log
expect() { # until that line has been printed
  for _ in $(seq 200); do grep -qs "$1" "$dir/out" && return; sleep 0.05; done
  echo "no $1"
}
echo one >"$log"
%s "$log" >"$dir/out" & pid=$!
expect one; echo two >>"$log"
expect two; echo 3 >"$log"
expect 3; mv "$log" "$log.1"; echo four >>"$log.1"; echo five >"$log"
expect five; kill $pid; wait $pid 2>/dev/null; code=$?
cat "$dir/out"; rm -r "$dir"; exit $code)]]

local CASES = {
  { name = "classic_order" },
  { name = "await_and_next" },
  { name = "sequential_parallel" },
  { name = "errors" },
  { name = "mistakes_s60" },
  { name = "mistakes_s61" },
  { name = "mistakes_s62" },
  { name = "mistakes_s63" },
  { name = "mistakes_s64" },
  { name = "wordcount", args = "examples/texts examples/texts/tide.txt" },
  { name = "wordcount_one", script = "wordcount", args = "--concurrency 1 examples/texts" },
  { name = "wordcount_missing", script = "wordcount",
    args = "examples/texts examples/absent.txt examples/texts/tide.txt" },
  { name = "wordcount_usage", script = "wordcount", args = "--concurrency none examples" },
  { name = "fan_out" },
  { name = "graceful_shutdown", signal = "INT" },
  { name = "echo_server", args = "demo" },
  { name = "echo_server_signal", script = "echo_server", args = "0", signal = "INT" },
  { name = "chat_server", args = "demo" },
  { name = "proxy", args = "demo" },
  { name = "https_get", args = "demo" },
  { name = "pipeline" },
  { name = "luasocket" },
  { name = "tail", shell = TAIL },
}

-- Specs of a project in examples/busted, run there by busted.
local SPECS = {
  { name = "busted_retry", spec = "spec/retry_spec.lua" },
  { name = "busted_mistakes", spec = "spec/mistakes_spec.lua" },
}

local lua = arg[-1]

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read("a")
  f:close()
  return text
end

local function without_times(text)
  text = text:gsub("%d+ ms", "N ms"):gsub("[%d.]+ seconds", "N seconds")
  return (text:gsub("port %d+", "port N"))
end

--- What a command printed, in the form of an expected file.
local function output_of(command)
  local out, err = os.tmpname(), os.tmpname()
  local _, how, code = os.execute(("%s >%s 2>%s"):format(command, out, err))
  local text, errors = read(out), read(err)
  os.remove(out)
  os.remove(err)
  if errors ~= "" then text = text .. "[stderr]\n" .. errors end
  if how == "signal" then text = text .. "[signal " .. code .. "]\n" end
  if how == "exit" and code ~= 0 then text = text .. "[exit " .. code .. "]\n" end
  return without_times(text)
end

--- Once it has printed something, the program gets the signal.
local SIGNALLED = [[(
out=$(mktemp)
%s >"$out" & pid=$!
until [ -s "$out" ]; do sleep 0.05; done
kill -%s $pid; wait $pid; code=$?
cat "$out"; rm "$out"; exit $code)]]

local function run_example(case)
  local script = "examples/" .. (case.script or case.name) .. ".lua"
  local command = ("'%s' bin/moontide %s %s"):format(lua, script, case.args or "")
  if case.signal then command = SIGNALLED:format(command, case.signal) end
  return output_of(case.shell and case.shell:format(command) or command)
end

--- The project requires moontide, as if it were installed.
local RUN_SPEC = [[
export LUA_PATH_5_4="$PWD/lua/?.lua;$PWD/lua/?/init.lua;${LUA_PATH_5_4:-${LUA_PATH:-;}}"
export LUA_CPATH_5_4="$PWD/build/${MOONTIDE_BUILD:-release}/?.so;${LUA_CPATH_5_4:-${LUA_CPATH:-;}}"
cd examples/busted && '%s' ../../tools/busted.lua -o plainTerminal %s]]

local function run_spec(case) return output_of("(" .. RUN_SPEC:format(lua, case.spec) .. ")") end

local function is_spec(text) return text:find("%f[%w]it%(") ~= nil end

--- A program that runs the loop itself is for plain Lua, a spec for busted.
local function run_program(text)
  local name = os.tmpname()
  local path = name .. "_spec.lua"
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
  local runner = text:find("tide.run(", 1, true) and "" or "bin/moontide"
  local output = is_spec(text) and run_spec({ spec = path })
    or output_of(("'%s' %s %s"):format(lua, runner, path))
  os.remove(path)
  os.remove(name)
  return output
end

local function indented(text) return (text:gsub("[^\n]+", "    %0")) end

local wanted = {}
for _, name in ipairs(arg) do wanted[name] = true end

local ran, failed = 0, 0

local function compare(name, expected, run, subject)
  if #arg > 0 and not wanted[name] then return end
  ran = ran + 1
  local got = run(subject)
  if got == expected then
    print("ok      " .. name)
    return
  end
  failed = failed + 1
  print("FAILED  " .. name)
  print("  expected:\n" .. indented(expected) .. "  got:\n" .. indented(got))
end

for _, case in ipairs(CASES) do
  compare(case.name, read("examples/expected/" .. case.name .. ".txt"), run_example, case)
end

local has_busted = package.searchpath("busted.runner", package.path)
if has_busted then
  for _, case in ipairs(SPECS) do
    compare(case.name, read("examples/expected/" .. case.name .. ".txt"), run_spec, case)
  end
else
  print("busted is not installed: its examples are left out")
end

local programs = 0
for program, expected in read("README.md"):gmatch("```lua\n(.-)```%s*```text\n(.-)```") do
  programs = programs + 1
  if has_busted or not is_spec(program) then
    compare("README " .. programs, without_times(expected), run_program, program)
  end
end

print(("%d examples, %d failed"):format(ran, failed))
os.exit(failed == 0 and ran > 0, true)
