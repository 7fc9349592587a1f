--- `moontide check`: its arguments, what it prints, its exit code.
local codes = require "moontide.check.codes"
local declarations = require "moontide.check.declarations"
local files = require "moontide.check.files"
local parser = require "moontide.check.parser"
local report = require "moontide.check.report"

local M = {}

local EXIT_ERROR, EXIT_USAGE = 1, 64

local USAGE = [[
usage: moontide check [OPTION]... FILE|DIRECTORY...
Looks for mistakes with promises and async functions, without running anything.

  --format=plain|json  a line for each finding, as is usual; or a list in JSON
  -h, --help           prints this text

What is found; T2 are hints, the others are errors:

%s
`-- moontide: ignore CODE...` silences it: at the end of a line, there; on a line of its own, in the
next line of code; before any code, in the whole file.

exit codes: 0 no errors, 1 errors, or a file cannot be read, 64 wrong usage
]]

local function usage()
  local lines = {}
  for i, entry in ipairs(codes.LIST) do
    lines[i] = ("  %s  %s\n"):format(entry[1], entry[2])
  end
  return USAGE:format(table.concat(lines))
end

local NO_PARSER = "check needs luacheck, whose parser it uses: the package lua-check on Debian, "
  .. "else the rock luacheck"

---@class moontide.check.Options
---@field format "plain"|"json"
---@field paths string[]
---@field wants_help boolean?

--- Takes one word; what is wrong with it.
local function parse_word(options, word)
  local format = word:match("^%-%-format=(.*)$")
  if word == "-h" or word == "--help" then
    options.wants_help = true
  elseif format and not report.FORMATS[format] then
    return ("option '--format': 'plain' or 'json' expected, got '%s'"):format(format)
  elseif format then
    options.format = format
  elseif word:find("^%-") then
    return ("unknown option '%s'"):format(word)
  else
    table.insert(options.paths, word)
  end
end

--- Reads the arguments; nil and what is wrong with them.
local function parse(args)
  local options = { format = "plain", paths = {} }
  for i = 2, #args do
    local problem = parse_word(options, args[i])
    if problem then
      return nil, problem
    end
  end
  if #options.paths == 0 and not options.wants_help then
    return nil, "no file given"
  end
  return options
end

local function fail(code, message)
  io.stderr:write("moontide: ", message, "\n")
  return code
end

local function find(paths)
  local check = require "moontide.check.check"
  declarations.load()
  return check.check(files.list(paths))
end

--- What is found; nil and the error for what cannot be read.
local function try(paths)
  local ok, found = pcall(find, paths)
  if ok then
    return found
  elseif type(found) ~= "table" or found.name ~= "SystemError" then
    error(found, 0)
  end
  return nil, tostring(found)
end

--- Checks what the arguments say.
---@param args string[] the first is the word "check"
---@return integer exit code
function M.run(args)
  local options, problem = parse(args)
  if not options then
    return fail(EXIT_USAGE, problem .. "\n" .. usage())
  elseif options.wants_help then
    io.write(usage())
    return 0
  elseif not parser.is_there() then
    return fail(EXIT_ERROR, NO_PARSER)
  end
  local findings, failure = try(options.paths)
  if not findings then
    return fail(EXIT_ERROR, failure)
  end
  io.stdout:write(report.FORMATS[options.format](findings))
  for _, finding in ipairs(findings) do
    if not codes.is_hint(finding.code) then
      return EXIT_ERROR
    end
  end
  return 0
end

return M
