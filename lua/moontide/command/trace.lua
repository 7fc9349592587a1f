--- The command's options --trace and --timeline: the core tells of all calls in trace events
--- (csrc/core/journal.h), which go into files: as they are, and in a page that draws them.
local core = require "moontide.core"
local page = require "moontide.timeline.page"
local traceback = require "moontide.async.traceback"

local M = {}

local observer = core.observer

-- Of the process and of its only thread, which is all that there is.
local NAMES = '{"ph":"M","name":"process_name","pid":1,"tid":1,"args":{"name":"moontide"}},\n'
  .. '{"ph":"M","name":"thread_name","pid":1,"tid":1,"args":{"name":"Lua"}}'

-- The last event has no comma: it is the one of the two that comes last.
local FIRST, LAST = NAMES:match("^(.-,\n)(.*)$")
local BEGIN, END = "[\n" .. FIRST, LAST .. "\n]\n"

local function open(path, before, after)
  local ok, problem = observer.open(path, before .. BEGIN, END .. after)
  return ok and true or nil, problem and ("cannot write '%s': %s"):format(path, problem)
end

--- Opens the files; nil and what is wrong if that is not possible.
---@param options moontide.command.Options
---@return true?, string?
function M.open(options)
  local ok, problem = true, nil
  if options.trace and options.trace == options.timeline then
    return nil, ("--trace and --timeline both write '%s'"):format(options.trace)
  end
  if options.trace then
    ok, problem = open(options.trace, "", "")
  end
  if ok and options.timeline then
    ok, problem = open(options.timeline, page.halves())
  end
  return ok, problem
end

--- os.exit need not close the state, which would end the files.
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
  if options.trace or options.timeline then
    finish_at_exit()
    observer.begin(script, { name = traceback.name_at, operation = core.operation_name })
  end
end

--- The script's last line has been run.
M.end_script = observer.end_script

return M
