--- What one fetch has under way, from its beginning to the end of the body: the transfer, one after
--- the other where there are redirects; the task that sends the request's body; what ends it early,
--- a signal or a time.
---
--- Whoever has the response has the exchange; nothing else holds it for long. So what would end it
--- reaches it by way of a weak table, and a response that is dropped ends its transfer.
local core = require "moontide.core"
local failure = require "moontide.http.failure"

local M = {}

local await, new_error = core.await, core.new_error
local new_waiter, wake_waiter, fail_waiter = core.new_waiter, core.wake_waiter, core.fail_waiter

local WEAK_VALUES = { __mode = "v" }

-- Fields: pool; url, of the transfer; transfer; _reason, why it was ended; _promise of who waits
-- for news, true before it is made, or false; _places of others who wait; _is_last, whether the
-- transfer is that of the response; _guard; _upload, the group of what is being sent.
local Exchange = {}
Exchange.__index = Exchange

---- those who wait ----

local function let_go(self)
  if not self._promise and not self._places then
    self.pool:let_go(self)
  end
end

--- A cancellation has come for whoever waits by _promise: whether that still waits.
function Exchange:leave()
  local waits = self._promise ~= false
  self._promise = false
  let_go(self)
  return waits
end

-- One who waits beside another one. Fields: exchange; promise; is_over.
local Place = {}
Place.__index = Place

--- The same for one of these.
function Place:leave()
  if self.is_over then
    return false
  end
  self.is_over = true
  local places = self.exchange._places
  if places then -- else it has yet to come there
    places[self] = nil
    self.exchange._places = next(places) and places
    let_go(self.exchange)
  end
  return true
end

local function new_place(self)
  local place = setmetatable({ exchange = self, promise = false, is_over = false }, Place)
  place.promise = new_waiter(place)
  self._places = self._places or {}
  self._places[place] = true
  return place
end

--- Ends all waits: with f(promise, reason).
local function end_waits(self, f, reason)
  local promise, places = self._promise, self._places
  if not promise and not places then
    return
  end
  self._promise, self._places = false, nil
  self.pool:let_go(self)
  if promise and promise ~= true then
    f(promise, reason)
  end
  for place in pairs(places or {}) do
    place.is_over = true
    f(place.promise, reason)
  end
end

local function check(self)
  if self._reason ~= nil then
    error(self._reason, 0)
  end
end

--- Awaits news of the transfer.
function Exchange:wait()
  check(self)
  self.pool:hold(self)
  if self._promise and self._promise ~= true then
    return await(new_place(self).promise)
  end
  self._promise = true
  self._promise = new_waiter(self)
  return await(self._promise)
end

--- Awaits a promise, but no longer than the exchange lasts.
function Exchange:await(promise)
  check(self)
  if not self._guard then
    return await(promise)
  end
  local place = new_place(self)
  promise:next(function(...)
    if place:leave() then
      wake_waiter(place.promise, ...)
    end
  end, function(reason)
    if place:leave() then
      fail_waiter(place.promise, reason)
    end
  end)
  return await(place.promise)
end

---- ends ----

local function release_guard(self)
  local guard = self._guard
  if guard then
    self._guard = nil
    guard:release()
  end
end

local function stop_upload(self, reason)
  local upload = self._upload
  if upload then
    self._upload = nil
    upload:cancel(reason)
  end
end

local function has_landed(self)
  return self.transfer and self.transfer:outcome() ~= nil
end

--- What libcurl has to say: the owner of the transfer is called when it says something.
function Exchange:on_news()
  if self._is_last and has_landed(self) then
    release_guard(self)
  end
  if self._upload and has_landed(self) then
    stop_upload(self, new_error("AbortError", "the reply is complete"))
  end
  end_waits(self, wake_waiter)
end

local function close_transfer(self)
  if self.transfer then
    self.transfer:close()
    self.pool:settle()
  end
end

--- Ends it, wherever it is: whoever waits, and whoever asks from here on, gets the reason.
function Exchange:stop(reason)
  if self._reason ~= nil then
    return
  end
  self._reason = reason
  release_guard(self)
  stop_upload(self, reason)
  end_waits(self, fail_waiter, reason)
  close_transfer(self)
end

--- Gives the rest up.
function Exchange:close()
  self:stop(new_error("TypeError", "the response has been closed"))
end

function Exchange:is_stopped()
  return self._reason ~= nil
end

---- what ends it early ----

-- Goes with the exchange, and has it leave nothing. Fields: _exchange, in a weak table; _pool;
-- _transfer, of a response; _remove, the listener; _timer.
local Guard = {}
Guard.__index = Guard

function Guard:release()
  if self._remove then
    self._remove()
  end
  if self._timer then
    self._timer:close()
  end
  self._remove, self._timer, self._transfer = nil, nil, nil
end

--- Nobody has the response any more.
local function drop(self)
  local transfer = self._transfer
  self:release()
  if transfer then
    transfer:close()
    self._pool:rest()
  end
end

function Guard:__gc()
  pcall(drop, self) -- the runtime may be closed by now
end

local function guard_of(self)
  self._guard = self._guard or setmetatable({ _pool = self.pool }, Guard)
  return self._guard
end

local function set_ends(self, signal, timeout)
  local weak = setmetatable({ self }, WEAK_VALUES)
  local function stop(reason)
    if weak[1] then
      weak[1]:stop(reason)
    end
  end
  local guard = guard_of(self)
  guard._remove = signal and signal:on_abort(stop)
  guard._timer = timeout and core.set_timeout(function()
    stop(new_error("TimeoutError", ("not done after %g ms"):format(timeout)))
  end, timeout):unref()
end

--- The transfer is that of the response: what ends it early does so up to its end.
function Exchange:settle_on()
  self._is_last = true
  if has_landed(self) then
    release_guard(self)
  else
    guard_of(self)._transfer = self.transfer
  end
end

---- requests ----

--- Starts a transfer.
function Exchange:start(request)
  check(self)
  self.url = request.url
  local transfer, code, message = self.pool:start(request, self)
  if not transfer then
    error(failure.new(self.url, code, message), 0)
  end
  self.transfer = transfer
end

--- What is being sent, by a group, ends with this.
function Exchange:set_upload(group)
  self._upload = group
end

--- What a transfer sends has failed: that ends all, unless its reply is there already, or has led
--- to another one.
function Exchange:fail_upload(transfer, reason)
  if self.transfer == transfer and not has_landed(self) then
    self:stop(reason)
  end
end

--- The reply leads elsewhere: the transfer ends, whatever is still to be sent or to come.
function Exchange:leave_transfer()
  stop_upload(self, new_error("AbortError", "the reply leads elsewhere"))
  close_transfer(self)
end

--- Raises what the transfer has failed with, if it has; whether it is over.
function Exchange:check_outcome()
  check(self)
  local ok, code, message, is_of_tls = self.transfer:outcome()
  if ok == false then
    local reason = failure.new(self.url, code, message, is_of_tls)
    self:stop(reason)
    error(reason, 0)
  end
  return ok
end

function M.new(pool, signal, timeout)
  local self = setmetatable({
    pool = pool, url = false, transfer = false, _reason = nil, _promise = false, _places = nil,
    _is_last = false, _guard = nil, _upload = nil,
  }, Exchange)
  if signal or timeout then
    set_ends(self, signal, timeout)
  end
  return self
end

return M
