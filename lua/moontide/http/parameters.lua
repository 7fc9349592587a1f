--- Header values with parameters: `form-data; name="a"; filename="b.txt"`. RFC 9110, 5.6.6.
local M = {}

local TOKEN = "[%w!#$%%&'*+%-.^_`|~]+"

--- The quoted text at that place, and what comes behind it. A backslash that stands before neither
--- a quote nor another one is one of a path, which some browsers have sent like that.
local function read_quoted(text, from)
  local at = from + 1
  while true do
    local stop = text:find('["\\]', at)
    if not stop then
      return nil
    elseif text:sub(stop, stop) == '"' then
      return text:sub(from + 1, stop - 1):gsub('\\(["\\])', "%1"), stop + 1
    end
    at = stop + 2
  end
end

--- The token or quoted text at that place, and what comes behind it; nil where there is none.
local function read_value(text, from)
  if text:sub(from, from) == '"' then
    local value, next = read_quoted(text, from)
    return value, next
  end
  local _, stop = text:find("^" .. TOKEN, from)
  if stop then
    return text:sub(from, stop), stop + 1
  end
end

--- What stands before the parameters, in lower case, and a table of these, whose names are in lower
--- case; nil for what is malformed, or has a parameter twice.
---@param text string
---@return string?, table<string, string>?
function M.parse(text)
  local kind, at = text:match("^[ \t]*([^; \t]+)[ \t]*()")
  local found = {}
  while kind and at <= #text do
    local name, from = text:match("^;[; \t]*(" .. TOKEN .. ")=()", at)
    local value, next
    if name and not found[name:lower()] then
      value, next = read_value(text, from)
    elseif text:find("^;[; \t]*$", at) then
      break
    end
    if not value then
      return nil
    end
    found[name:lower()] = value
    at = text:match("^[ \t]*()", next)
  end
  return kind and kind:lower(), kind and found
end

return M
