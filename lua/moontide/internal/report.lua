--- What the command prints at a signal, while the program goes on.
local core = require "moontide.core"
local handles = require "moontide.async.handles"
local tasks = require "moontide.async.tasks"

local M = {}

local function add(lines, title, list)
  if #list == 0 then
    lines[#lines + 1] = ("moontide: %s: nothing"):format(title)
  else
    lines[#lines + 1] = ("moontide: %s:\n%s"):format(title, list):gsub("\n", "\n  ")
  end
end

--- The functions that are suspended, and what keeps the loop alive.
function M.text()
  local lines = {}
  add(lines, "suspended", tasks.tasks())
  add(lines, "keeps the loop alive", handles.handles())
  return table.concat(lines, "\n") .. "\n"
end

--- Prints that to stderr whenever the signal comes, unless the program asks for it itself.
function M.print_at(signal)
  core.listen(signal, function()
    pcall(io.stdout.flush, io.stdout) -- either may be closed, which is no matter of the program's
    pcall(io.stderr.write, io.stderr, M.text())
  end)
end

return M
