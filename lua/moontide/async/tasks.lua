--- The suspended functions, and who waits for whom: tide.tasks(), and what a DeadlockError has as
--- its field tasks. Nothing is kept for that while a program runs; the core looks for them in the
--- heap (csrc/core/suspension.c).
local core = require("moontide.core").tasks
local operation_name = require("moontide.core").operation_name
local traceback = require "moontide.async.traceback"

local M = {}

-- The text has so many lines, and in each of its trees so many levels.
local MAX_LINES, MAX_LEVELS = 20, 10
-- How much of what is waited for, in one line.
local MAX_CAUSES = 3

-- Stands among the functions for whoever drives the loop.
local TOP = {}

---- the text ----

local function line_of(entry, level)
  local place = entry.source and (", at %s:%d"):format(entry.source, entry.line) or ""
  local awaits = ""
  if level == 1 then
    awaits = ", waits for " .. entry.waits_for .. (entry.in_circle and ", in a circle" or "")
  elseif entry.through then
    awaits = ", through " .. entry.waits_for
  end
  local count = entry.count > 1 and (" (x %d)"):format(entry.count) or ""
  local margin = ("  "):rep(level - 1) .. (level > 1 and "awaited by " or "")
  return margin .. entry.name .. place .. awaits .. count .. (entry.seen and ", see above" or "")
end

local Tasks = { __name = "moontide.Tasks" }

function Tasks:__tostring()
  local lines, more = {}, 0
  local open = {} -- a stack of { entry, level }
  local function add(entries, level)
    for i = #entries, 1, -1 do open[#open + 1] = { entries[i], level } end
  end
  add(self, 1)
  while #open > 0 do
    local entry, level = table.unpack(table.remove(open))
    if level > MAX_LEVELS or #lines == MAX_LINES then
      more = more + entry.count
    else
      lines[#lines + 1] = line_of(entry, level)
    end
    add(entry.awaited_by, level + 1)
  end
  if more > 0 then lines[#lines + 1] = ("... and %d more"):format(more) end
  return table.concat(lines, "\n")
end

---- who waits for whom ----

--- The name of an async function by the place where it is defined; looked up once in a survey.
local function name_at(survey, place)
  local name = survey.names[place] or "async " .. traceback.describe_function(place)
  survey.names[place] = name
  return name
end

--- What a promise is, for those who wait for it.
local function what(survey, promise)
  local name = operation_name(promise)
  if name then return name end
  local text, is_function = core.what(promise)
  return is_function and name_at(survey, text) or text
end

-- A survey: names, of functions by their places, and for each pending promise
--   waiters[promise]   list of those that wait for it, TOP for the top level
--   causes[promise]    list of those that it waits for
--   functions[promise] of a suspended function: awaits (promise or text), name, source, line

local function read_function(survey, promise)
  local awaits, place, source, line = core.suspended(promise)
  if not awaits then return nil end
  return { awaits = awaits, name = name_at(survey, place), source = source, line = line }
end

local function add_waiters(survey, promise)
  local list = core.waiting(promise)
  survey.waiters[promise] = list
  for i, waiter in ipairs(list) do
    if waiter == true then
      list[i] = TOP
      survey.functions[TOP].awaits = promise
    else
      local causes = survey.causes[waiter] or {}
      survey.causes[waiter] = causes
      causes[#causes + 1] = promise
    end
  end
end

local function make_survey()
  local survey = { pending = core.pending(), waiters = {}, causes = {}, names = {} }
  local source, line = core.top_place()
  survey.functions = { [TOP] = { name = "the top level", source = source, line = line } }
  for _, promise in ipairs(survey.pending) do
    survey.functions[promise] = read_function(survey, promise)
    add_waiters(survey, promise)
  end
  return survey
end

--- Calls f with each function that is reached from the promises by way of what is none.
local function each_after(survey, promises, f)
  local open, known = table.move(promises, 1, #promises, 1, {}), {}
  while #open > 0 do
    for _, waiter in ipairs(survey.waiters[table.remove(open)] or {}) do
      if not known[waiter] then
        known[waiter] = true
        if survey.functions[waiter] then
          f(waiter)
        else
          open[#open + 1] = waiter
        end
      end
    end
  end
end

---- what a function waits for ----

--- Promises that nothing is known to settle, and that lead to the function: what they are.
local function causes_of(survey, promise)
  local open, known, named, texts = { promise }, { [promise] = true }, {}, {}
  while #open > 0 do
    local at = table.remove(open)
    local text = not survey.causes[at] and what(survey, at)
    if text and not named[text] then
      texts[#texts + 1] = text
      named[text] = true
    end
    for _, cause in ipairs(survey.causes[at] or {}) do
      if not known[cause] and not survey.functions[cause] then
        known[cause] = true
        open[#open + 1] = cause
      end
    end
  end
  table.sort(texts)
  if #texts > MAX_CAUSES then texts[MAX_CAUSES] = "..." end
  return table.concat(texts, ", ", 1, math.min(#texts, MAX_CAUSES))
end

--- What the function awaits; of one at a root, also what that waits for in turn.
local function text_of(survey, awaits, at_root)
  if type(awaits) == "string" then return awaits end
  local text = what(survey, awaits)
  if not at_root or not survey.causes[awaits] or survey.functions[awaits] then return text end
  local causes = causes_of(survey, awaits)
  return causes ~= "" and text .. " of " .. causes or text
end

--- Whether it is worth a word that a function is awaited by way of that.
local function says_something(waits_for) return waits_for ~= "a promise" end

---- entries ----

local function by_place(a, b)
  local source, other = a.source or "", b.source or ""
  if source ~= other then return source < other end
  local line, other_line = a.line or 0, b.line or 0
  if line ~= other_line then return line < other_line end
  if a.name ~= b.name then return a.name < b.name end
  return a.waits_for < b.waits_for
end

--- The functions as list of entries, those alike in one, each with its members.
local function group(survey, functions, at_root, seen)
  local entries, known = {}, {}
  for _, promise in ipairs(functions) do
    local f = survey.functions[promise]
    local waits_for = text_of(survey, f.awaits, at_root)
    local entry = {
      name = f.name,
      source = f.source,
      line = f.line,
      waits_for = waits_for,
      through = not at_root and not survey.functions[f.awaits] and says_something(waits_for) or nil,
      seen = seen and seen[promise] and #survey.waiters[promise] > 0 or nil,
    }
    local key = ("%s|%s|%s|%s|%s"):format(f.name, f.source, f.line, entry.waits_for, entry.seen)
    if not known[key] then
      entry.count, entry.members, entry.awaited_by = 0, {}, {}
      known[key] = entry
      entries[#entries + 1] = entry
    end
    entry = known[key]
    entry.count = entry.count + 1
    entry.members[entry.count] = promise
  end
  table.sort(entries, by_place)
  return entries
end

--- Adds to a root's entry, and to those that it adds, who awaits them. In the tree of a root each
--- function stands once; in a later tree as well, but not who awaits it.
local function grow(survey, root, seen)
  local open, first, here = { root }, 1, {}
  for _, promise in ipairs(root.members) do
    seen[promise], here[promise] = true, true
  end
  while open[first] do
    local entry = open[first]
    local functions = {}
    each_after(survey, entry.members, function(promise)
      if not here[promise] then functions[#functions + 1] = promise end
      here[promise] = true
    end)
    entry.awaited_by = group(survey, functions, false, seen)
    for _, next_entry in ipairs(entry.awaited_by) do
      if not next_entry.seen then table.insert(open, next_entry) end
    end
    for _, promise in ipairs(functions) do
      seen[promise] = promise ~= TOP
    end
    first = first + 1
  end
end

--- What waits for nothing that is known to wait: functions, and those behind other promises.
local function roots_of(survey)
  local leaves, roots = {}, {}
  for _, promise in ipairs(survey.pending) do
    if not survey.causes[promise] then
      local list = survey.functions[promise] and roots or leaves
      list[#list + 1] = promise
    end
  end
  each_after(survey, leaves, function(promise) roots[#roots + 1] = promise end)
  return roots
end

---- circles ----

--- Marks the promises, and all that waits for them.
local function mark(survey, promises, marks)
  local open = table.move(promises, 1, #promises, 1, {})
  while #open > 0 do
    local promise = table.remove(open)
    if not marks[promise] then
      marks[promise] = true
      local waiters = survey.waiters[promise] or {}
      table.move(waiters, 1, #waiters, #open + 1, open)
    end
  end
end

--- What waits for nothing, and all that waits for that, and so on.
local function mark_trees(survey)
  local marks, roots = {}, {}
  for _, promise in ipairs(survey.pending) do
    if not survey.causes[promise] then roots[#roots + 1] = promise end
  end
  mark(survey, roots, marks)
  return marks
end

--- Promises that wait for one another, found from one that no root leads to: each of them has
--- causes.
local function circle_of(survey, promise)
  local circle, known = {}, {}
  while known[promise] ~= 2 do
    known[promise] = (known[promise] or 0) + 1
    if known[promise] == 2 then circle[#circle + 1] = promise end
    promise = survey.causes[promise][1]
  end
  return circle
end

--- The root of functions that wait for themselves, the first of them by place.
local function root_in_circle(survey, functions)
  local root = group(survey, functions, true)[1]
  root.in_circle, root.count, root.members = true, 1, { root.members[1] }
  return { root }
end

--- The roots of what waits for promises in a circle in which no function is.
local function roots_after(survey, circle)
  local functions = {}
  each_after(survey, circle, function(promise) functions[#functions + 1] = promise end)
  local roots = group(survey, functions, true)
  for _, root in ipairs(roots) do root.waits_for = "promises in a circle" end
  return roots
end

--- The roots of what no other root leads to.
local function roots_of_circles(survey)
  local list, marks = {}, mark_trees(survey)
  for _, promise in ipairs(survey.pending) do
    if not marks[promise] then
      local circle, functions = circle_of(survey, promise), {}
      for _, member in ipairs(circle) do
        if survey.functions[member] then functions[#functions + 1] = member end
      end
      local more = functions[1] and root_in_circle(survey, functions) or roots_after(survey, circle)
      table.move(more, 1, #more, #list + 1, list)
      mark(survey, circle, marks)
    end
  end
  table.sort(list, by_place)
  return list
end

---- what users get ----

local function strip(tasks)
  local open = table.move(tasks, 1, #tasks, 1, {})
  while #open > 0 do
    local entry = table.remove(open)
    entry.members = nil
    table.move(entry.awaited_by, 1, #entry.awaited_by, #open + 1, open)
  end
  return setmetatable(tasks, Tasks)
end

local function tasks_of(survey)
  local seen = {}
  local tasks, circles = group(survey, roots_of(survey), true), roots_of_circles(survey)
  table.move(circles, 1, #circles, #tasks + 1, tasks)
  for _, root in ipairs(tasks) do grow(survey, root, seen) end
  return strip(tasks)
end

function M.tasks() return tasks_of(make_survey()) end

--- Source and line at which a promise is awaited, by way of others too; of one of those places, the
--- first that is not the library's own. Or nil.
function M.place_of(promise)
  local open, first, known, own_source, own_line = { promise }, 1, {}, nil, nil
  while open[first] do
    local at = open[first]
    first = first + 1
    local awaits, _, source, line, is_own = core.suspended(at)
    if awaits and not is_own then return source, line end
    if awaits and not own_source then own_source, own_line = source, line end
    for _, waiter in ipairs(core.waiting(at)) do
      if waiter ~= true and not known[waiter] then
        known[waiter] = true
        open[#open + 1] = waiter
      end
    end
  end
  return own_source, own_line
end

--- The top level has waited for the promise in vain.
core.set_deadlock(function(promise)
  local survey = make_survey()
  local top = survey.functions[TOP]
  top.awaits, top.source, top.line = promise, core.place()
  table.insert(survey.waiters[promise], TOP)
  return tasks_of(survey)
end)

return M
