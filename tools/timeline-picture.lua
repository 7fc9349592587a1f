-- Makes docs/timeline.png and docs/timeline-dark.png: what a browser shows of the page that
-- `moontide --timeline` writes of the program in docs/debugging.md.
-- Usage: lua5.4 tools/timeline-picture.lua, from the project's root
local programs = dofile "tools/programs.lua"

local WIDTH, HEIGHT = 900, 632
local PICTURES = { ["docs/timeline.png"] = 1, ["docs/timeline-dark.png"] = 0 } -- Chromium's numbers

local function run(command, ...)
  command = command:format(...)
  if not os.execute(command) then error("failed: " .. command, 0) end
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  pipe:close()
  return (text:gsub("\n$", ""))
end

local function find_program()
  for _, program in ipairs(programs.of("docs/debugging.md")) do
    if program.text:find("local adverts", 1, true) then return program.text end
  end
  error("docs/debugging.md has no such program", 0)
end

local root, folder = output_of("pwd"), output_of("mktemp -d")
local browser = output_of("sh tools/find.sh browser")
local file = assert(io.open(folder .. "/app.lua", "w"))
file:write(find_program())
file:close()
run("cd %s && %s/bin/moontide --timeline out.html app.lua", folder, root)
for path, scheme in pairs(PICTURES) do
  run("%s --headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=5000 "
    .. "--user-data-dir=%s/profile --window-size=%d,%d --blink-settings=preferredColorScheme=%d "
    .. "--screenshot=%s/%s file://%s/out.html 2>/dev/null",
    browser, folder, WIDTH, HEIGHT, scheme, root, path, folder)
end
run("rm -r %s", folder)
