--- Connections of moontide.luasec: LuaSec's methods, which await where LuaSec's block.
---
--- A connection takes LuaSocket's object out of the socket that it is made of. Ciphertext goes
--- between that and a session of the engine, without waiting as far as that goes, and with
--- moontide.luasocket's waits between.
---
--- Fields of an object: _socket, of moontide.luasocket, that nobody else has; _early, what has been
--- read from it and is the session's; _context; _host for SNI, or nil; _session, from the handshake
--- on; _state "new", "connected" or "closed"; _out, ciphertext that is to be sent; _pieces, what
--- has been decrypted and not been received, and _size, how much that is; _want, what the last call
--- could not wait for.
local core = require "moontide.core"
local mime = require "mime"
local argument = require "moontide.internal.argument"
local context = require "moontide.luasec.context"
local object = require "moontide.luasocket.object"
local real_socket = require "socket.core"

local check_number, check_string, now = object.check_number, object.check_string, core.now
local concat = table.concat

local M = {}

-- At most so much is read from the socket at once, and encrypted.
local CHUNK = 65536

local methods = {}
local Connection = { __index = methods, __name = "SSL:Connection" }
M.Connection = Connection

function Connection:__tostring()
  return ("SSL connection: %p%s"):format(self, self._state == "closed" and " (closed)" or "")
end

---- errors, in LuaSec's words ----

local function error_text(message, code)
  if message and message:find("^certificate verify failed") then
    return "certificate verify failed"
  elseif code == "UNEXPECTED_EOF_WHILE_READING" then
    return "unexpected eof while reading"
  end
  return message or "closed"
end

local WANTS = { r = "wantread", w = "wantwrite" }
local NAMES = { r = "read", w = "write" }

--- Waits until the socket is ready. Returns nothing, or LuaSec's error.
local function wait(self, events, start)
  local socket = self._socket
  self._want = NAMES[events]
  if socket:gettimeout() == 0 then
    return WANTS[events]
  end
  local err = object.wait(socket, events, start)
  if self._state == "closed" then
    return "closed"
  elseif err == nil then
    self._want = "nothing"
  end
  return err == "timeout" and WANTS[events] or err
end

---- ciphertext ----

--- Sends what the session has to say. Returns nothing, or the error.
local function flush(self, start)
  self._out = self._out .. (self._session:take() or "")
  while self._out ~= "" do
    local real = self._socket._real
    local last, err, sent = real:send(self._out)
    self._out = self._out:sub((last or sent) + 1)
    if err == "timeout" then
      err = wait(self, "w", start)
    end
    if err then
      return err
    end
  end
end

--- Hands the session what has come, or that nothing more will. Returns nothing, or the error.
local function fetch(self, start)
  while true do
    local real = self._socket._real
    local data, err, partial = real:receive(CHUNK)
    data = data or partial
    if data ~= "" then
      self._session:feed(data)
      return
    elseif err == "closed" then
      self._session:finish()
      return
    elseif err == "timeout" then
      err = wait(self, "r", start)
    end
    if err then
      return err
    end
  end
end

---- the handshake ----

--- Takes the connection out of the socket, which is as good as closed after that.
local function take_over(socket)
  local real = socket._real
  object.let_go(socket)
  local left = socket._left
  socket._real, socket._left = assert(real_socket.tcp()), nil
  socket._real:close()
  return object.new(real, "tcp{client}"), left
end

function M.new(socket, made)
  if type(socket) ~= "table" or socket.class ~= "tcp{client}" or not socket._real then
    argument.expected("connected tcp of moontide.luasocket", socket, 1, "wrap")
  elseif getmetatable(made) ~= context.Context then
    argument.expected("table or SSL:Context", made, 2, "wrap")
  end
  local taken, left = take_over(socket)
  return setmetatable({
    _socket = taken,
    _early = left,
    _context = made,
    _state = "new",
    _out = "",
    _pieces = {},
    _size = 0,
    _want = "nothing",
  }, Connection)
end

function methods:sni(name)
  name = check_string(name, 1, "sni")
  if self._context._server then
    argument.fail("a server's names are not supported", 1, "sni")
  elseif #name < 1 or #name > 255 or name:find("\0", 1, true) then
    argument.fail("host of 1 to 255 bytes expected", 1, "sni")
  end
  self._host = name
end

local function begin(self)
  if not self._session then
    local session, message = self._context._engine:session(self._host)
    if not session then
      return nil, message
    end
    self._session = session
    if self._early then
      session:feed(self._early)
      self._early = nil
    end
  end
  return self._session
end

local function shake_hands(self, start)
  local session, err = begin(self)
  while session do
    local done, message, code = session:handshake()
    err = flush(self, start)
    if done == nil then
      return false, error_text(message, code)
    elseif err then
      return false, err
    elseif done then
      self._state = "connected"
      return true
    end
    err = fetch(self, start)
    if err then
      return false, err
    end
  end
  return false, err
end

function methods:dohandshake()
  if self._state == "closed" then
    return false, "closed"
  elseif self._state == "connected" then
    return true
  end
  object.pace(self._socket)
  return shake_hands(self, now())
end

---- sending ----

function methods:send(data, i, j)
  data = check_string(data, 1, "send")
  i, j = check_number(i, 1, 2, "send"), check_number(j, -1, 3, "send")
  i, j = object.bounds(#data, i, j)
  local start = now()
  while true do
    if self._state ~= "connected" then
      return nil, "closed", i - 1
    end
    object.pace(self._socket)
    local err = flush(self, start)
    if err then
      return nil, err, i - 1
    elseif i > j then
      return i - 1.0, nil, nil
    end
    local piece = data:sub(i, math.min(j, i + CHUNK - 1))
    local taken, message, code = self._session:write(piece)
    if not taken then
      return nil, error_text(message, code), i - 1
    end
    i = i + taken
  end
end

---- receiving ----

local function put(self, data)
  self._pieces[#self._pieces + 1] = data
  self._size = self._size + #data
end

--- The first n bytes of what has been decrypted, or all of it.
local function take(self, n)
  local text = concat(self._pieces)
  self._pieces, self._size = {}, 0
  if n and n < #text then
    put(self, text:sub(n + 1))
    return text:sub(1, n)
  end
  return text
end

--- Waits until there is more. Returns nothing, or the error.
local function fill(self, start)
  while true do
    if self._state ~= "connected" then
      return "closed"
    end
    local data, message, code = self._session:read()
    if data then
      put(self, data)
      return
    elseif data == nil then
      return error_text(message, code)
    end
    local err = flush(self, start) or fetch(self, start)
    if err then
      return err
    end
  end
end

--- A line may have any number of carriage returns, which are left out, as in LuaSocket.
local function receive_line(self, start)
  local pieces, i, size = self._pieces, 1, 0
  while true do
    if pieces ~= self._pieces then
      pieces, i, size = self._pieces, 1, 0 -- somebody else has received something
    end
    local err = not self._pieces[i] and fill(self, start)
    local piece = self._pieces[i]
    local stop = piece and piece:find("\n", 1, true)
    if err then
      return (take(self):gsub("\r", "")), err
    elseif stop then
      return (take(self, size + stop):sub(1, -2):gsub("\r", ""))
    elseif piece and pieces == self._pieces then
      i, size = i + 1, size + #piece
    end
  end
end

local function receive_number(self, start, wanted)
  while self._size < wanted do
    local err = fill(self, start)
    if err then
      return take(self), err
    end
  end
  return take(self, math.max(wanted, 0))
end

local function receive_all(self, start)
  while true do
    local err = fill(self, start)
    if err == "closed" and self._size > 0 then
      return take(self)
    elseif err then
      return take(self), err
    end
  end
end

function methods:receive(pattern, prefix)
  local wanted = object.check_pattern(pattern)
  prefix = check_string(prefix or "", 2, "receive")
  object.pace(self._socket)
  local receive = wanted == nil and receive_line or wanted == "*a" and receive_all
    or receive_number
  local text, err = receive(self, now(), math.type(wanted) and wanted - #prefix)
  text = prefix .. text
  if err then
    return nil, err, text
  end
  return text, nil, nil
end

function methods:dirty()
  return self._size > 0 or self._socket:dirty()
end

---- closing ----

--- LuaSec has none, but clients that were written for LuaSocket call it.
function methods:shutdown(mode)
  if self._state == "connected" and mode ~= "receive" then
    self._session:close_notify()
    local err = flush(self, now())
    if err then
      return nil, err
    end
  end
  return self._socket:shutdown(mode)
end

--- Says goodbye as far as that goes without waiting.
function methods:close()
  if self._state == "closed" then
    return
  end
  if self._session then
    if self._state == "connected" then
      self._session:close_notify()
      self._out = self._out .. (self._session:take() or "")
      self._socket._real:send(self._out)
    end
    self._session:close()
  end
  self._state = "closed"
  self._socket:close()
end

Connection.__close = methods.close

---- the rest ----

--- A certificate, as LuaSec's C module has it, which waits for nothing.
---@param pem string
function M.load_certificate(pem)
  local found, x509 = pcall(require, "ssl.x509")
  if not found then
    return nil, "certificates need LuaSec"
  end
  return x509.load(pem)
end

local function as_pem(der)
  local text = mime.b64(der):gsub(("."):rep(64), "%0\n"):gsub("\n$", "")
  return "-----BEGIN CERTIFICATE-----\n" .. text .. "\n-----END CERTIFICATE-----\n"
end

function methods:getpeercertificate(n)
  if self._state ~= "connected" then
    return nil, "closed"
  elseif check_number(n, 1, 1, "getpeercertificate") ~= 1 then
    return nil, "only the peer's own certificate is known"
  end
  local der = self._session:certificate()
  if der then
    return M.load_certificate(as_pem(der))
  end
end

function methods:getpeerverification()
  if self._state ~= "connected" then
    return false, "closed"
  end
  local facts = self._session:facts()
  if facts.verify_error or not facts.peer_subject then
    return false, { facts.verify_error }
  end
  return true
end

function methods:info(field)
  if self._state ~= "connected" then
    return nil, "closed"
  end
  local facts = self._session:facts()
  local info = { cipher = facts.cipher, protocol = facts.version }
  if field then
    return info[field]
  end
  return info
end

function methods:getalpn()
  return self._state == "connected" and self._session:facts().alpn or nil
end

function methods:getsniname()
  return self._host or self._state == "connected" and self._session:facts().server_name or nil
end

function methods:want()
  return self._want
end

for _, name in ipairs({ "getfd", "getstats", "setstats", "settimeout" }) do
  methods[name] = function(self, ...)
    local socket = self._socket
    return socket[name](socket, ...)
  end
end

return M
