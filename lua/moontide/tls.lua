--- TLS over any stream, on the engine in csrc/tls, which is built where OpenSSL is found.
---
--- A TLS stream has a stream below, which carries ciphertext, a session of the engine, and a reader
--- with what has been decrypted. Nothing is read from below unless somebody reads here; what is
--- written is encrypted at once and in order, and waits below.
require "moontide.internal.version"()
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local fs = require "moontide.fs"
local line = require "moontide.async.line"
local finally = require "moontide.internal.finally"
local options_of = require "moontide.tls.options"
local tls_server = require "moontide.tls.server"

local found, engine = pcall(require, "moontide.tls_core")
if not found then
  local text = "TLS is not available: moontide was built without OpenSSL, or cannot load it\n"
  error(text .. engine, 0)
end

local M = {}

local await, new_error, Promise = core.await, core.new_error, core.Promise
local check_await = core.check_await

local HANDSHAKE_TIMEOUT = 10000 -- ms

local function nothing() end

local function tls_error(message, code)
  local err = new_error("TLSError", message)
  err.code = code
  return err
end

local function check(problem, position, name)
  if problem then
    argument.fail(problem, position, name)
  end
end

---- contexts ----

local default_context -- a client's without options: the system's authorities take time to load

--- The text of an option that is text (PEM) or the path of a file with it.
local function text_of(value)
  if value == nil or value:find("-----BEGIN", 1, true) then
    return value
  end
  return await(fs.read_file(value))
end

local function new_context(options, is_server)
  local verify = options.verify ~= false
  if is_server then
    verify = options.verify_client or false
  end
  local context, message, code = engine.context({
    server = is_server,
    verify = verify,
    ca = text_of(options.ca),
    cert = text_of(options.cert),
    key = text_of(options.key),
    passphrase = options.passphrase,
    min_version = options.min_version,
    max_version = options.max_version,
    alpn = options.alpn,
  })
  if not context then
    error(tls_error(message, code), 0)
  end
  options_of.note_context(context, is_server, verify)
  return context
end

--- What a connection with these options has for a context. Awaits files.
local function context_of(options, is_server)
  if options.context then
    return options.context
  end
  if options_of.has_context_fields(options) then
    return new_context(options, is_server)
  end
  default_context = default_context or new_context({}, false)
  return default_context
end

local make_context = core.async(new_context)

function M.context(options)
  argument.check("table?", options, 1, "tls.context")
  options = options or {}
  check(options_of.mistake_in_context(options), 1, "tls.context")
  return make_context(options, options.server or false)
end

---- streams ----

-- Fields: _raw, the stream below; _session; _reader; _facts; _closed; _ended: shutdown was called;
-- _peer_ended: the peer has said that no more will come; of the read that was begun last: _options,
-- and _context, its async context.
local Stream = { __name = "moontide.tls.Stream" }
local methods = {}
Stream.__index = methods

local function check_self(self, name)
  if getmetatable(self) ~= Stream then
    argument.expected("stream", self, 0, "stream:" .. name)
  end
end

--- Sends what the session has to say. Who writes next is told when that fails.
local function flush(self)
  local data = self._session:take()
  if data then
    self._raw:write(data):catch(nothing)
  end
end

---- reading ----

local READING = { { "limit", "limit" }, { "crlf", "boolean" }, { "signal", "signal" } }

--- Hands what can be decrypted, or the end, to the reader; whether there was either.
local function decrypt(self)
  local session, reader = self._session, self._reader
  local pieces = {}
  local data, message, code
  repeat
    pieces[#pieces + 1] = data
    data, message, code = session:read()
  until type(data) ~= "string"
  flush(self)
  if #pieces > 0 then
    reader:feed(table.concat(pieces))
  end
  if data == nil then
    self._peer_ended = not message
    reader:finish(message and tls_error(message, code))
  end
  return #pieces > 0 or data == nil
end

--- Whether the reason is that of a cancellation, and not of the stream below.
local function is_cancelled(reason, signal, scope)
  return signal and signal.aborted and rawequal(signal.reason, reason)
    or scope and core.is_cancelled(scope, reason)
end

--- Reads from below for the read that was begun last: what cancels the one cancels the other. An
--- empty feed has the reader ask again if somebody still waits, or waits by now.
local function read_below(self)
  local options = self._options
  local signal, scope = options and options.signal, core.current_scope()
  self._raw:read(nil, options):next(function(data)
    if self._closed then
      return
    elseif data then
      self._session:feed(data)
    else
      self._session:finish()
    end
    self._reader:feed("")
  end, function(reason)
    if is_cancelled(reason, signal, scope) then
      self._reader:feed("")
    else
      self._reader:finish(reason)
    end
  end)
end

--- What the reader calls when it has too little: in the context of the read, or in that of one
--- before, which was aborted when this one had begun to wait.
local function pull(self)
  if self._closed or decrypt(self) then
    return
  end
  local previous = core.swap_context(self._context)
  local ok, err = pcall(read_below, self)
  core.swap_context(previous)
  if not ok then
    error(err, 0)
  end
end

local function add_read(name, position)
  methods[name] = function(self, ...)
    check_self(self, name)
    self._options, self._context = select(position, ...), core.context()
    local reader = self._reader
    return reader[name](reader, ...)
  end
end

add_read("read", 2)
add_read("read_exactly", 2)
add_read("read_until", 2)
add_read("read_line", 1)
add_read("read_all", 1)

function methods:chunks(n, options)
  check_self(self, "chunks")
  argument.check("count?", n, 1, "stream:chunks")
  argument.check_options(options, READING, 2, "stream:chunks")
  return function()
    check_await() -- before anything is taken
    return await(self:read(n, options))
  end
end

function methods:lines(options)
  check_self(self, "lines")
  argument.check_options(options, READING, 1, "stream:lines")
  return function()
    check_await()
    return await(self:read_line(options))
  end
end

---- writing ----

--- Encrypts the arguments up to the last. The text that the stream below has to carry; or nil and
--- the reason.
local function encrypt(self, last, ...)
  local session = self._session
  for i = 1, last do
    local data, from = tostring((select(i, ...))), 1
    while from <= #data do
      local taken, message, code = session:write(data, from)
      if not taken then
        return nil, tls_error(message or "the session cannot write", code)
      end
      from = from + taken
    end
  end
  return session:take() or ""
end

--- Raises unless the arguments are strings or numbers, and maybe options. Returns how many of them
--- are to be written, and the options.
local function check_write(...)
  local n = select("#", ...)
  local options = n > 0 and select(n, ...)
  local last = n
  if n > 1 and (options == nil or type(options) == "table") then
    last = n - 1
  else
    options = nil
  end
  for i = 1, math.max(last, 1) do
    argument.check("data", i <= last and select(i, ...) or nil, i, "stream:write")
  end
  return last, options
end

--- A record that has been encrypted has to be sent: so what may refuse a write is asked before.
function methods:write(...)
  check_self(self, "write")
  local last, options = check_write(...)
  local _, refused = line.heed(options, last + 1, "stream:write")
  if refused then
    return refused
  elseif self._closed or self._ended then
    return self._raw:write("")
  end
  local data, reason = encrypt(self, last, ...)
  if not data then
    return Promise.reject(reason)
  elseif options then
    return self._raw:write(data, options)
  end
  return self._raw:write(data)
end

--- Says that no more will come, unless that has been said. The session may be beyond that.
local function say_goodbye(self)
  if not self._ended and self._session:close_notify() then
    flush(self)
  end
  self._ended = true
end

--- A peer that has said goodbye may be gone by the time when ours comes: no harm is done.
local function excuse(reason)
  if type(reason) ~= "table" or reason.code ~= "ENOTCONN" then
    error(reason, 0)
  end
end

function methods:shutdown(options)
  check_self(self, "shutdown")
  local _, refused = line.heed(options, 1, "stream:shutdown")
  if refused then
    return refused
  elseif not self._closed then
    say_goodbye(self)
  end
  local promise = self._raw:shutdown(options)
  return self._peer_ended and promise:catch(excuse) or promise
end

---- closing ----

local function close(self)
  if not self._closed then
    self._closed = true
    self._reader:close()
    self._session:close()
  end
end

function methods:close()
  check_self(self, "close")
  if not self._closed then
    say_goodbye(self)
  end
  close(self)
  return self._raw:close()
end

function methods:destroy()
  check_self(self, "destroy")
  close(self)
  return self._raw:destroy()
end

function Stream:__close(err)
  check_self(self, "__close")
  if err == nil then
    self:close()
  else
    self:destroy()
  end
end

---- the rest ----

function methods:tls_info()
  check_self(self, "tls_info")
  return self._facts
end

for _, name in ipairs({ "local_address", "peer_address", "queued", "size" }) do
  methods[name] = function(self)
    check_self(self, name)
    return self._raw[name](self._raw)
  end
end

for _, name in ipairs({ "set_keepalive", "set_nodelay", "set_raw" }) do
  methods[name] = function(self, value)
    check_self(self, name)
    self._raw[name](self._raw, value)
    return self
  end
end

local function new_stream(raw, session)
  local self = setmetatable({ _raw = raw, _session = session, _facts = session:facts() }, Stream)
  self._reader = core.reader(function()
    pull(self)
  end)
  return self
end

---- the handshake ----

local function shake_hands(raw, session, options)
  local wire = { signal = options.signal }
  while true do
    local done, message, code = session:handshake()
    local data = session:take()
    if done == nil then
      if data then
        raw:write(data):catch(nothing) -- the alert; the peer may be gone
      end
      error(tls_error(message or "the peer has closed the connection", code), 0)
    elseif data then
      await(raw:write(data, wire))
    end
    if done then
      return
    end
    data = await(raw:read(nil, wire))
    if data then
      session:feed(data)
    else
      session:finish()
    end
  end
end

--- The same, but not for ever: the peer may say nothing at all. Destroying the stream below ends
--- whatever waits for it.
local function shake_hands_in_time(raw, session, options)
  local ms = options.timeout or HANDSHAKE_TIMEOUT
  local expired = false
  local timer = core.set_timeout(function()
    expired = true
    raw:destroy()
  end, ms)
  local ok, err = finally(function()
    timer:close()
  end, pcall, shake_hands, raw, session, options)
  if not ok and expired then
    err = new_error("TimeoutError", ("no TLS handshake after %g ms"):format(ms))
  end
  if not ok then
    error(err, 0)
  end
end

--- Awaits the handshake over a stream, which is destroyed when that fails.
local secure = core.async(function(raw, options, host, is_server)
  local session, stream
  return finally(function()
    if not stream then
      raw:destroy()
    end
    if session and not stream then
      session:close()
    end
  end, function()
    local context = context_of(options, is_server)
    local message, code
    session, message, code = context:session(host)
    if not session then
      error(tls_error(message, code), 0)
    end
    shake_hands_in_time(raw, session, options)
    stream = new_stream(raw, session)
    return stream
  end)
end)

--- Raises unless it is a stream or a server, by a method that it must have.
local function check_method(value, method, expected, name)
  local kind = type(value)
  if kind ~= "userdata" and kind ~= "table" or not core.callable(value[method]) then
    argument.expected(expected, value, 1, name)
  end
end

local function begin(stream, options, is_server, name)
  check_method(stream, "destroy", "stream", name)
  argument.check("table", options, 2, name)
  check(options_of.mistake(options, is_server), 2, name)
  local _, refused = line.heed(options, 2, name)
  if refused then
    stream:destroy()
    return refused
  end
  return secure(stream, options, not is_server and options.server_name or nil, is_server)
end

function M.client(stream, options)
  return begin(stream, options == nil and {} or options, false, "tls.client")
end

function M.server(stream, options)
  return begin(stream, options, true, "tls.server")
end

local listen = core.async(function(server, options)
  local ok, context = pcall(context_of, options, true)
  if not ok then
    server:close()
    error(context, 0)
  end
  local shared = { context = context, timeout = options.timeout }
  return tls_server.new(server, function(stream)
    return secure(stream, shared, nil, true)
  end, options.on_error)
end)

function M.listen(server, options)
  check_method(server, "accept", "server", "tls.listen")
  argument.check("table", options, 2, "tls.listen")
  check(options_of.mistake(options, true), 2, "tls.listen")
  return listen(server, options)
end

return M
