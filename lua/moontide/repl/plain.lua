--- Lines as the terminal itself, or a pipe or a file, gives them.
local console = require "moontide.repl.console"
local stdio = require "moontide.stdio"

---@class moontide.repl.Plain
---@field prompt string
---@field line moontide.Promise<string?>? that is being read, or has not been taken
local Plain = {}
Plain.__index = Plain

--- The next line, or nil at the end.
---@param prompt string
---@param wait fun(promise: moontide.Promise): any
---@return string?
function Plain:read(prompt, wait)
  self.prompt = prompt
  self:show()
  self.line = self.line or stdio.stdin:read_line()
  local line = wait(self.line)
  self.line = nil
  if not line then
    console.write("\n")
  end
  return line
end

--- What has been typed stands where it is, and is still part of the line.
function Plain:hide()
  console.write("\n")
end

function Plain:show()
  console.write(self.prompt)
end

--- The terminal has forgotten what was typed.
function Plain:drop()
  if self.line and self.line:state() == "rejected" then
    self.line = nil
  end
  console.write("\n")
end

function Plain:leave()
  if self.line then
    console.write("\n")
  end
end

local M = {}

---@return moontide.repl.Plain
function M.open()
  return setmetatable({}, Plain)
end

return M
