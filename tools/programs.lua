-- Programs in the text of documents, and what programs print: for examples/check.lua and
-- spec/cross/documents_spec.lua, from the project's root.
local M = {}

function M.read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read("a")
  f:close()
  return text
end

--- Times read `N ms` and `N seconds` in what is expected, ports `port N`.
function M.without_times(text)
  text = text:gsub("%d+ ms", "N ms"):gsub("[%d.]+ seconds", "N seconds")
  return (text:gsub("port %d+", "port N"))
end

--- What a command printed: stdout; then, where there is any, a line `[stderr]` and stderr; then,
--- unless it is 0, a line `[exit CODE]`.
function M.output_of(command)
  local out, err = os.tmpname(), os.tmpname()
  local _, how, code = os.execute(("%s >%s 2>%s"):format(command, out, err))
  local text, errors = M.read(out), M.read(err)
  os.remove(out)
  os.remove(err)
  if errors ~= "" then text = text .. "[stderr]\n" .. errors end
  if how == "signal" then text = text .. "[signal " .. code .. "]\n" end
  if how == "exit" and code ~= 0 then text = text .. "[exit " .. code .. "]\n" end
  return M.without_times(text)
end

local SIGNALLED = [[(
out=$(mktemp)
%s >"$out" & pid=$!
until [ -s "$out" ]; do sleep 0.05; done
kill -%s $pid; wait $pid; code=$?
cat "$out"; rm "$out"; exit $code)]]

--- Once it has printed something, the command gets the signal.
function M.signalled(command, signal) return SIGNALLED:format(command, signal) end

--- The project requires moontide, as if it were installed.
local RUN_SPEC = [[(
export LUA_PATH_5_4="$PWD/lua/?.lua;$PWD/lua/?/init.lua;${LUA_PATH_5_4:-${LUA_PATH:-;}}"
export LUA_CPATH_5_4="$PWD/build/${MOONTIDE_BUILD:-release}/?.so;${LUA_CPATH_5_4:-${LUA_CPATH:-;}}"
cd examples/busted && '%s' ../../tools/busted.lua -o plainTerminal %s)]]

function M.run_spec(lua, path) return M.output_of(RUN_SPEC:format(lua, path)) end

function M.is_spec(text) return text:find("%f[%w]it%(") ~= nil end

local CHECK = "$ moontide check app.lua\n"

--- A program that runs the loop itself is for plain Lua, a spec for busted; one that catches
--- signals gets one. In what it prints it is app.lua. Where what is expected begins with that
--- command, the program is checked, not run.
function M.run(lua, text, expected)
  local name = os.tmpname()
  local path = name .. "_spec.lua"
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
  local is_checked = expected and expected:sub(1, #CHECK) == CHECK
  local runner = is_checked and "bin/moontide check" or text:find("tide.run(", 1, true) and ""
    or "bin/moontide"
  local command = ("'%s' %s %s </dev/null"):format(lua, runner, path)
  if text:find("tide.signal(", 1, true) then command = M.signalled(command, "TERM") end
  local output = M.is_spec(text) and M.run_spec(lua, path) or M.output_of(command)
  output = (is_checked and CHECK or "") .. output:gsub(path:gsub("%p", "%%%0"), "app.lua")
  os.remove(path)
  os.remove(name)
  return output
end

--- Those of a document: each, and what is printed below it, if that is.
function M.of(path)
  local text, list = "\n" .. M.read(path), {}
  for program, rest in text:gmatch("\n```lua\n(.-\n)```()") do
    if program:find("^local tide = require \"moontide\"\n") then
      list[#list + 1] = { text = program, output = text:match("^%s*```text\n(.-)```", rest) }
    end
  end
  return list
end

return M
