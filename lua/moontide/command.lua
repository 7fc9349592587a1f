--- The command: reads its arguments, runs the script on the main thread, where await drives the
--- loop, and leaves with an exit code.
require "moontide.internal.version"()
local options_of = require "moontide.command.options"

local M = {}

local VERSION = "moontide scm-1"
local EXIT_ERROR, EXIT_DEADLOCK, EXIT_USAGE = 1, 13, 64

---- leaving ----

local leave = os.exit

--- Leaves through the state's closing, which closes what is still open.
local function exit(code)
  io.stdout:flush()
  leave(code, true)
end

--- What the script printed comes before what is said about it.
local function tell(message)
  io.stdout:flush()
  io.stderr:write("moontide: ", message, "\n")
end

local function fail(code, message)
  tell(message)
  exit(code)
end

local function refuse(problem)
  fail(EXIT_USAGE, problem .. "\n" .. options_of.usage)
end

---- errors ----

local function is_deadlock(err)
  return type(err) == "table" and rawget(err, "name") == "DeadlockError"
end

--- Message handler: the text that is printed, or the error object of what is no failure.
local function describe(tide, interruption)
  return function(err)
    if is_deadlock(err) or interruption.is_reason(err) then
      return err
    end
    local text = tide.traceback(err, 2)
    return err == nil and "(error object is a nil value)\n" .. text or text
  end
end

--- The error in one line, and of a deadlock who waits for what.
local function text_of(err)
  if not is_deadlock(err) or not err.tasks then
    return tostring(err)
  end
  return (("%s\n%s"):format(err, err.tasks):gsub("\n", "\n  "))
end

local function warn_of_rejections(tide)
  tide.on_unhandled_rejection(function(reason, promise)
    tell("unhandled rejection: " .. tide.traceback(reason, promise))
  end)
end

---- loading ----

--- The library, or the end with a word on what to do.
local function load_library()
  local found, tide = pcall(require, "moontide")
  if found then
    return tide
  end
  fail(EXIT_ERROR, "the library does not load (in a checkout, `make` builds it)\n" .. tide)
end

--- Whether a script comes that way: nobody types it.
local function has_script_on_stdin()
  return require("moontide.core").stdio.brings(0)
end

--- The function that standard input is.
local function load_stdin()
  local text = io.read("a"):gsub("^#[^\n]*", "")
  return load(text, "=stdin")
end

local function load_script(name)
  if name == "-" then
    return load_stdin()
  end
  return loadfile(name)
end

local function load_code(code)
  return load(code, "=(command line)")
end

--- A function that requires a module into a global, as `lua -l` does.
local function load_module(text)
  local global, name = text:match("^(.-)=(.*)$")
  return function()
    _G[global or text] = require(name or text)
  end
end

local LOADERS = { code = load_code, module = load_module }

local function check(main, problem)
  return main or fail(EXIT_ERROR, problem)
end

--- A function that does what the options say, and then runs the script, if there is one, with the
--- arguments; what cannot be loaded ends the program.
local function load_all(options, name)
  local steps = {}
  for i, step in ipairs(options.steps) do
    steps[i] = check(LOADERS[step.kind](step.value))
  end
  local script = name and check(load_script(name))
  return function(...)
    for _, step in ipairs(steps) do
      step()
    end
    if script then
      script(...)
    end
  end
end

--- `arg` as `lua SCRIPT ARGS` makes it: the script is 0, what stands before it is negative.
local function shift(args, script)
  local first = 0
  while args[first - 1] do
    first = first - 1
  end
  return table.move(args, first, #args, first - script, {})
end

---- running ----

--- Lua's generational mode marks all that is alive in one step now and then, which takes long with
--- many functions suspended. Set before the script is loaded, which may choose otherwise;
--- bench/README.md has the figures.
local function set_collector()
  collectgarbage("incremental", 300, 100)
  if _VERSION ~= "Lua 5.4" then -- the numbers have a call of their own now
    collectgarbage("param", "pause", 300)
    collectgarbage("param", "stepmul", 100)
  end
end

--- The exit code, after the last reports of debug mode.
local function code_after_reports(options, code, was_cut_short)
  local reports = require("moontide.async.debug").finish(was_cut_short)
  return code == 0 and reports > 0 and options.debug == "error" and EXIT_ERROR or code
end

--- A script that leaves by os.exit is told of its mistakes as well.
local function report_at_exit(options)
  rawset(os, "exit", function(code, close)
    if code == nil or code == true then
      code = 0
    end
    leave(code_after_reports(options, code, true), close)
  end)
end

--- Calls the function, then the loop until nothing is left, and leaves.
local function run(tide, options, main, ...)
  local interruption = require "moontide.command.interruption"
  local handler = describe(tide, interruption)
  require("moontide.internal.report").print_at("SIGUSR1")
  interruption.heed()
  local ok, err = xpcall(function(...)
    main(...)
    require("moontide.command.trace").end_script()
    if not interruption.code() then -- else only what was interrupted is waited for
      tide.run()
    end
  end, handler, ...)
  local code, failed = interruption.code(), not ok and not interruption.is_reason(err)
  if failed then
    tell(text_of(err))
    code = code or is_deadlock(err) and EXIT_DEADLOCK or EXIT_ERROR
  end
  if interruption.code() then
    interruption.finish(handler, function(failure)
      tell(tostring(failure))
    end)
  end
  if not interruption.code() then
    code = code_after_reports(options, code or 0, failed)
  end
  exit(code)
end

--- Calls the function, then runs what is typed, and leaves.
local function converse(options, main, ...)
  local tide = require "moontide"
  local interruption = require "moontide.repl.interruption"
  require("moontide.internal.report").print_at("SIGUSR1")
  require("moontide.repl.session").run(describe(tide, interruption), text_of, main, ...)
  exit(code_after_reports(options, 0, true))
end

--- The name of the script, or nil where there is only code, or what will be typed.
local function script_of(args, options)
  if options.script then
    return args[options.script]
  elseif #options.steps > 0 or options.interactive then
    return nil
  elseif has_script_on_stdin() then
    return "-"
  elseif require("moontide.core").stdio.is_terminal(0) then
    options.interactive = true
    return nil
  end
  refuse("no script given")
end

local function answer(what)
  if what == "help" then
    io.write(options_of.usage)
  else
    print(VERSION .. ", " .. _VERSION)
  end
  exit(0)
end

--- `moontide check`: looks for mistakes in files, and runs none of them.
local function check_files(args)
  load_library()
  set_collector()
  exit(require("moontide.check.command").run(args))
end

--- Runs what the arguments say; does not return.
---@param args table<integer, string> as Lua's global `arg`
---@param source string that of the command's own file, which is in no trace
function M.main(args, source)
  if args[1] == "check" then
    return check_files(args)
  end
  local options, problem = options_of.parse(args)
  if not options then
    return refuse(problem)
  elseif options.answer then
    return answer(options.answer)
  end
  local tide = load_library()
  local name = script_of(args, options)
  set_collector()
  require("moontide.core").hide_source(source)
  _G.arg = options.script and shift(args, options.script) or args
  if options.debug then
    tide.debug()
  end
  if require("moontide.async.debug").is_on() then -- by the environment, or by the option
    report_at_exit(options)
  end
  local main = load_all(options, name)
  local trace = require "moontide.command.trace"
  check(trace.open(options))
  if options.unhandled == "warn" then
    warn_of_rejections(tide)
  end
  trace.begin(options, name or "(command line)")
  if options.interactive then
    converse(options, main, table.unpack(_G.arg))
  end
  run(tide, options, main, table.unpack(_G.arg))
end

return M
