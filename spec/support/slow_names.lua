--- Lookups that take as long as a spec wants, without any network: glibc looks for aliases of a
--- name without dots in the file that $HOSTALIASES names, and opening a FIFO waits for a writer.
--- A script that does such lookups runs in a process of its own.
local child = require "spec.support.child"

local M = {}

-- What such a script begins with. `lookup(i, options)` is one of as many names as are asked for;
-- `release()` returns a promise, fulfilled when all lookups are over. An alias that is no name
-- keeps the resolver from asking the network. A script that hangs ends with exit code 14.
local PRELUDE = [[
local tide = require "moontide"
local dns, fs = require "moontide.dns", require "moontide.fs"
local await, sleep = tide.await, tide.sleep
local fifo = ...
local alias = (" " .. ("a"):rep(70) .. "\n")
tide.set_timeout(function() os.exit(14) end, 20000):unref()

local pending = {}
local function lookup(i, options)
  local name = "moontide-slow-" .. i
  local p = dns.lookup(name, options)
  pending[name] = p
  return p
end

local function settled(p)
  return p:state() ~= "pending"
end

local release = tide.async(function()
  local core = require "moontide.core"
  while core.stats().operations > 0 do
    local file = assert(io.open(fifo, "r+"))
    for name in pairs(pending) do
      file:write(name, alias)
    end
    file:flush()
    await(sleep(5))
    file:close()
    await(sleep(1))
  end
end)
]]

--- Runs Lua source after the prelude; returns what it prints, or nil where the resolver does not
--- care for aliases.
---@param source string
---@return string|nil
function M.run(source)
  local fifo = os.tmpname()
  os.remove(fifo)
  local _ <close> = setmetatable({}, {
    __close = function()
      os.remove(fifo)
    end,
  })
  assert(os.execute("mkfifo " .. child.quote(fifo)))
  local environment = "HOSTALIASES=" .. child.quote(fifo) .. " RES_OPTIONS='attempts:1 timeout:1' "
  local function run(text)
    return child.with_file(PRELUDE .. text, function(path)
      return child.shell(environment .. child.command(path, fifo))
    end)
  end
  local probe = run([[
    local waiting = lookup(0)
    await(tide.Promise.race({ waiting, sleep(200) }):catch(function() end))
    print(waiting:state())
    waiting:catch(function() end)
    await(release())
  ]])
  if probe.out ~= "pending\n" then
    return nil
  end
  local result = run(source)
  assert(result.code == 0, ("exit code %d\n%s"):format(result.code, result.err))
  return result.out
end

return M
