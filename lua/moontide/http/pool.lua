--- Where libcurl's transfers and the loop meet: what waits for sockets and for time, for all
--- transfers of a client.
---
--- The loop looks at the sockets while a transfer is under way, and is kept alive by those for
--- which somebody waits. A transfer's owner is an exchange; the pool holds it only while somebody
--- waits.
local core = require "moontide.core"

local M = {}

local engine -- found when it is first needed

--- Raises where moontide was built without libcurl.
function M.check(level)
  if engine then
    return
  end
  local found, module = pcall(require, "moontide.http_core")
  if not found then
    error("the HTTP client is not available: moontide was built without libcurl (Debian: "
      .. "libcurl4-openssl-dev; Fedora: libcurl-devel; Alpine: curl-dev; Arch, Homebrew: curl), "
      .. "or cannot load it\n" .. module, level + 1)
  end
  engine = module
end

--- The parts of a URL, relative to another one if that is given; nil if it is none.
function M.url(text, base)
  return engine.url(text, base)
end

local PATIENCE = 1000 -- ms

-- Fields: _limits; _multi; _readable, while there are transfers; _timer and _due, when libcurl
-- wants to go on; _waiting: exchange -> true, _count of them; _stall, a timer, and _patience, what
-- it waits for; _closed.
local Pool = {}
Pool.__index = Pool

function M.new(limits)
  return setmetatable({
    _limits = limits,
    _waiting = {},
    _count = 0,
    _patience = PATIENCE,
    _closed = false,
  }, Pool)
end

---- what keeps it going ----

local go_on

local function stop_timer(self)
  if self._timer then
    self._timer:close()
    self._timer, self._due = nil, nil
  end
end

--- A timer that fires too early does no harm, so it is replaced only by an earlier one.
local function set_timer(self)
  local ms = self._multi:wait()
  local due = ms and core.now() + ms
  if not due or self._timer and self._due <= due then
    return
  end
  stop_timer(self)
  self._due = due
  self._timer = core.set_timeout(function()
    self._timer, self._due = nil, nil
    go_on(self)
  end, ms):unref()
end

local function note_news(self)
  self._patience = PATIENCE
  if self._stall then
    self._stall:close()
    self._stall = nil
  end
end

--- Responses that were dropped unread keep connections that others may wait for. Where nothing
--- happens for a while they are looked for: who waits makes no garbage, so that nobody else would.
local function watch_for_stall(self)
  local most = math.min(self._limits.max_per_host, self._limits.max_connections)
  if self._stall or self._count == 0 or self._multi:count() <= most then
    return
  end
  self._stall = core.set_timeout(function()
    self._stall, self._patience = nil, self._patience * 2
    collectgarbage()
    go_on(self)
  end, self._patience):unref()
end

local function stop(self)
  stop_timer(self)
  note_news(self)
  if self._readable then
    self._readable:close()
    self._readable = nil
  end
end

--- Tells the owners of transfers what has happened, and sees to what is waited for now.
local function settle(self)
  local multi = self._multi
  for exchange in multi.next, multi do
    note_news(self)
    exchange:on_news()
  end
  if multi:is_idle() then
    return stop(self)
  end
  set_timer(self)
  watch_for_stall(self)
  if self._readable then
    self._readable:hold(self._count > 0)
  end
end

function go_on(self)
  if self._multi:is_open() then
    self._multi:go_on()
  else
    stop(self)
    self._multi:close()
  end
  settle(self)
end

local function start_readable(self)
  if not self._readable then
    self._readable = core.readable(self._multi:descriptor(), function()
      go_on(self)
    end)
  end
end

--- A process that was forked has connections of its own.
local function open(self)
  if self._multi and not self._multi:is_open() then
    go_on(self)
    self._multi = nil
  end
  self._multi = self._multi or engine.multi(self._limits)
end

---- transfers ----

--- Starts a transfer, which is the exchange's: the transfer; or nil, code, message.
function Pool:start(request, exchange)
  open(self)
  local transfer, code, message = self._multi:start(request, exchange)
  if transfer then
    start_readable(self)
  end
  settle(self)
  return transfer, code, message
end

--- Somebody waits for news of the exchange's transfer, or does so no longer.
function Pool:hold(exchange)
  if not self._waiting[exchange] then
    self._waiting[exchange], self._count = true, self._count + 1
    if self._count == 1 and self._readable then
      self._readable:hold(true)
    end
    watch_for_stall(self)
  end
end

function Pool:let_go(exchange)
  if self._waiting[exchange] then
    self._waiting[exchange], self._count = nil, self._count - 1
    if self._count == 0 and self._readable then
      self._readable:hold(false)
    end
  end
end

--- Something was asked of a transfer, or it was closed.
function Pool:settle()
  settle(self)
end

--- The same of one that was dropped: the collector calls it.
function Pool:rest()
  if self._multi and self._multi:is_idle() then
    stop(self)
  end
end

function Pool:is_closed()
  return self._closed
end

--- Ends all transfers, and closes the connections.
function Pool:close()
  self._closed = true
  if self._multi then
    stop(self)
    self._multi:close()
    settle(self)
  end
end

return M
