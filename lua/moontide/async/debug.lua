--- Debug mode: mistakes are reported that show in nothing else, one report for a line of code.
---
--- What the collector finds is told in a microtask, or at the end: a state that is being closed
--- collects everything, which is nobody's mistake.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local tasks = require "moontide.async.tasks"
local traceback = require "moontide.async.traceback"

local M = {}

local REPORTS_MAX = 20
local FIELDS = { { "floating", "boolean" }, { "report", "callable" }, { "unsettled", "boolean" } }

local options = {} -- of the last call; empty where debug mode is off
local reported, waiting = {}, {} -- texts: set of those that were told, list of those to be told
local count = 0

local function print_report(text)
  io.stdout:flush()
  io.stderr:write("moontide: ", text, "\n")
end

local function tell(text)
  count = count + 1
  if count <= REPORTS_MAX then
    options.report(text)
  elseif count == REPORTS_MAX + 1 then
    options.report("further reports are left out")
  end
end

local function flush()
  local list = waiting
  waiting = {}
  table.sort(list) -- finalizers run in the opposite order
  for _, text in ipairs(list) do
    tell(text)
  end
end

local function describe(f)
  local info = f and debug.getinfo(f, "S")
  if not info or info.what == "C" then
    return f and "a function" or "an operation"
  end
  return "async " .. traceback.describe_function(info.short_src .. ":" .. info.linedefined)
end

local function on_floating(place, f)
  local text = ("%s: nobody awaits this call of %s"):format(place, describe(f))
  if reported[text] then
    return
  end
  reported[text] = true
  waiting[#waiting + 1] = text
  if #waiting == 1 then
    core.queue_microtask(flush)
  end
end

local function check_fields(given)
  argument.check_options(given, FIELDS, 1, "debug")
  local known = {}
  for _, field in ipairs(FIELDS) do
    known[field[1]] = true
  end
  for key in pairs(given or {}) do
    if not known[key] then
      argument.fail(("field '%s': there is no such option"):format(tostring(key)), 1, "debug")
    end
  end
end

function M.debug(given)
  if given == false then
    options = {}
    core.watch_floating(nil)
    return
  end
  check_fields(given)
  given = given or { floating = true, unsettled = true }
  options = {
    floating = given.floating,
    report = given.report or print_report,
    unsettled = given.unsettled,
  }
  core.watch_floating(options.floating and on_floating or nil)
end

--- The program is over: tells what is left to tell. Returns how many reports there were.
function M.finish()
  if options.floating then
    collectgarbage() -- promises, and their marks
    collectgarbage()
    flush()
  end
  local suspended = options.unsettled and tasks.tasks() or {}
  if #suspended > 0 then
    tell("still suspended at the end:\n" .. tostring(suspended))
  end
  M.debug(false)
  return count
end

--- MOONTIDE_DEBUG, unless it is empty or 0.
local wanted = os.getenv("MOONTIDE_DEBUG") or ""
if wanted ~= "" and wanted ~= "0" then
  M.debug()
end

return M
