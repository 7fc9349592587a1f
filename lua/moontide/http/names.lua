--- The addresses of hosts, as libcurl is told them: its own resolver would block the loop when a
--- transfer is ended. A name is looked up once for all who ask at the same time, and anew when the
--- answer is old.
local core = require "moontide.core"
local dns = require "moontide.dns"

local M = {}

local FRESH = 10000 -- ms for which an answer holds
local MOST = 1000 -- names

-- Fields: _entries, host -> {promise, at}; _count.
local Names = {}
Names.__index = Names

function M.new()
  return setmetatable({ _entries = {}, _count = 0 }, Names)
end

--- Looks the name up for nobody in particular: who asks may be cancelled, and the others not.
local function look_up(host)
  local previous = core.swap_context(nil)
  local ok, promise = pcall(dns.lookup, host, { all = true })
  core.swap_context(previous)
  if not ok then
    return core.Promise.reject(promise)
  end
  return promise:next(function(list)
    local addresses = {}
    for i, entry in ipairs(list) do
      addresses[i] = entry.address:find(":", 1, true) and "[" .. entry.address .. "]"
        or entry.address
    end
    return table.concat(addresses, ",")
  end)
end

local function add(self, host)
  if self._count >= MOST then
    self._entries, self._count = {}, 0
  end
  local entry = { promise = look_up(host), at = core.now() }
  self._entries[host], self._count = entry, self._count + 1
  entry.promise:catch(function()
    self:forget(host)
  end)
  return entry
end

--- The host could not be reached.
function Names:forget(host)
  if self._entries[host] then
    self._entries[host], self._count = nil, self._count - 1
  end
end

local function is_address(host)
  return host:find("^[%d.]+$") or host:find("^%[")
end

--- The promise of the host's addresses, "1.2.3.4,[::1]"; nil of an address.
function Names:find(host)
  if is_address(host) then
    return nil
  end
  local entry = self._entries[host]
  if entry and core.now() - entry.at > FRESH then
    self:forget(host)
    entry = nil
  end
  return (entry or add(self, host)).promise
end

return M
