--- The command's option --trace: the core tells of all calls in trace events
--- (csrc/core/journal.h), which go into a file.
local core = require "moontide.core"
local traceback = require "moontide.async.traceback"

local M = {}

local observer = core.observer

-- Of the process and of its only thread, which is all that there is.
local NAMES = '{"ph":"M","name":"process_name","pid":1,"tid":1,"args":{"name":"moontide"}},\n'
  .. '{"ph":"M","name":"thread_name","pid":1,"tid":1,"args":{"name":"Lua"}}'

-- The last event has no comma: it is the one of the two that comes last.
local FIRST, LAST = NAMES:match("^(.-,\n)(.*)$")
local BEGIN, END = "[\n" .. FIRST, LAST .. "\n]\n"

--- Opens the file; nil and what is wrong if that is not possible.
---@param options moontide.command.Options
---@return true?, string?
function M.open(options)
  if not options.trace then
    return true
  end
  local ok, problem = observer.open(options.trace, BEGIN, END)
  return ok, problem and ("cannot write '%s': %s"):format(options.trace, problem)
end

--- os.exit need not close the state, which would end the file.
local function finish_at_exit()
  local exit = os.exit
  function os.exit(...) -- luacheck: ignore 122
    observer.finish()
    exit(...)
  end
end

--- Tells of all that happens from now on, if a file is open.
---@param options moontide.command.Options
---@param script string its name
function M.begin(options, script)
  if options.trace then
    finish_at_exit()
    observer.begin(script, { name = traceback.name_at, operation = core.operation_name })
  end
end

--- The script's last line has been run.
M.end_script = observer.end_script

return M
