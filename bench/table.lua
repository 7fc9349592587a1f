-- Tables of figures, in Markdown and aligned for the terminal.
local M = {}

--- 1234567.8 -> "1,234,568"
function M.digits(x)
  if not x then return "–" end
  local groups = string.format("%.0f", x):reverse():gsub("%d%d%d", "%0,"):reverse()
  return (groups:gsub("^,", ""))
end

--- A list of lines, each a list of cells, the second of which says how columns are aligned.
function M.print(lines)
  local widths = {}
  for _, line in ipairs(lines) do
    for i, cell in ipairs(line) do widths[i] = math.max(widths[i] or 0, utf8.len(cell)) end
  end
  for _, line in ipairs(lines) do
    for i, cell in ipairs(line) do
      local pad = string.rep(" ", widths[i] - utf8.len(cell))
      line[i] = (i == 1 or i == #line) and cell .. pad or pad .. cell
    end
    print("| " .. table.concat(line, " | ") .. " |")
  end
end

return M
