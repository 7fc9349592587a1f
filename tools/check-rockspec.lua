-- The Makefile takes every file of csrc/ and lua/; the rockspec has to name each. Fails when the
-- two differ. Usage: lua5.4 tools/check-rockspec.lua ROCKSPEC FILE...

local path = arg[1]
local spec = {}
assert(loadfile(path, "t", spec))()

local listed = {}
for _, module in pairs(spec.build.modules) do
  if type(module) == "string" then
    listed[module] = true
  else
    for _, source in ipairs(module.sources) do listed[source] = true end
  end
end

local failed = false
local function complain(...)
  io.stderr:write(path, ": ", string.format(...), "\n")
  failed = true
end

for i = 2, #arg do
  if not listed[arg[i]] then complain("%s is not listed", arg[i]) end
  listed[arg[i]] = nil
end
for source in pairs(listed) do complain("%s does not exist", source) end
os.exit(not failed)
