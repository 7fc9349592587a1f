--- ContextVar: values that follow async calls, reactions, timers and I/O.
---
--- The async context is an immutable table, var -> value; nil where nothing is set. The core
--- hands it on: a task, a reaction and a callback run in the context in which they were made.
local core = require "moontide.core"

local callable = core.callable

local ContextVar = {}
ContextVar.__index = ContextVar
ContextVar.__name = "moontide.ContextVar"

-- A stored nil must hide both an outer value and the default.
local NIL = {}

-- As a <close> value: puts back the context that run() found.
local Restore = {
  __close = function(self)
    core.swap_context(self.previous)
  end,
}

function ContextVar:get()
  local context = core.context()
  local value = context and context[self]
  if value == nil then
    return self.default
  elseif value == NIL then
    return nil
  end
  return value
end

function ContextVar:run(value, f, ...)
  if not callable(f) then
    error("bad argument #2 to 'run' (function expected, got " .. type(f) .. ")", 2)
  end
  local context = {}
  for var, old in pairs(core.context() or {}) do
    context[var] = old
  end
  context[self] = value == nil and NIL or value
  local _ <close> = setmetatable({ previous = core.swap_context(context) }, Restore)
  return f(...)
end

return function(name, default)
  if type(name) ~= "string" then
    error("bad argument #1 to 'ContextVar' (string expected, got " .. type(name) .. ")", 2)
  end
  return setmetatable({ name = name, default = default }, ContextVar)
end
