--- The client's side of WebSocket's handshake: RFC 6455, 4.1. It needs neither libcurl nor llhttp:
--- the reply is read here, and strictly.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local connect = require("moontide.net.connect").connect
local finally = require "moontide.internal.finally"
local headers_of = require "moontide.http.headers"
local line = require "moontide.async.line"
local tls_options_of = require "moontide.tls.options"
local upgrade = require "moontide.http.upgrade"
local websocket = require "moontide.http.websocket"

local M = {}

local await, new_error = core.await, core.new_error

local NAME = "http.websocket"
local HEAD_MAX = 16 * 1024
local MAX_MESSAGE = 1024 * 1024

local FIELDS = {
  { "headers", "table" },
  { "protocols", "table" },
  { "tls", "table" },
  { "path", "text" },
  { "timeout", "ms" },
  { "max_message", "limit" },
  { "close_timeout", "ms" },
  { "signal", "signal" },
}

---- what is asked for ----

local SCHEMES = { ws = "ws", wss = "wss", http = "ws", https = "wss" }
local PORTS = { ws = 80, wss = 443 }

--- The parts of a URL: scheme, authority, host, port, target; or nil and what is wrong with it.
local function parse_url(url)
  local scheme, authority, rest = url:match("^(%a+)://([^/?#]*)(.*)$")
  scheme = scheme and SCHEMES[scheme:lower()]
  if not scheme then
    return nil, "URL with ws: or wss: expected"
  elseif rest:find("#", 1, true) then
    return nil, "URL without a fragment expected"
  elseif url:find("[^\x21-\x7e]") then
    return nil, "URL without blanks and other characters than ASCII expected"
  elseif authority:find("@", 1, true) then
    return nil, "URL without credentials expected"
  end
  local host, port = authority:match("^%[([%x:.]+)%]:?(%d*)$")
  if not host then
    host, port = authority:match("^([%w%-._~]+):?(%d*)$")
  end
  port = port == "" and PORTS[scheme] or math.tointeger(tonumber(port))
  if not host or not port or port > 65535 then
    return nil, "URL with a host expected"
  end
  local target = rest:sub(1, 1) == "/" and rest or "/" .. rest
  return { scheme = scheme, authority = authority, host = host, port = port, target = target }
end

local OWN = { connection = true, upgrade = true, ["content-length"] = true,
  ["transfer-encoding"] = true }

--- The lines of the caller's headers; or nil and what is wrong with them.
local function lines_of(headers)
  local lines, own = {}, nil
  local problem = headers_of.each_of(headers or {}, function(name, value)
    local lower = name:lower()
    if OWN[lower] or lower:find("^sec%-websocket%-") then
      own = lower
    end
    lines[#lines + 1] = ("%s: %s\r\n"):format(name, value)
  end)
  if own then
    problem = ("the header '%s' is the handshake's"):format(own)
  end
  if problem then
    return nil, "field 'headers': " .. problem
  end
  return table.concat(lines)
end

--- What TLS is told: to verify the host of the URL, unless the options name another one.
local function tls_options(options, host)
  local copy = {}
  for name, value in pairs(options.tls or {}) do
    copy[name] = value
  end
  if copy.server_name == nil then
    copy.server_name = host
  end
  return copy
end

local function mistake(options, url)
  local problem = options.protocols and upgrade.mistake_in_protocols(options.protocols)
  if problem then
    return problem
  elseif options.tls and url.scheme ~= "wss" then
    return "field 'tls': not with ws:"
  end
  problem = options.tls and tls_options_of.mistake(tls_options(options, url.host), false)
  return problem and "field 'tls': " .. problem
end

---- the handshake ----

local function refuse(message, status)
  local err = new_error("WebSocketError", message)
  err.code, err.status = 1006, status
  error(err, 0)
end

local function request_text(url, key, options, lines)
  local has_host = ("\n" .. lines:lower()):find("\nhost:", 1, true)
  local protocols = table.concat(options.protocols or {}, ", ")
  return "GET " .. url.target .. " HTTP/1.1\r\n"
    .. (has_host and "" or "Host: " .. url.authority .. "\r\n")
    .. "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    .. "Sec-WebSocket-Key: " .. key .. "\r\n"
    .. (protocols ~= "" and "Sec-WebSocket-Protocol: " .. protocols .. "\r\n" or "")
    .. lines .. "\r\n"
end

--- Whether each line is that of a header.
local function are_headers(lines)
  local rest = lines:gsub("([^\r\n:]+):([^\r\n]*)\r\n", function(name, value)
    local problem = headers_of.name_problem(name) or headers_of.value_problem(value)
    return not problem and "" or nil
  end)
  return rest == ""
end

--- The headers of a reply that is well-formed, and accepts the protocol.
local function headers_in(head)
  local status, reason, lines = head:match("^HTTP/1%.1 (%d%d%d) ?([^\r\n]*)\r\n(.*)\r\n$")
  if not status or not are_headers(lines) then
    refuse("the reply to the handshake is malformed")
  elseif status ~= "101" then
    refuse(("the server replies with %s %s"):format(status, reason), tonumber(status))
  end
  return headers_of.of_lines(lines)
end

local function has(list, wanted)
  for _, name in ipairs(list or {}) do
    if name == wanted then
      return true
    end
  end
  return false
end

--- The protocol that the server has chosen.
local function check_reply(headers, key, options)
  local protocol = headers:get("sec-websocket-protocol")
  if (headers:get("upgrade") or ""):lower() ~= "websocket"
    or not upgrade.has_name(headers:get("connection"), "upgrade") then
    refuse("the reply is no upgrade to WebSocket")
  elseif headers:get("sec-websocket-accept") ~= core.websocket.accept_key(key) then
    refuse("the reply is to another key")
  elseif headers:has("sec-websocket-extensions") then
    refuse("the reply has extensions, which were not offered")
  elseif protocol and not has(options.protocols, protocol) then
    refuse(("the reply has the protocol '%s', which was not offered"):format(protocol))
  end
  return protocol
end

local function read_head(stream, signal)
  local ok, head = pcall(await,
    stream:read_until("\r\n\r\n", { limit = HEAD_MAX, signal = signal }))
  if ok and head then
    return head
  elseif ok or type(head) == "table" and head.name == "IncompleteReadError" then
    refuse("the server has closed the connection")
  end
  error(head, 0)
end

local function open_stream(url, options)
  return await(connect({
    host = not options.path and url.host or nil,
    port = not options.path and url.port or nil,
    path = options.path,
    tls = url.scheme == "wss" and tls_options(options, url.host) or nil,
    signal = options.signal,
  }))
end

local function open(url, options, lines)
  local stream, ws = open_stream(url, options), nil
  return finally(function()
    if not ws then
      stream:destroy()
    end
  end, function()
    local key = core.websocket.new_key()
    await(stream:write(request_text(url, key, options, lines), { signal = options.signal }))
    local headers = headers_in(read_head(stream, options.signal))
    ws = websocket.new(stream, stream:chunks(), {
      is_client = true,
      protocol = check_reply(headers, key, options),
      max_message = options.max_message or MAX_MESSAGE,
      timeout = options.close_timeout,
    })
    return ws
  end)
end

local begin = core.async(open)

local function check(problem, position)
  if problem then
    argument.fail(problem, position, NAME)
  end
end

function M.websocket(url, options)
  argument.check("string", url, 1, NAME)
  argument.check_options(options, FIELDS, 2, NAME)
  options = options or {}
  local parts, problem = parse_url(url)
  check(problem, 1)
  check(mistake(options, parts), 2)
  local lines
  lines, problem = lines_of(options.headers)
  check(problem, 2)
  local _, refused = line.heed(options, 2, NAME)
  if refused then
    return refused
  elseif options.timeout then
    return core.timeout(options.timeout, open, parts, options, lines)
  end
  return begin(parts, options, lines)
end

return M
