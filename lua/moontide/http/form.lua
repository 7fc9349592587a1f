--- Names and values as queries and forms have them: "a=1&b=two+words&a=%33". Source: the URL
--- standard, application/x-www-form-urlencoded parsing and serializing.
local argument = require "moontide.internal.argument"

local M = {}

-- Fields: _list, of {name, value} in their order.
local Form = { __name = "moontide.http.Form" }
local methods = {}
Form.__index = methods

local function decode(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

---@param text string
---@return moontide.http.Form
function M.parse(text)
  local list = {}
  for part in text:gmatch("[^&]+") do
    local name, value = part:match("^([^=]*)=?(.*)$")
    list[#list + 1] = { decode(name), decode(value) }
  end
  return setmetatable({ _list = list }, Form)
end

local function encode(text)
  return (text:gsub("[^%w*%-._ ]", function(byte)
    return ("%%%02X"):format(byte:byte())
  end):gsub(" ", "+"))
end

--- What is wrong with names and values that are to be sent, or nil.
function M.mistake(fields)
  for name, value in pairs(fields) do
    if type(name) ~= "string" then
      return "names that are strings expected, got " .. type(name)
    end
    for _, each in ipairs(type(value) == "table" and value or { value }) do
      if type(each) ~= "string" and type(each) ~= "number" then
        return ("field '%s': string expected, got %s"):format(name, type(each))
      end
    end
  end
end

--- The text of names and values, in the order of the names.
---@param fields table<string, string|string[]>
function M.encode(fields)
  local names, pairs_of = {}, {}
  for name in pairs(fields) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = fields[name]
    for _, each in ipairs(type(value) == "table" and value or { value }) do
      pairs_of[#pairs_of + 1] = encode(name) .. "=" .. encode(tostring(each))
    end
  end
  return table.concat(pairs_of, "&")
end

function methods:get(name)
  argument.check_self(self, Form, "form:get")
  argument.check("string", name, 1, "form:get")
  for _, pair in ipairs(self._list) do
    if pair[1] == name then
      return pair[2]
    end
  end
end

function methods:get_all(name)
  argument.check_self(self, Form, "form:get_all")
  argument.check("string", name, 1, "form:get_all")
  local values = {}
  for _, pair in ipairs(self._list) do
    if pair[1] == name then
      values[#values + 1] = pair[2]
    end
  end
  return values
end

function methods:has(name)
  argument.check_self(self, Form, "form:has")
  argument.check("string", name, 1, "form:has")
  return methods.get(self, name) ~= nil
end

function methods:each()
  argument.check_self(self, Form, "form:each")
  local i = 0
  return function()
    i = i + 1
    local pair = self._list[i]
    if pair then
      return pair[1], pair[2]
    end
  end
end

return M
