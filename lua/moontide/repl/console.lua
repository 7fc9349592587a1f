--- The terminal that a line is being typed at: what is printed meanwhile appears above that line,
--- which is hidden before, and shown again when the jobs that are due have run.
---
--- An editor has `hide()`, `show()`, and `leave()` for the end of the program. What is not printed
--- by way of Lua, by a child with this terminal say, is not noticed.
local core = require "moontide.core"
local stdio = require "moontide.stdio"

local M = {}

local stdout, stderr = io.stdout, io.stderr
local write, flush = stdout.write, stdout.flush

-- The editor; whether a line is being typed with it, and whether that is hidden; whether what was
-- printed last is to be ended before the line can be shown.
local editor, typing, hidden, unended

--- Prints that, as it is, where the cursor stands.
---@param ... string
function M.write(...)
  pcall(write, stdout, ...)
  pcall(flush, stdout)
end

--- Begins a line of the terminal, unless one has just begun.
function M.end_line()
  M.write(unended and "\n" or "")
  unended = false
end

--- Whether the line that is being typed is hidden.
---@return boolean
function M.is_hidden()
  return hidden
end

--- Shows the line, if it is hidden: before anything is done to it.
function M.show()
  if typing and hidden then
    hidden = false
    M.end_line()
    editor:show()
  end
end

--- The line has to go; in no group, the cancellation of which would leave it hidden.
local function hide()
  hidden = true
  editor:hide()
  local context = core.swap_context(nil)
  core.set_immediate(M.show)
  core.swap_context(context)
end

--- Notes how the last text ends that is no empty one.
local function note(...)
  for i = select("#", ...), 1, -1 do
    local text = tostring((select(i, ...)))
    if text ~= "" then
      unended = text:sub(-1) ~= "\n"
      return
    end
  end
end

--- Puts a function in the place of one that prints. `text_of` is given its arguments, and returns
--- what comes to the terminal of them.
local function watch(owner, name, text_of)
  local print_it = owner[name]
  owner[name] = function(...)
    if typing and not hidden and select("#", text_of(...)) > 0 then
      hide()
    end
    note(text_of(...))
    return print_it(...)
  end
end

local function of_file(file, ...)
  if rawequal(file, stdout) or rawequal(file, stderr) then
    return ...
  end
end

local function of_stream(stream, ...)
  if rawequal(stream, rawget(stdio, "stdout")) or rawequal(stream, rawget(stdio, "stderr")) then
    return ...
  end
end

--- From now on it is noticed what is printed.
function M.open()
  watch(_G, "print", function()
    return "\n"
  end)
  watch(io, "write", function(...)
    return of_file(io.output(), ...)
  end)
  watch(getmetatable(stdout).__index, "write", of_file)
  watch(core.net.Stream, "write", of_stream)
  local exit = os.exit
  os.exit = function(...) -- luacheck: ignore 122 (nothing is left of the line)
    if editor then
      editor:leave()
    end
    exit(...)
  end
end

--- Calls f(...), which reads a line with the editor.
---@param with moontide.repl.Plain|moontide.repl.Readline
---@param f fun(...: any): ...
---@param ... any
---@return ...
function M.type(with, f, ...)
  local _ <close> = setmetatable({}, {
    __close = function()
      typing = false
    end,
  })
  M.end_line()
  editor, typing, hidden = with, true, false
  return f(...)
end

return M
