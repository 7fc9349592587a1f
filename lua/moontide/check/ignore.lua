--- Comments that silence findings: `-- moontide: ignore T101 T201`. At the end of a line, one is
--- about that line; on a line of its own, about the next line of code; before any code, about the
--- file. What follows another dash says why.
local codes = require "moontide.check.codes"

local M = {}

---@class moontide.check.Ignored
---@field file table<string, boolean> codes
---@field lines table<integer, table<string, boolean>> codes by line

local function next_line_of_code(text, line)
  for i = line + 1, #text.starts do
    if text.code_lines[i] then
      return i
    end
  end
end

--- Whether there is code before that line.
local function is_after_code(text, line)
  local first = text.ast[1]
  return first ~= nil and first.line < line
end

--- The codes that a comment is about, which it ignores.
local function codes_for(ignored, text, line)
  if not text.code_lines[line] then
    if not is_after_code(text, line) then
      return ignored.file
    end
    line = next_line_of_code(text, line)
  end
  line = line or math.huge -- no code follows
  ignored.lines[line] = ignored.lines[line] or {}
  return ignored.lines[line]
end

--- What the comments of a file ignore. Reports those that are wrong.
---@param text moontide.check.Text
---@param report moontide.check.Reporter
---@return moontide.check.Ignored
function M.read(text, report)
  local ignored = { file = {}, lines = {} }
  for _, comment in ipairs(text.comments) do
    local list = comment.contents:match("^%s*moontide:%s*ignore%f[%A]%s*([^%-]*)")
    local found = list and codes_for(ignored, text, comment.line)
    if list and not list:find("%S") then
      report("T002", comment, "which codes are ignored?")
    end
    for code in (list or ""):gmatch("[^%s,]+") do
      found[code] = true
      if not codes.exists(code) then
        report("T002", comment, ("there is no code '%s'"):format(code))
      end
    end
  end
  return ignored
end

---@param ignored moontide.check.Ignored
---@param finding moontide.check.Finding
---@return boolean
function M.covers(ignored, finding)
  local line = ignored.lines[finding.line]
  return ignored.file[finding.code] or line ~= nil and line[finding.code] or false
end

return M
