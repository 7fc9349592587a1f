-- Says where the files of csrc/ break its rules:
--   a layer includes itself and lower ones only; units, a .c and a .h of one name, form no circle
--   base includes neither Lua nor libuv, core calls no function of libuv's
--   an exported function is named after its file: tide_<file>_<verb>
-- Usage: lua5.4 tools/check-layers.lua FILE...

-- Of exported functions, where it is not tide_.
local PREFIXES = { http = "http_", llhttp = "http_", tls = "tls_" }
-- What each layer may include besides itself; the files at the top, all.
local BELOW = {
  base = {},
  core = { "base" },
  loop = { "base", "core" },
  stream = { "base", "core", "loop" },
  fs = { "base", "core", "loop", "stream" },
  net = { "base", "core", "loop", "stream" },
  process = { "base", "core", "loop", "stream", "fs", "net" },
  http = { "base" },
  websocket = { "base", "core" },
  llhttp = {},
  tls = {},
}

local NOT_FOR_BASE =
  { ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["uv.h"] = true }

local failed = false
local function complain(...)
  io.stderr:write(string.format(...), "\n")
  failed = true
end

local allowed = {}
for layer, lower in pairs(BELOW) do
  allowed[layer] = { [layer] = true }
  for _, name in ipairs(lower) do
    assert(BELOW[name])
    allowed[layer][name] = true
  end
end

local function layer_of(path)
  local layer = path:match("^([^/]+)/")
  if layer and not BELOW[layer] then complain("csrc/%s: no layer has that name", path) end
  return layer
end

local function unit_of(path) return (path:gsub("%.[ch]$", "")) end

local uses = {} -- unit -> set of units

local function check_includes(path, text)
  local layer, unit = layer_of(path), unit_of(path)
  uses[unit] = uses[unit] or {}
  for name in text:gmatch('#include "([^"]+)"') do
    local other = layer_of(name)
    if layer and not (other and allowed[layer] and allowed[layer][other]) then
      complain("csrc/%s includes %s, which is not below it", path, name)
    end
    if unit_of(name) ~= unit then uses[unit][unit_of(name)] = true end
  end
  for name in text:gmatch("#include <([^>]+)>") do
    if layer == "base" and NOT_FOR_BASE[name] then complain("csrc/%s includes <%s>", path, name) end
  end
end

local function check_calls(path, code)
  if layer_of(path) ~= "core" then return end
  for name in code:gmatch("%f[%w_](uv_[%w_]+)%s*%(") do
    complain("csrc/%s calls %s", path, name)
  end
end

-- Declarations stand at the beginning of a line, and what they go on with does not.
local function check_names(path, code)
  local layer, file = layer_of(path), path:match("([^/]+)%.h$")
  if not file then return end
  local prefix = (PREFIXES[layer] or "tide_") .. file .. "_"
  for line in ("\n" .. code):gmatch("\n(%a[^\n;={}]*)") do
    local name = not line:find("^typedef") and line:match("^[^(]-([%w_]+)%(")
    if name and name:sub(1, #prefix) ~= prefix then
      complain("csrc/%s: %s is not named %s...", path, name, prefix)
    end
  end
end

local state = {}
local function check_circle(unit, path)
  if state[unit] == "done" then return end
  path[#path + 1] = unit
  if state[unit] then
    complain("a circle of includes: %s", table.concat(path, " -> "))
  else
    state[unit] = "open"
    for other in pairs(uses[unit] or {}) do check_circle(other, path) end
    state[unit] = "done"
  end
  path[#path] = nil
end

for _, file in ipairs(arg) do
  local handle <close> = assert(io.open(file))
  local text = handle:read("a")
  local code = text:gsub("/%*.-%*/", ""):gsub('"[^"\n]*"', '""')
  local path = file:match("^csrc/(.+)$")
  check_includes(path, text)
  check_calls(path, code)
  check_names(path, code)
end
for unit in pairs(uses) do check_circle(unit, {}) end
os.exit(not failed)
