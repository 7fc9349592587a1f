--- Values as one reads them: strings quoted, tables one level deep, promises with their state.
local core = require "moontide.core"

local M = {}

local MOST <const>, WIDEST <const>, LONGEST <const> = 100, 78, 60 -- entries, columns, bytes

local state_of = core.Promise.resolve().state

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\""] = "\\\"", ["\\"] = "\\\\" }

local function quote(text)
  local escaped = text:gsub("[%c\"\\\127]", function(c)
    return ESCAPES[c] or ("\\%03d"):format(c:byte())
  end)
  if not utf8.len(text) then
    escaped = escaped:gsub("[\128-\255]", function(c)
      return ("\\%03d"):format(c:byte())
    end)
  end
  return "\"" .. escaped .. "\""
end

--- Whether it has a text of its own.
local function has_text(value)
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__tostring") ~= nil
end

local function text_of(value)
  local ok, text = pcall(tostring, value)
  return ok and text or ("<%s: %s>"):format(type(value), tostring(text))
end

--- A value inside another one.
local function brief(value)
  if type(value) == "string" then
    if #value > LONGEST then
      local last = utf8.len(value) and utf8.offset(value, 0, LONGEST + 1) - 1 or LONGEST
      return quote(value:sub(1, last)) .. "..."
    end
    return quote(value)
  elseif type(value) == "table" and not has_text(value) then
    return next(value) == nil and "{}" or "{...}"
  end
  return text_of(value)
end

---- tables ----

local RANKS, OTHER <const> = { number = 1, string = 2 }, 3

--- Numbers in their order, then strings in theirs, then the rest.
local function is_before(a, b)
  local rank_a, rank_b = RANKS[type(a)] or OTHER, RANKS[type(b)] or OTHER
  if rank_a ~= rank_b or rank_a == OTHER then
    return rank_a < rank_b
  end
  return a < b
end

local function key_text(key)
  if type(key) == "string" and key:find("^[%a_][%w_]*$") then
    return key
  end
  return ("[%s]"):format(brief(key))
end

--- The keys that are no places of the sequence, in order.
local function other_keys(t, length)
  local keys = {}
  for key in next, t do
    if math.type(key) ~= "integer" or key < 1 or key > length then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, is_before)
  return keys
end

--- The texts of the entries, and how many more there are.
local function entries_of(t)
  local length = rawlen(t)
  local keys = other_keys(t, length)
  local entries = {}
  for i = 1, math.min(length, MOST) do
    entries[i] = brief(rawget(t, i))
  end
  for i = 1, math.min(#keys, MOST - #entries) do
    entries[#entries + 1] = key_text(keys[i]) .. " = " .. brief(rawget(t, keys[i]))
  end
  return entries, length + #keys - #entries
end

--- On one line, if that is not too long; else a line for each.
local function table_text(t)
  local entries, more = entries_of(t)
  if more > 0 then
    entries[#entries + 1] = ("... %d more"):format(more)
  elseif #entries == 0 then
    return "{}"
  end
  local line = "{ " .. table.concat(entries, ", ") .. " }"
  if #line <= WIDEST then
    return line
  end
  return "{\n  " .. table.concat(entries, ",\n  ") .. "\n}"
end

---- promises ----

local function outcome_text(state, ...)
  local texts = {}
  for i = 1, select("#", ...) do
    texts[i] = brief((select(i, ...)))
  end
  local values = #texts > 0 and " " .. table.concat(texts, ", ") or ""
  return ("Promise { <%s>%s }"):format(state, values)
end

--- The text of a promise, or nil.
local function promise_text(value)
  local found = table.pack(pcall(state_of, value))
  return found[1] and outcome_text(table.unpack(found, 2, found.n)) or nil
end

--- The text that is printed of a value.
---@param value any
---@return string
function M.text(value)
  if type(value) == "string" then
    return quote(value)
  elseif type(value) == "userdata" then
    return promise_text(value) or text_of(value)
  elseif type(value) == "table" and not has_text(value) then
    return table_text(value)
  end
  return text_of(value)
end

return M
