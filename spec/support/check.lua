--- Programs for `moontide check`, whose lines say what is found there: `save() --> T101`.
local check = require "moontide.check.check"
local declarations = require "moontide.check.declarations"
local fs = require "moontide.fs"
local parser = require "moontide.check.parser"
local tide = require "moontide"

local await = tide.await

local M = {}

-- In the first line of each program, in front of what that has itself.
local PRELUDE = [[
local tide, fs, net = require "moontide", require "moontide.fs", require "moontide.net"
local async, await, join, sleep = tide.async, tide.await, tide.join, tide.sleep
local Promise = tide.Promise
local fetch = async(function(url) await(sleep(1)) return "text of " .. url end)
local save = async(function(item) await(sleep(1)) print(item) end)
local _ = fs, net, join, Promise, fetch, save
]]

local function write(folder, name, text)
  local path = folder .. "/" .. name
  await(fs.mkdir(path:match("^(.*)/"), { recursive = true }))
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function prepare()
  assert(parser.is_there(), "luacheck is not installed")
  if not declarations.classes() then
    declarations.load()
  end
end

--- Calls f with the path of a folder that has these files.
---@param files table<string, string>
---@param f fun(folder: string): ...
---@return ...
function M.with_files(files, f)
  local folder = await(fs.mkdtemp(os.tmpname() .. "-"))
  local _ <close> = setmetatable({}, { __close = function()
    await(fs.rm(folder, { recursive = true }))
  end })
  for name, text in pairs(files) do
    write(folder, name, text)
  end
  return f(folder)
end

--- What is found in files of those contents, as "FILE:LINE CODE", in order.
---@param files table<string, string>
---@return string[]
function M.findings(files)
  prepare()
  return M.with_files(files, function(folder)
    local paths, found = {}, {}
    for name in pairs(files) do
      paths[#paths + 1] = folder .. "/" .. name
    end
    table.sort(paths)
    for i, finding in ipairs(check.check(paths)) do
      found[i] = ("%s:%d %s"):format(finding.path:sub(#folder + 2), finding.line, finding.code)
    end
    return found
  end)
end

--- What the lines of a file say.
local function expected(name, text)
  local list, number = {}, 0
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    for code in line:gmatch("%-%-> (T%d+)") do
      list[#list + 1] = ("%s:%d %s"):format(name, number, code)
    end
  end
  return list
end

--- The findings of each file.
local function by_name(findings)
  local lists = setmetatable({}, { __index = function(lists, name)
    lists[name] = {}
    return lists[name]
  end })
  for _, finding in ipairs(findings) do
    table.insert(lists[finding:match("^[^:]*")], finding)
  end
  return lists
end

local function text_of(list)
  return #list == 0 and "nothing" or table.concat(list, ", ")
end

--- A test that in each of the programs that is found which its lines say, and nothing else.
---@param programs string[]
---@return fun()
function M.each(programs)
  return function()
    local files, mismatches = {}, {}
    for i, source in ipairs(programs) do
      files[i .. ".lua"] = PRELUDE:gsub("\n", " ") .. source
    end
    local found = by_name(M.findings(files))
    for name, text in pairs(files) do
      local wanted, got = text_of(expected(name, text)), text_of(found[name])
      if wanted ~= got then
        local source = programs[tonumber(name:match("%d+"))]
        table.insert(mismatches, source .. "\n  expected: " .. wanted .. "\n  found: " .. got)
      end
    end
    assert(#mismatches == 0, table.concat(mismatches, "\n"))
  end
end

return M
