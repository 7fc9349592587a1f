--- Checks of tables of options.
local core = require "moontide.core"

local M = {}

local function within(least, most)
  return function(value)
    return math.type(value) == "integer" and value >= least and value <= most
  end
end

local function is(kind)
  return function(value)
    return type(value) == kind
  end
end

--- What a field may be: how that is called, and whether a value is it.
local KINDS = {
  boolean = { "boolean", is "boolean" },
  callable = { "function", core.callable },
  count = { "positive integer", within(1, math.maxinteger) },
  family = { "4 or 6", function(value) return value == 4 or value == 6 end },
  ms = { "milliseconds", function(value) return type(value) == "number" and value >= 0 end },
  port = { "0 to 65535", within(0, 65535) },
  seconds = { "1 to 32767 seconds", within(1, 32767) },
  string = { "string", is "string" },
  table = { "table", is "table" },
  text = {
    "string without a NUL",
    function(value) return type(value) == "string" and not value:find("\0", 1, true) end,
  },
}

function M.complain(text, position, name, level)
  error(("bad argument #%d to '%s' (%s)"):format(position, name, text), level + 1)
end

--- Raises, in the name of the caller's caller, unless options is a table and its fields, where they
--- are there, are of those kinds. Other fields are none of its business.
---@param fields table<string, string>
function M.check(options, fields, position, name)
  if type(options) ~= "table" then
    M.complain("table expected, got " .. type(options), position, name, 3)
  end
  for field, kind in pairs(fields) do
    local value = options[field]
    local expected, test = KINDS[kind][1], KINDS[kind][2]
    if value ~= nil and not test(value) then
      M.complain(("field '%s': %s expected"):format(field, expected), position, name, 3)
    end
  end
end

return M
