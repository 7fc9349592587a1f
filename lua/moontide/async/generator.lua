--- What goes with async generators (csrc/core/generator.c) and needs nothing of the core's own.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"

local M = {}

local function collect(iterator, state, control, closing)
  local list = {}
  for value in iterator, state, control, closing do
    list[#list + 1] = value
  end
  return list
end

function M.collect(iterator, ...)
  argument.check("callable", iterator, 1, "collect")
  return core.spawn(collect, iterator, ...)
end

return M
