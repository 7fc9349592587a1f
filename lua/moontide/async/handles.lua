--- What keeps the loop alive: tide.handles(). The core lists it (csrc/inventory.c).
local core = require "moontide.core"
local tasks = require "moontide.async.tasks"

local M = {}

local MAX_LINES = 20

local Handles = { __name = "moontide.Handles" }

local function line_of(entry)
  local parts = {}
  parts[1] = entry.description
  if entry.due then parts[#parts + 1] = ("due in %.0f ms"):format(entry.due) end
  if entry.calls then
    parts[#parts + 1] = entry.calls
  elseif entry.source then
    parts[#parts + 1] = ("awaited at %s:%d"):format(entry.source, entry.line)
  end
  return entry.kind .. ": " .. table.concat(parts, ", ")
end

function Handles:__tostring()
  local lines = {}
  for i = 1, math.min(#self, MAX_LINES) do lines[i] = line_of(self[i]) end
  if #self > MAX_LINES then lines[#lines + 1] = ("... and %d more"):format(#self - MAX_LINES) end
  return table.concat(lines, "\n")
end

--- One end of a socket, as text.
local function name_of(address)
  if not address then return nil end
  if not address.port then return address.path end
  return (address.family == 6 and "[%s]:%d" or "%s:%d"):format(address.address, address.port)
end

local function describe_ends(raw)
  local here, there = name_of(raw.address), name_of(raw.peer)
  if here and there then return here .. " to " .. there end
  return here or there or raw.description
end

--- The entry that users get, of what the core has listed.
local function entry_of(raw)
  local entry = { kind = raw.kind, due = raw.due, pid = raw.pid }
  entry.description = raw.pid and tostring(raw.pid) or describe_ends(raw)
  if raw.promise then
    entry.source, entry.line = tasks.place_of(raw.promise)
  elseif raw.calls then
    local is_lua = raw.line > 0
    entry.calls = is_lua and ("function <%s:%d>"):format(raw.calls, raw.line) or "C function"
    if is_lua then entry.source, entry.line = raw.calls, raw.line end
  end
  return entry
end

local KINDS = {
  "timer", "immediate", "operation", "server", "stream", "udp", "process", "signal", "watch",
  "poll", "handle",
}
local RANK = {}
for i, kind in ipairs(KINDS) do RANK[kind] = i end

local function by_kind(a, b)
  if a.kind ~= b.kind then return RANK[a.kind] < RANK[b.kind] end
  if a.due ~= b.due then return a.due < b.due end
  return (a.description or "") < (b.description or "")
end

function M.handles()
  local list = core.inventory()
  for i, raw in ipairs(list) do list[i] = entry_of(raw) end
  table.sort(list, by_kind)
  return setmetatable(list, Handles)
end

return M
