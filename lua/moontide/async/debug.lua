--- Debug mode: mistakes are reported that show in nothing else, one report for a line of code.
---
--- What the core finds it notes, and tells when no job runs, or at the end: a state that is being
--- closed collects everything, which is nobody's mistake.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local tasks = require "moontide.async.tasks"
local traceback = require "moontide.async.traceback"

local M = {}

local REPORTS_MAX = 20
local FIELDS = {
  { "floating", "boolean" }, { "permits", "boolean" }, { "report", "callable" },
  { "swallowed", "boolean" }, { "unsettled", "boolean" },
}
local DEFAULT = { floating = true, permits = true, slow = 100, swallowed = true, unsettled = true }

local options = {} -- of the last call; empty where debug mode is off
-- List of { text, times }, and the index of the next: the program may leave while it is told one.
local untold, next_untold = {}, 1
local reported = {} -- set of texts
local count = 0

---- telling ----

local function print_report(text)
  io.stdout:flush()
  io.stderr:write("moontide: ", text, "\n")
end

--- One report for a line of code: what follows its first line may differ.
local function tell(text, times)
  local line, rest = text:match("^([^\n]*)(.*)$")
  if reported[line] then
    return
  end
  reported[line] = true
  if times and times > 1 then
    text = ("%s (%d times)%s"):format(line, times, rest)
  end
  count = count + 1
  if count <= REPORTS_MAX then
    options.report(text)
  elseif count == REPORTS_MAX + 1 then
    options.report("further reports are left out")
  end
end

---- what the core has found ----

--- What was called: the name of an operation, or a function.
local function describe(called)
  local info = type(called) == "function" and debug.getinfo(called, "S")
  if not info then
    return tostring(called)
  elseif info.what == "C" then
    return "a function"
  end
  return "async " .. traceback.describe_function(info.short_src .. ":" .. info.linedefined)
end

local function at(place)
  return place and place ~= "" and place .. ": " or ""
end

local texts = {}

function texts.floating(place, called, promise)
  local text = ("%snobody awaits this call of %s"):format(at(place), describe(called))
  local state, reason = promise:state()
  if state == "rejected" then
    text = ("%s\n  it was rejected: %s"):format(text, traceback.text_of(reason))
  end
  return text
end

function texts.swallowed(place, called)
  return ("%s%s was cancelled here and did not pass that on (after the clean-up, raise the error "
    .. "again)"):format(at(place), describe(called))
end

function texts.overdue(place, called)
  return ("%s%s still waits here, though the grace of its cancellation is over"):format(at(place),
    describe(called))
end

function texts.unreleased(place)
  return at(place) .. "the permit that was acquired here was dropped and never released"
end

function texts.unsettled(place, called, promise)
  if called == "Promise" then
    return at(place) .. "nothing can settle this promise any more, and others wait for it"
  end
  return ("%snothing can settle what this call of %s waits for\n%s"):format(at(place),
    describe(called), traceback.traceback(nil, promise))
end

function texts.slow(place, trace)
  local text = ("a job holds the loop for more than %g ms"):format(options.slow)
  return at(place) .. (trace and text .. "\n" .. trace or text .. ", in a function of C")
end

--- How often each text is there.
local function count_all(list)
  local counts = {}
  for _, text in ipairs(list) do
    counts[text] = (counts[text] or 0) + 1
  end
  return counts
end

--- Reports of the core's, in their order; what the collector has found, which is in none, by lines,
--- with a count.
local function note_all(reports)
  local found = {}
  for _, report in ipairs(reports) do
    local text = texts[report[1]](table.unpack(report, 2, 4))
    if report[1] == "floating" or report[1] == "unsettled" then
      found[#found + 1] = text
    else
      table.insert(untold, { text })
    end
  end
  local counts = count_all(found)
  table.sort(found)
  for _, text in ipairs(found) do
    table.insert(untold, { text, counts[text] })
  end
end

--- An error of the program's report function is raised when all is told.
local function tell_all(reports)
  note_all(reports)
  local failed, problem = false, nil
  while untold[next_untold] do
    local report = untold[next_untold]
    next_untold = next_untold + 1
    local ok, err = pcall(tell, table.unpack(report))
    if not ok and not failed then
      failed, problem = true, err
    end
  end
  untold, next_untold = {}, 1
  if failed then
    error(problem, 0)
  end
end

--- A generator in the middle of its values waits for nothing but who asks.
local function tell_suspended(list)
  for i = #list, 1, -1 do
    if list[i].waits_for == "yield" then
      table.remove(list, i)
    end
  end
  if #list > 0 then
    tell("still suspended at the end:\n" .. tostring(list))
  end
end

---- debug mode ----

local function check_fields(given)
  argument.check_options(given, FIELDS, 1, "debug")
  local known = { slow = true }
  for _, field in ipairs(FIELDS) do
    known[field[1]] = true
  end
  for key, value in pairs(given or {}) do
    if not known[key] then
      argument.fail(("field '%s': there is no such option"):format(tostring(key)), 1, "debug")
    elseif key == "slow" and value and not (type(value) == "number" and value >= 1) then
      argument.fail("field 'slow': number of at least 1 expected", 1, "debug")
    end
  end
end

--- The names of what the core is to look for.
local function wanted(given)
  local names = {}
  local function add(is_wanted, name)
    names[#names + 1] = is_wanted and name or nil
  end
  add(given.floating, "floating")
  add(given.swallowed, "swallowed")
  add(given.swallowed, "overdue")
  add(given.permits, "unreleased")
  add(given.unsettled, "unsettled")
  add(given.slow, "slow")
  return names
end

function M.debug(given)
  if given == false then
    options, untold, next_untold = {}, {}, 1
    core.watch_jobs()
    core.look_for()
    return
  end
  check_fields(given)
  local chosen = { report = print_report }
  for name, value in pairs(given or DEFAULT) do
    chosen[name] = value
  end
  core.watch_jobs(chosen.slow or nil)
  options = chosen
  core.look_for(tell_all, table.unpack(wanted(chosen)))
end

function M.is_on()
  return options.report ~= nil
end

--- The program is over: tells what is left to tell, and what stays pending, unless it was cut
--- short. Returns how many reports there were.
function M.finish(was_cut_short)
  if not M.is_on() then
    return count
  end
  if was_cut_short then
    options.unsettled = false
  end
  if options.unsettled then
    core.report_left()
  end
  collectgarbage() -- promises, and their marks
  collectgarbage()
  tell_all(core.take_reports())
  if options.unsettled then
    tell_suspended(tasks.tasks())
  end
  M.debug(false)
  return count
end

--- MOONTIDE_DEBUG, unless it is empty or 0.
local environment = os.getenv("MOONTIDE_DEBUG") or ""
if environment ~= "" and environment ~= "0" then
  M.debug()
end

return M
