--- A second reading of requests, line by line, as RFC 9112 has them: what a text's messages are.
--- It knows nothing of why, or with which status, one is refused.
local M = {}

local METHODS = {}
for name in ([[DELETE GET HEAD POST PUT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH
  UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE
  UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK UNLINK SOURCE PRI]]):gmatch("%S+") do
  METHODS[name] = true
end

local TOKEN = "[!#$%%&'*+%-.^_`|~%w]+"
local CONTROL = "[%z\1-\8\10-\31\127]"

local function is_target(target, method)
  if target:find("[^\33-\126]") or target:find("#", 1, true) then
    return false
  elseif target == "*" then
    return method == "OPTIONS"
  end
  local authority = target:lower():match("^https?://([^/?]*)")
  return target:sub(1, 1) == "/"
    or authority ~= nil and authority ~= "" and not authority:find('[@,"\\<>^`{|}]')
end

-- llhttp takes no tab behind their values.
local FRAMING = { ["content-length"] = true, ["transfer-encoding"] = true }

--- The values of a head's fields, by names in lower case; nil where one is no field.
local function fields_of(lines)
  local fields = {}
  for line in lines:gmatch("(.-)\r\n") do
    local name, value = line:match("^(" .. TOKEN .. "):[ \t]*(.-)[ \t]*$")
    name = name and name:lower()
    if not name or value:find(CONTROL) or FRAMING[name] and line:find("\t *$") then
      return nil
    end
    fields[name] = fields[name] or {}
    table.insert(fields[name], value)
  end
  return fields
end

--- Whether one of a field's values has the word among its list.
local function has_word(values, word)
  for _, value in ipairs(values or {}) do
    for each in value:gmatch("[^,]+") do
      if each:lower():match("^[ \t]*(.-)[ \t]*$") == word then
        return true
      end
    end
  end
  return false
end

--- The length of the body, "chunked", or nil where it cannot be told.
local function framing_of(fields, version)
  local lengths, codings = fields["content-length"], fields["transfer-encoding"]
  if codings then
    local is_chunked = #codings == 1 and codings[1]:lower() == "chunked"
    return not lengths and version == "1" and is_chunked and "chunked" or nil
  elseif not lengths then
    return 0
  end
  local digits = #lengths == 1 and lengths[1]:match("^0*(%d*)$")
  if not digits or lengths[1] == "" or #digits > 18 then
    return nil
  end
  return tonumber(digits) or 0
end

local function is_host(fields, version)
  local hosts = fields.host or {}
  return #hosts < 2 and (#hosts == 1 or version == "0")
    and not (hosts[1] or ""):find('[^\33-\126]') and not (hosts[1] or ""):find('[/?#@,"\\<>^`{|}]')
end

local function is_expected(fields, version)
  for _, value in ipairs(version == "1" and fields.expect or {}) do
    if value:lower() ~= "100-continue" then
      return false
    end
  end
  return true
end

--- What is told of a head, its framing, and the text behind it; nil where it is refused or not
--- whole.
local function read_head(text, limit)
  text = text:gsub("^\r\n", "", 1)
  local stop = text:find("\r\n\r\n", 1, true)
  local head = stop and text:sub(1, stop + 1)
  if not head or stop + 3 > limit or head:gsub("\r\n", ""):find("[\r\n]") then
    return nil
  end
  local first, lines = head:match("^(.-\r\n)(.*)$")
  local method, target, version = first:match("^(" .. TOKEN .. ") (%S+) HTTP/1%.([01])\r\n$")
  local fields = fields_of(lines)
  if not method or not METHODS[method] or not is_target(target, method) or not fields
    or not is_host(fields, version) or not is_expected(fields, version) then
    return nil
  end
  local told = { method, " ", target, version == "0" and " 1.0" or "" }
  local closes = has_word(fields.connection, "close")
    or version == "0" and not has_word(fields.connection, "keep-alive")
  told[#told + 1] = closes and " close" or ""
  told[#told + 1] = version == "1" and fields.expect and " expects" or ""
  local upgrades = fields.upgrade and table.concat(fields.upgrade) ~= ""
  told[#told + 1] = upgrades and has_word(fields.connection, "upgrade") and " upgrade" or ""
  return table.concat(told), framing_of(fields, version), text:sub(stop + 4)
end

--- Whether it is an extension of a chunk: llhttp takes one, without blanks and backslashes.
local function is_extension(text)
  local value = text:match("^;" .. TOKEN .. "(.*)$")
  return value == "" or value ~= nil and (value:find("^=" .. TOKEN .. "$") ~= nil
    or value:gsub("\t", " "):find('^="[^"\\%c]*"$') ~= nil)
end

--- The digits of a chunk's size.
local function size_of(line)
  local size, extension = line:match("^(%x+)(.*)$")
  if size and #line <= 1022 and #size <= 16 and #size:gsub("^0+", "") <= 15
    and (extension == "" or is_extension(extension)) then
    return size
  end
end

--- The body in chunks, its trailers, and the text behind it.
local function read_chunks(text, limit)
  local pieces = {}
  while true do
    local line = text:match("^(.-)\r\n")
    local size = line and size_of(line)
    if not size then
      return nil
    end
    size, text = tonumber(size, 16), text:sub(#line + 3)
    if size == 0 then
      break
    elseif text:sub(size + 1, size + 2) ~= "\r\n" then
      return nil
    end
    pieces[#pieces + 1] = text:sub(1, size)
    text = text:sub(size + 3)
  end
  local stop = text:sub(1, 2) == "\r\n" and -1 or text:find("\r\n\r\n", 1, true)
  local lines = stop and text:sub(1, stop + 1)
  local fields = lines and not lines:gsub("\r\n", ""):find("[\r\n]") and fields_of(lines)
  if not fields or stop + 3 > limit or fields["content-length"] or fields["transfer-encoding"] then
    return nil
  end
  return table.concat(pieces), lines, text:sub(stop + 4)
end

--- What is told of each message that is complete, as spec.support.messages tells it.
---@param text string
---@param limit integer bytes of a head
---@return string[]
function M.messages(text, limit)
  local messages = {}
  while text ~= "" do
    local told, framing, rest = read_head(text, limit)
    local body, trailers
    if framing == "chunked" then
      body, trailers, text = read_chunks(rest, limit)
    elseif framing and #rest >= framing then
      body, trailers, text = rest:sub(1, framing), "", rest:sub(framing + 1)
    end
    if not body then
      break
    end
    trailers = trailers:gsub("\r\n$", ""):gsub("\r\n", "|")
    messages[#messages + 1] = told .. (body ~= "" and (' "%s"'):format(body) or "")
      .. (trailers ~= "" and (" [%s]"):format(trailers) or "")
  end
  return messages
end

return M
