--- What a terminal shows of the bytes that were written to it: as much of xterm as GNU Readline
--- uses.
local M = {}

---@class spec.Screen
---@field columns integer
---@field rows string[][] characters
---@field row integer
---@field column integer
local Screen = {}
Screen.__index = Screen

function Screen:line()
  self.rows[self.row] = self.rows[self.row] or {}
  return self.rows[self.row]
end

--- Behind the last column the cursor waits for the next character before it goes on below.
function Screen:put(character)
  if self.column > self.columns then
    self.row, self.column = self.row + 1, 1
  end
  local line = self:line()
  for i = #line + 1, self.column - 1 do
    line[i] = " "
  end
  line[self.column] = character
  self.column = self.column + 1
end

local function erase(line, from)
  for i = #line, from, -1 do
    line[i] = nil
  end
end

local CONTROLS = {
  ["\r"] = function(self)
    self.column = 1
  end,
  ["\n"] = function(self)
    self.row = self.row + 1
  end,
  ["\b"] = function(self)
    self.column = math.max(1, self.column - 1)
  end,
  ["\a"] = function() end,
}

local SEQUENCES = {
  A = function(self, n)
    self.row = math.max(1, self.row - n)
  end,
  B = function(self, n)
    self.row = self.row + n
  end,
  C = function(self, n)
    self.column = self.column + n
  end,
  D = function(self, n)
    self.column = math.max(1, self.column - n)
  end,
  K = function(self)
    erase(self:line(), self.column)
  end,
  J = function(self)
    erase(self:line(), self.column)
    for i = self.row + 1, #self.rows do
      self.rows[i] = {}
    end
  end,
  ["@"] = function(self, n)
    for _ = 1, n do
      table.insert(self:line(), self.column, " ")
    end
  end,
  P = function(self, n)
    for _ = 1, math.min(n, #self:line() - self.column + 1) do
      table.remove(self:line(), self.column)
    end
  end,
  h = function() end,
  l = function() end,
  m = function() end,
}

--- The lines that are shown, without spaces at their ends.
---@param bytes string
---@param columns? integer default 80
---@return string[]
function M.lines(bytes, columns)
  local self = setmetatable({ columns = columns or 80, rows = {}, row = 1, column = 1 }, Screen)
  local at = 1
  while at <= #bytes do
    local n, command, behind = bytes:match("^\27%[%??(%d*)[%d;]*([@-~])()", at)
    local character = bytes:match("^" .. utf8.charpattern, at)
    if command then
      assert(SEQUENCES[command], "unknown sequence " .. command)(self, tonumber(n) or 1)
    elseif CONTROLS[character] then
      CONTROLS[character](self)
    else
      self:put(character)
    end
    at = behind or at + #character
  end
  local lines = {}
  for i = 1, math.max(self.row, #self.rows) do
    lines[i] = table.concat(self.rows[i] or {}):gsub("%s+$", "")
  end
  return lines
end

return M
