--- LuaSocket's `socket` module for async functions: what waits, awaits.
---
--- This is what socket.core has to offer; the rest is LuaSocket's own socket.lua, run upon it. The
--- annotations are in meta/luasocket.lua.
require "moontide.internal.version"()
local core = require "moontide.core"
local abort = require "moontide.async.abort"
local names = require "moontide.luasocket.names"
local object = require "moontide.luasocket.object"
local tcp = require "moontide.luasocket.tcp"
local udp = require "moontide.luasocket.udp"
local real = require "socket.core"

local await, now, poll = core.await, core.now, core.poll
local check_number = object.check_number

---@class moontide.luasocket
local M = {
  tcp = tcp.tcp,
  tcp4 = tcp.tcp4,
  tcp6 = tcp.tcp6,
  udp = udp.udp,
  udp4 = udp.udp4,
  udp6 = udp.udp6,
  gettime = real.gettime,
  skip = real.skip,
  dns = {
    getaddrinfo = names.getaddrinfo,
    gethostname = names.gethostname,
    getnameinfo = names.getnameinfo,
    tohostname = names.tohostname,
    toip = names.toip,
  },
  _DATAGRAMSIZE = real._DATAGRAMSIZE,
  _SETSIZE = real._SETSIZE,
  _SOCKETINVALID = real._SOCKETINVALID,
  _VERSION = real._VERSION,
}

---- connections ----

local FAMILIES = { unspec = tcp.tcp, inet = tcp.tcp4, inet6 = tcp.tcp6 }

--- Closes a socket that is of no use.
local function give_up(socket, err)
  socket:close()
  return nil, err
end

function M.connect(host, port, local_host, local_port, family)
  local create = FAMILIES[family or "unspec"]
  if not create then
    error(("bad argument #5 to 'connect' (invalid option '%s')"):format(family), 2)
  end
  local socket, err = create()
  if not socket then
    return nil, err
  end
  local ok
  if local_host then
    ok, err = socket:bind(local_host, local_port or 0)
    if not ok then
      return give_up(socket, err)
    end
  end
  ok, err = socket:connect(host, port)
  if not ok then
    return give_up(socket, err)
  end
  return socket
end

---- select ----

local DONE = {}

local function nothing() end

--- Adds polls of the sockets to the promises.
local function add_polls(promises, sockets, events, options)
  for _, socket in ipairs(sockets or {}) do
    local fd = socket:getfd()
    if fd >= 0 then
      promises[#promises + 1] = poll(fd, events, options)
    end
  end
end

--- Waits until one of the sockets is ready, or those ms have passed (nil: for ever).
local function wait_for_any(readers, writers, ms)
  local options = { signal = abort.new_signal() }
  local promises = {}
  add_polls(promises, readers, "r", options)
  add_polls(promises, writers, "w", options)
  local timer = ms and core.set_timeout(abort.abort, ms, options.signal, DONE)
  promises[#promises + 1] = abort.abortable(options.signal, nothing)
  local race = core.Promise.race(promises)
  local ok, reason = pcall(await, race)
  if timer then
    timer:close()
  end
  race:catch(nothing) -- the await may have been refused
  abort.abort(options.signal, DONE)
  if not ok and reason ~= DONE then
    error(reason, 0)
  end
end

function M.select(readers, writers, timeout)
  timeout = check_number(timeout, nil, 3, "select")
  local deadline = timeout and timeout >= 0 and now() + 1000 * timeout
  while true do
    local readable, writable, err = real.select(readers, writers, 0)
    local ms = deadline and deadline - now()
    if err ~= "timeout" or ms and ms <= 0 then
      return readable, writable, err
    end
    wait_for_any(readers, writers, ms)
  end
end

function M.sleep(seconds)
  if type(seconds) ~= "number" then
    error("bad argument #1 to 'sleep' (number expected, got " .. type(seconds) .. ")", 2)
  end
  if seconds > 0 then
    await(core.sleep(1000 * seconds))
  end
end

---- exceptions ----

-- What `try` raises for `protect`: the message is at 1.
local Failure = { __name = "moontide.luasocket.Failure" }

function M.newtry(finalizer)
  return function(...)
    local ok, message = ...
    if ok then
      return ...
    end
    if finalizer then
      finalizer()
    end
    error(setmetatable({ message }, Failure), 0)
  end
end

local function unprotect(ok, ...)
  if ok then
    return ...
  end
  local reason = ...
  if getmetatable(reason) == Failure then
    return nil, reason[1]
  end
  error(reason, 0)
end

function M.protect(f)
  return function(...)
    return unprotect(pcall(f, ...))
  end
end

---- LuaSocket's socket.lua ----

do
  local path = assert(package.searchpath("socket", package.path))
  local environment = setmetatable({
    require = function(name)
      return name == "socket.core" and M or require(name)
    end,
  }, { __index = _G })
  assert(loadfile(path, "bt", environment))("socket", path)
end

---- installation ----

-- Modules of LuaSocket's that keep the `socket` they have found when they were loaded.
local USERS = { "socket.ftp", "socket.http", "socket.smtp", "socket.tp" }

function M.install()
  local loaded, before = package.loaded, {}
  local function set(name, module)
    before[#before + 1] = { name, loaded[name] }
    loaded[name] = module
  end
  if loaded.socket ~= M then
    set("socket", M)
    set("socket.core", M)
    for _, name in ipairs(USERS) do
      set(name, nil)
    end
  end
  return function()
    for _, entry in ipairs(before) do
      loaded[entry[1]] = entry[2]
    end
  end
end

return M
