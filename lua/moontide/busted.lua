--- A helper for busted, unmodified: `busted --helper=moontide.busted`; see docs/testing.md. The
--- annotations are in meta/busted.lua.
---
--- busted runs specs on the main thread, so they may await as they are. This file adds what busted
--- cannot know: that a test hangs, that something went wrong which nobody awaited, and that a test
--- has left something behind. It never stands between busted and a function of the user's: it
--- listens to busted's events, has the first before_each and the last after_each of all (what lies
--- between them is a *window*), and holds back busted's `test end` until the latter. In the core's
--- module table it puts functions that remember who called them in place of those that begin
--- something; so it has to be loaded before anything that takes functions from there.
require "moontide.internal.version"()
local busted = require "busted"
if not busted.subscribe then
  error("moontide.busted is a helper for busted: busted --helper=moontide.busted", 0)
end

local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local pretty = require "pl.pretty"

local M = {}

local DEFAULT_LIMIT = 5000
-- A test may catch the error of its timeout, and hang again: then this is how long it has.
local GRACE = 200
-- How long what cannot be cancelled may take to end by itself.
local PATIENCE = 2000
-- How many suspended functions the message of a timeout names.
local SHOWN = 8

local WEAK_KEYS = { __mode = "k" }

-- What is wanted of the core itself, before anything is replaced there.
local step, stats = core.step, core.stats
local set_timeout, queue_microtask, stop = core.set_timeout, core.queue_microtask, core.stop
local traceback = require "moontide.async.traceback"
local announce_call, is_open = core.announce_call, core.is_open

--- Real time, in ms: moontide's own clock may be a virtual one.
local function now()
  return busted.monotime() * 1000
end

-- From before the first before_each of a test until after its last after_each; else nil.
--   element, parent   of the test, as busted has them; set when its body begins
--   status            what busted makes of the test; set when its body has ended
--   held              `test end` has not been published yet
--   expired           the message of its timeout
--   problems          list of { kind = "failure"|"error", message =, trace = }
--   made, tasks       object -> where, what and when, see record
--   calls             line -> number under which the core counts the async functions called there
--   before            stats() when it began
--   allows_suspended  functions that nothing can wake are no mistake
--   clock             where it has made time virtual
--   seed              of the shuffle that it has begun
--   handlers          the rejection handlers that were set when it began
local window

-- What has been begun since busted last said where it is, outside of tests; as window.made. And
-- whether a hook has hung since.
local outside, hung = setmetatable({}, WEAK_KEYS), false

---- who did it ----

local OWN = debug.getinfo(1, "S").source:match("^.*[/\\]") or "@"

local function is_users(info)
  return info.currentline > 0 and info.source:sub(1, #OWN) ~= OWN
    and not info.source:find("luassert[/\\]%w+%.lua$")
end

--- "FILE:LINE" of the innermost function on the stack that is the user's, or nil.
local function caller()
  local level = 2
  local info = debug.getinfo(level, "Sl")
  while info and not is_users(info) do
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
  return info and info.short_src .. ":" .. info.currentline
end

local PROMISE = debug.getmetatable(core.Promise.resolve())

local function is_promise(value)
  return debug.getmetatable(value) == PROMISE
end

--- Where the function of a pending promise awaits; nothing where it has returned a promise.
local function state_of(promise)
  local where = traceback.traceback(nil, promise):match("\n\t([^\n]-:%d+): in ")
  return where and "an async function, suspended at " .. where
    or "an async function, waiting for the promise that it returned"
end

-- Files of busted's, which no trace should show. Only the ends of their names are sure: Lua
-- shortens them.
local HIDDEN = {
  "^\t[^\n]-busted[/\\]core%.lua:%d",
  "^\t[^\n]-busted[/\\]init%.lua:%d",
  "^\t[^\n]-luassert[/\\]%w+%.lua:%d",
  "^\t%(%.%.%.tail calls",
}

local PCALL = "^\t%[C%]: in .*pcall'$"

local function is_hidden(line)
  for _, pattern in ipairs(HIDDEN) do
    if line:find(pattern) then
      return true
    end
  end
  return false
end

--- The lines of a trace that are the user's. Below whoever busted or this file has called comes
--- nothing of interest: returns whether they had to be cut there.
local function clean(lines)
  local kept, cut = {}, false
  local called = false -- from the user's functions; else these are what raised an error for them
  for line in lines:gmatch("[^\n]+") do
    if called and is_hidden(line) or not called and line:find(PCALL) then
      cut = true
      break
    elseif not line:find("^\t%[C%]: in ") and not is_hidden(line) then
      called = true
    end
    if called then
      kept[#kept + 1] = line
    end
  end
  while cut and #kept > 0 and kept[#kept]:find(PCALL) do
    kept[#kept] = nil
  end
  return #kept > 0 and "\n" .. table.concat(kept, "\n") or "", cut
end

--- The lines of a trace of where a reason arose, up to whoever caught it; "" where that is not
--- known. And whether these are the lines of the caller as well.
local function origin(reason)
  return clean(table.concat(traceback.origin(reason), "\n"))
end

---- forgotten awaits ----

--- An assertion that compares a promise with what is none fails, also where it asserts that they
--- differ.
local function watch_comparison(name)
  local assertion = require("luassert.namespaces").assertion[name]
  local compare = assertion.callback
  function assertion.callback(state, arguments, level)
    if arguments.n >= 2 and is_promise(arguments[1]) ~= is_promise(arguments[2]) then
      error(("%s: %s compares a promise with what is none (did you forget await?)"):format(
        caller() or "?", name), 0)
    end
    return compare(state, arguments, level)
  end
end

for _, name in ipairs({ "equal", "equals", "same", "near", "match", "matches" }) do
  watch_comparison(name)
end

---- the limit ----

local limits = { DEFAULT_LIMIT } -- of the blocks that busted is in, the innermost last
local watch = { limit = DEFAULT_LIMIT, since = 0, strikes = 1 }

local function disarm()
  if watch.timer then
    watch.timer:close()
    watch.timer = nil
  end
end

local expire

--- On a virtual clock there is no timer: time would jump to it.
local function arm(due)
  disarm()
  if due < math.huge and not (window and window.clock) then
    watch.due = due
    watch.timer = set_timeout(expire, due - now()):unref()
  end
end

--- Begins to count. What is wrong only when it happens `strikes` times in a row: between tests,
--- where there is no telling when a hook begins, work that came before may have used up the time.
local function begin_watch(limit, strikes)
  watch.limit, watch.since, watch.strikes = limit, now(), strikes
  arm(watch.since + limit)
end

local close_outside

local function watch_between()
  close_outside()
  begin_watch(limits[#limits], 2)
end

-- What is made where has a number, and an object's entry is this number and one that grows. A weak
-- table whose values are objects, even texts, would cost the collector the square of its size.
local SITES = 0x1000000
local sites, site_numbers, order = {}, {}, 0

local function record(list, object, what)
  local where = caller() or ""
  local key = what .. where
  local number = site_numbers[key]
  if not number then
    number = #sites + 1
    site_numbers[key] = number
    sites[number] = { what = what, where = where ~= "" and where or nil }
  end
  order = order + 1
  list[object] = order * SITES + number
end

local function entry_of(object, value)
  local site = sites[value % SITES]
  local place = math.floor(value / SITES)
  return { object = object, what = site.what, where = site.where, order = place }
end

local function by_order(a, b)
  return a.order < b.order
end

local function suspended(tasks)
  local list = {}
  for promise, value in pairs(tasks) do
    if promise:state() == "pending" then
      local entry = entry_of(promise, value)
      entry.what, entry.object = state_of(promise), nil
      entry.has_not_returned = not entry.what:find "it returned$"
      list[#list + 1] = entry
    end
  end
  table.sort(list, by_order)
  return list
end

local function lines_of(records)
  local lines = {}
  for i, entry in ipairs(records) do
    lines[i] = ("\n\t%s: %s"):format(entry.where or "an unknown line", entry.what)
  end
  if #lines > SHOWN then
    lines[SHOWN] = ("\n\tand %d more"):format(#lines - SHOWN + 1)
  end
  return table.concat(lines, "", 1, math.min(#lines, SHOWN))
end

--- Raised from a timer, so it comes out of whatever drives the loop in the test: its await.
function expire()
  watch.timer = nil
  if watch.strikes > 1 then
    return begin_watch(watch.limit, watch.strikes - 1)
  end
  arm(now() + math.min(watch.limit, GRACE))
  local message = ("timed out after %g ms"):format(watch.limit)
  if window then
    local waiting = suspended(window.tasks)
    if #waiting > 0 then
      message = message .. "; waiting:" .. lines_of(waiting)
    end
    window.expired = window.expired
      or (caller() or window.where or "?") .. ": " .. message .. "\nThe test caught this error."
  else
    hung = true
  end
  busted.fail(message, 0)
end

function M.timeout(ms)
  argument.check("number", ms, 1, "busted.timeout")
  if ms ~= ms or ms <= 0 then
    argument.fail("positive number expected, got " .. ms, 1, "busted.timeout")
  end
  if window then
    window.limit = ms
  else
    limits[#limits] = ms
  end
  watch.limit = ms
  arm(watch.since + ms)
end

function M.allow_suspended()
  if not window then
    error("allow_suspended: to be called in a test or its before_each", 2)
  end
  window.allows_suspended = true
end

---- what a test begins ----

local replace_next

--- Results of a pcall of a core function. Its error is raised where the call was made: the core
--- cannot see that through pcall.
local function finish_call(what, ok, first, ...)
  if not ok then
    error(type(first) == "string" and argument.where() .. first or first, 0)
  end
  if what and type(first) == "userdata" then
    record(window and window.made or outside, first, what)
    if is_open(first) then
      replace_next(first, what)
    end
  end
  return first, ...
end

local replaced = {} -- core function -> what stands in its place

local function replace(functions, name, make)
  local f = functions[name]
  if f then
    local new = make(f)
    functions[name] = new
    replaced[f] = new
  end
end

local function watch_call(functions, name, what)
  replace(functions, name, function(f)
    return function(...)
      return finish_call(what, pcall(f, ...))
    end
  end)
end

watch_call(core, "set_timeout", "a timeout")
watch_call(core, "set_interval", "an interval")
watch_call(core, "set_immediate", "an immediate")
watch_call(core, "sleep", "sleep")
watch_call(core, "yield", "yield")
watch_call(core, "poll", "poll")
watch_call(core, "signal", "signal")
watch_call(core.os, "random_bytes", "os.random_bytes")

local function watch_calls(functions, prefix)
  for name, value in pairs(functions) do
    if type(value) == "function" then
      watch_call(functions, name, prefix .. name)
    end
  end
end

watch_calls(core.dns, "dns.")
watch_calls(core.fs, "fs.")
watch_calls(core.fs.File, "file:")
watch_calls(core.fs.Directory, "directory:")
watch_calls(core.net, "net.")
watch_call(core.process, "spawn", "process.spawn")
watch_call(core.process, "wait", "process:wait")

local seen = {} -- tables of handles' methods

--- The methods of a kind of handles are in no module: they come with the first of that kind.
function replace_next(handle, what)
  local methods = debug.getmetatable(handle).__index
  if type(methods) == "table" and not seen[methods] then
    seen[methods] = true
    watch_call(methods, "next", what .. ":next")
  end
end

local unreturned, calls = {}, 0 -- number of a call -> how many have not returned; the last number

core.watch_calls(unreturned)

--- Tells the core where the async function is called that comes next.
local function announce()
  local where = caller() or ""
  local number = window.calls[where]
  if not number then
    calls = calls + 1
    number = calls
    window.calls[where] = number
  end
  announce_call(number)
end

local function started(promise)
  record(window.tasks, promise, "an async function")
  return promise
end

--- Like finish_call.
local function finish_spawn(ok, promise)
  if ok then
    return started(promise)
  end
  return finish_call(nil, ok, promise)
end

--- The position is that of the function that is called.
local function watch_spawn(functions, name, position)
  replace(functions, name, function(spawn)
    return function(...)
      if window and core.callable((select(position, ...))) then
        announce()
        return finish_spawn(pcall(spawn, ...))
      end
      return finish_call(nil, pcall(spawn, ...))
    end
  end)
end

for _, name in ipairs({ "spawn", "detach", "group", "shield" }) do
  watch_spawn(core, name, 1)
end
watch_spawn(core, "group_of", 2)
watch_spawn(core, "timeout", 2)
watch_spawn(core, "move_on_after", 2)
watch_spawn(core.Group, "spawn", 2)

replace(core, "async", function(async)
  return function(...)
    if not core.callable((...)) then
      return finish_call(nil, pcall(async, ...))
    end
    local call = async(...)
    local function stand_in(...)
      if window then
        announce()
        return started(call(...))
      end
      return call(...)
    end
    core.stands_for(stand_in, call)
    return stand_in
  end
end)

replace(core, "generator", function(generator)
  return function(...)
    local ok, call = pcall(generator, ...)
    if not ok then
      return finish_call(nil, ok, call)
    end
    return function(...)
      if window then
        announce()
      end
      return call(...)
    end
  end
end)

-- The timer of the limit is nobody's business.
local function hide_timer(f)
  return function(...)
    local due = watch.timer and watch.due
    disarm()
    local results = table.pack(f(...))
    if due then
      arm(due)
    end
    return table.unpack(results, 1, results.n)
  end
end

replace(core, "stats", hide_timer)
replace(core, "backend_timeout", hide_timer)

-- A test's own clock and shuffle.
local testing = core.testing or {}
local stop_clock, shuffle = testing.stop_clock, testing.shuffle

replace(testing, "next_timer", hide_timer)
replace(testing, "start_clock", function(start)
  return function(...)
    local due = watch.timer and watch.due
    disarm()
    local ok, err = pcall(start, ...)
    if window and ok then
      window.clock = caller() or "?"
    elseif due then
      arm(due)
    end
    if not ok then
      error(err, 2)
    end
  end
end)
replace(testing, "stop_clock", function(stop_it)
  return function()
    stop_it()
    if window and window.clock then
      window.clock = nil
      arm(watch.since + watch.limit)
    end
  end
end)
replace(testing, "shuffle", function(f)
  return function(seed)
    f(seed)
    if window then
      window.seed = seed
    end
  end
end)

local handlers = {} -- name of a function that sets a rejection handler -> what it set last
local set_handler = {}
for _, name in ipairs({ "on_unhandled_rejection", "on_rejection_handled" }) do
  replace(core, name, function(set)
    set_handler[name] = set
    return function(...)
      local f = ...
      if f == nil or core.callable(f) then
        handlers[name] = f
      end
      return finish_call(nil, pcall(set, ...))
    end
  end)
end

-- Modules that have been loaded before, by another helper perhaps.
for name, module in pairs(package.loaded) do
  if type(module) == "table" and tostring(name):find("^moontide") and module ~= core then
    for key, value in pairs(module) do
      module[key] = replaced[value] or value
    end
  end
end
require "moontide"

---- what a test leaves behind ----

--- The open handle that an object is, or that its promise has given; or nil.
local function open_handle(object)
  local state, value
  if is_promise(object) then
    state, value = object:state()
  end
  local handle = state == "fulfilled" and value or object
  return is_open(handle) and handle or nil
end

--- A timer's handle lets go of its function, the first user value, when it is over.
local function is_live(object)
  if open_handle(object) then
    return true
  elseif is_promise(object) then
    return object:state() == "pending"
  end
  local is_timer = debug.getmetatable(object).__name == "moontide.Handle"
  return is_timer and debug.getuservalue(object, 1) ~= nil
end

local function live_of(made)
  local list = {}
  for object, value in pairs(made) do
    if is_live(object) then
      list[#list + 1] = entry_of(object, value)
    end
  end
  table.sort(list, by_order)
  return list
end

local function ignore() end

local function close(entry)
  local object = open_handle(entry.object) or entry.object
  if is_promise(object) then
    if entry.what == "sleep" then
      object:catch(ignore)
      core.cancel_waiter(object, core.new_error("AbortError", "the test is over"))
    end
  elseif object.destroy then
    object:destroy()
  elseif object.close then
    object:close()
  end
end

--- After a hook that hung, what it was waiting for must not keep the next test's loop alive.
function close_outside()
  for _, entry in ipairs(hung and live_of(outside) or {}) do
    close(entry)
  end
  outside, hung = setmetatable({}, WEAK_KEYS), false
end

--- What the core counts above what it counted before the test.
local function uncounted(before)
  local list, live = {}, stats()
  for _, kind in ipairs({ "timers", "immediates", "operations", "handles" }) do
    local more = live[kind] - before[kind]
    if more > 0 then
      local text = "%d %s, made where the helper cannot see it"
      list[#list + 1] = { what = text:format(more, kind), kind = kind }
    end
  end
  return list
end

local function collect()
  -- Nils over what earlier calls have left in the stack above this one, which Lua still marks.
  local _ = select("#", table.unpack({}, 1, 200))
  collectgarbage()
  collectgarbage()
end

--- Closes what can be closed, and lets the loop end the rest, and what that begins in turn. Returns
--- whether nothing is left.
local function clear(w)
  for _, set in pairs(set_handler) do
    set(ignore)
  end
  local deadline = now() + PATIENCE
  repeat
    for _, entry in ipairs(live_of(w.made)) do
      close(entry)
    end
    local live = stats()
    if live.microtasks + live.rejections == 0 and #uncounted(w.before) == 0 then
      return true
    end
    pcall(step, 10)
  until now() > deadline
  return false
end

local function restore_handlers(w)
  for name, set in pairs(set_handler) do
    handlers[name] = w.handlers[name]
    set(handlers[name])
  end
end

--- The functions of the test that have not returned, also those of which only their number is left.
--- The count of calls is exact, while the collector may have been there or not.
local function unfinished(w)
  local list, gone, known = {}, {}, {}
  for _, entry in ipairs(suspended(w.tasks)) do
    if entry.has_not_returned then
      local where = entry.where or ""
      known[where] = (known[where] or 0) + 1
      list[#list + 1] = entry
    end
  end
  for where, number in pairs(w.calls) do
    for _ = (known[where] or 0) + 1, unreturned[number] or 0 do
      local entry = { what = "an async function that nothing can wake", order = number }
      entry.where = where ~= "" and where or nil
      gone[#gone + 1] = entry
    end
    unreturned[number] = nil
  end
  table.sort(gone, by_order)
  return table.move(gone, 1, #gone, #list + 1, list)
end

--- Everything that the test has left behind, as list of { where =, what = }; nothing of it remains.
local function leftovers(w)
  restore_handlers(w)
  if #live_of(w.made) + #uncounted(w.before) == 0 then
    return w.allows_suspended and {} or unfinished(w)
  end
  collect() -- what nobody can reach any more is over: a signal's timer goes with the signal
  local list, tasks = live_of(w.made), suspended(w.tasks)
  for _, entry in ipairs(list) do
    close(entry)
    entry.object = nil
  end
  local more = uncounted(w.before)
  local closed = clear(w)
  restore_handlers(w)
  for _, entry in ipairs(#list == 0 and more or {}) do
    -- Those that have been closed are counted until their turn has come.
    if entry.kind ~= "immediates" and entry.kind ~= "handles" or not closed then
      list[#list + 1] = entry
    end
  end
  if #list > 0 then
    table.move(tasks, 1, #tasks, #list + 1, list)
  end
  if not closed then
    local text = "not over %d ms later: the next test will meet it"
    list[#list + 1] = { what = text:format(PATIENCE) }
  end
  return list
end

---- what went wrong while nobody awaited ----

local function text_of(reason)
  local meta = debug.getmetatable(reason)
  if type(reason) == "string" or meta and meta.__tostring then
    return tostring(reason)
  elseif meta and meta.__type == "failure" then
    reason = reason.message
  end
  return reason == nil and "Nil error" or pretty.write(reason)
end

local function add_problem(w, kind, message, lines)
  local problem = { kind = kind, message = message }
  if not message:match("^[^\n]-:%d+: ") then
    local where = lines and lines:match("\n\t([^\n]-:%d+): in ") or w.where
    problem.message = ("%s: %s"):format(where, message)
  end
  problem.trace = lines and lines:gsub("\n\t%[await%]$", "")
  w.problems[#w.problems + 1] = problem
end

local function add_reason(w, reason)
  local meta = debug.getmetatable(reason)
  local kind = meta and meta.__type == "failure" and "failure" or "error"
  add_problem(w, kind, text_of(reason) .. "\nNothing in the test awaited this.", origin(reason))
end

--- Runs all microtasks, and reports rejections, without beginning a turn.
local function drain(w)
  for _ = 1, 100 do
    local live = stats()
    if live.microtasks + live.rejections == 0 then
      return
    end
    queue_microtask(stop)
    local ok, reason = pcall(step)
    if not ok then
      add_reason(w, reason)
    end
  end
end

---- busted's events ----

local function position(w)
  local trace = w.element and w.element.trace
  return trace and trace.short_src .. ":" .. trace.currentline or "?"
end

--- busted's `test end`, which has been held back.
local function publish_end(w)
  if w.held then
    w.held = false
    busted.publish({ "test", "end" }, w.element, w.parent, w.status)
  end
end

--- One report of everything, as busted would make it of an error in the body.
local function publish_problems(w)
  local messages, lines = {}, {}
  -- Failures are counted when the test ends; if that is over, it has to be an error.
  local kind = w.held and "failure" or "error"
  for i, problem in ipairs(w.problems) do
    kind = problem.kind == "error" and "error" or kind
    messages[i] = problem.message
    lines[i] = problem.trace or ""
  end
  local message = table.concat(messages, "\n")
  local short_src, line = message:match("^([^\n]-):(%d+): ")
  busted.publish({ kind, "it" }, w.element, w.parent, message, {
    short_src = short_src,
    source = short_src and "@" .. short_src,
    currentline = tonumber(line),
    what = "Lua",
    message = message,
    traceback = #table.concat(lines) > 0 and "\nstack traceback:" .. table.concat(lines) or nil,
  })
  w.status = kind
end

local FIRST = { priority = 1 }

local function on(event, f)
  busted.subscribe(event, function(...)
    return nil, f(...) ~= false
  end, FIRST)
end

local function enter_block()
  limits[#limits + 1] = limits[#limits]
  watch_between()
end

local function leave_block()
  limits[#limits] = nil
  watch_between()
end

for _, block in ipairs({ "file", "describe" }) do
  on({ block, "start" }, enter_block)
  on({ block, "end" }, leave_block)
end
on({ "suite", "start" }, watch_between)
on({ "suite", "end" }, disarm)

busted.before_each(function()
  disarm()
  close_outside()
  window = {
    limit = limits[#limits],
    problems = {},
    made = setmetatable({}, WEAK_KEYS),
    tasks = setmetatable({}, WEAK_KEYS),
    calls = {},
    before = stats(),
    handlers = {},
  }
  for name, f in pairs(handlers) do
    window.handlers[name] = f
  end
  begin_watch(window.limit, 1)
end)

on({ "test", "start" }, function(element, parent)
  if window and element.descriptor == "it" then
    window.element, window.parent = element, parent
    window.where = position(window)
    begin_watch(window.limit, 1)
  end
end)

on({ "test", "end" }, function(element, _, status)
  local w = window
  if not w or w.element ~= element or w.held ~= nil then
    return true
  end
  local took = now() - watch.since
  begin_watch(w.limit, 1)
  w.status, w.held = status, true
  drain(w)
  if w.expired then
    add_problem(w, "failure", w.expired)
  elseif took > w.limit then
    local text = "took %.0f ms, %g are allowed"
    add_problem(w, "failure", text:format(took, w.limit))
  end
  return false
end)

busted.after_each(function()
  local w = window
  disarm()
  drain(w)
  local clock, seed = w.clock, w.seed
  if clock then
    stop_clock()
  end
  if seed then
    shuffle(nil)
  end
  local left = leftovers(w)
  if clock then
    table.insert(left, 1, { where = clock, what = "a virtual clock" })
  end
  if w.element then
    if #left > 0 and not w.expired then
      local where = left[1].where or w.where
      add_problem(w, "failure", where .. ": the test has left behind:" .. lines_of(left))
    end
    -- What a test that was cut off has left undone says nothing.
    if #w.problems > 0 and (w.status == "success" or w.status == "pending") then
      publish_problems(w)
    end
    publish_end(w)
  end
  window = nil
  watch_between()
end)

--- A trace begins where the reason arose, although that was in another function than its await;
--- and with a function of the user's.
local function complete_trace(_, _, _, trace)
  if not trace or not trace.traceback or trace.moontide then
    return
  end
  trace.moontide = true
  local lines, cut = "", false
  if trace.message ~= nil then
    lines, cut = origin(trace.message)
  end
  if not cut or lines == "" then
    local here = lines ~= "" and "\n\t[await]" or ""
    lines = lines .. here .. clean(trace.traceback:gsub("^\n?stack traceback:", ""))
  end
  trace.traceback = "\nstack traceback:" .. lines .. "\n"
end

--- What a report of a failed test says besides: who waits for whom, in a deadlock; of a shuffled
--- test, how to have the same order again.
local function addition(trace)
  local reason = trace and trace.message
  local is_deadlock = type(reason) == "table" and rawget(reason, "name") == "DeadlockError"
  local tasks = is_deadlock and rawget(reason, "tasks")
  local seed = window and window.seed
  return (tasks and "\n" .. tostring(tasks) or "")
    .. (seed and "\nShuffled with the seed " .. seed .. "." or "")
end

local adding = false

local function add(kind, element, parent, message, trace)
  local more = not adding and addition(trace) or ""
  if more == "" then
    return true
  end
  adding = true
  busted.publish({ kind, "it" }, element, parent, tostring(message) .. more, trace)
  adding = false
  return false
end

for _, kind in ipairs({ "failure", "error" }) do
  on({ kind, "it" }, complete_trace)
  on({ kind, "it" }, function(...)
    return add(kind, ...)
  end)
  on({ kind }, function(element, parent, message, trace)
    if element.descriptor ~= "it" then
      complete_trace(element, parent, message, trace)
    end
    -- An after_each has failed: that comes after the end of its test.
    if window and element.descriptor == "after_each" then
      publish_end(window)
    end
  end)
end

---- settings ----

local function check_limit(text, source)
  local ms = tonumber(text)
  if not ms or ms ~= ms or ms <= 0 then
    error(("moontide.busted: %s: positive number of milliseconds expected, got '%s'"):format(source,
      text), 0)
  end
  return ms
end

local environment = os.getenv "MOONTIDE_TEST_TIMEOUT"
if environment and environment ~= "" then
  limits[1] = check_limit(environment, "MOONTIDE_TEST_TIMEOUT")
end
for _, word in ipairs(arg or {}) do
  local text = tostring(word):match("^timeout=(.*)$")
  if text then
    limits[1] = check_limit(text, "timeout")
  end
end

return M
