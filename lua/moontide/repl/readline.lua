--- Lines that are edited with GNU Readline, by lua-readline's callback interface.
local console = require "moontide.repl.console"
local core = require "moontide.core"
local stdio = require "moontide.stdio"

-- Functions of readline's that lua-readline does not offer, and that need no arguments.
local DISPLAY = {
  clear = "rl_clear_visible_line",
  draw = "rl_forced_update_display",
  kill = "rl_kill_full_line",
  leave = "rl_deprep_terminal",
  resize = "rl_resize_terminal",
}

local PASTE_OFF <const> = "\27[?2004l"

---@class moontide.repl.Readline
---@field library table
---@field display table<string, function>
---@field prompt string? of the line that is being typed
---@field on_line fun(line: string?)
---@field ended boolean? the line is
---@field line string?
---@field resized boolean? the terminal is, since its size was asked for
local Readline = {}
Readline.__index = Readline

local function begin(self, prompt)
  self.ended, self.line = false, nil
  self.library.handler_install(prompt, self.on_line)
  self.prompt = prompt
  self:fit()
end

--- lua-readline closes the terminal before Readline gives that its mode back, for which it has to
--- be open: so that comes first.
local function close(self)
  self.display.leave()
  self.library.handler_remove()
  self.prompt = nil
end

--- Draws the line for the size of the terminal, if that has changed.
function Readline:fit()
  if self.resized then
    self.resized = false
    self.display.resize()
  end
end

--- The next line, or nil at the end.
---@param prompt string
---@param wait fun(promise: moontide.Promise): any
---@return string?
function Readline:read(prompt, wait)
  begin(self, prompt)
  repeat
    wait(core.poll(0, "r"))
    console.show()
    self:fit()
    self.library.read_char()
  until self.ended
  return self.line
end

--- Readline keeps what it writes until it has drawn a line.
function Readline:hide()
  self.display.clear()
  core.stdio.flush()
end

function Readline:show()
  self:fit()
  self.display.draw()
end

--- Nothing is left of the line, if there is one: the program ends.
function Readline:leave()
  if self.prompt then
    self:hide()
    console.write(PASTE_OFF)
    core.stdio.reset_mode()
  end
end

--- Forgets what has been typed.
function Readline:drop()
  if self.prompt then
    self.library.sigcleanup()
    self:hide()
    self.display.kill()
    close(self)
  end
end

---@param line string
function Readline:remember(line)
  self.library.add_history(line)
end

--- lua-readline, or nil.
local function load_library()
  local found, library = pcall(require, "readline")
  return found and type(library) == "table" and library.handler_install and library or nil
end

--- The functions of the library that it is linked with, or nil: it is another one.
local function load_display()
  local path = package.searchpath("C-readline", package.cpath)
  local display = {}
  for name, symbol in pairs(DISPLAY) do
    local f = path and package.loadlib(path, symbol)
    if not f then
      return nil
    end
    display[name] = function()
      core.stdio.call_foreign(f)
    end
  end
  return display
end

--- Notes the mode of the terminal, which is restored when the program ends while a line is typed.
local function keep_mode()
  stdio.stdin:set_raw(true):set_raw(false)
end

local M = {}

--- Whether the cursor of the terminal can be moved.
function M.fits_terminal()
  local name = os.getenv("TERM") or ""
  return name ~= "" and name ~= "dumb"
end

--- An editor, or nil: lua-readline is not there.
---@param complete fun(text: string): string[], string? what the text may go on to, the last word
---of it for each, and what is to follow when there is one only
---@return moontide.repl.Readline?
function M.open(complete)
  local library = load_library()
  local display = library and load_display()
  if not display then
    return nil
  end
  keep_mode()
  library.set_options { histfile = "" } -- it has read one of its own
  local self = setmetatable({ library = library, display = display }, Readline)
  core.listen("SIGWINCH", function()
    self.resized = true
    if self.prompt and not console.is_hidden() then
      self:fit()
      core.stdio.flush()
    end
  end)
  self.on_line = function(line)
    library.handler_remove()
    self.ended, self.line, self.prompt = true, line, nil
  end
  library.set_complete_function(function(text, from, to)
    local ok, words, append = pcall(complete, text:sub(1, to - 1), from)
    library.set_completion_append_character(ok and append or "")
    return ok and words or {}
  end)
  return self
end

return M
