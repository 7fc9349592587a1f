--- What passes while a server has connections: one timer for all that they wait for, which counts
--- ticks, and the date.
local core = require "moontide.core"
local date = require "moontide.http.date"

local M = {}

local LONGEST_TICK, SHORTEST_TICK = 1000, 10 -- ms

-- Fields: tick, how many have passed; date, the header line; timeouts, ms by phase; _most, the same
-- in ticks; _length of a tick, ms; _connections, a set, and _count; _timer; _second of the date;
-- _context of the server. A connection has a phase, since when, in ticks,
-- expire(phase) and note_progress().
local Sweep = {}
Sweep.__index = Sweep

--- Timeouts are counted in ticks, of which each has four, or a second if it has more.
local function tick_length(timeouts)
  local length = LONGEST_TICK
  for _, ms in pairs(timeouts) do
    length = math.min(length, ms / 4)
  end
  return math.max(length, SHORTEST_TICK)
end

--- What each phase may take, in ticks.
local function ticks_of(timeouts, length)
  local ticks = {}
  for phase, ms in pairs(timeouts) do
    if ms < math.huge then
      ticks[phase] = math.ceil(ms / length) + 1
    end
  end
  return ticks
end

function M.new(timeouts)
  local length = tick_length(timeouts)
  return setmetatable({
    tick = 0,
    timeouts = timeouts,
    _most = ticks_of(timeouts, length),
    _length = length,
    _connections = {},
    _count = 0,
    _context = core.context(),
  }, Sweep)
end

local function set_date(self)
  local now = os.time()
  if now ~= self._second then
    self._second, self.date = now, "Date: " .. date.format(now) .. "\r\n"
  end
end

--- Whether what it waits for has taken too long.
local function is_due(self, connection)
  if connection.phase == "write" then
    connection:note_progress()
  end
  local most = self._most[connection.phase]
  return most and self.tick - connection.since >= most
end

--- Ends what is due, when all have been looked at: that may bring new connections, or end others.
local function pass(self)
  self.tick = self.tick + 1
  set_date(self)
  local due
  for connection in pairs(self._connections) do
    if is_due(self, connection) then
      due = { connection = connection, next = due }
    end
  end
  while due do
    local connection, phase = due.connection, due.connection.phase
    if is_due(self, connection) then
      connection.phase = "expired"
      connection:expire(phase)
    end
    due = due.next
  end
end

--- In the server's context: the timer outlives the connection with which it begins.
local function start(self)
  set_date(self)
  local previous = core.swap_context(self._context)
  local ok, timer = pcall(core.set_interval, pass, self._length, self)
  core.swap_context(previous)
  if not ok then
    error(timer, 0)
  end
  self._timer = timer:unref()
end

function Sweep:enter(connection)
  if self._count == 0 then
    start(self)
  end
  self._count = self._count + 1
  self._connections[connection] = true
end

function Sweep:leave(connection)
  self._connections[connection] = nil
  self._count = self._count - 1
  if self._count == 0 then
    self._timer:close()
  end
end

--- For a `for`.
function Sweep:connections()
  return pairs(self._connections)
end

return M
