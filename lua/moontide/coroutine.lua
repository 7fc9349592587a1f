--- The functions of Lua's coroutine library, but that an await goes through coroutines: it suspends
--- the async function around them.
---
--- How is told in csrc/core/relay.c; the annotations are in meta/coroutine.lua.
require "moontide.internal.version"()
local core = require "moontide.core"

local relayed, standard = core.coroutine, coroutine

---@class moontide.coroutine
local M = {
  close = relayed.close,
  create = relayed.create,
  isyieldable = standard.isyieldable,
  resume = relayed.resume,
  running = standard.running,
  status = relayed.status,
  wrap = relayed.wrap,
  yield = standard.yield,
}

local NAMES = {}
for name in pairs(M) do
  NAMES[#NAMES + 1] = name
end

function M.install()
  local before = {}
  for _, name in ipairs(NAMES) do
    before[name], standard[name] = standard[name], M[name]
  end
  return function()
    for _, name in ipairs(NAMES) do
      standard[name] = before[name]
    end
  end
end

return M
