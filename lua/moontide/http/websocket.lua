--- One end of a WebSocket: RFC 6455. A loop over its messages reads from the connection itself.
--- When nobody does, a task outside all groups reads, from the next tick on: so pings are answered
--- while nobody receives. It stands still while more is held than HELD. The frames themselves are
--- read and written in csrc/websocket.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local line = require "moontide.async.line"

local M = {}

local await, new_error, Promise = core.await, core.new_error, core.Promise
local is_utf8 = core.websocket.is_utf8

local HELD = 64 * 1024 -- bytes of messages that nobody has received
local MESSAGE = 64 -- what each of these counts besides its bytes
local PONGS = 16 -- that the peer has not taken
local CLOSE_TIMEOUT = 5000 -- ms
local TICK = 50 -- ms
local REASON_MAX, PING_MAX = 123, 125 -- bytes

local NORMAL, NO_CODE, LOST = 1000, 1005, 1006

-- Fields: protocol; code and reason, once it is over; _stream; _next: gives the bytes that come;
-- _codec; _is_client; _close_timeout. _reader: "loop" or "task", who reads. Messages that nobody
-- has received: _data and _kinds, lists from _first to _last, _held: how much they are; _resume:
-- there is room again. _receivers and _pings: lines; _ping_count. _pongs: how many are not taken,
-- _pong: what the last of them has to say. _said: our close frame has been sent; _is_over: nothing
-- more comes; _failure: why, where that is an error; _refusal: what is told to who still wants
-- something. _closed: promise; _timer: ends the closing.
local WebSocket = { __name = "moontide.http.WebSocket" }
local methods = {}
WebSocket.__index = methods

local function nothing() end

--- What is told to who still wants something.
local function closed_error(self)
  self._refusal = self._refusal or new_error("ClosedError", "the WebSocket is closed")
  return self._refusal
end

local function failure(code, message, cause)
  local err = new_error("WebSocketError", message)
  err.code, err.cause = code, cause
  return err
end

local function lost(self, cause)
  self._failure = self._failure
    or failure(LOST, "the connection is lost: " .. tostring(cause), cause)
  return self._failure
end

---- what is sent ----

--- Sends the close frame, once; from then on the peer has some time for its own, and for the end.
local function say(self, code, reason)
  if self._said then
    return
  end
  self._said = true
  local payload = code and string.pack(">I2", code) .. (reason or "") or ""
  self._stream:write(self._codec:frame("close", payload)):catch(nothing)
  self._timer = core.set_timeout(function()
    self._stream:destroy()
  end, self._close_timeout)
  if self._resume then
    self._resume()
  end
end

--- A peer that does not take its pongs gets the last one only: RFC 6455, 5.5.3.
local function send_pong(self, data)
  if self._said then
    return
  elseif self._pongs == PONGS then
    self._pong = data
    return
  end
  self._pongs = self._pongs + 1
  local function taken()
    self._pongs = self._pongs - 1
    local last = self._pong
    self._pong = nil
    if last then
      send_pong(self, last)
    end
  end
  self._stream:write(self._codec:frame("pong", data)):next(taken, nothing)
end

---- the tick ----

local idle, ticker = {}, nil -- idle: those that nobody reads; whether that was so a tick ago
local start

local function stop_ticking()
  if ticker and not next(idle) then
    ticker:close()
    ticker = nil
  end
end

local function tick()
  local due = {}
  for ws, is_old in pairs(idle) do
    idle[ws] = not is_old or nil
    due[#due + 1] = is_old and ws or nil
  end
  for _, ws in ipairs(due) do
    start(ws)
  end
  stop_ticking()
end

local function await_tick(self)
  idle[self] = false
  ticker = ticker or core.set_interval(tick, TICK)
end

---- the end ----

--- Nothing more comes.
local function finish(self, code, reason, err)
  idle[self] = nil
  stop_ticking()
  self.code, self.reason, self._is_over = code, reason, true
  self._failure = self._failure or err
  local refusal = err or closed_error(self)
  for node in function() return self._receivers:take() end do
    if err then
      line.reject(node, err)
    else
      line.resolve(node)
    end
  end
  for node in function() return self._pings:take() end do
    line.reject(node, refusal)
  end
end

--- Waits for the end of the connection: what is closed while something comes would be reset by the
--- system, and the peer might lose what was sent.
local function drain(self)
  pcall(function()
    local chunk
    repeat
      chunk = self._next()
    until not chunk
  end)
end

local function close_stream(self, drains)
  if drains then
    drain(self)
  end
  if self._timer then
    self._timer:close()
  end
  self._stream:close()
  self._resolve_closed()
end

--- The peer has sent its close frame. The server is the one that closes the connection.
local function end_well(self, code, reason)
  say(self, code ~= NO_CODE and code or nil, reason)
  finish(self, code, reason)
  core.detach(close_stream, self, self._is_client)
end

--- It has broken the protocol.
local function end_badly(self, err)
  say(self, err.code, err.message)
  finish(self, err.code, err.message, err)
  self._stream:shutdown():catch(nothing)
  core.detach(close_stream, self, true)
end

--- It is gone: that is an error unless we were about to close.
local function end_early(self, cause)
  local err = not self._said and lost(self, cause) or nil
  finish(self, LOST, "", err)
  close_stream(self, false)
end

---- what comes ----

--- The ping that this answers, and those before it, are over.
local function take_pong(self, data)
  local node = self._pings.next
  while node ~= self._pings and node.item ~= data do
    node = node.next
  end
  while node ~= self._pings do
    local first = self._pings:take()
    line.resolve(first)
    if first == node then
      return
    end
  end
end

local take_control = { ping = send_pong, pong = take_pong }

local leave

--- The bytes that come next; nothing at the end. What a stream fails with is its end; anything else
--- is about who reads, and does so no more.
local function read(self)
  local ok, data = pcall(self._next)
  if ok and data then
    return data
  elseif ok then
    end_early(self, "the peer has left")
  elseif type(data) == "table" and (data.syscall or data.name == "TLSError") then
    end_early(self, data)
  else
    leave(self)
    error(data, 0)
  end
end

--- What the codec gives that is no message, or one that is dropped.
local function take_other(self, kind, first, second)
  if kind == "close" then
    end_well(self, first or NO_CODE, second or "")
  elseif not kind then
    end_badly(self, failure(first, second))
  elseif take_control[kind] then
    take_control[kind](self, first)
  end
end

local IS_MESSAGE = { text = true, binary = true }

--- The next message and its kind; nothing at the end, which has been dealt with. Who has sent its
--- close frame takes no message any more.
local function next_message(self)
  local codec = self._codec
  local kind, first, second = codec:next()
  while not self._is_over do
    if IS_MESSAGE[kind] and not self._said then
      return first, kind
    elseif kind ~= nil then
      take_other(self, kind, first, second)
      kind, first, second = codec:next()
    else
      local data = read(self)
      if data then
        kind, first, second = codec:feed(data)
      end
    end
  end
end

---- the task ----

local function await_room(self)
  if self._held >= HELD and not self._said then
    local room
    room, self._resume = Promise.with_resolvers()
    await(room)
    self._resume = nil
  end
end

--- Who receives it has its turn before the next frame: so an answer comes before what is said to
--- that. Whether a loop got it.
local function deliver(self, data, kind)
  local node = self._receivers:take()
  if node then
    line.resolve(node, data, kind)
    if not node.item then
      await(nil)
    end
    return node.item
  end
  self._last = self._last + 1
  self._data[self._last], self._kinds[self._last] = data, kind
  self._held = self._held + #data + MESSAGE
  await_room(self)
  return false
end

--- Whether somebody waits for what only reading can bring.
local function is_wanted(self)
  local receivers, pings = self._receivers, self._pings
  return self._said or receivers.next ~= receivers or pings.next ~= pings
end

--- Reads until the end, or a loop goes on by itself.
local function run(self)
  for data, kind in next_message, self do
    if deliver(self, data, kind) and not is_wanted(self) then
      break
    end
  end
  leave(self)
end

function start(self)
  if not self._reader and not self._is_over then
    self._reader = "task"
    core.detach(run, self)
  end
end

--- Who has read does so no more.
function leave(self)
  self._reader = nil
  if self._is_over then
    return
  elseif is_wanted(self) then
    start(self)
  else
    await_tick(self)
  end
end

---- making ----

--- Over a stream, whose bytes `next_chunk` gives, nil at the end.
---@param settings { is_client: boolean, protocol?: string, max_message: number, timeout?: number }
function M.new(stream, next_chunk, settings)
  local self = setmetatable({
    protocol = settings.protocol,
    _stream = stream,
    _next = next_chunk,
    _codec = core.websocket.codec(settings.is_client, settings.max_message),
    _is_client = settings.is_client,
    _close_timeout = settings.timeout or CLOSE_TIMEOUT,
    _data = {},
    _kinds = {},
    _first = 1,
    _last = 0,
    _held = 0,
    _receivers = line.new(),
    _pings = line.new(),
    _ping_count = 0,
    _pongs = 0,
    _said = false,
    _is_over = false,
  }, WebSocket)
  self._closed, self._resolve_closed = Promise.with_resolvers()
  leave(self)
  return self
end

--- Whether the reason says no more than that it is over.
function M.is_end(self, reason)
  return reason ~= nil and (rawequal(reason, self._failure) or rawequal(reason, self._refusal))
end

--- Gives it up at once: the peer is told why, if it is there.
function M.abandon(self, code)
  if not self._is_over then
    say(self, code)
  end
  self._stream:destroy()
end

---- receiving ----

local function take_message(self)
  local i = self._first
  local data, kind = self._data[i], self._kinds[i]
  self._data[i], self._kinds[i] = nil, nil
  self._first = i + 1
  self._held = self._held - #data - MESSAGE
  if self._resume and self._held < HELD then
    self._resume()
  end
  return data, kind
end

--- What there is already: a promise; or nothing.
local function at_once(self)
  if self._first <= self._last then
    return Promise.resolve(take_message(self))
  elseif self._failure then
    return Promise.reject(self._failure)
  elseif self._is_over then
    return Promise.resolve()
  end
end

local function receive(self, signal, is_loop)
  local promise = at_once(self)
  if promise then
    return promise
  end
  promise = self._receivers:wait(signal, is_loop)
  start(self)
  return promise
end

function methods:receive(options)
  argument.check_self(self, WebSocket, "websocket:receive")
  local signal, refused = line.heed(options, 1, "websocket:receive")
  return refused or receive(self, signal, false)
end

function WebSocket:__call()
  core.check_await()
  local refused = core.refused()
  if refused or self._reader or self._is_over or self._first <= self._last then
    return await(refused or receive(self, nil, true))
  end
  self._reader, idle[self] = "loop", nil
  local data, kind = next_message(self)
  leave(self)
  if data == nil and self._failure then
    error(self._failure, 0)
  end
  return data, kind
end

---- sending ----

local SENDING = { { "binary", "boolean" } }

--- Why nothing can be sent, or nil.
local function refusal(self)
  if self._said or self._is_over then
    return self._failure or closed_error(self)
  end
end

--- The promise of a write that is not over: what fails is the connection, or who waits is
--- cancelled.
local function await_taken(self, promise)
  return promise:catch(function(reason)
    local is_lost = type(reason) == "table" and reason.syscall == "write"
    error(is_lost and lost(self, reason) or reason, 0)
  end)
end

--- Sends a frame, with options where there is a signal to heed.
local function write(self, options, frame, rest)
  local promise
  if rest then
    promise = self._stream:write(frame, rest, options)
  else
    promise = self._stream:write(frame, options)
  end
  return promise:state() == "fulfilled" and promise or await_taken(self, promise)
end

local function check_send(self, data, options)
  argument.check_self(self, WebSocket, "websocket:send")
  argument.check("data", data, 1, "websocket:send")
  argument.check_options(options, SENDING, 2, "websocket:send")
end

--- What most sendings are is seen without a call of the core's.
function methods:send(data, options)
  if getmetatable(self) ~= WebSocket or type(data) ~= "string"
    or options ~= nil and (type(options) ~= "table" or type(options.binary) ~= "boolean") then
    check_send(self, data, options)
  end
  local kind = options and options.binary and "binary" or "text"
  if kind == "text" and not is_utf8(data) then
    argument.fail("UTF-8 expected: what is something else is sent with binary = true", 1,
      "websocket:send")
  end
  local refused
  if options and options.signal ~= nil then
    refused = select(2, line.heed(options, 2, "websocket:send"))
  else
    refused, options = core.refused(), nil
  end
  if refused then
    return refused
  elseif self._said or self._is_over then
    return Promise.reject(refusal(self))
  end
  return write(self, options, self._codec:frame(kind, data))
end

--- What is sent where the caller gives nothing: no ping is like another.
local function next_ping(self)
  self._ping_count = self._ping_count + 1
  return tostring(self._ping_count)
end

function methods:ping(data, options)
  argument.check_self(self, WebSocket, "websocket:ping")
  argument.check("data?", data, 1, "websocket:ping")
  data = tostring(data or next_ping(self))
  if #data > PING_MAX then
    argument.fail(("at most %d bytes expected"):format(PING_MAX), 1, "websocket:ping")
  end
  local signal, refused = line.heed(options, 2, "websocket:ping")
  local reason = refusal(self)
  if refused or reason then
    return refused or Promise.reject(reason)
  end
  self._stream:write(self._codec:frame("ping", data)):catch(nothing)
  local promise = self._pings:wait(signal, data)
  start(self)
  return promise
end

---- closing ----

--- Whether an end may send it: RFC 6455, 7.4.
local function is_code(code)
  return code >= 1000 and code <= 1014 and (code < 1004 or code > 1006)
    or code >= 3000 and code <= 4999
end

function methods:close(code, reason)
  argument.check_self(self, WebSocket, "websocket:close")
  argument.check("integer?", code, 1, "websocket:close")
  argument.check("string?", reason, 2, "websocket:close")
  if code and not is_code(code) then
    argument.fail("1000 to 1003, 1007 to 1014 or 3000 to 4999 expected", 1, "websocket:close")
  elseif reason and (#reason > REASON_MAX or not is_utf8(reason)) then
    argument.fail(("UTF-8 of at most %d bytes expected"):format(REASON_MAX), 2, "websocket:close")
  end
  if not self._is_over then
    say(self, code or NORMAL, reason)
    start(self)
  end
  return self._closed
end

function WebSocket:__close(err)
  argument.check_self(self, WebSocket, "websocket:__close")
  if err == nil then
    self:close()
  else
    M.abandon(self, self._is_client and 1001 or 1011)
  end
end

return M
