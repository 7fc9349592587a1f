--- What Lua's own functions do with what they are given.
local M = {}

local function set(...)
  local names = {}
  for _, name in ipairs { ... } do
    names[name] = true
  end
  return names
end

-- Libraries whose functions take no promise anywhere.
local VALUES = set("string", "math", "utf8", "os", "io")
-- Functions that take none as their first argument.
local FIRST = set(
  "ipairs", "pairs", "next", "tonumber", "rawlen", "load", "loadfile", "dofile", "require",
  "select", "table.concat", "table.insert", "table.remove", "table.sort", "table.unpack",
  "table.move"
)
local LOOKING = set("print", "tostring", "type")

-- Functions that leave the items of a list what they are, or set them in plain sight.
local KEEPING = set(
  "ipairs", "pairs", "next", "print", "type", "tostring", "select", "table.concat", "table.insert",
  "table.remove", "table.sort", "table.unpack"
)
-- Functions that take the items of a list for values.
local READING = set("table.concat", "table.sort")

--- Whether the function puts nothing else into a list.
---@param name string
---@return boolean
function M.keeps_items(name)
  return KEEPING[name] or false
end

--- Whether the function can do nothing with a list of promises.
---@param name string
---@return boolean
function M.reads_items(name)
  return READING[name] or false
end

--- Whether that argument of the function cannot be a promise.
---@param name string "string.rep"
---@param i integer
---@return boolean
function M.takes_values(name, i)
  return i == 1 and FIRST[name] or VALUES[name:match("^(%w+)%.")] or false
end

--- Whether the function only tells something of what it is given.
---@param name string
---@return boolean
function M.looks_only(name)
  return LOOKING[name] or false
end

-- Functions that touch nothing, but for what they call.
local PURE = set(
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget",
  "rawlen", "select", "tonumber", "tostring", "type", "xpcall", "os.clock", "os.date", "os.getenv",
  "os.time", "table.concat", "table.pack", "table.unpack"
)
local IMPURE = set("math.random", "math.randomseed")
local PURE_LIBRARIES = set("string", "math", "utf8")
-- Functions that change nothing but their first argument.
local CHANGING = set("rawset", "setmetatable", "table.insert", "table.remove", "table.sort")
-- Functions of other libraries than those that give a value.
local GIVING = set(
  "rawlen", "tonumber", "tostring", "type", "os.time", "table.concat", "table.pack"
)

local function is_of_pure_library(name)
  return PURE_LIBRARIES[name:match("^(%w+)%.")] or false
end

--- Whether the function touches nothing that another call could use, but for what it calls.
---@param name string
---@return boolean
function M.is_pure(name)
  return PURE[name] or is_of_pure_library(name) and not IMPURE[name] or false
end

--- Whether the function changes its first argument, and nothing else.
---@param name string
---@return boolean
function M.changes_argument(name)
  return CHANGING[name] or false
end

--- Whether the function gives a value, or a table that nobody else has.
---@param name string
---@return boolean
function M.gives_value(name)
  return GIVING[name] or is_of_pure_library(name)
end

-- Functions that call one in the middle of C: position of that.
local CALLBACKS = {
  ["table.sort"] = 2,
  ["string.gsub"] = 3,
  ["coroutine.create"] = 1,
  ["coroutine.wrap"] = 1,
  load = 1,
  xpcall = 2,
}

--- Which argument the function calls where nothing can suspend.
---@param name string
---@return integer?
function M.callback(name)
  return CALLBACKS[name]
end

--- Whether the function calls that argument.
---@param name string
---@param i integer
---@return boolean
function M.calls_argument(name, i)
  return CALLBACKS[name] == i or (name == "pcall" or name == "xpcall") and i == 1
end

-- Functions that take what one returns for a value.
local CONSUMERS = { ["table.sort"] = 2, ["string.gsub"] = 3 }

--- Which argument has to be a function whose result is no promise.
---@param name string
---@return integer?
function M.consumer(name)
  return CONSUMERS[name]
end

return M
