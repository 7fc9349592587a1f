--- UDP sockets for moontide.luasocket: LuaSocket's methods, which await where LuaSocket's block.
local core = require "moontide.core"
local object = require "moontide.luasocket.object"
local connecting = require "moontide.luasocket.connect"

local check_class, check_number, check_string =
  object.check_class, object.check_number, object.check_string

local CONNECTED, UNCONNECTED = "udp{connected}", "udp{unconnected}"

local methods = {}

---- addresses ----

function methods:setpeername(host, port)
  local ok, err
  if check_string(host, 1, "setpeername") == "*" then
    ok, err = self._real:setpeername(host)
  else
    check_string(port, 2, "setpeername")
    ok, err = connecting.connect(self, "setpeername", host, port)
  end
  if not ok then
    return nil, err
  end
  object.set_class(self, host == "*" and UNCONNECTED or CONNECTED)
  return ok
end

function methods:setsockname(host, port)
  check_class(self, UNCONNECTED, "setsockname")
  check_string(host, 1, "setsockname")
  check_string(port, 2, "setsockname")
  return connecting.bind(self, "setsockname", host, port)
end

---- datagrams ----

--- Calls LuaSocket's method until it does not have to wait any more.
local function retry(self, name, events, ...)
  object.pace(self)
  local start = core.now()
  while true do
    local real = self._real
    local results = table.pack(real[name](real, ...))
    if results[1] ~= nil or results[2] ~= "timeout" or self._block == 0 then
      return table.unpack(results, 1, results.n)
    end
    local err = object.wait(self, events, start)
    if err then
      return nil, err
    end
  end
end

function methods:send(data)
  check_class(self, CONNECTED, "send")
  return retry(self, "send", "w", check_string(data, 1, "send"))
end

function methods:sendto(data, address, port)
  check_class(self, UNCONNECTED, "sendto")
  check_string(data, 1, "sendto")
  check_string(address, 2, "sendto")
  check_string(port, 3, "sendto")
  return retry(self, "sendto", "w", data, address, port)
end

function methods:receive(size)
  return retry(self, "receive", "r", check_number(size, nil, 1, "receive"))
end

function methods:receivefrom(size)
  check_class(self, UNCONNECTED, "receivefrom")
  return retry(self, "receivefrom", "r", check_number(size, nil, 1, "receivefrom"))
end

object.define(
  { CONNECTED, UNCONNECTED },
  methods,
  "dirty getfamily getfd getoption getpeername getsockname setoption"
)

return object.constructors("udp", UNCONNECTED)
