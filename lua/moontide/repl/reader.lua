--- Reads a chunk of Lua, which may take several lines.
local M = {}

local FIRST <const>, MORE <const> = "> ", ">> "

--- Whether more lines could make a chunk of it, as lua.c has it.
local function is_incomplete(problem)
  return problem ~= nil and problem:sub(-5) == "<eof>"
end

--- The function that the text is, an expression or statements; or nil, what is wrong with it, and
--- whether it goes on.
---@param text string
---@return function?, string?, boolean?
function M.compile(text)
  local expression, why_not = load("return " .. text, "=stdin", "t")
  if expression then
    return expression
  end
  local statements, problem = load(text, "=stdin", "t")
  if statements then
    return statements
  end
  return nil, problem, is_incomplete(problem) or is_incomplete(why_not)
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
