--- Replies that are server-sent events: the HTML standard, 9.2.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local line = require "moontide.async.line"

local M = {}

local await, new_error, Promise = core.await, core.new_error, core.Promise

local HEARTBEAT = 15000 -- ms

-- Fields: last_id; _write: a piece of the body, -> promise; _is_quiet: nothing has been sent since
-- the last beat; _lost: what a write has failed with; _over.
local Events = { __name = "moontide.http.Events" }
local methods = {}
Events.__index = methods

---- events ----

local FIELDS = {
  { "data", "data" },
  { "event", "string" },
  { "id", "data" },
  { "retry", "integer" },
}

--- What is wrong with an event, or nil.
local function mistake(event)
  for _, name in ipairs({ "event", "id" }) do
    if event[name] and tostring(event[name]):find("[\r\n]") then
      return ("field '%s': no line ends"):format(name)
    end
  end
  if event.id and tostring(event.id):find("\0", 1, true) then
    return "field 'id': no NUL"
  elseif event.retry and event.retry < 0 then
    return "field 'retry': negative"
  elseif not (event.data or event.event or event.id or event.retry) then
    return "an event has a field 'data', 'event', 'id' or 'retry'"
  end
end

local function text_of(event)
  local lines = {}
  for _, name in ipairs({ "event", "id", "retry" }) do
    if event[name] then
      lines[#lines + 1] = name .. ": " .. event[name]
    end
  end
  if event.data then
    local data = tostring(event.data):gsub("\r\n?", "\n")
    lines[#lines + 1] = "data: " .. data:gsub("\n", "\ndata: ")
  end
  return table.concat(lines, "\n") .. "\n\n"
end

--- Fulfilled when the client has taken it, but for what a stream keeps.
function methods:send(event, options)
  argument.check_self(self, Events, "events:send")
  argument.check("table", event, 1, "events:send")
  argument.check_options(event, FIELDS, 1, "events:send")
  local problem = mistake(event)
  if problem then
    argument.fail(problem, 1, "events:send")
  end
  local _, refused = line.heed(options, 2, "events:send")
  if refused then
    return refused
  elseif self._over then
    return Promise.reject(new_error("ClosedError", "the events are over"))
  end
  self._is_quiet = false
  return self._write(text_of(event), options):catch(function(reason)
    self._lost = reason
    error(reason, 0)
  end)
end

function M.new(write, last_id)
  return setmetatable({ last_id = last_id, _write = write, _is_quiet = true }, Events)
end

---- the body ----

--- A comment now and then: where the connection is dead, the system finds out. One that has not
--- been taken is enough.
local function start_heart(self, ms)
  local is_taken = true
  local function taken()
    is_taken = true
  end
  local timer = core.set_interval(function()
    if self._is_quiet and is_taken then
      is_taken = false
      self._write(":\n\n"):next(taken, taken)
    end
    self._is_quiet = true
  end, ms)
  timer:unref()
  return timer
end

--- Calls the function in a group of its own, which is cancelled when the client leaves.
local function run(self, f, signal, ms)
  local _ <close> = start_heart(self, ms)
  local remove
  local ok, reason = pcall(await, core.group_of("group", function(g)
    remove = signal:on_abort(function(reason)
      g:cancel(reason)
    end)
    signal:throw_if_aborted()
    f(self)
  end))
  self._over = true
  if remove then
    remove()
  end
  if ok then
    return true
  elseif rawequal(reason, self._lost) or rawequal(reason, signal.reason) then
    return false
  end
  error(reason, 0)
end

--- What writes the body: write_body(write, request) -> whether the client is there still.
local function body(f, ms)
  return function(write, request)
    local self = M.new(write, request.headers:get("last-event-id"))
    return run(self, f, request.signal, ms)
  end
end

function M.events(f, options)
  argument.check("callable", f, 1, "http.events")
  argument.check_options(options, { { "heartbeat", "ms" } }, 2, "http.events")
  return {
    headers = {
      ["Content-Type"] = "text/event-stream",
      ["Cache-Control"] = "no-store",
      ["X-Accel-Buffering"] = "no", -- nginx would keep them until there are more
    },
    write_body = body(f, options and options.heartbeat or HEARTBEAT),
  }
end

return M
