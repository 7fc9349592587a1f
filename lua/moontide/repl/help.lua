--- What the annotations in meta/ say of a function.
local core = require "moontide.core"
local fs = require "moontide.fs"
local traceback = require "moontide.async.traceback"

local M = {}

---@class moontide.repl.Annotation
---@field file string its name: "moontide", "fs"
---@field receiver string "tide", "fs", "Promise", as in the file
---@field class string "moontide", "moontide.fs", "moontide.Promise"
---@field name string
---@field is_method boolean
---@field text string what is printed of it

--- The folder of the annotations, or nil where they are not installed.
local function folder()
  local path = package.searchpath("moontide.meta.moontide", package.path)
  return path and path:match("^(.*[/\\])")
end

--- The names of the files.
---@return moontide.Promise<string[]>
M.list = core.async(function()
  local names = {}
  for i, entry in ipairs(core.await(fs.scandir(folder() or ""))) do
    names[i] = entry.name:match("^(.*)%.lua$")
  end
  table.sort(names)
  return names
end)

--- The modules among them: those that can be required.
---@param names string[]
---@return string[]
function M.modules(names)
  local modules = { "moontide" }
  for _, name in ipairs(names) do
    if package.searchpath("moontide." .. name, package.path) then
      modules[#modules + 1] = "moontide." .. name
    end
  end
  return modules
end

---- reading ----

local FOR_TOOLS <const> = "@nodiscard" -- what it says has been said: a promise is returned

--- The receiver, the separator and the name that a line declares, and the parameters.
local function declaration(line)
  local receiver, separator, name, parameters =
    line:match("^function%s+([%w_]+)([.:])([%w_]+)(%b())")
  if receiver then
    return receiver, separator, name, parameters
  end
  receiver, name, parameters = line:match("^([%w_]+)%[\"([%w_]+)\"%]%s*=%s*function(%b())")
  return receiver, ".", name, parameters
end

--- The annotation that ends with the line, if that declares a function.
local function of_function(line, comment, classes)
  local receiver, separator, name, parameters = declaration(line)
  local call = receiver and receiver:gsub("Class$", "") .. separator .. name .. parameters
  return call and {
    receiver = receiver,
    class = classes[receiver],
    name = name,
    is_method = separator == ":",
    text = call .. "\n" .. table.concat(comment, "\n"),
  }
end

--- That of a field of the class which is a function.
local function of_field(text, class)
  local name = text:match("^@field%s+([%w_]+)%s+fun%(")
  return name and { receiver = class, class = class, name = name, is_method = false, text = text }
end

--- Adds the annotations of the file.
local function read_into(annotations, file)
  local classes, class, comment = {}, nil, {}
  local function add(annotation)
    if annotation then
      annotation.file = file
      annotations[#annotations + 1] = annotation
    end
  end
  for line in io.lines(folder() .. file .. ".lua") do
    local text = line:match("^%-%-%-%s?(.*)$")
    local declared = line:match("^local%s+([%w_]+)%s*=%s*{}")
    if text then
      comment[#comment + 1] = text ~= FOR_TOOLS and text or nil
      class = text:match("^@class%s+([%w_.]+)") or class
      add(of_field(text, class))
    else
      classes[declared or ""] = class
      add(of_function(line, comment, classes))
      comment = {}
    end
  end
end

local function read_all(files)
  local annotations = {}
  for _, file in ipairs(files) do
    read_into(annotations, file)
  end
  return annotations
end

---- finding ----

-- Where the annotations of classes are that are written in Lua, if not in the file that is called
-- after the folder, or the file, of the class.
local FILES = { async = "moontide", stdio = "stream" }

--- The table that the functions of a class are in, or nil: they are methods.
local function table_of(class)
  local short = class:match("^moontide%.(%u%w*)Class$")
  return package.loaded[class] or short and package.loaded.moontide[short]
end

--- A test for functions of modules and classes.
local function in_table(f)
  return function(annotation)
    local t = not annotation.is_method and table_of(annotation.class)
    return type(t) == "table" and rawequal(rawget(t, annotation.name), f)
  end
end

--- A test for methods that are written in C, which the core calls `receiver:name`.
local function called(full_name)
  local receiver, name = full_name:match("^(%w+):([%w_]+)$")
  return function(annotation)
    return name == annotation.name and receiver == annotation.receiver:lower()
  end
end

--- A test for methods that are written in Lua. Several classes of a file may have one of that name.
local function written_in_lua(f)
  local info = debug.getinfo(f, "S")
  local file = info.source:match("[/\\]moontide[/\\]([%w_]+)")
  local full_name = file and traceback.name_at(info.source:sub(2) .. ":" .. info.linedefined)
  local name = full_name and full_name:match("[.:]([%w_]+)$")
  return function(annotation)
    return annotation.is_method and annotation.name == name
      and annotation.file == (FILES[file] or file)
  end
end

--- The texts of the annotations that pass the test, or nil.
local function texts_of(annotations, test)
  local texts = {}
  for _, annotation in ipairs(annotations) do
    if test(annotation) then
      texts[#texts + 1] = annotation.text
    end
  end
  return texts[1] and table.concat(texts, "\n\n")
end

--- A function that finds what is said of a function.
---@param files string[] their names
---@return fun(f: any): string?
function M.new(files)
  local annotations
  return function(f)
    if type(f) ~= "function" then
      return nil
    end
    annotations = annotations or read_all(files)
    return texts_of(annotations, in_table(f))
      or texts_of(annotations, called(core.argument.name_of(f)))
      or texts_of(annotations, written_in_lua(f))
  end
end

return M
