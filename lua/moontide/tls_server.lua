--- A server in front of another one: each connection has a handshake before it is accepted here.
---
--- Handshakes run side by side, so that a client that says nothing keeps nobody waiting but itself.
--- The server below is asked for connections only while somebody waits for one here.
local core = require "moontide.core"
local abort = require "moontide.abort"
local line = require "moontide.line"

local M = {}

local HANDSHAKES_MAX = 256 -- under way at once

-- Fields: _below, the server; _secure(stream) gives the promise of what is accepted; _on_error or
-- nil; _line of those who wait, _waiting: how many; _ready[_first.._last], which nobody has waited
-- for; _shaking: set of streams, _count: how many; _asking: the controller of the pending accept
-- below; _closed.
local Server = { __name = "moontide.tls.Server" }
local methods = {}
Server.__index = methods

local function check_self(self, name)
  if getmetatable(self) ~= Server then
    local text = "bad argument #1 to '%s' (moontide.tls.Server expected, got %s)"
    error(text:format(name, type(self)), 3)
  end
end

---- those who wait ----

--- Who has waited longest, and waits no longer; nil if there is nobody.
local function take_waiter(self)
  local waiter = self._line:take()
  if waiter then
    self._waiting = self._waiting - 1
  end
  return waiter
end

--- Nobody waits: what is asked for below is not needed.
local function rest(self)
  if self._waiting == 0 and self._asking then
    self._asking:abort()
  end
end

local function wait(self, signal)
  local waiter = {}
  local promise
  promise, waiter.resolve, waiter.reject = abort.abortable(signal, function()
    line.remove(waiter)
    self._waiting = self._waiting - 1
    rest(self)
  end)
  self._line:append(waiter)
  self._waiting = self._waiting + 1
  return promise
end

---- connections ----

local function take_ready(self)
  local stream = self._ready[self._first]
  if stream then
    self._ready[self._first] = nil
    self._first = self._first + 1
  end
  return stream
end

local function hand_out(self, stream)
  local waiter = take_waiter(self)
  if waiter then
    waiter.resolve(stream)
    rest(self)
  else
    self._last = self._last + 1
    self._ready[self._last] = stream
  end
end

local ask

local function begin_handshake(self, stream)
  self._shaking[stream], self._count = true, self._count + 1
  local function over()
    self._shaking[stream], self._count = nil, self._count - 1
  end
  self._secure(stream):next(function(result)
    over()
    if self._closed then
      result:destroy()
    else
      hand_out(self, result)
      ask(self)
    end
  end, function(reason)
    over()
    ask(self)
    if self._on_error and not self._closed then
      self._on_error(reason)
    end
  end)
end

--- The connection below that has been asked for has come; nothing: the server is closed.
local function on_connection(self, stream)
  self._asking = nil
  if stream then
    begin_handshake(self, stream)
    ask(self)
  else
    self:close()
  end
end

local function on_failure(self, reason)
  local aborted = self._asking.signal.aborted
  self._asking = nil
  local waiter = not aborted and take_waiter(self)
  if waiter then
    waiter.reject(reason)
  end
  ask(self)
end

local function accept_below(self)
  self._asking = abort.AbortController()
  self._below:accept({ signal = self._asking.signal }):next(function(stream)
    on_connection(self, stream)
  end, function(reason)
    on_failure(self, reason)
  end)
end

--- Asks for the next connection, if it is needed. In no group: who waits here may be another one
--- by the time when it comes.
function ask(self)
  if self._asking or self._waiting == 0 or self._closed or self._count >= HANDSHAKES_MAX then
    return
  end
  local previous = core.swap_context(nil)
  local ok, err = pcall(accept_below, self)
  core.swap_context(previous)
  if not ok then
    error(err, 0)
  end
end

---- methods ----

function methods:accept(options)
  check_self(self, "accept")
  local signal, refused = line.heed(options, 1, "accept")
  local stream = not refused and take_ready(self)
  if refused then
    return refused
  elseif stream then
    return core.Promise.resolve(stream)
  elseif self._closed then
    return core.Promise.resolve()
  end
  local promise = wait(self, signal)
  ask(self)
  return promise
end

function Server:__call()
  return core.await(self:accept())
end

--- Whoever waits gets nothing; connections that nobody has got are of no use any more.
function methods:close()
  check_self(self, "close")
  if not self._closed then
    self._closed = true
    for stream in pairs(self._shaking) do
      stream:destroy()
    end
    local stream = take_ready(self)
    while stream do
      stream:destroy()
      stream = take_ready(self)
    end
    local waiter = take_waiter(self)
    while waiter do
      waiter.resolve()
      waiter = take_waiter(self)
    end
  end
  return self._below:close()
end

function Server:__close()
  self:close()
end

function methods:address()
  check_self(self, "address")
  return self._below:address()
end

--- secure(stream) gives the promise of what is accepted in place of a stream that the server below
--- has accepted, and destroys that one when it fails; on_error(reason), or nil, is told of that.
function M.new(below, secure, on_error)
  return setmetatable({
    _below = below,
    _secure = secure,
    _on_error = on_error,
    _line = line.new(),
    _waiting = 0,
    _ready = {},
    _first = 1,
    _last = 0,
    _shaking = {},
    _count = 0,
    _closed = false,
  }, Server)
end

return M
