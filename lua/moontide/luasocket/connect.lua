--- Connecting and binding for moontide.luasocket, where names have to be resolved before.
---
--- Fields of an object, besides those of luasocket_object: _any, whether it takes addresses of
--- either family; _tried, the family that its descriptor is for then, nil if there has been none,
--- or STALE.
local core = require "moontide.core"
local object = require "moontide.luasocket.object"
local names = require "moontide.luasocket.names"

local M = {}

local NUMBERS = { inet = 4, inet4 = 4, inet6 = 6 }

-- A descriptor that an earlier call could not connect: there will be another one in any case.
local STALE = "stale"

local function resolve(self, host)
  return names.resolve(host, not self._any and NUMBERS[self._real:getfamily()] or nil)
end

--- The descriptor of a connection that has failed may be for the other family: there will be
--- another one, as LuaSocket makes one.
local function renew(self, family)
  local before = self._real
  local real, err = self._renew(family)
  if not real then
    return nil, err
  end
  real:settimeout(0)
  object.let_go(self)
  before:close()
  self._real = real
  return real
end

--- Calls the method that connects with one address. Returns 1, or nil and the error, then whether
--- it is of no use to try another one.
local function attempt(self, name, entry, port)
  local real = self._real
  if self._any and self._tried and self._tried ~= entry.family then
    local err
    real, err = renew(self, entry.family)
    if not real then
      return nil, err
    end
  end
  self._tried = entry.family
  local start = core.now()
  local ok, err = real[name](real, entry.addr, port)
  if self._block == 0 or err ~= "timeout" then
    return ok, err, self._block == 0
  end
  err = object.wait(self, "w", start)
  if err == "closed" then
    return nil, err, true
  end
  err = err or real:getoption("error")
  if err then
    return nil, err
  end
  return 1.0
end

--- Calls the method of that name, which connects, with one address of the host after the other;
--- each has the whole of the timeout.
function M.connect(self, name, host, port)
  local list, err = resolve(self, host)
  if not list then
    return nil, err
  end
  self._tried = self._tried and STALE
  local ok, over
  for _, entry in ipairs(list) do
    ok, err, over = attempt(self, name, entry, port)
    if ok or over then
      self._any, self._tried = false, nil
      break
    end
  end
  if ok then
    return ok
  end
  return nil, err
end

--- Calls the method of that name, which binds, with one address of the host after the other.
function M.bind(self, name, host, port)
  local real = self._real
  if host == "*" then
    return real[name](real, host, port)
  end
  local list, err = resolve(self, host)
  for _, entry in ipairs(list or {}) do
    local ok
    ok, err = real[name](real, entry.addr, port)
    if ok then
      self._any = false
      return ok
    end
  end
  return nil, err
end

return M
