--- A log that specs write into and assert whole.
local M = {}

local function show(value)
  if math.type(value) == "float" and value == math.floor(value) then
    return ("%d"):format(value)
  end
  return tostring(value)
end

--- One line of a log: the values in the order given, with spaces between them.
---@param ... any
---@return string
function M.line(...)
  local parts = table.pack(...)
  for i = 1, parts.n do
    parts[i] = show(parts[i])
  end
  return table.concat(parts, " ")
end

--- A log function and the list of lines that it fills.
---@return fun(...: any) log
---@return string[] lines
function M.new()
  local lines = {}
  return function(...)
    lines[#lines + 1] = M.line(...)
  end, lines
end

--- The lines of a log written as one string: "a, b 1, c".
---@param text string
---@return string[]
function M.split(text)
  local lines = {}
  for line in text:gmatch("[^,]+") do
    lines[#lines + 1] = line:match("^%s*(.-)%s*$")
  end
  return lines
end

return M
