--- The lines that were typed, kept in a file from one session to the next.
local core = require "moontide.core"
local fs = require "moontide.fs"

local M = {}

local MOST <const> = 1000 -- lines
local MODE <const> = 384 -- 0600: what is typed may be a secret

---@class moontide.repl.History
---@field lines string[]
---@field path string? no file without
---@field written moontide.Promise settled when the file has all lines, or cannot be written
local History = {}
History.__index = History

--- MOONTIDE_HISTORY, which may be empty for none; else a file in the home, if there is one.
local function path_of_file()
  local path, home = os.getenv("MOONTIDE_HISTORY"), os.getenv("HOME")
  if path then
    return path ~= "" and path or nil
  end
  return home and home ~= "" and home .. "/.moontide_history" or nil
end

--- The lines of the file; those that are too many are left out, there as well, and the last one
--- ends.
local load_lines = core.async(function(path)
  local lines, content = {}, core.await(fs.read_file(path))
  for line in content:gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  if #lines > MOST or content:find("[^\n]$") then
    lines = table.move(lines, math.max(#lines - MOST + 1, 1), #lines, 1, {})
    local text = table.concat(lines, "\n") .. "\n"
    core.await(fs.write_file(path, text, { mode = MODE, atomic = true }))
  end
  return lines
end)

--- Adds a line, unless there is nothing in it, or it is the last one again. A file that cannot be
--- written is no reason to disturb anybody.
---@param line string one that is edited may be several
---@param on_line fun(line: string) is told of each that is added
function History:add(line, on_line)
  for part in line:gmatch("[^\n]+") do
    if part:find("%S") and part ~= self.lines[#self.lines] then
      self.lines[#self.lines + 1] = part
      on_line(part)
      self.written = self.path and self.written:next(function()
        return fs.append_file(self.path, part .. "\n", { mode = MODE })
      end):catch(function() end) or self.written
    end
  end
end

--- The history so far.
---@return moontide.Promise<moontide.repl.History>
M.open = core.async(function()
  local path = path_of_file()
  local ok, lines = pcall(core.await, path and load_lines(path) or {})
  return setmetatable({
    lines = ok and lines or {},
    path = path,
    written = core.Promise.resolve(),
  }, History)
end)

return M
