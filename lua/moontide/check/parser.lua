--- Lua's grammar: luacheck's parser, which is a package of its own.
local M = {}

--- Where luacheck is looked for: with the interpreter's modules, and with those for Lua 5.1, where
--- Debian installs it. It runs under any Lua.
local function path_of_luacheck()
  return package.path .. ";" .. package.path:gsub("/5%.%d/", "/5.1/")
end

local function search(name)
  local path = package.searchpath(name, path_of_luacheck())
  return path and loadfile(path), path
end

--- Calls f while luacheck's modules are found, wherever they are.
local function with_luacheck(f)
  local searchers = package.searchers
  table.insert(searchers, search)
  local ok, result = pcall(f)
  table.remove(searchers)
  return ok and result or nil
end

local function load_luacheck()
  return {
    parse = require("luacheck.parser").parse,
    decode = require("luacheck.decoder").decode,
  }
end

local luacheck

--- Whether luacheck is there.
---@return boolean
function M.is_there()
  luacheck = luacheck or with_luacheck(load_luacheck)
  return luacheck ~= nil
end

---@class moontide.check.Node of the syntax tree: what luacheck gives, and what scope.lua adds
---@field tag string
---@field line integer
---@field offset integer where it begins, in characters from the file's begin
---@field end_offset integer
---@field up? moontide.check.Node what it is a part of

---@class moontide.check.Comment
---@field contents string what follows the two dashes
---@field line integer

---@class moontide.check.Text a file that has been read
---@field ast moontide.check.Node
---@field comments moontide.check.Comment[]
---@field code_lines table<integer, boolean> lines with more than comments
---@field chars table the text, by characters
---@field starts integer[] where each line begins

---@class moontide.check.SyntaxError
---@field line integer
---@field column integer
---@field message string

--- What luacheck's parser does not look for: jumps to nowhere, assignments to constants.
local function compile(text)
  local _, message = load(text, "=", "t")
  local line, problem = (message or ""):match("^:(%d+): (.*)")
  return line and { line = tonumber(line), column = 1, message = problem }
end

--- Parses a text; nil and what is wrong with it.
---@param text string
---@return moontide.check.Text?, moontide.check.SyntaxError?
function M.parse(text)
  local chars, starts = luacheck.decode(text), {}
  local ok, ast, comments, code_lines = pcall(luacheck.parse, chars, starts, {})
  if not ok and type(ast) ~= "table" then
    error(ast, 0)
  elseif not ok then
    local column = ast.offset - starts[ast.line] + 1
    return nil, { line = ast.line, column = column, message = ast.msg }
  end
  local problem = compile(text)
  if problem then
    return nil, problem
  end
  return { ast = ast, comments = comments, code_lines = code_lines, chars = chars, starts = starts }
end

--- Whether a text can be loaded by Lua.
---@param text string
---@return boolean
function M.is_valid(text)
  return load(text, "=", "t") ~= nil
end

return M
