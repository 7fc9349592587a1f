--- ContextVar: values that follow async calls, reactions, timers and I/O.
---
--- The async context is an immutable table, var -> value; nil where nothing is set. The core
--- hands it on: a task, a reaction and a callback run in the context in which they were made.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"

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
  argument.check_self(self, ContextVar, "context_var:get")
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
  argument.check_self(self, ContextVar, "context_var:run")
  argument.check("callable", f, 2, "context_var:run")
  local context = {}
  for var, old in pairs(core.context() or {}) do
    context[var] = old
  end
  context[self] = value == nil and NIL or value
  local _ <close> = setmetatable({ previous = core.swap_context(context) }, Restore)
  return f(...)
end

return function(name, default)
  argument.check("string", name, 1, "ContextVar")
  return setmetatable({ name = name, default = default }, ContextVar)
end
