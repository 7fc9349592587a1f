-- Says which sources of csrc/ and lua/moontide/ no spec is about: a spec is about the source of its
-- own path, and about those that its first lines list, `-- Of: core/line, core/ring`.
-- Usage: lua5.4 tools/check-specs.lua SOURCE... -- SPEC...

local function name_of(source)
  local name = source:match("^csrc/(.*)%.c$") or source:match("^lua/moontide/(.*)%.lua$")
  -- what stands at the top of csrc/ is about all of it
  return name and (name:find("/") or source:find("^lua/")) and not name:find("^meta/") and name
end

local about = {} -- name -> true
local failed = false

local function complain(...)
  io.stderr:write(string.format(...), "\n")
  failed = true
end

local function is_file(path)
  local file <close> = io.open(path)
  return file ~= nil
end

local function read_spec(path)
  about[path:match("^spec/(.*)_spec%.lua$") or ""] = true
  for line in io.lines(path) do
    local names = line:match("^%-%- Of: (.*)") or line:match("^%-%-   (%S.*)")
    if not names then return end
    for name in names:gmatch("[%w_/]+") do
      local exists = is_file("csrc/" .. name .. ".c") or is_file("lua/moontide/" .. name .. ".lua")
      if not exists then
        complain("%s: there is no source %s", path, name)
      end
      about[name] = true
    end
  end
end

local sources, in_specs = {}, false
for _, path in ipairs(arg) do
  if path == "--" then
    in_specs = true
  elseif in_specs then
    read_spec(path)
  else
    sources[#sources + 1] = path
  end
end
for _, source in ipairs(sources) do
  local name = name_of(source)
  if name and not about[name] then
    complain("%s: no spec is about it", source)
  end
end
os.exit(not failed)
