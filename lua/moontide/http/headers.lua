--- Headers: a multimap whose names are case-insensitive, and which holds nothing that could not be
--- written: names are tokens, values have no line ends (RFC 9110, 5.1 and 5.5).
local argument = require "moontide.internal.argument"

local M = {}

-- Fields: _values, name in lower case -> list of strings.
local Headers = { __name = "moontide.http.Headers" }
local methods = {}
Headers.__index = methods

local function trim(text)
  return (text:gsub("^[ \t]+", ""):gsub("[ \t]+$", ""))
end

--- What is wrong with a name, or nil.
function M.name_problem(name)
  if type(name) ~= "string" then
    return "name of a header expected, got " .. type(name)
  elseif not name:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
    return ("'%s' is no name of a header"):format(name:gsub("%c", "?"))
  end
end

--- What is wrong with a value, or nil.
function M.value_problem(value)
  if type(value) ~= "string" and type(value) ~= "number" then
    return "value of a header expected, got " .. type(value)
  elseif type(value) == "string" and value:find("[%z\1-\8\10-\31\127]") then
    return "a header's value cannot have control characters"
  end
end

local function check(problem, position, name)
  if problem then
    argument.fail(problem, position, name)
  end
end

local function add(self, name, value)
  name = name:lower()
  local list = self._values[name]
  if list then
    list[#list + 1] = trim(tostring(value))
  else
    self._values[name] = { trim(tostring(value)) }
  end
end

--- Calls f(name, value) for each header of what may stand for headers; returns what is wrong with
--- it, or nil.
function M.each_of(init, f)
  if getmetatable(init) == Headers then
    for name, list in pairs(init._values) do
      for _, value in ipairs(list) do
        f(name, value)
      end
    end
    return nil
  end
  for key, given in pairs(init) do
    local name, values = key, given
    if math.type(key) == "integer" then
      if type(given) ~= "table" then
        return "pair of a name and a value expected, got " .. type(given)
      end
      name, values = given[1], given[2]
    end
    local problem = M.name_problem(name)
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      problem = problem or M.value_problem(value)
      if not problem then
        f(name, value)
      end
    end
    if type(values) ~= "table" then
      problem = problem or M.value_problem(values)
    end
    if problem then
      return problem
    end
  end
end

local function new()
  return setmetatable({ _values = {} }, Headers)
end

--- A copy of what may stand for headers, nil for none; or nil and what is wrong with it.
function M.copy(init)
  local self = new()
  local problem = init and M.each_of(init, function(name, value)
    add(self, name, value)
  end)
  if problem then
    return nil, problem
  end
  return self
end

function M.headers(init)
  argument.check("table?", init, 1, "http.headers")
  local self, problem = M.copy(init)
  check(problem, 1, "http.headers")
  return self
end

--- Of the lines of a head that the parser has accepted.
function M.of_lines(lines)
  local self = new()
  for name, value in lines:gmatch("([^:]+):([^\r]*)\r\n") do
    add(self, name, value)
  end
  return self
end

function methods:get(name)
  argument.check_self(self, Headers, "headers:get")
  argument.check("string", name, 1, "headers:get")
  local list = self._values[name:lower()]
  return list and table.concat(list, ", ")
end

function methods:get_all(name)
  argument.check_self(self, Headers, "headers:get_all")
  argument.check("string", name, 1, "headers:get_all")
  return { table.unpack(self._values[name:lower()] or {}) }
end

function methods:has(name)
  argument.check_self(self, Headers, "headers:has")
  argument.check("string", name, 1, "headers:has")
  return self._values[name:lower()] ~= nil
end

function methods:set(name, value)
  argument.check_self(self, Headers, "headers:set")
  check(M.name_problem(name), 1, "headers:set")
  check(M.value_problem(value), 2, "headers:set")
  self._values[name:lower()] = { trim(tostring(value)) }
end

function methods:append(name, value)
  argument.check_self(self, Headers, "headers:append")
  check(M.name_problem(name), 1, "headers:append")
  check(M.value_problem(value), 2, "headers:append")
  add(self, name, value)
end

function methods:delete(name)
  argument.check_self(self, Headers, "headers:delete")
  argument.check("string", name, 1, "headers:delete")
  self._values[name:lower()] = nil
end

--- Those that are there now: a loop may change them.
local function pairs_of(self)
  local names, list = {}, {}
  for name in pairs(self._values) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local values = self._values[name]
    if name ~= "set-cookie" then
      values = { table.concat(values, ", ") }
    end
    for _, value in ipairs(values) do
      list[#list + 1] = { name, value }
    end
  end
  return list
end

function methods:each()
  argument.check_self(self, Headers, "headers:each")
  local list, i = pairs_of(self), 0
  return function()
    i = i + 1
    if list[i] then
      return list[i][1], list[i][2]
    end
  end
end

return M
