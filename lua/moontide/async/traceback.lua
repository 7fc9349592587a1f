--- What is told of an error: its text, and the trace that the core has of it, in lines.
---
--- Names of functions are looked up in their source, where that can be read, only now: what is kept
--- of an error when it is raised are its places.
local core = require "moontide.core"
require "moontide.internal.argument" -- which hides the library's own files

local M = {}

local FIELDS_MAX, VALUE_MAX, CAUSES_MAX = 16, 200, 8

---- names ----

local SHORT_SOURCE = "^(.+):(%d+)$"

--- What the line that a function begins in calls it: `function NAME(`, `NAME = function`,
--- `NAME = async(function`, `["NAME"] = function`; nil where that is not sure.
local function name_in(line)
  local before, after = line:match("^(.-)%f[%w_]function%f[^%w_](.*)$")
  if not before or after:find("%f[%w_]function%f[^%w_]") then
    return nil
  end
  return after:match("^%s+([%w_.:]+)")
    or before:match("([%w_.]+)%s*=%s*[%w_.:]*%(?%s*$")
    or before:match("%[\"([^\"]+)\"%]%s*=%s*[%w_.:]*%(?%s*$")
end

--- The name of a function by its place, `FILE:LINE`, or nil.
function M.name_at(place)
  local path, number = place:match(SHORT_SOURCE)
  if not path or path:sub(1, 3) == "..." or path:sub(1, 8) == "[string " then
    return nil
  end
  local line = core.source_line(path, tonumber(number))
  return line and name_in(line)
end

--- `function 'NAME' (FILE:LINE)`, or `function <FILE:LINE>`.
function M.describe_function(place)
  local name = M.name_at(place)
  return name and ("function '%s' (%s)"):format(name, place) or ("function <%s>"):format(place)
end

---- lines ----

local function append(list, more)
  table.move(more, 1, #more, #list + 1, list)
end

--- The lines of frames, functions named; the outermost one of an async function is that function.
local function frames_of(part)
  local lines = {}
  for line in part.text:gmatch("\n(\t[^\n]*)") do
    lines[#lines + 1] = line
  end
  for i, line in ipairs(lines) do
    local head, place = line:match("^(.* in )function <(.+)>$")
    if head then
      local is_body = part.kind == "async" and i == #lines
      lines[i] = head .. (is_body and "async " or "") .. M.describe_function(place)
    end
  end
  return lines
end

--- The place in a frame of the function that it belongs to, or nil.
local function place_of(line)
  return line and (line:match("%((.-:%d+)%)$") or line:match("<(.-:%d+)>$"))
end

local function add_hop(lines, text)
  local place = text:find(" child$") and place_of(lines[#lines])
  lines[#lines + 1] = place and ("\t[%s (%s)]"):format(text, place) or ("\t[%s]"):format(text)
end

--- The lines of a trace.
local function lines_of(parts)
  local lines, after_frames = {}, false
  for _, part in ipairs(parts) do
    if part.kind == "hop" then
      add_hop(lines, part.text)
      after_frames = false
    elseif part.kind == "skipped" then
      lines[#lines + 1] = ("\t...\t(skipping %d awaits)"):format(part.count)
    elseif part.kind == "more" then
      lines[#lines + 1] = "\t..."
    elseif part.text ~= "" then
      if after_frames then
        lines[#lines + 1] = "\t[await]"
      end
      append(lines, frames_of(part))
      after_frames = true
    end
  end
  return lines
end

---- errors ----

--- The text of a value, whatever its __tostring does.
function M.text_of(value)
  local ok, text = pcall(tostring, value)
  return ok and text or type(value)
end

local text_of = M.text_of

local function show(value)
  if type(value) == "string" then
    local text = ("%q"):format(value:sub(1, VALUE_MAX)):gsub("\\\n", "\\n")
    return #value > VALUE_MAX and text .. "..." or text
  end
  return text_of(value):sub(1, VALUE_MAX)
end

local TOLD = { name = true, message = true, cause = true, errors = true, errno = true }

local function is_told(text, field)
  return type(field) ~= "table" and text:find(text_of(field), 1, true) ~= nil
end

--- The fields of a table that its text has not told, a line each.
local function add_fields(out, value, text)
  local keys = {}
  for key, field in next, value do
    if type(key) == "string" and not TOLD[key] and not is_told(text, field) then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys)
  for i = 1, math.min(#keys, FIELDS_MAX) do
    out[#out + 1] = ("  %s = %s"):format(keys[i], show(rawget(value, keys[i])))
  end
  if #keys > FIELDS_MAX then
    out[#out + 1] = ("  ... (%d more fields)"):format(#keys - FIELDS_MAX)
  end
end

local function is_text(value)
  return type(value) == "string" or type(value) == "number"
end

--- One line for a value that was raised.
local function headline(value)
  if is_text(value) then
    return tostring(value)
  elseif type(value) ~= "table" then
    return ("(error object is a %s value) %s"):format(type(value), show(value))
  end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then
    return show(value)
  end
  local name, message = rawget(value, "name"), rawget(value, "message")
  if type(message) == "string" then
    return type(name) == "string" and name .. ": " .. message or message
  end
  return type(name) == "string" and name or "(error object is a table value)"
end

local add_error

local function add_cause(out, value, parts, depth, told)
  local cause = rawget(value, "cause")
  if cause ~= nil and depth < CAUSES_MAX then
    local with_trace
    for _, part in ipairs(parts) do
      with_trace = with_trace or part.cause
    end
    out[#out + 1] = "caused by: "
    add_error(out, cause, with_trace or {}, depth + 1, told)
  end
end

local function count(list)
  local n = rawget(list, "n")
  return math.type(n) == "integer" and n or rawlen(list)
end

local function add_errors(out, value, parts, depth, told)
  local errors, traces = rawget(value, "errors"), {}
  if type(errors) ~= "table" or depth >= CAUSES_MAX then
    return
  end
  for _, part in ipairs(parts) do
    traces = part.errors or traces
  end
  for i = 1, math.min(count(errors), FIELDS_MAX) do
    out[#out + 1] = ("[%d] "):format(i)
    add_error(out, rawget(errors, i), traces[i] or {}, depth + 1, told)
  end
end

--- Adds the text of a value, fields and trace to the last line of the list and after it; what it
--- consists of only once.
function add_error(out, value, parts, depth, told)
  local text = headline(value)
  out[#out] = out[#out] .. text
  if type(value) == "table" then
    add_fields(out, value, text)
  end
  local lines = lines_of(parts)
  if #lines > 0 then
    out[#out + 1] = "stack traceback:"
    append(out, lines)
  end
  if type(value) == "table" and not told[value] then
    told[value] = true
    add_errors(out, value, parts, depth, told)
    add_cause(out, value, parts, depth, told)
  end
end

--- The lines of what has led to a reason, up to where the running function got it.
function M.origin(reason)
  return lines_of(core.trace(reason, 1000))
end

--- The text of what was raised, unless that is nil, and its trace.
core.set_trace_format(function(value, parts)
  local out = { "" }
  if value ~= nil then
    add_error(out, value, parts, 0, {})
  else
    out[1] = "stack traceback:"
    append(out, lines_of(parts))
  end
  return table.concat(out, "\n")
end)

M.traceback = core.traceback

return M
