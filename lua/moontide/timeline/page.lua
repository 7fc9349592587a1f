--- The page that draws a timeline: page.html, which stands beside this file.
local M = {}

local MARK = "@EVENTS@"

local function path()
  local templates = package.path:gsub("%.lua%f[;\0]", ".html")
  return assert(package.searchpath("moontide.timeline.page", templates))
end

--- What comes before the events, and what comes after them.
---@return string, string
function M.halves()
  local file <close> = assert(io.open(path(), "rb"))
  local text = file:read("a")
  local first, last = text:find(MARK, 1, true)
  return text:sub(1, first - 1), text:sub(last + 1)
end

return M
