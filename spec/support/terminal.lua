--- The command at a pseudo-terminal, which somebody types at.
local child = require "spec.support.child"
local process = require "moontide.process"
local screen = require "spec.support.screen"
local tide = require "moontide"

local await = tide.await

local M = {}

local PATIENCE <const> = 30000 -- ms

-- Tells, in the end, whether the terminal is as it was.
local FRAME <const> = [[
trap : INT
stty cols 80 rows 24
before=$(stty -g)
env TERM=xterm INPUTRC=/dev/null %s
code=$?
[ "$(stty -g)" = "$before" ] || echo the mode of the terminal has changed
exit $code]]

---@class spec.Terminal
---@field child moontide.Child
---@field received string all that was written to it
---@field seen integer up to there it has been waited for
local Terminal = {}
Terminal.__index = Terminal

function M.is_there()
  return child.shell("script --version").out:find("util-linux", 1, true) ~= nil
end

--- bin/moontide with these arguments and variables, 80 columns wide.
---@param variables? table<string, string>
---@param ... string
---@return spec.Terminal
function M.open(variables, ...)
  local words = {}
  for name, value in pairs(variables or {}) do
    words[#words + 1] = name .. "=" .. child.quote(value)
  end
  words[#words + 1] = child.command("bin/moontide", ...)
  local running = await(process.spawn("script", {
    "-qefc", FRAME:format(table.concat(words, " ")), "/dev/null",
  }, { stdin = "pipe", stdout = "pipe" }))
  return setmetatable({ child = running, received = "", seen = 0 }, Terminal)
end

function Terminal:type(text)
  await(self.child.stdin:write(text))
end

--- Waits until that is written, behind what has been waited for before. Plain text, unless it is a
--- pattern.
---@param text string
---@param is_pattern? boolean
function Terminal:expect(text, is_pattern)
  local first, last
  local in_time = await(tide.move_on_after(PATIENCE, function()
    while true do
      first, last = self.received:find(text, self.seen + 1, not is_pattern)
      if first then
        return true
      end
      local more = await(self.child.stdout:read())
      assert(more, "the end came before " .. text)
      self.received = self.received .. more
    end
  end))
  assert(in_time, ("%q did not come after %q"):format(text, self.received))
  self.seen = last
end

--- Waits for the prompt, types the line, and waits until the terminal has shown it.
function Terminal:enter(line)
  self:expect("> ")
  self:type(line .. "\r")
end

--- What the terminal shows now.
---@return string
function Terminal:screen()
  return table.concat(screen.lines(self.received), "\n")
end

--- What it shows in the end, and the exit code.
---@return string, integer
function Terminal:finish()
  local rest
  local in_time = await(tide.move_on_after(PATIENCE, function()
    rest = await(self.child.stdout:read_all())
    return true
  end))
  assert(in_time, self.received)
  self.received = self.received .. rest
  assert(not rest:find("the mode of the terminal has changed", 1, true), rest)
  return self:screen(), await(self.child:wait()).code
end

function Terminal:__close()
  self.child:kill("SIGKILL")
  await(self.child:wait())
  for _, stream in ipairs({ self.child.stdin, self.child.stdout }) do
    stream:destroy()
  end
end

return M
