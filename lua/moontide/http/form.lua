--- Names and values as queries and forms have them: "a=1&b=two+words&a=%33". Source: the URL
--- standard, application/x-www-form-urlencoded parsing.
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
