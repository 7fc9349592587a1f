--- The command's options, read as `lua` reads its own: up to the script's name, or to `--`. What
--- follows is the script's and is not looked at.
local M = {}

M.usage = [[
usage: moontide [OPTION]... [SCRIPT [ARGUMENT]...]
       moontide check [OPTION]... FILE|DIRECTORY...
Runs SCRIPT, which may await, and then the loop until nothing is left. `-` is standard input, and
so is no SCRIPT where that is a pipe or a file. At a terminal, no SCRIPT is the same as -i.

  -e CODE                 runs CODE before SCRIPT, or in its place; may be given several times
  -l NAME, -l G=NAME      requires NAME into a global of that name, or G, before SCRIPT
  -i                      runs what is typed, after SCRIPT and with what that has begun
  --unhandled=raise|warn  what a rejection does that nothing handles: it ends the program, as is
                          usual; or it is printed with its trace, and the program goes on
  --debug                 reports calls that nobody awaited, and what is still suspended at the end;
                          so does MOONTIDE_DEBUG=1
  --debug=error           the same, and the exit code is 1 if there was a report
  --trace FILE            writes which async functions run and wait, and who wakes them, as trace
                          events that Perfetto and chrome://tracing show
  --timeline FILE         writes the same as a page for the browser, with what takes the time
  -v, --version           prints the version
  -h, --help              prints this text
  --                      ends the options

check looks for mistakes, and runs nothing; `moontide check --help` says what it finds.

At SIGUSR1 it tells on stderr which async functions are suspended and what keeps the loop alive,
unless SCRIPT asks for that signal itself.

SIGINT (Ctrl-C) and SIGTERM interrupt SCRIPT, which may clean up for five seconds; the second one
ends it at once. A SCRIPT that asks for the signal itself gets it instead.

exit codes:
    0  SCRIPT has ended, and so has all that it started
    1  an error or a rejection that nothing handled, or SCRIPT cannot be loaded
   13  SCRIPT waits for something that can never come
   64  wrong usage
  130  SIGINT, 143  SIGTERM
  or what SCRIPT gives to os.exit
]]

---@class moontide.command.Options
---@field steps { kind: "code"|"module", value: string }[] what is run before the script, in order
---@field interactive boolean? what is typed is run in the end
---@field unhandled "raise"|"warn"
---@field debug "on"|"error"|nil
---@field trace string? the file that trace events are written to
---@field timeline string? that of the page that shows them
---@field answer "help"|"version"|nil what is printed instead of running anything
---@field script integer? where in the arguments the script's name is

---@type table<string, fun(options: moontide.command.Options, value: string): string?> returns what
---is wrong with the value
local VALUED = {
  ["-e"] = function(options, value)
    table.insert(options.steps, { kind = "code", value = value })
  end,
  ["-l"] = function(options, value)
    table.insert(options.steps, { kind = "module", value = value })
  end,
  ["--unhandled"] = function(options, value)
    if value ~= "raise" and value ~= "warn" then
      return ("'raise' or 'warn' expected, got '%s'"):format(value)
    end
    options.unhandled = value
  end,
  ["--trace"] = function(options, value)
    options.trace = value
  end,
  ["--timeline"] = function(options, value)
    options.timeline = value
  end,
}

-- Words of their own.
local DEBUG = { ["--debug"] = "on", ["--debug=error"] = "error" }

local ANSWERED = {
  ["-h"] = "help",
  ["--help"] = "help",
  ["-v"] = "version",
  ["--version"] = "version",
}

--- The option in a word, and the value that the word has as well: `-eCODE`, `--unhandled=warn`.
local function split(word)
  if word:sub(1, 2) == "--" then
    local name, value = word:match("^(.-)=(.*)$")
    return name or word, value
  end
  return word:sub(1, 2), #word > 2 and word:sub(3) or nil
end

--- Reads the arguments; nil and what is wrong with them.
---@param args string[]
---@return moontide.command.Options?, string?
function M.parse(args)
  local options = { steps = {}, unhandled = "raise" }
  local i = 1
  while args[i] and args[i] ~= "-" and args[i]:sub(1, 1) == "-" do
    local name, value = split(args[i])
    if args[i] == "--" then
      i = i + 1
      break
    elseif ANSWERED[name] and not value then
      options.answer = options.answer or ANSWERED[name]
    elseif args[i] == "-i" then
      options.interactive = true
    elseif DEBUG[args[i]] then
      options.debug = DEBUG[args[i]]
    elseif not VALUED[name] then
      return nil, ("unknown option '%s'"):format(args[i])
    else
      if not value then
        i = i + 1
        value = args[i]
      end
      local problem = not value and "a value is missing" or VALUED[name](options, value)
      if problem then
        return nil, ("option '%s': %s"):format(name, problem)
      end
    end
    i = i + 1
  end
  options.script = args[i] and i
  return options
end

return M
