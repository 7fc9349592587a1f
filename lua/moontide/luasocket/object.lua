--- What the objects of moontide.luasocket have in common: timeouts, waiting, closing.
---
--- Fields of an object: _real, LuaSocket's own, whose timeout is 0, so that it never waits; _block
--- and _total, the two timeouts in seconds, negative for none; _waits, the options of the polls
--- that wait for it; _spare, such options that can be used again. What it can do is told by its
--- class, a metatable with LuaSocket's name for that: it changes.
local core = require "moontide.core"
local abort = require "moontide.async.abort"
local real_socket = require "socket.core"

local await, now, poll, set_timeout, yield =
  core.await, core.now, core.poll, core.set_timeout, core.yield
local isyieldable = coroutine.isyieldable

local M = {}

-- Reasons of our own, with which a wait ends.
local TIMED_OUT, CLOSED = {}, {}

-- What a timer takes; who waits longer waits for ever.
local MS_MAX = 2147483647

-- So many calls in a row may find their socket ready before the others have a turn.
local CALLS_MAX = 256
local calls = 0

local function nothing() end

-- LuaSocket's name of what an object can do -> its metatable.
local classes = {}

---@param real userdata LuaSocket's object
---@param class string
function M.new(real, class)
  real:settimeout(0)
  local self = { _real = real, _block = -1.0, _total = -1.0, _waits = {} }
  return setmetatable(self, classes[class])
end

function M.set_class(self, class)
  setmetatable(self, classes[class])
end

--- LuaSocket's functions NAME, NAME4 and NAME6. The objects of the first are of any family:
--- `_renew` gives another one when it turns out.
---@param name string "tcp" or "udp"
---@param class string what they can do at first
function M.constructors(name, class)
  local create4, create6 = real_socket[name .. "4"], real_socket[name .. "6"]
  local function renew(family)
    return family == "inet6" and create6() or create4()
  end
  local function constructor(create, any)
    return function()
      local real, err = create()
      if not real then
        return nil, err
      end
      local self = M.new(real, class)
      self._any, self._renew = any, renew
      return self
    end
  end
  return {
    [name] = constructor(real_socket[name], true),
    [name .. "4"] = constructor(create4, false),
    [name .. "6"] = constructor(create6, false),
  }
end

---- arguments: refused as LuaSocket does, in the name of the method's caller ----

local function misuse(name, position, expected, value)
  local text = "bad argument #%d to '%s' (%s expected, got %s)"
  error(text:format(position, name, expected, value == nil and "no value" or type(value)), 4)
end

function M.check_class(self, class, name)
  if self.class ~= class then
    error(("calling '%s' on bad self (%s expected)"):format(name, class), 3)
  end
end

--- A string, or the text of a number.
function M.check_string(value, position, name)
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind ~= "number" then
    misuse(name, position, "string", value)
  end
  return tostring(value)
end

--- A number, or what tells one; the default where there is none.
function M.check_number(value, default, position, name)
  if value == nil then
    return default
  end
  return tonumber(value) or misuse(name, position, "number", value)
end

local function truncate(n)
  return math.tointeger(n < 0 and math.ceil(n) or math.floor(n))
end

--- From where to where: as LuaSocket understands it, which is not string.sub's way.
function M.bounds(size, i, j)
  i, j = truncate(i), truncate(j)
  i = i < 0 and size + i + 1 or i
  j = j < 0 and size + j + 1 or j
  return math.max(i, 1), math.min(j, size)
end

--- What is wanted of `receive`: nil for a line, "*a" for everything, or how many bytes.
function M.check_pattern(pattern)
  if type(pattern) ~= "number" then
    pattern = pattern or "*l"
    if type(pattern) ~= "string" then
      misuse("receive", 1, "string", pattern)
    end
  end
  local number = tonumber(pattern)
  if number and number >= 0 then
    return number // 1 | 0
  end
  local start = number == nil and pattern:sub(1, 2)
  if start == "*a" then
    return start
  elseif start ~= "*l" then
    error("bad argument #1 to 'receive' (invalid receive pattern)", 3)
  end
end

---- timeouts ----

local MODES = { b = "_block", r = "_total", t = "_total" }

local function settimeout(self, seconds, mode)
  seconds = M.check_number(seconds, -1.0, 1, "settimeout")
  local field = MODES[M.check_string(mode or "b", 2, "settimeout"):sub(1, 1)]
  if not field then
    error("bad argument #2 to 'settimeout' (invalid timeout mode)", 2)
  end
  self[field] = seconds + 0.0
  return 1.0
end

local function gettimeout(self)
  return self._block, self._total
end

--- How many ms a call that began at `start` may still wait, or nil: for ever. The block timeout
--- holds for the whole call, unless there is a total one too: LuaSocket's own rule.
local function remaining(self, start)
  local block, total = self._block, self._total
  if block < 0 and total < 0 then
    return nil
  end
  local elapsed = (now() - start) / 1000
  local seconds
  if total < 0 then
    seconds = block - elapsed
  elseif block < 0 then
    seconds = total - elapsed
  else
    seconds = math.min(block, total - elapsed)
  end
  local ms = seconds * 1000
  return ms <= MS_MAX and ms or nil
end

---- waiting ----

--- Whether the socket is ready for the events after all: timers come before what has happened while
--- the loop was busy.
local function is_ready(self, events)
  local real = self._real
  if real:getfd() >= real_socket._SETSIZE then
    return false
  end
  local list = { real }
  local readers, writers =
    real_socket.select(events == "r" and list or nil, events == "w" and list or nil, 0)
  return #readers + #writers > 0
end

--- Waits until the socket is ready for the events. Returns nothing, "timeout" or "closed"; or false
--- and the reason that the await has raised.
---@param start number when the call began, in ms
function M.try_wait(self, events, start)
  local ms = remaining(self, start)
  if ms and ms <= 0 then
    return "timeout"
  end
  calls = 0
  local options = self._spare or { signal = abort.new_signal() }
  self._spare = nil
  local promise = poll(self._real:getfd(), events, options)
  self._waits[options] = true
  local timer = ms and set_timeout(abort.abort, ms, options.signal, TIMED_OUT)
  local ok, reason = pcall(await, promise)
  if timer then
    timer:close()
  end
  self._waits[options] = nil
  if ok then
    self._spare = not options.signal.aborted and options or nil
    return nil
  elseif reason == TIMED_OUT then
    return not is_ready(self, events) and "timeout" or nil
  elseif reason == CLOSED then
    return "closed"
  end
  promise:catch(nothing) -- the await may have been refused while the poll goes on
  abort.abort(options.signal, reason)
  return false, reason
end

--- Like try_wait, but raises.
function M.wait(self, events, start)
  local err, reason = M.try_wait(self, events, start)
  if err == false then
    error(reason, 0)
  end
  return err
end

--- Before a call that may not have to wait: who always finds something to do would never let the
--- others run. Returns nothing, or false and the reason that the await has raised.
function M.try_pace(self)
  calls = calls + 1
  if calls < CALLS_MAX or self._block == 0 or not isyieldable() then
    return nil
  end
  calls = 0
  local ok, reason = pcall(await, yield())
  if not ok then
    return false, reason
  end
end

--- Like try_pace, but raises.
function M.pace(self)
  local err, reason = M.try_pace(self)
  if err == false then
    error(reason, 0)
  end
end

---- methods ----

--- Ends what waits for the descriptor, which from here on is no longer the socket's.
function M.let_go(self)
  for options in pairs(self._waits) do
    self._waits[options] = nil
    abort.abort(options.signal, CLOSED)
  end
end

local function close(self)
  M.let_go(self)
  return self._real:close()
end

local function setfd(self, fd)
  M.let_go(self)
  return self._real:setfd(fd)
end

local function delegate(name)
  return function(self, ...)
    local real = self._real
    return real[name](real, ...)
  end
end

--- Makes classes whose methods are these, and those that every socket has.
---@param names string[] of the classes
---@param methods table
---@param delegated string names of methods that never wait
function M.define(names, methods, delegated)
  for name in delegated:gmatch("%a+") do
    methods[name] = delegate(name)
  end
  methods.close, methods.setfd = close, setfd
  methods.settimeout, methods.gettimeout = settimeout, gettimeout
  for _, class in ipairs(names) do
    local index = { class = class }
    for name, method in pairs(methods) do
      index[name] = method
    end
    classes[class] = {
      __index = index,
      __name = class,
      __tostring = function(self)
        return ("%s: %p"):format(class, self)
      end,
    }
  end
end

return M
