--- The check that follows every spec: `after_each(leak.check)`.
---
--- A spec must leave the loop with nothing to do, the runtime with nothing live, and the objects
--- that it handed to `leak.track` to the garbage collector.
local assert = require "luassert"
local core = require "moontide.core"
local tide = require "moontide"

local M = {}

-- Far beyond what any spec needs to come to rest; only a forgotten interval or timer reaches it.
local PATIENCE = 20000

local tracked = setmetatable({}, { __mode = "k" })

--- Demands that `object` is collected once the spec is over.
---@generic T
---@param object T
---@param name? string shown when it is still there
---@return T object
function M.track(object, name)
  tracked[object] = name or tostring(object)
  return object
end

--- Runs the loop until nothing is left in it, so that one spec's rest is not the next one's
--- start; raises the first error that comes out of it.
function M.run_dry()
  local deadline = tide.now() + PATIENCE
  local alive, failed, err = true, false, nil
  while alive do
    local ok, result = pcall(tide.step, 100)
    if ok then
      alive = result
    elseif not failed then
      failed, err = true, result
    end
    assert(tide.now() < deadline, "the spec left something in the loop that never ends")
  end
  if failed then
    error(err, 0)
  end
end

--- What core.stats() counts above zero, as "timers=1 rejections=2"; "" when nothing is live.
---@return string
function M.live()
  local names = {}
  for name, count in pairs(core.stats()) do
    if count ~= 0 then
      names[#names + 1] = name .. "=" .. count
    end
  end
  table.sort(names)
  return table.concat(names, " ")
end

--- Collects all garbage, including what the first round's finalizers let go.
function M.collect()
  -- Nils over what earlier calls have left in the stack above this one, which Lua still marks.
  local _ = select("#", table.unpack({}, 1, 200))
  collectgarbage()
  collectgarbage()
end

function M.check()
  M.run_dry()
  M.collect()
  M.run_dry() -- what was collected may close in the background
  assert.equal("", M.live(), "live in the runtime after the spec")
  local left = {}
  for object, name in pairs(tracked) do
    left[#left + 1] = name
    tracked[object] = nil
  end
  assert.same({}, left, "not collected after the spec")
end

return M
