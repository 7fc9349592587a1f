--- What a fetch sends, made of its options: the method, the lines of the head, the body.
local form = require "moontide.http.form"
local form_data = require "moontide.http.form_data"
local headers = require "moontide.http.headers"
local json = require "moontide.http.json"
local pieces = require "moontide.http.pieces"

local M = {}

---@class moontide.http.Outbound
---@field method string
---@field headers moontide.http.Headers
---@field text? string the body, if it is one
---@field source? any what gives its pieces, once
---@field is_begun? boolean whether the source was asked for a piece
---@field make? fun(): any, integer gives such a source and its length; awaits
---@field length? integer of what the source gives, where it is known
---@field lines? string[] the headers as libcurl takes them, once that was asked for

---- the method ----

local CAPITALS = {
  delete = "DELETE", get = "GET", head = "HEAD", options = "OPTIONS", post = "POST", put = "PUT",
}
local FORBIDDEN = { CONNECT = true, TRACE = true, TRACK = true }
local WITH_LENGTH = { PATCH = true, POST = true, PUT = true } -- even where they have no body

--- The method; or nil and what is wrong with it.
local function method_of(given)
  if given == nil then
    return "GET"
  elseif not given:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
    return nil, ("field 'method': '%s' is no method"):format(given:gsub("%c", "?"))
  elseif FORBIDDEN[given:upper()] then
    return nil, ("field 'method': '%s' cannot be fetched"):format(given)
  end
  return CAPITALS[given:lower()] or given
end

---- the headers ----

--- What follows from the rest.
local OWN = {
  connection = true, expect = true, ["keep-alive"] = true, te = true, trailer = true,
  ["transfer-encoding"] = true, upgrade = true,
}

--- A copy of the headers; or nil and what is wrong with them.
local function headers_of(given)
  if given ~= nil and type(given) ~= "table" then
    return nil, "field 'headers': table expected, got " .. type(given)
  end
  local found, problem = headers.copy(given)
  if not found then
    return nil, "field 'headers': " .. problem
  end
  for name in found:each() do
    if OWN[name] then
      return nil, ("field 'headers': '%s' is the client's"):format(name)
    end
  end
  return found
end

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local quads = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    local quad = {}
    for j = 1, 4 do
      local digit = bits >> (24 - 6 * j) & 63
      quad[j] = BASE64:sub(digit + 1, digit + 1)
    end
    quads[#quads + 1] = table.concat(quad, "", 1, c and 4 or b and 3 or 2)
      .. (c and "" or b and "=" or "==")
  end
  return table.concat(quads)
end

--- What is wrong with a name and a password, or nil.
local function mistake_in_auth(auth)
  if type(auth[1]) ~= "string" or type(auth[2]) ~= "string" then
    return "field 'auth': a name and a password expected"
  elseif auth[1]:find(":", 1, true) then
    return "field 'auth': a name cannot have a colon"
  end
end

---- the body ----

local bodies = {}

function bodies.body(out, body)
  if type(body) == "string" then
    out.text = body
  elseif pieces.gives(body) then
    out.source = body
  else
    return "field 'body': string, function, generator, stream or file expected, got " .. type(body)
  end
end

function bodies.json(out, value)
  local ok, text = pcall(json.encode, value)
  if not ok then
    return "field 'json': " .. tostring(text):gsub("^[^\n]-:%d+: ", "")
  end
  out.text, out.type = text, "application/json"
end

--- What is wrong with the table of that field, which mistake(value) looks at; or nil.
local function problem_of(field, value, mistake)
  local problem = type(value) ~= "table" and "table expected, got " .. type(value)
    or mistake(value)
  return problem and ("field '%s': %s"):format(field, problem)
end

function bodies.form(out, fields)
  local problem = problem_of("form", fields, form.mistake)
  if problem then
    return problem
  end
  out.text, out.type = form.encode(fields), "application/x-www-form-urlencoded"
end

function bodies.multipart(out, parts)
  local problem = problem_of("multipart", parts, form_data.mistake)
  if problem then
    return problem
  end
  local list, boundary = { table.unpack(parts) }, form_data.boundary()
  out.type = "multipart/form-data; boundary=" .. boundary
  out.make = function()
    return form_data.pieces(list, boundary)
  end
end

local NAMES = { "body", "form", "json", "multipart" }

--- Adds the body; returns what is wrong with it, or nil.
local function add_body(out, options)
  local found
  for _, name in ipairs(NAMES) do
    if options[name] ~= nil then
      if found then
        return ("one of the fields '%s' and '%s' expected"):format(found, name)
      end
      found = name
    end
  end
  if found and (out.method == "GET" or out.method == "HEAD") then
    return ("field '%s': a %s has no body"):format(found, out.method)
  end
  return found and bodies[found](out, options[found])
end

--- A length that the caller gives is that of a body in pieces; returns what is wrong, or nil.
local function take_length(out)
  local given = out.headers:get("content-length")
  if not given then
    return nil
  end
  out.headers:delete("content-length")
  out.length = given:find("^%d+$") and math.tointeger(tonumber(given))
  if not out.length or out.text and out.length ~= #out.text or out.make
    or not (out.text or out.source) then
    return "field 'headers': 'content-length' is not the body's"
  end
end

---- all ----

--- What is sent, made of options; or nil and what is wrong with them.
---@return moontide.http.Outbound?, string?
function M.of(options)
  local method, problem = method_of(options.method)
  local found
  if method then
    found, problem = headers_of(options.headers)
  end
  if problem then
    return nil, problem
  end
  local out = { method = method, headers = found }
  problem = add_body(out, options) or take_length(out)
    or options.auth and mistake_in_auth(options.auth)
  if problem then
    return nil, problem
  end
  if out.type and not found:has("content-type") then
    found:set("content-type", out.type)
  end
  if options.auth then
    found:set("authorization", "Basic " .. base64(options.auth[1] .. ":" .. options.auth[2]))
  end
  if not found:has("user-agent") then
    found:set("user-agent", "moontide")
  end
  return out
end

--- The body goes, and what is said of it: after a redirect that turns a request into a GET.
function M.drop_body(out)
  out.text, out.source, out.make, out.length, out.lines = nil, nil, nil, nil, nil
  for _, name in ipairs({ "encoding", "language", "length", "location", "type" }) do
    out.headers:delete("content-" .. name)
  end
end

--- Nothing is sent any more: closes a body that was not begun. Who sends one closes it.
function M.give_up(out)
  if out.source and not out.is_begun then
    out.is_begun = true
    pieces.drop(out.source)
  end
end

--- What is for one origin only goes: after a redirect to another one.
function M.drop_credentials(out)
  if out == M.PLAIN then
    return
  end
  out.lines = nil
  for _, name in ipairs({ "authorization", "cookie", "host", "proxy-authorization" }) do
    out.headers:delete(name)
  end
end

--- The text of a body that has none, or one of no bytes.
function M.text(out)
  local is_stream = out.source or out.make
  return out.text or not is_stream and WITH_LENGTH[out.method] and "" or nil
end

--- The lines as libcurl takes them: of a header without a value "name;", and "name:" where it is
--- not to send one of its own.
function M.lines(out)
  if out.lines then
    return out.lines
  end
  local lines = {}
  for name, value in out.headers:each() do
    lines[#lines + 1] = value == "" and name .. ";" or name .. ": " .. value
  end
  if M.text(out) or out.source or out.make then
    lines[#lines + 1] = "expect:"
    if not out.headers:has("content-type") then
      lines[#lines + 1] = "content-type:"
    end
  end
  if out.headers:has("range") and not out.headers:has("accept-encoding") then
    lines[#lines + 1] = "accept-encoding: identity" -- a range of what is not compressed
  end
  out.lines = lines
  return lines
end

--- What is sent where nothing was asked for: shared, and never changed.
M.PLAIN = M.of({})

return M
