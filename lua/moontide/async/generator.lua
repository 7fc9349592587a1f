--- Async generators, after ECMA-262's AsyncGenerator objects.
---
--- The body is an async function. `yield` settles the promise of the request that the body works on
--- and awaits the next one. A request made while the body runs stands in a line.
---
--- A generator belongs to the cancellation scope (see csrc/core/scope.h) of the request that it
--- works on, and to none while it waits at a yield. So a cancellation of whoever asks reaches the
--- innermost await, that of the body, and the asker gets what the body makes of it.
---
--- Fields: _state "new", "running", "yielded" or "done"; _line of requests; _request that the body
--- works on; _task, the body's promise; _scope it is in; _parked: the function that waits at a
--- yield; _woken: it has been woken, and has not yielded since; _closing: the error that unwinds
--- it.
local core = require "moontide.core"
local line = require "moontide.async.line"

local M = {}

local current_scope, running = core.current_scope, core.running
local park, unpark = core.park, core.unpark
local resolve, reject = core.resolve, core.reject

local Generator = { __name = "moontide.Generator" }
local methods = {}
Generator.__index = methods

local function check_self(self, name)
  if getmetatable(self) ~= Generator then
    local text = "bad argument #1 to '%s' (moontide.Generator expected, got %s)"
    error(text:format(name, type(self)), 3)
  end
end

---- scopes ----

--- The body works in the scope of who asked, and has received what that had. The request's promise
--- needs no interruption, since the body is interrupted.
local function enter_scope(self, request)
  self._scope = request.scope
  if self._scope and self._task then
    core.enter_scope(self._task, self._scope, request.kind == "close")
  end
end

local function leave_scope(self, request)
  local scope = self._scope
  self._scope = nil
  if scope and self._task then
    core.leave_scope(self._task, request and request.promise)
  end
end

---- the body ----

local advance

--- The request that the body works on has been dealt with.
local function take_request(self, state)
  local request = self._request
  self._request, self._state = nil, state
  leave_scope(self, request)
  return request
end

--- A cancellation that has not arrived yet must not wait for an await that may never come.
local function check_interrupted()
  if core.cancelled() then
    core.await()
  end
end

local function finish(self, ...)
  check_interrupted()
  local request = take_request(self, "done")
  if not request then
    return -- a function that the body has started waits at a yield, in vain
  elseif select("#", ...) == 0 or request.kind == "close" then
    resolve(request.promise)
  else
    resolve(request.promise, nil, ...)
  end
  advance(self)
end

local function finish_awaited(self, ...)
  if select("#", ...) == 0 then
    return finish(self)
  end
  return finish(self, core.await(...))
end

--- The request follows the body's promise rather than being rejected with the reason: so traces
--- lead into the body. The next ones are answered when it has got there.
local function fail(self, reason)
  local request = take_request(self, "running")
  local function go_on()
    self._state = "done"
    advance(self)
  end
  if not request then
    go_on()
    error(reason, 0)
  elseif self._closing and rawequal(reason, self._closing) then
    resolve(request.promise)
    go_on()
  else
    resolve(request.promise, self._task)
    local behind = core.new_promise()
    behind:next(nil, go_on)
    resolve(behind, self._task)
  end
end

--- Whether the value is as well without an await: certainly no promise, no thenable.
local function is_plain(value)
  local kind = type(value)
  return kind ~= "userdata"
    and (kind ~= "table" or getmetatable(value) == nil and value["then"] == nil)
end

--- Waits for a request, if there is none yet, and works on it from now on.
local function next_request(self, scope)
  local request = self._line:take()
  self._woken = not request
  if request then
    self._state = "running"
    self._request = request
    core.begin_step(request.promise)
    enter_scope(self, request)
  else
    self._parked = running()
    park()
    request = self._request
  end
  -- In a group of its own the body stays in that.
  if request.scope ~= scope and current_scope() == scope then
    core.swap_context(core.context_in(request.scope))
  end
  return request
end

--- The body goes on as the request says.
local function obey(self, request)
  if request.kind == "next" then
    return table.unpack(request, 1, request.n)
  elseif request.kind == "close" then
    self._closing = core.new_error("AbortError", "the generator was closed")
    error(self._closing, 0)
  end
  error(request[1], 0)
end

--- The body has caught what should unwind it: it is left standing, or it might never end.
local function give_up(self)
  local request = take_request(self, "done")
  local text = "yield in a generator that is being closed"
  reject(request.promise, core.new_error("GeneratorError", text))
  advance(self)
  core.await(core.Promise.new(function() end))
end

local function answer(self, ...)
  local scope = self._scope
  resolve(take_request(self, "yielded").promise, ...)
  return obey(self, next_request(self, scope))
end

--- @return string? error
local function check_yield(self, value)
  if self._state ~= "running" then
    return "yield outside its generator"
  elseif value == nil then
    return "bad argument #1 to 'yield' (value expected, got nil)"
  end
end

--- A yield takes a tick, as in ECMA-262. Being woken has taken it already: there a generator goes
--- on at once when it is asked, which a function that awaits cannot.
local function new_yield(self)
  return function(...)
    local err = check_yield(self, (...))
    if not err and self._closing then
      give_up(self)
    end
    if err then
      error(err, 2)
    elseif self._woken and is_plain((...)) then
      check_interrupted()
      return answer(self, ...)
    end
    local values = table.pack(core.await(...))
    err = check_yield(self, values[1])
    if err then
      error(err, 2)
    end
    check_interrupted()
    return answer(self, table.unpack(values, 1, values.n))
  end
end

local function start(self)
  local outside = core.swap_context(self._context)
  core.swap_context(core.context_in(self._scope))
  local f, args = self._f, self._args
  self._f, self._args = nil, nil
  self._task = core.spawn_movable(function()
    finish_awaited(self, f(new_yield(self), table.unpack(args, 1, args.n)))
  end)
  core.swap_context(outside)
  if not self._scope then
    core.leave_scope(self._task, nil) -- it waits at a yield by now
  end
  self._task:next(nil, function(reason)
    fail(self, reason)
  end)
end

---- requests ----

local function work_on(self, request)
  local is_new = self._state == "new"
  self._request, self._state = request, "running"
  enter_scope(self, request)
  if is_new then
    start(self)
  else
    unpark(self._parked)
  end
end

--- Works on the line as far as that goes without the body.
function advance(self)
  while self._state ~= "running" do
    local request = self._line:take()
    if not request then
      return
    end
    core.begin_step(request.promise)
    if self._state == "yielded" or self._state == "new" and request.kind == "next" then
      work_on(self, request)
    else
      self._state = "done"
      if request.kind == "throw" then
        reject(request.promise, request[1])
      else
        resolve(request.promise)
      end
    end
  end
end

local function make_request(self, kind, ...)
  local request = { n = select("#", ...), kind = kind, scope = current_scope(), ... }
  local state = self._state
  if state == "yielded" or state == "new" and kind == "next" then
    request.promise = core.new_step() -- nobody is in the line
    work_on(self, request)
  else
    request.promise = core.new_waiter(request)
    self._line:append(request)
    advance(self)
  end
  return request
end

--- A request that waits in the line is taken out by a cancellation.
local function ask(self, kind, ...)
  return core.refused() or make_request(self, kind, ...).promise
end

function methods:next(...)
  check_self(self, "next")
  return ask(self, "next", ...)
end

function methods:throw(reason)
  check_self(self, "throw")
  return ask(self, "throw", reason)
end

--- No cancellation takes that out of the line.
local function request_close(self)
  local request = make_request(self, "close")
  core.begin_step(request.promise)
  return request.promise
end

function methods:close()
  check_self(self, "close")
  return request_close(self)
end

function Generator:__call()
  return core.await(ask(self, "next"))
end

--- The clean-up is waited for also when a cancellation comes in between. An error that has led here
--- is not replaced by one of the clean-up.
function Generator:__close(err)
  if self._state == "done" then
    return
  end
  local promise = request_close(self)
  local ok, reason = pcall(core.await, promise)
  if promise:state() == "pending" then
    pcall(core.await, promise)
  end
  if not ok and err == nil then
    error(reason, 0)
  end
end

---- public functions ----

function M.generator(f)
  if not core.callable(f) then
    error("bad argument #1 to 'generator' (function expected, got " .. type(f) .. ")", 2)
  end
  return function(...)
    local self = setmetatable({
      _state = "new",
      _line = line.new(),
      _f = f,
      _args = table.pack(...),
      _context = core.context(),
    }, Generator)
    return self, nil, nil, self
  end
end

local function collect(iterator, state, control, closing)
  local list = {}
  for value in iterator, state, control, closing do
    list[#list + 1] = value
  end
  return list
end

function M.collect(iterator, ...)
  if not core.callable(iterator) then
    error("bad argument #1 to 'collect' (function expected, got " .. type(iterator) .. ")", 2)
  end
  return core.spawn(collect, iterator, ...)
end

return M
