--- What handlers return, as it is sent: the head's text, and the body, a string or what gives
--- pieces.
local core = require "moontide.core"
local file = require "moontide.http.file"
local headers = require "moontide.http.headers"
local json = require "moontide.http.json"
local pieces = require "moontide.http.pieces"
local reasons = require "moontide.http.status"

local M = {}

local new_error = core.new_error

local TEXT = "text/plain; charset=utf-8"
local TEXT_LINE = "Content-Type: " .. TEXT .. "\r\n"
local ASKS = { GET = true, HEAD = true }
local READY = {} -- a key that no handler has
local SHORT = 256 -- bytes of a text that makes up a reply, for which the head is at hand
local NO_BODY = { [204] = true, [304] = true }

---@class moontide.http.Outgoing
---@field status integer
---@field lines string the header lines that the handler has asked for
---@field body? string|function|table|userdata
---@field write_body? fun(write: function, request: table): boolean in place of `body`
---@field length? integer of the body, where it is known
---@field defaults? table<string, string|integer> headers that the handler's own are in place of
---@field has_date? boolean
---@field closes? boolean the handler wants the connection closed
---@field take_over? fun(connection: table): table? what the connection is for, after this reply

local function fail(message)
  error(new_error("TypeError", message), 0)
end

---- headers ----

--- What headers may not be set, since they follow from the rest.
local OWN = { ["transfer-encoding"] = true, ["keep-alive"] = true, upgrade = true, trailer = true }

local function add_connection(out, value)
  if value:lower() ~= "close" then
    fail("the header 'connection' can only be 'close'")
  end
  out.closes = true
end

local function add_length(out, value)
  out.declared = math.tointeger(tonumber(value))
  if not out.declared or out.declared < 0 then
    fail(("the header 'content-length' cannot be '%s'"):format(value))
  end
end

local function add_header(out, lines, name, value)
  local lower = name:lower()
  if OWN[lower] then
    fail(("the header '%s' is the server's"):format(lower))
  elseif lower == "connection" then
    add_connection(out, tostring(value))
  elseif lower == "content-length" then
    add_length(out, value)
  else
    out.has_type = out.has_type or lower == "content-type"
    out.has_date = out.has_date or lower == "date"
    lines[#lines + 1] = name .. ": " .. value .. "\r\n"
  end
end

--- Those of a file, which the handler's own are in place of.
local function add_defaults(out, lines, given)
  for name, value in pairs(out.defaults) do
    if not given[name:lower()] then
      add_header(out, lines, name, value)
    end
  end
end

local type_lines = {} -- of the types that replies have by themselves

local function type_line(kind)
  local line = type_lines[kind] or "Content-Type: " .. kind .. "\r\n"
  type_lines[kind] = line
  return line
end

local function add_headers(out, init)
  if init == nil and not out.defaults then
    out.lines = out.kind and type_line(out.kind) or ""
    return
  end
  if init ~= nil and type(init) ~= "table" then
    fail("field 'headers': table expected, got " .. type(init))
  end
  local lines, given = {}, {}
  local problem = init and headers.each_of(init, function(name, value)
    given[name:lower()] = true
    add_header(out, lines, name, value)
  end)
  if problem then
    fail("field 'headers': " .. problem)
  end
  if out.defaults then
    add_defaults(out, lines, given)
  end
  if out.kind and not out.has_type then
    lines[#lines + 1] = type_line(out.kind)
  end
  out.lines = table.concat(lines)
end

---- bodies ----

local bodies = {}

function bodies.body(out, body)
  if type(body) == "number" then
    body = tostring(body)
  elseif type(body) ~= "string" and not pieces.gives(body) then
    fail("field 'body': string, function, generator, stream or file expected, got " .. type(body))
  end
  out.body = body
end

function bodies.json(out, value)
  out.body, out.kind = json.encode(value), "application/json"
end

function bodies.html(out, text)
  if type(text) ~= "string" then
    fail("field 'html': string expected, got " .. type(text))
  end
  out.body, out.kind = text, "text/html; charset=utf-8"
end

--- What http.events gives.
function bodies.write_body(out, f)
  out.write_body = f
end

--- What is asked for of it, where the handler has no other status for it.
function bodies.file(out, path, request)
  if type(path) ~= "string" then
    fail("field 'file': string expected, got " .. type(path))
  end
  local is_asked = request and ASKS[request.method] and out.status == 200
  local found = file.reply(is_asked and request or nil, path)
  if not found then
    out.status, out.body, out.kind = 404, "not found\n", TEXT
    return
  end
  out.status = is_asked and found.status or out.status
  out.body, out.defaults = found.body, found.headers
end

local function add_body(out, result, request)
  local found
  for name, add in pairs(bodies) do
    if result[name] ~= nil then
      if found then
        fail(("one of the fields '%s' and '%s' expected"):format(found, name))
      end
      found = name
      add(out, result[name], request)
    end
  end
  if not found then
    out.body = ""
  end
end

---- replies ----

local function check_status(status)
  if status == nil then
    return 200
  elseif math.type(status) ~= "integer" or status < 200 or status > 599 then
    fail("field 'status': integer from 200 to 599 expected, got " .. tostring(status))
  end
  return status
end

--- A Content-Length of the handler's is that of the body, or of the one that a reply to HEAD or a
--- 304 does not have.
local function settle_length(out, is_head)
  if type(out.body) == "string" then
    out.length = #out.body
  end
  if not out.declared or out.length == out.declared then
    return
  elseif out.length and (out.length > 0 or not is_head and out.status ~= 304) then
    fail("the header 'content-length' is not the body's")
  end
  out.length = out.declared
end

--- What a handler returns where it is known already what is sent.
---@param out moontide.http.Outgoing
function M.ready(out)
  return { [READY] = out }
end

--- What a handler has returned for the request, if that is no text. Awaits, where it is a file;
--- raises a TypeError where it is no reply.
---@return moontide.http.Outgoing
function M.of(result, request)
  if type(result) ~= "table" then
    fail("a handler has to return a string or a table, and this one has returned " .. type(result))
  elseif result[READY] then
    return result[READY]
  end
  local out = { status = check_status(result.status) }
  add_body(out, result, request)
  add_headers(out, result.headers)
  settle_length(out, request and request.method == "HEAD")
  return out
end

--- A reply with a line of text.
---@return moontide.http.Outgoing
function M.plain(status, text)
  return M.of({ status = status, body = text .. "\n", headers = { ["Content-Type"] = TEXT } })
end

local status_lines, text_heads = {}, {}

local function status_line(status)
  local line = status_lines[status]
  if not line then
    line = ("HTTP/1.1 %d %s\r\n"):format(status, reasons[status] or "Unknown")
    status_lines[status] = line
  end
  return line
end

--- Whether a reply with that status has a body.
function M.has_body(status)
  return not NO_BODY[status]
end

--- What the head of a reply that is a text of that length begins with.
function M.text_head(length)
  local head = text_heads[length]
  if not head then
    head = status_line(200) .. TEXT_LINE .. "Content-Length: " .. length .. "\r\n"
    text_heads[length] = length <= SHORT and head or nil
  end
  return head
end

--- The text of a reply's head; how: "chunked", or nil.
function M.head(out, how, connection, date)
  local framing = ""
  if how == "chunked" then
    framing = "Transfer-Encoding: chunked\r\n"
  elseif out.length and (out.status ~= 204 and (out.status ~= 304 or out.declared)) then
    framing = "Content-Length: " .. out.length .. "\r\n"
  end
  return status_line(out.status) .. out.lines .. framing .. connection
    .. (out.has_date and "" or date) .. "\r\n"
end

return M
