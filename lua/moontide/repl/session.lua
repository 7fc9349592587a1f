--- The REPL: reads a chunk, runs it on the main thread, where await drives the loop, prints what it
--- returns, and so on until the end of the input.
local core = require "moontide.core"
local completion = require "moontide.repl.completion"
local console = require "moontide.repl.console"
local help = require "moontide.repl.help"
local history = require "moontide.repl.history"
local interruption = require "moontide.repl.interruption"
local plain = require "moontide.repl.plain"
local printer = require "moontide.repl.printer"
local reader = require "moontide.repl.reader"
local readline = require "moontide.repl.readline"
local tide = require "moontide"
local waiting = require "moontide.repl.waiting"

local M = {}

local HELP <const> = [[
Lua, where await works at top level. An expression prints its values; _ is the first of the last.
Timers and other things go on while you type. tide, async and await are moontide's.
help(f) tells of a function of moontide: help(tide.sleep).
Ctrl-C drops the line, or ends what it waits for; Ctrl-D leaves.]]

local NO_HELP <const> = "nothing is known of that: help(f) is for functions of moontide"

local NO_READLINE <const> = "lua-readline is not installed: lines cannot be edited, no history, "
  .. "no completion\n"

---@class moontide.repl.Session
---@field handler fun(err: any): any message handler
---@field text_of fun(failure: any): string
---@field editor moontide.repl.Readline|moontide.repl.Plain
---@field history moontide.repl.History? of an editor that can have one
local Session = {}
Session.__index = Session

---- what is told ----

function Session:tell(failure)
  io.stderr:write(self.text_of(failure), "\n")
end

local function print_values(values)
  local texts = {}
  for i = 1, values.n do
    texts[i] = printer.text(values[i])
  end
  console.write(table.concat(texts, "\t"), "\n")
end

---- running ----

--- Calls f(...), prints what it returns, and keeps the first of that as `_`.
function Session:run(f, ...)
  local ok, failure = xpcall(function(...)
    local values = table.pack(f(...))
    if values.n > 0 then
      rawset(_G, "_", values[1])
      print_values(values)
    end
  end, self.handler, ...)
  if not ok then
    self:tell(failure)
  end
end

---- reading ----

function Session:wait(promise)
  return waiting.wait(promise, self.handler, function(failure)
    self:tell(failure)
  end)
end

--- What the session can do without: nil, if it fails or is interrupted.
function Session:try(promise)
  local ok, result = pcall(self.wait, self, promise)
  return ok and result or nil
end

function Session:read_line(prompt)
  local line = console.type(self.editor, self.editor.read, self.editor, prompt, function(promise)
    return self:wait(promise)
  end)
  if line and self.history then
    self.history:add(line, function(part)
      self.editor:remember(part)
    end)
  end
  return line
end

--- What the last chunk has left to be done at once comes before the next one.
function Session:read_chunk()
  self:wait(core.yield())
  return reader.read(function(prompt)
    return self:read_line(prompt)
  end)
end

--- Runs one chunk. Returns false at the end of the input.
function Session:step()
  interruption.rest()
  local ok, chunk, problem = pcall(self.read_chunk, self)
  if not ok then
    self.editor:drop()
    return interruption.is_reason(chunk) or error(chunk, 0)
  elseif chunk then
    self:run(chunk)
  elseif problem then
    self:tell(problem)
  end
  return chunk ~= nil or problem ~= nil
end

---- the beginning and the end ----

--- Globals of the session, unless the program has some of these names.
local function set_globals(find_help)
  local globals = { tide = tide, async = tide.async, await = tide.await }
  function globals.help(...)
    print(select("#", ...) == 0 and HELP or find_help(...) or NO_HELP)
  end
  for name, value in pairs(globals) do
    if rawget(_G, name) == nil then
      rawset(_G, name, value)
    end
  end
end

--- An editor, as good as there is one for what the input is, and its history.
function Session:open_editor(names)
  local fits = core.stdio.is_terminal(0) and readline.fits_terminal()
  local editor = fits and readline.open(completion.new(help.modules(names)))
  self.editor = editor or plain.open()
  self.history = editor and self:try(history.open())
  for _, line in ipairs(self.history and self.history.lines or {}) do
    editor:remember(line)
  end
  if fits and not editor then
    io.stderr:write(NO_READLINE)
  end
end

--- Runs main, and then what is typed.
---@param handler fun(err: any): any message handler
---@param text_of fun(failure: any): string of what the handler returns
---@param main function
---@param ... any its arguments
function M.run(handler, text_of, main, ...)
  local self = setmetatable({ handler = handler, text_of = text_of }, Session)
  interruption.heed()
  console.open()
  tide.on_unhandled_rejection(function(reason, promise)
    io.stderr:write("unhandled rejection: ", tide.traceback(reason, promise), "\n")
  end)
  self:run(main, ...)
  local names = self:try(help.list()) or {}
  set_globals(help.new(names))
  self:open_editor(names)
  repeat until not self:step()
  if self.history then
    self:try(self.history.written)
  end
end

return M
