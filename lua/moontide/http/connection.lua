--- One connection of a server: reads requests, calls the handler, writes replies, one after the
--- other, in the function that net.serve has called.
local core = require "moontide.core"
local pieces = require "moontide.http.pieces"
local reasons = require "moontide.http.status"
local reply = require "moontide.http.reply"
local request_of = require "moontide.http.request"
local traceback = require("moontide.async.traceback").traceback

local M = {}

local await, new_error, Promise = core.await, core.new_error, core.Promise
local rawget, type, xpcall = rawget, type, xpcall -- for what each request needs

local LEFT_OVER = 256 * 1024 -- bytes of a body that nobody has read, for which a connection is kept
local TOGETHER = 16 * 1024 -- a body of up to that goes into one string with its head

-- Fields: server, stream, group; _input; _request, the one that is being answered, and _is_out: its
-- reply has been sent; phase, what is waited for, and since, the tick at which that began: eight,
-- for which a table has room without growing. Seldom: _waits for a body, the functions that reject
-- them, and _before, the phase to go back to; _queued, what the sweep has seen of a reply that the
-- client has not taken; on_closing, called when the service is closed.
local Connection = {}
Connection.__index = Connection

--- What is waited for now, for the sweep of the server.
local function enter(self, phase)
  self.phase, self.since = phase, self.server.sweep.tick
end

---- requests ----

--- Whether the reply to the request has been sent.
function Connection:is_out(request)
  return self._request ~= request or self._is_out
end

local function nothing() end

--- Tells the client that the body may come. That it has gone is told by the next read.
local function send_continue(self, request)
  if request._expects then
    request._expects = false
    self.stream:write("HTTP/1.1 100 Continue\r\n\r\n"):catch(nothing)
  end
end

local WAITING = { body = true, expired = true }

--- Several may wait at once, and the handler may return meanwhile.
local function begin_wait(self, reject)
  self._waits = self._waits or {}
  self._waits[reject] = true
  if not WAITING[self.phase] then
    self._before = self.phase
  end
  enter(self, "body")
end

local function end_wait(self, reject)
  self._waits[reject] = nil
  if next(self._waits) == nil and WAITING[self.phase] then
    enter(self, self._before)
  end
end

--- Waits for more of a body. What ends that early: the server's timeout, the signal.
local function await_body(self, signal)
  if signal then
    signal:throw_if_aborted()
  end
  local ended, _, reject = Promise.with_resolvers()
  local remove = signal and signal:on_abort(reject)
  begin_wait(self, reject)
  local ok, more = pcall(self._input.fill_unless, self._input, ended)
  end_wait(self, reject)
  if remove then
    remove()
  end
  if not ok then
    error(more, 0)
  end
  return more
end

--- The next piece of the request's body, nil at its end. Awaits.
function Connection:next_piece(request, signal)
  local parser = self._input.parser
  while self._request == request do
    local data, status, why = parser:body()
    if type(data) == "string" then
      request._expects = false
      return data
    elseif data then
      if request._length < 0 then
        request._trailers = parser:trailers()
      end
      return nil
    elseif data == false then
      error(request_of.refuse(request, status, new_error("HTTPError", why)), 0)
    end
    send_continue(self, request)
    if not await_body(self, signal) then
      error(request_of.refuse(request, 400, new_error("HTTPError", "the body is not whole")), 0)
    end
  end
  error(new_error("TypeError", "the reply is out, and the body gone"), 0)
end

--- The request's body, if all of it has come and nothing has been read of it.
function Connection:whole_body(request)
  local parser, length = self._input.parser, request._length
  if length < 0 or parser:buffered() < length then
    return nil
  end
  local data = parser:body()
  request._expects = false
  return type(data) == "string" and data or length == 0 and "" or nil
end

--- Aborts the request's signal when the client leaves before the reply is out.
function Connection:watch(request)
  self._input.on_end = function()
    if not self:is_out(request) then
      request._controller:abort(new_error("AbortError", "the client has left"))
    end
  end
  if self._input.ended then
    self._input.on_end()
  else
    self._input:read_ahead()
  end
end

---- replies ----

--- Writes; false if the client has gone. What is written at once is not waited for.
local function write(self, ...)
  local written = self.stream:write(...)
  if written:state() == "fulfilled" then
    return true
  end
  local ok, reason = pcall(await, written)
  if not ok and self.group.signal.aborted then
    error(reason, 0)
  end
  return ok
end

local function check_piece(piece, sent, length)
  if type(piece) ~= "string" then
    error(new_error("TypeError", "a body gives strings, not " .. type(piece)), 0)
  elseif length and sent + #piece > length then
    error(new_error("TypeError", "the body is longer than the header 'content-length'"), 0)
  end
end

--- Writes the head, and the pieces of the body; how many bytes these have, or false if the client
--- has gone.
local function write_pieces(self, _, out, head, chunked)
  local sent, next_piece, _, _, closing = 0, pieces.of(out.body)
  local _ <close> = closing
  if not write(self, head) then
    return false
  end
  for piece in next_piece do
    check_piece(piece, sent, out.length)
    sent = sent + #piece
    local ok = true
    if not chunked then
      ok = write(self, piece)
    elseif piece ~= "" then
      ok = write(self, ("%x\r\n"):format(#piece), piece, "\r\n")
    end
    if not ok then
      return false
    end
    self.since = self.server.sweep.tick
  end
  return sent
end

--- The same, where the body writes itself.
local function write_itself(self, request, out, head, chunked)
  local sent = 0
  if not write(self, head) then
    return false
  end
  local function send(piece, options)
    sent = sent + #piece
    if chunked then
      return self.stream:write(("%x\r\n"):format(#piece), piece, "\r\n", options)
    end
    return self.stream:write(piece, options)
  end
  return out.write_body(send, request) and sent
end

--- The same, up to the end of the body, whichever it is.
local function write_body(self, request, out, head, chunked)
  local write_all = out.write_body and write_itself or write_pieces
  local sent = write_all(self, request, out, head, chunked)
  if sent and out.length and sent < out.length then
    error(new_error("TypeError", "the body is shorter than the header 'content-length'"), 0)
  end
  return sent and (not chunked or write(self, "0\r\n\r\n")) and sent
end

local function report(self, reason, request, trace)
  local server = self.server
  if server.on_error then
    server.on_error(reason, request)
  else
    local ok, text = pcall(tostring, trace or reason)
    io.stderr:write("moontide.http: a handler has failed: ", ok and text or type(reason), "\n")
  end
end

--- Whether the connection can be used after this reply.
local function keeps(self, request)
  return request._keep_alive and not self.server.is_closing and not request._expects
    and rawget(request, "_refusal") == nil
    and (request._length <= LEFT_OVER or request.body_used)
end

local function connection_line(request, kept)
  if not kept then
    return "Connection: close\r\n"
  end
  return request.version == "1.0" and "Connection: keep-alive\r\n" or ""
end

--- Whether the reason is what the client's own body is refused for.
local function is_refusal(request, reason)
  return request._refusal ~= nil and rawequal(reason, request._refusal)
end

--- Writes a head, and its body in pieces. One that fails in its midst leaves the client with a
--- reply that is not whole.
local function write_stream(self, request, out, head, chunked)
  local ok, sent = xpcall(write_body, function(reason)
    return { reason = reason, trace = not self.server.on_error and traceback(reason, 2) or nil }
  end, self, request, out, head, chunked)
  if ok then
    return sent
  elseif self.group.signal.aborted then
    error(sent.reason, 0)
  elseif not is_refusal(request, sent.reason) then
    report(self, sent.reason, request, sent.trace)
  end
  self.stream:destroy()
  return false
end

--- Closes a body that is not sent.
local function drop_body(self, request, out)
  local ok, reason = pcall(pieces.drop, out.body)
  if not ok and not rawequal(reason, self.group.signal.reason) then
    report(self, reason, request)
  end
end

local function write_string(self, head, body)
  local ok
  if #body <= TOGETHER then
    ok = write(self, head .. body)
  else
    ok = write(self, head, body)
  end
  return ok and #body
end

--- Writes a reply that is a text and nothing else.
local function write_text(self, request, text)
  local kept = keeps(self, request)
  local head, connection = reply.text_head(#text), connection_line(request, kept)
  if request.method == "HEAD" then
    return write(self, head .. connection .. self.server.sweep.date .. "\r\n") and kept, 0
  end
  local ok
  if #text <= TOGETHER then
    ok = write(self, head .. connection .. self.server.sweep.date .. "\r\n" .. text)
  else
    ok = write(self, head .. connection .. self.server.sweep.date .. "\r\n", text)
  end
  return ok and kept, ok and #text or 0
end

--- Writes the reply: whether the connection goes on, and how many bytes of a body were sent.
local function write_reply(self, request, out)
  if type(out) == "string" then
    return write_text(self, request, out)
  end
  local has_body = request.method ~= "HEAD" and reply.has_body(out.status)
  local in_pieces = type(out.body) ~= "string"
  local chunked = in_pieces and reply.has_body(out.status) and not out.length
    and request.version == "1.1"
  local kept = keeps(self, request) and not out.closes
  if in_pieces and has_body and not chunked and not out.length then
    kept = false -- the end of the connection is that of the body
  end
  local head = reply.head(out, chunked and "chunked", connection_line(request, kept),
    self.server.sweep.date)
  local sent
  if not has_body then
    drop_body(self, request, out)
    sent = write(self, head) and 0
  elseif in_pieces then
    sent = write_stream(self, request, out, head, chunked)
  else
    sent = write_string(self, head, out.body)
  end
  return sent and kept, sent or 0
end

---- one after the other ----

--- The reply to what a handler has failed with.
local function reply_to_failure(self, request, failure)
  local reason = failure.reason
  if is_refusal(request, reason) then
    return reply.plain(request._status, request._refusal.message)
  end
  report(self, reason, request, failure.trace)
  return reply.plain(500, "internal server error")
end

local function note_failure(reason)
  return { reason = reason, trace = traceback(reason, 2) }
end

--- What the handler has for a reply, or just its text. A cancellation goes on.
local function ask_handler(self, request)
  enter(self, "handler")
  local ok, out = xpcall(self.server.handler, note_failure, request, self.group)
  if ok and type(out) ~= "string" then
    ok, out = xpcall(reply.of, note_failure, out, request)
  end
  enter(self, "write")
  if ok then
    return out
  elseif self.group.signal.aborted then
    error(out.reason, 0)
  end
  return reply_to_failure(self, request, out)
end

--- Takes what the handler has not read of the body: whether that was little enough.
local function drain(self, request)
  local taken = 0
  local ok, over = pcall(function()
    for piece in function() return self:next_piece(request) end do
      taken = taken + #piece
      if taken > LEFT_OVER then
        return false
      end
    end
    return true
  end)
  return ok and over
end

--- What the client still sends is thrown away for a while: else the system would reset the
--- connection, and the client might lose the reply.
local function linger(self)
  self._request = nil
  enter(self, "linger")
  pcall(function()
    await(self.stream:shutdown())
    while self._input:fill() do
      self._input.parser:take()
    end
  end)
end

local function note_reply(self, request, status, bytes, begun)
  self._is_out = true
  self._input.on_end = nil
  if self.server.on_request then
    self.server.on_request(request, status, bytes, core.now() - begun)
  end
end

--- What comes behind the request, whatever it is: an iterator.
function Connection:take_input()
  return self._input:chunks()
end

--- From here on, the connection speaks another protocol.
local function take_over(self, request, out, begun)
  if not write(self, reply.head(out, nil, "Connection: Upgrade\r\n", self.server.sweep.date)) then
    return
  end
  note_reply(self, request, out.status, 0, begun)
  local failure = out.take_over(self)
  if failure and self.group.signal.aborted then
    error(failure.reason, 0)
  elseif failure then
    report(self, failure.reason, request, failure.trace)
  end
end

--- Answers one request: whether another one may follow.
local function answer(self, request)
  local begun = self.server.on_request and core.now()
  local out = ask_handler(self, request)
  local is_text = type(out) == "string"
  if self._is_out then
    if not is_text then
      drop_body(self, request, out)
    end
    return false
  elseif not is_text and out.take_over then
    take_over(self, request, out, begun)
    return false
  end
  local kept, bytes = write_reply(self, request, out)
  note_reply(self, request, is_text and 200 or out.status, bytes, begun)
  if not kept or request._length ~= 0 and not drain(self, request) then
    if request._length ~= 0 then
      linger(self)
    end
    return false
  end
  return true
end

--- All of a reply that has only its status to say, and closes the connection.
local function status_text(self, status)
  local out = reply.plain(status, reasons[status])
  return reply.head(out, nil, "Connection: close\r\n", self.server.sweep.date) .. out.body
end

--- Answers what is no request.
local function refuse(self, status)
  if write(self, status_text(self, status)) then
    linger(self)
  end
end

--- Takes what the parser makes of a head: a request is answered, or the client told that it is
--- none. Whether another one may follow.
local function serve_one(self)
  local request, status = request_of.new(self, self._input.parser:head())
  if not request then
    refuse(self, status)
    return false
  end
  self._request, self._is_out = request, false
  return answer(self, request)
end

--- Whether another request may come: what of it there is, or a wait for its first byte.
local function may_wait(self, buffered)
  self._request = nil
  if buffered == 0 then
    return self.phase ~= "idle" or not self.server.is_closing
  elseif self.phase == "idle" or self.phase == "new" then
    enter(self, "header")
  end
  return true
end

local READING = { new = true, idle = true, header = true, linger = true, expired = true }

--- What reading has failed with is no failure of the server's: the client has gone, or was late.
function Connection:__close(reason)
  if type(reason) == "table" and READING[self.phase] then
    local signal = self.group.signal
    self.server.told[reason] = not (signal.aborted and rawequal(reason, signal.reason)) or nil
  end
  self.server.sweep:leave(self)
end

--- Waits until the client has taken what has been written.
local function flush(self)
  if self.stream:queued() > 0 then
    enter(self, "write")
    await(self.stream:close())
  end
end

--- Waits for the first request. Who has just connected has one, even when the server is closing,
--- and is given a moment.
local function enter_new(self)
  enter(self, self.server.is_closing and "linger" or "new")
end

function M.new(server, input, group)
  local self = {
    server = server,
    stream = input.stream,
    group = group,
    _input = input,
    _is_out = false,
  }
  setmetatable(self, Connection)
  enter_new(self)
  server.sweep:enter(self)
  return self
end

--- Requests and replies, until one of both wants no more. Between requests this is the one frame of
--- the connection's function, and what comes before the first one is not deep: who has asked for
--- nothing yet has the forty slots with which a stack begins, after a request there are eighty. (A
--- call of its own for each request would leave it at forty, and take a tenth more time.)
function M.serve(connection)
  local self <close> = connection
  while true do
    local has_head, buffered = self._input.parser:has_head()
    if has_head then
      if not serve_one(self) then
        return flush(self)
      end
      enter(self, "idle")
    elseif not may_wait(self, buffered) then
      return flush(self)
    elseif self._input.ahead then
      if not self._input:fill() then
        return
      end
    elseif not self._input:take(self._input.next_chunk()) then
      return
    end
  end
end

---- what has waited too long ----

local expire = {}

function expire.idle(self)
  self.stream:destroy()
end

expire.new = expire.idle
expire.linger = expire.idle
expire.write = expire.idle

local function send_status(self, status)
  self.stream:write(status_text(self, status)):catch(nothing)
  self.stream:close()
end

function expire.header(self)
  send_status(self, 408)
end

function expire.body(self)
  local reason = new_error("TimeoutError", "the body does not come")
  request_of.refuse(self._request, 408, reason)
  for reject in pairs(self._waits) do
    reject(reason)
  end
end

--- Of a reply that its handler has nothing to do with.
local function tell_late(self, request)
  local server = self.server
  local ok, reason = pcall(function()
    if server.on_request then
      server.on_request(request, 503, 0, server.sweep.timeouts.handler)
    end
  end)
  if not ok then
    server.report(reason)
  end
end

function expire.handler(self)
  local request = self._request
  local reason = new_error("TimeoutError", "the handler has taken too long")
  self._is_out = true
  send_status(self, 503)
  if request._controller then
    request._controller:abort(reason)
  end
  self.server.told[reason] = true
  self.group:cancel(reason)
  core.detach(tell_late, self, request)
end

--- A client that takes something, or has nothing to take, has time again.
function Connection:note_progress()
  local queued = self.stream:queued()
  if queued == 0 or queued ~= self._queued then
    self._queued, self.since = queued, self.server.sweep.tick
  end
end

function Connection:expire(phase)
  expire[phase](self)
end

--- No further request is waited for, a first one for a moment, and what goes on is told.
function Connection:close_idle()
  if self.phase == "new" then
    enter_new(self)
  elseif self.phase == "idle" then
    self.phase = "expired"
    self.stream:close()
  elseif self.on_closing then
    self.on_closing()
  end
end

return M
