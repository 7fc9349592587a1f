--- Events.
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
