--- The server's side of WebSocket's handshake: RFC 6455, 4.2.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local reply = require "moontide.http.reply"
local traceback = require("moontide.async.traceback").traceback
local websocket = require "moontide.http.websocket"

local M = {}

local await = core.await

local MAX_MESSAGE = 1024 * 1024
local GOING_AWAY, FAILED = 1001, 1011

local NAME = "request:websocket"
local FIELDS = {
  { "protocols", "table" },
  { "max_message", "limit" },
  { "close_timeout", "ms" },
}

--- The names in a list that a header has.
local function names_in(value)
  local names = {}
  for name in (value or ""):gmatch("[^, \t]+") do
    names[#names + 1] = name
  end
  return names
end

--- Whether a list that a header has names it, in whatever case.
function M.has_name(value, wanted)
  for _, name in ipairs(names_in(value)) do
    if name:lower() == wanted then
      return true
    end
  end
  return false
end

--- What is wrong with names of protocols, or nil.
function M.mistake_in_protocols(list)
  for i = 1, #list do
    if type(list[i]) ~= "string" or not list[i]:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
      return "field 'protocols': list of names expected"
    end
  end
end

---- the handshake ----

local UPGRADE = "Upgrade: websocket\r\n"

--- The reply that is no handshake, as it is sent.
local function refuse(status, text)
  local lines = "Content-Type: text/plain\r\n"
  if status == 426 then
    lines = lines .. UPGRADE .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
  end
  return reply.ready({ status = status, lines = lines, body = text, length = #text })
end

--- The reply to what is no handshake; nil: it is one.
local function refusal(request)
  local headers = request.headers
  if request.method ~= "GET" or request.version ~= "1.1"
    or not M.has_name(headers:get("upgrade"), "websocket")
    or not M.has_name(headers:get("connection"), "upgrade") then
    return refuse(426, "a WebSocket is expected here\n")
  elseif headers:get("sec-websocket-version") ~= "13" then
    return refuse(426, "version 13 of WebSocket is expected\n")
  end
  local key = headers:get("sec-websocket-key") or ""
  if #key ~= 24 or not key:find("^[%w+/]+==$") or request._length ~= 0 then
    return refuse(400, "malformed handshake\n")
  end
end

--- The first of the server's protocols that the client speaks too.
local function choose_protocol(request, protocols)
  local offered = {}
  for _, name in ipairs(names_in(request.headers:get("sec-websocket-protocol"))) do
    offered[name] = true
  end
  for _, name in ipairs(protocols or {}) do
    if offered[name] then
      return name
    end
  end
end

local function lines_of(request, protocol)
  local key = core.websocket.accept_key(request.headers:get("sec-websocket-key"))
  return UPGRADE .. "Sec-WebSocket-Accept: " .. key .. "\r\n"
    .. (protocol and "Sec-WebSocket-Protocol: " .. protocol .. "\r\n" or "")
end

---- the connection ----

local function note_failure(reason)
  return { reason = reason, trace = traceback(reason, 2) }
end

--- Has the function use it; what that fails with, and where, unless it is that the peer has gone.
local function use(ws, f, signal)
  local ok, failure = xpcall(f, note_failure, ws)
  if ok then
    await(ws:close())
  elseif signal.aborted then
    websocket.abandon(ws, GOING_AWAY)
    return failure
  else
    await(ws:close(FAILED))
    return not websocket.is_end(ws, failure.reason) and failure or nil
  end
end

--- What serves the connection from here on.
local function server_of(f, options, protocol)
  return function(connection)
    local ws = websocket.new(connection.stream, connection:take_input(), {
      is_client = false,
      protocol = protocol,
      max_message = options.max_message or MAX_MESSAGE,
      timeout = options.close_timeout,
    })
    function connection.on_closing()
      ws:close(GOING_AWAY)
    end
    if connection.server.is_closing then
      connection.on_closing()
    end
    return use(ws, f, connection.group.signal)
  end
end

--- The reply to a request: that, or what refuses it.
function M.websocket(request, f, options)
  argument.check("callable", f, 1, NAME)
  argument.check_options(options, FIELDS, 2, NAME)
  options = options or {}
  local problem = options.protocols and M.mistake_in_protocols(options.protocols)
  if problem then
    argument.fail(problem, 2, NAME)
  end
  local refused = refusal(request)
  if refused then
    return refused
  end
  local protocol = choose_protocol(request, options.protocols)
  return reply.ready({
    status = 101,
    lines = lines_of(request, protocol),
    take_over = server_of(f, options, protocol),
  })
end

return M
