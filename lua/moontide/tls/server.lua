--- A server in front of another one: each connection has a handshake before it is accepted here.
---
--- Handshakes run side by side, so that a client that says nothing keeps nobody waiting but itself.
--- Whoever waits here asks for connections below, under the same signal and in the same scope: a
--- cancellation ends both. A connection goes to who is first in line when it is ready.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local abort = require "moontide.async.abort"
local line = require "moontide.async.line"

local M = {}

local HANDSHAKES_MAX = 256 -- under way at once

-- Fields: _below, the server; _secure(stream) gives the promise of what is accepted; _on_error or
-- nil; _line of those who wait; _ready[_first.._last], for which nobody has waited; _shaking: set
-- of streams, _count: how many; _closed.
-- Of one who waits: node, its place in the line; options; context, its async context; asking: the
-- controller of its pending accept below, or nil.
local Server = { __name = "moontide.tls.Server" }
local methods = {}
Server.__index = methods

---- those who wait ----

--- What serves who has waited longest, and asks below no longer; nil if there is nobody.
local function take_waiter(self)
  local node = self._line:take()
  local asking = node and node.item.asking
  if asking then
    asking:abort()
  end
  return node
end

local function is_cancelled(waiter)
  return waiter.node.next == nil
end

local function wait(self, signal, options)
  local waiter = { options = options, context = core.context() }
  local promise = self._line:wait(signal, waiter)
  waiter.node = self._line.previous
  return promise, waiter
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
  local node = take_waiter(self)
  if node then
    line.resolve(node, stream)
  else
    self._last = self._last + 1
    self._ready[self._last] = stream
  end
end

local ask

--- There is room for one more handshake.
local function ask_on(self)
  local node = self._line.next
  while node and node ~= self._line do
    local following = node.next
    ask(self, node.item)
    node = following
  end
end

--- In no group: who waits now may be another one by the time when it is done.
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
    end
    ask_on(self)
  end, function(reason)
    over()
    ask_on(self)
    if self._on_error and not self._closed then
      self._on_error(reason)
    end
  end)
end

--- Calls f(...) in an async context.
local function call_in(context, f, ...)
  local previous = core.swap_context(context)
  local ok, err = pcall(f, ...)
  core.swap_context(previous)
  if not ok then
    error(err, 0)
  end
end

--- The connection below that has been asked for has come; nothing: the server is closed.
local function on_connection(self, waiter, stream)
  waiter.asking = nil
  if stream then
    call_in(nil, begin_handshake, self, stream)
    ask(self, waiter)
  else
    self:close()
  end
end

--- The accept below has been cancelled, with the waiting or because that is over; or it has failed.
local function on_failure(self, waiter, reason)
  waiter.asking = nil
  if not is_cancelled(waiter) then
    line.remove(waiter.node)
    line.reject(waiter.node, reason)
  end
end

local function accept_below(self, waiter)
  local controller = abort.AbortController()
  local signal = waiter.options and waiter.options.signal
  waiter.asking = controller
  self._below:accept({
    signal = signal and abort.AbortSignal.any({ signal, controller.signal }) or controller.signal,
  }):next(function(stream)
    on_connection(self, waiter, stream)
  end, function(reason)
    on_failure(self, waiter, reason)
  end)
end

--- Asks for a connection below, if whoever waits still does.
function ask(self, waiter)
  local over = waiter.asking or is_cancelled(waiter) or self._closed
  if not over and self._count < HANDSHAKES_MAX then
    call_in(waiter.context, accept_below, self, waiter)
  end
end

---- methods ----

function methods:accept(options)
  argument.check_self(self, Server, "server:accept")
  local signal, refused = line.heed(options, 1, "server:accept")
  local stream = not refused and take_ready(self)
  if refused then
    return refused
  elseif stream then
    return core.Promise.resolve(stream)
  elseif self._closed then
    return core.Promise.resolve()
  end
  local promise, waiter = wait(self, signal, options)
  ask(self, waiter)
  return promise
end

function Server:__call()
  argument.check_self(self, Server, "server:__call")
  return core.await(self:accept())
end

--- Whoever waits gets nothing; connections that nobody has got are of no use any more.
function methods:close()
  argument.check_self(self, Server, "server:close")
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
    local node = take_waiter(self)
    while node do
      line.resolve(node)
      node = take_waiter(self)
    end
  end
  return self._below:close()
end

function Server:__close()
  argument.check_self(self, Server, "server:__close")
  self:close()
end

function methods:address()
  argument.check_self(self, Server, "server:address")
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
    _ready = {},
    _first = 1,
    _last = 0,
    _shaking = {},
    _count = 0,
    _closed = false,
  }, Server)
end

return M
