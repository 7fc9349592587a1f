--- Semaphores, mutexes and events.
---
--- What is given back is handed to whoever has waited longest, in the same job: as long as anybody
--- waits, there is nothing that a newcomer could take. See line.lua for cancellation.
local core = require "moontide.core"
local line = require "moontide.async.line"

local M = {}

local Promise = core.Promise

-- What whoever need not wait gets: one promise for all, as it holds nothing.
local DONE = Promise.resolve()

--- A class, and what checks the self of its methods.
local function new_class(name)
  local class = { __name = "moontide." .. name, __index = {} }
  return class, class.__index, function(self, method)
    if getmetatable(self) ~= class then
      local text = "bad argument #1 to '%s' (%s expected, got %s)"
      error(text:format(method, class.__name, type(self)), 3)
    end
  end
end

---- semaphore and mutex ----

local Permit, permit_methods, check_permit = new_class("Permit")
local Semaphore, semaphore_methods, check_semaphore = new_class("Semaphore")

local function new_permit(semaphore)
  return setmetatable({ _semaphore = semaphore }, Permit)
end

local function give_back(permit)
  local semaphore = permit._semaphore
  permit._semaphore = nil
  local waiter = semaphore._line:take()
  if waiter then
    line.resolve(waiter, new_permit(semaphore))
  else
    semaphore._free = semaphore._free + 1
  end
end

function permit_methods:release()
  check_permit(self, "release")
  if not self._semaphore then
    error("the permit has been released already", 2)
  end
  give_back(self)
end

function Permit:__close()
  if self._semaphore then
    give_back(self)
  end
end

--- One that was dropped is given back when the collector finds it; the runtime may be closed by
--- then.
function Permit:__gc()
  if self._semaphore then
    pcall(give_back, self)
  end
end

function semaphore_methods:acquire(options)
  check_semaphore(self, "acquire")
  local signal, refused = line.heed(options, 1, "acquire")
  if refused then
    return refused
  elseif self._free > 0 then
    self._free = self._free - 1
    return Promise.resolve(new_permit(self))
  end
  return self._line:wait(signal)
end

local function new_semaphore(n)
  return setmetatable({ _free = n, _line = line.new() }, Semaphore)
end

local function check_count(n, least, kind, name)
  if math.type(n) ~= "integer" or n < least then
    local got = type(n) == "number" and n or type(n)
    local text = "bad argument #1 to '%s' (%s integer expected, got %s)"
    error(text:format(name, kind, got), 3)
  end
end

function M.semaphore(n)
  check_count(n, 1, "positive", "semaphore")
  return new_semaphore(n)
end

function M.mutex()
  return new_semaphore(1)
end

---- event ----

local Event, event_methods, check_event = new_class("Event")

function event_methods:set()
  check_event(self, "set")
  self._set = true
  local waiter = self._line:take()
  while waiter do
    line.resolve(waiter)
    waiter = self._line:take()
  end
end

function event_methods:clear()
  check_event(self, "clear")
  self._set = false
end

function event_methods:is_set()
  check_event(self, "is_set")
  return self._set
end

function event_methods:wait(options)
  check_event(self, "wait")
  local signal, refused = line.heed(options, 1, "wait")
  if refused then
    return refused
  elseif self._set then
    return DONE
  end
  return self._line:wait(signal)
end

function M.event()
  return setmetatable({ _set = false, _line = line.new() }, Event)
end

return M
