-- Runs every example and compares what it prints with expected/NAME.txt (`make examples`). The
-- programs in README.md are examples as well, its spec too: what they print stands below them.
--
--   lua5.4 examples/check.lua [NAME...]      from the project's root
--
-- An expected file holds what tools/programs.lua makes of the output.

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

local HTTP = { "moontide.llhttp_core", "moontide.http_core", "cjson" }

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
  { name = "dashboard", needs = HTTP },
  { name = "download", args = "demo", needs = HTTP },
  { name = "json_api", args = "demo", needs = HTTP },
  { name = "json_api_signal", script = "json_api", args = "0", signal = "TERM", needs = HTTP },
  { name = "links", args = "demo", needs = HTTP },
  { name = "clock", args = "0", signal = "TERM", needs = HTTP },
  { name = "web_chat", args = "0", signal = "TERM", needs = HTTP },
  { name = "pipeline" },
  { name = "luasocket" },
  { name = "tail", shell = TAIL },
  { name = "database", needs = { "dkjson", "luasql.sqlite3" } },
}

-- Specs of a project in examples/busted, run there by busted.
local SPECS = {
  { name = "busted_retry", spec = "spec/retry_spec.lua" },
  { name = "busted_mistakes", spec = "spec/mistakes_spec.lua" },
}

local lua = arg[-1]
local programs = dofile "tools/programs.lua"

local function run_example(case)
  local script = "examples/" .. (case.script or case.name) .. ".lua"
  local command = ("'%s' bin/moontide %s %s"):format(lua, script, case.args or "")
  if case.signal then command = programs.signalled(command, case.signal) end
  return programs.output_of(case.shell and case.shell:format(command) or command)
end

--- Whether modules that the example needs are missing, which is told then.
local function is_left_out(case)
  for _, name in ipairs(case.needs or {}) do
    local _, found = pcall(require, name)
    if type(found) ~= "table" then
      print(("%s is not installed: %s is left out"):format(name, case.name))
      return true
    end
  end
  return false
end

local function run_spec(case) return programs.run_spec(lua, case.spec) end

local function run_program(program) return programs.run(lua, program.text, program.output) end

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
  if is_left_out(case) then goto continue end
  compare(case.name, programs.read("examples/expected/" .. case.name .. ".txt"), run_example, case)
  ::continue::
end

local has_busted = package.searchpath("busted.runner", package.path)
if has_busted then
  for _, case in ipairs(SPECS) do
    compare(case.name, programs.read("examples/expected/" .. case.name .. ".txt"), run_spec, case)
  end
else
  print("busted is not installed: its examples are left out")
end

--- What a program of README.md needs beyond the core.
local function needs_of(program)
  return program.text:find('"moontide.http"', 1, true) and HTTP or nil
end

for i, program in ipairs(programs.of("README.md")) do
  local case = { name = "README " .. i, needs = needs_of(program) }
  if (has_busted or not programs.is_spec(program.text)) and not is_left_out(case) then
    local expected = assert(program.output, "README.md does not say what a program prints")
    compare("README " .. i, programs.without_times(expected), run_program, program)
  end
end

print(("%d examples, %d failed"):format(ran, failed))
os.exit(failed == 0 and ran > 0, true)
