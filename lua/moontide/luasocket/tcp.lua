--- TCP sockets for moontide.luasocket: LuaSocket's methods, which await where LuaSocket's block.
---
--- Each call is made of calls of LuaSocket's object that do not wait, and of waits between them. So
--- the buffer, the patterns and the errors are LuaSocket's.
---
--- Field of an object, besides those of luasocket_object and luasocket_connect: _left, what a call
--- had received when its await was cancelled, and nobody has been given; or nil.
local core = require "moontide.core"
local object = require "moontide.luasocket.object"
local connecting = require "moontide.luasocket.connect"

local check_class, check_number, check_string =
  object.check_class, object.check_number, object.check_string
local concat, min, now, pace = table.concat, math.min, core.now, object.pace

local MASTER, CLIENT, SERVER = "tcp{master}", "tcp{client}", "tcp{server}"

-- At most so many bytes move before the others may have a turn.
local SLICE = 1048576

local methods = {}

---- connections ----

function methods:connect(host, port)
  check_string(host, 1, "connect")
  check_string(port, 2, "connect")
  object.set_class(self, CLIENT)
  return connecting.connect(self, "connect", host, port)
end

function methods:bind(host, port)
  check_class(self, MASTER, "bind")
  check_string(host, 1, "bind")
  check_string(port, 2, "bind")
  return connecting.bind(self, "bind", host, port)
end

methods.setpeername, methods.setsockname = methods.connect, methods.bind

function methods:listen(backlog)
  check_class(self, MASTER, "listen")
  local ok, err = self._real:listen(check_number(backlog, 32, 1, "listen"))
  if not ok then
    return nil, err
  end
  object.set_class(self, SERVER)
  return ok
end

function methods:accept()
  check_class(self, SERVER, "accept")
  pace(self)
  local start = now()
  while true do
    local client, err = self._real:accept()
    if client then
      return object.new(client, CLIENT)
    elseif self._block ~= 0 and err == "timeout" then
      err = object.wait(self, "r", start)
    end
    if err then
      return nil, err
    end
  end
end

---- sending ----

function methods:send(data, i, j)
  check_class(self, CLIENT, "send")
  data = check_string(data, 1, "send")
  i, j = check_number(i, 1, 2, "send"), check_number(j, -1, 3, "send")
  i, j = object.bounds(#data, i, j)
  local start = now()
  while i <= j do
    pace(self)
    local last, err, sent = self._real:send(data, i, min(j, i + SLICE - 1))
    i = (last or sent) + 1
    if self._block ~= 0 and err == "timeout" then
      err = object.wait(self, "w", start)
    end
    if err then
      return nil, err, i - 1
    end
  end
  return i - 1.0, nil, nil
end

---- receiving ----

--- Adds to the prefix what an earlier call has left; returns that, and whether no more is wanted.
local function take_left(self, wanted, prefix)
  local left = self._left
  local text, rest, done = left, "", false
  if wanted == nil then
    local stop = left:find("\n", 1, true)
    done = stop ~= nil
    text, rest = left:sub(1, done and stop - 1 or -1):gsub("\r", ""), left:sub((stop or #left) + 1)
  elseif wanted ~= "*a" then
    local n = math.max(wanted - #prefix, 0)
    text, rest = left:sub(1, n), left:sub(n + 1)
    done = #prefix + #text >= wanted
  end
  self._left = rest ~= "" and rest or nil
  return prefix .. text, done
end

--- Waits until there may be more, or lets the others run if there is no error. When that is
--- cancelled, the pieces without the caller's prefix are kept for the next call.
local function go_on(self, err, start, pieces, prefix)
  local reason
  if err == nil then
    err, reason = object.try_pace(self)
  elseif err == "timeout" and self._block ~= 0 then
    err, reason = object.try_wait(self, "r", start)
  end
  if err == false then
    local left = concat(pieces):sub(#prefix + 1)
    self._left = left ~= "" and left or nil
    error(reason, 0)
  end
  return err
end

--- A line or a number of bytes, whose first piece, and what kept it from being all, are there.
local function receive_on(self, wanted, first, err, prefix)
  local start, pieces, got = now(), { first }, #first
  while true do
    err = go_on(self, err, start, pieces, prefix)
    if err then
      return nil, err, concat(pieces)
    end
    local data, partial
    data, err, partial = self._real:receive(wanted and min(wanted - got, SLICE) or "*l")
    pieces[#pieces + 1] = data or partial
    got = got + #(data or partial)
    if not err and (not wanted or got >= wanted) then
      return concat(pieces), nil, nil
    end
  end
end

--- Everything until the peer has closed; that it closes before it has sent anything is an error,
--- and so is a connection that was reset.
local function receive_all(self, first, received, prefix)
  local start, pieces, reset = now(), { first }, nil
  while true do
    reset = reset or self._real:getoption("error")
    local data, err, partial = self._real:receive(SLICE)
    pieces[#pieces + 1] = data or partial
    received = received or #(data or partial) > 0
    if err == "closed" and reset then
      return nil, reset, concat(pieces)
    elseif err == "closed" and received then
      return concat(pieces), nil, nil
    end
    err = go_on(self, err, start, pieces, prefix)
    if err then
      return nil, err, concat(pieces)
    end
  end
end

function methods:receive(pattern, prefix)
  check_class(self, CLIENT, "receive")
  local wanted = object.check_pattern(pattern)
  prefix = check_string(prefix or "", 2, "receive")
  pace(self)
  local first, done = prefix, false
  if self._left then
    first, done = take_left(self, wanted, prefix)
  end
  if done or wanted and wanted ~= "*a" and first ~= "" and #first >= wanted then
    return first, nil, nil
  elseif wanted == "*a" then
    return receive_all(self, first, #first > #prefix, prefix)
  elseif wanted and wanted > SLICE then
    return receive_on(self, wanted, first, nil, prefix)
  end
  local data, err, partial = self._real:receive(wanted or "*l", first)
  if err ~= "timeout" or self._block == 0 then
    return data, err, partial
  end
  return receive_on(self, wanted, partial, err, prefix)
end

function methods:dirty()
  return self._left ~= nil or self._real:dirty()
end

object.define(
  { MASTER, CLIENT, SERVER },
  methods,
  "getfamily getfd getoption getpeername getsockname getstats setoption setstats shutdown"
)

return object.constructors("tcp", MASTER)
