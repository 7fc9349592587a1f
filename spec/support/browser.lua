--- Looks at a page with a browser without a window: headless Chromium.
local child = require "spec.support.child"
local json = require "dkjson"

local M = {}

--- The browser's path, or nil.
M.path = child.shell("sh tools/find.sh browser").out:match("^[^\n]+")

-- Whoever runs the specs may be root, in a container without a bus or a graphics card. A sanitizer
-- that is loaded first for Lua is not for the browser.
local FLAGS = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars "
  .. "--allow-file-access-from-files --user-data-dir="

--- The command that looks at a page, with a directory of its own.
---@param profile string path of the directory
---@param flags string
---@param url string
---@return string
function M.command(profile, flags, url)
  return ("env LD_PRELOAD= timeout 60 %s %s%s %s %s"):format(child.quote(M.path), FLAGS,
    child.quote(profile), flags, child.quote(url))
end

local function browse(flags, path)
  local profile = os.tmpname()
  os.remove(profile)
  local _ <close> = setmetatable({}, { __close = function()
    child.shell("rm -rf " .. child.quote(profile))
  end })
  return child.shell(M.command(profile, "--virtual-time-budget=5000 " .. flags, "file://" .. path))
end

-- A window has a least width, a frame has none. What the program in the page returns is written
-- into the outer page.
local FRAME = [[
<iframe id="frame" width="%d" height="%d" style="border: 0" src="file://%s"></iframe>
<script type="text/plain" id="program">%s</script>
<pre id="report"></pre>
<script>
frame.onload = () => {
  let report;
  try {
    report = frame.contentWindow.eval(`(() => {${program.textContent}})()`);
  } catch (error) {
    report = { problem: String(error.stack) };
  }
  document.getElementById("report").textContent = encodeURIComponent(JSON.stringify(report));
};
</script>
]]

local function decode(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- What a program of JavaScript returns in the page, when that has been loaded in a window of the
--- size.
---@param path string
---@param width integer
---@param height integer
---@param program string
---@param flags? string
---@return any
function M.ask(path, width, height, program, flags)
  return child.with_file(FRAME:format(width, height, path, program), function(outer)
    local page = outer .. ".html"
    assert(os.rename(outer, page))
    local _ <close> = setmetatable({}, { __close = function() os.remove(page) end })
    local result = browse("--dump-dom " .. (flags or ""), page)
    local text = assert(result.out:match('<pre id="report">(.-)</pre>'), result.err)
    local report = json.decode(decode(text))
    if type(report) == "table" and report.problem then error(report.problem) end
    return report
  end)
end

--- Makes a picture, a PNG, of the page in a window of the size.
---@param path string
---@param width integer
---@param height integer
---@param to string
---@param flags? string
function M.picture(path, width, height, to, flags)
  local result = browse(("--window-size=%d,%d %s --screenshot=%s")
    :format(width, height, flags or "", child.quote(to)), path)
  assert(result.code == 0, result.err)
end

--- Flags with which pages are dark.
M.dark = "--blink-settings=preferredColorScheme=0"

return M
