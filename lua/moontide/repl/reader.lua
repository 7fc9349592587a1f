--- Reads a chunk of Lua, which may take several lines.
local M = {}

local FIRST <const>, MORE <const> = "> ", ">> "

local function compile(text)
  return load(text, "=stdin", "t")
end

--- What is wrong with a text, and whether more lines could make a chunk of it: as lua.c has it, but
--- that a quoted string ends with its line.
local function find_problem(text)
  local _, problem = compile(text)
  local _, of_line = compile(text .. "\n")
  local goes_on = of_line ~= nil and of_line:sub(-5) == "<eof>"
  return goes_on and problem or of_line, goes_on
end

--- The function that the text is, an expression or statements; or nil, what is wrong with it, and
--- whether it goes on.
---@param text string
---@return function?, string?, boolean?
function M.compile(text)
  local expression = "return " .. text:gsub("^%s*=", "", 1)
  local chunk = compile(expression) or compile(text)
  if chunk then
    return chunk
  end
  local _, is_begun = find_problem(expression)
  local problem, goes_on = find_problem(text)
  return nil, problem, goes_on or is_begun
end

--- Reads lines until they are a chunk. Returns the function, or nil and what is wrong with it;
--- nothing at the end of the input.
---@param read_line fun(prompt: string): string?
---@return function?, string?
function M.read(read_line)
  local text = read_line(FIRST)
  if not text then
    return nil
  end
  local chunk, problem, goes_on = M.compile(text)
  while goes_on do
    local line = read_line(MORE)
    if not line then
      break
    end
    text = text .. "\n" .. line
    chunk, problem, goes_on = M.compile(text)
  end
  return chunk, problem
end

return M
