-- The rock is built by the Makefile, which takes every file of csrc/ and lua/. Fails when the
-- rockspec asks for a target that the Makefile does not have, or sets a variable that it does not
-- read: make would ignore that in silence.
-- Usage: lua5.4 tools/check-rockspec.lua ROCKSPEC MAKEFILE

local path, makefile = arg[1], arg[2]
local spec = {}
assert(loadfile(path, "t", spec))()

local file <close> = assert(io.open(makefile))
local rules = file:read("a")

local failed = false
local function complain(...)
  io.stderr:write(path, ": ", string.format(...), "\n")
  failed = true
end

local build = spec.build
if build.type ~= "make" then complain("the build type is %s", build.type) end
for _, target in ipairs({ build.build_target or "all", build.install_target or "install" }) do
  if not ("\n" .. rules):find("\n" .. target .. ":", 1, true) then
    complain("%s has no target %s", makefile, target)
  end
end

for _, list in ipairs({ "variables", "build_variables", "install_variables" }) do
  for name in pairs(build[list] or {}) do
    if not rules:find("$(" .. name .. ")", 1, true) then
      complain("%s does not read %s", makefile, name)
    end
  end
end
os.exit(not failed)
