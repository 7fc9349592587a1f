--- For a walk over all public functions: objects that have the methods, and values of the types
--- that annotations name.
local core = require "moontide.core"
local files = require "spec.support.files"
local form = require "moontide.http.form"
local fs = require "moontide.fs"
local http = require "moontide.http"
local net = require "moontide.net"
local process = require "moontide.process"
local sockets = require "spec.support.sockets"
local testing = require "moontide.testing"
local tide = require "moontide"

local await = tide.await

local M = {}

local has_client = pcall(require, "moontide.http_core")

function M.nothing() end

--- How each table or class of the annotations is called in messages.
M.PREFIXES = {
  AbortController = "controller:",
  AbortSignal = "signal:",
  AbortSignalClass = "AbortSignal.",
  Child = "child:",
  Client = has_client and "client:" or nil,
  Clock = "clock:",
  ContextVar = "context_var:",
  Directory = "directory:",
  Event = "event:",
  File = "file:",
  Form = "form:",
  Generator = "generator:",
  Group = "group:",
  Handle = "handle:",
  Headers = "headers:",
  Permit = "permit:",
  Promise = "promise:",
  PromiseClass = "Promise.",
  Queue = "queue:",
  Response = has_client and "response:" or nil,
  Semaphore = "semaphore:",
  Server = "server:",
  Service = "service:",
  Signals = "signals:",
  Stream = "stream:",
  TLSStream = "stream:",
  UDP = "udp:",
  Watch = "watch:",
  dns = "dns.",
  fs = "fs.",
  http = "http.",
  net = "net.",
  os = "os.",
  process = "process.",
  testing = "testing.",
  tide = "",
  tls = "tls.",
}

local function file()
  local path = files.directory() .. "/file"
  files.write(path, "text\n")
  return await(fs.open(path, "r+"))
end

local function group()
  local event, result = tide.event(), nil
  tide.group(function(g)
    result = g
    await(event:wait())
  end):catch(M.nothing)
  return result, function()
    event:set()
  end
end

local function stream(kind)
  return function()
    local one, other = sockets.pair(kind)
    return one, function()
      one:destroy()
      other:destroy()
    end
  end
end

--- A response whose body does not come.
local function response()
  local service = await(net.serve({ host = "127.0.0.1" }, function(peer)
    await(peer:read_until("\r\n\r\n"))
    await(peer:write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"))
    await(peer:read())
  end))
  local result = await(http.fetch("http://127.0.0.1:" .. service:address().port))
  return result, function()
    result:close()
    await(service:close({ grace = 0 }))
  end
end

--- A new one of each class; and what to call when it is done with, where it has no method close.
M.OBJECTS = {
  AbortController = tide.AbortController,
  AbortSignal = function() return tide.AbortController().signal end,
  Child = function() return await(process.spawn("true")) end,
  Clock = testing.clock,
  Client = http.client,
  ContextVar = function() return tide.ContextVar("var") end,
  Directory = function() return await(fs.opendir("spec")) end,
  Event = tide.event,
  File = file,
  Generator = function() return (tide.generator(function(yield) yield(1) end)()) end,
  Form = function() return form.parse("a=b") end,
  Group = group,
  Handle = function() return tide.set_timeout(M.nothing, 1) end,
  Headers = http.headers,
  Permit = function() return await(tide.mutex():acquire()) end,
  Promise = function() return tide.Promise.resolve(1) end,
  Queue = tide.queue,
  Response = response,
  Semaphore = function() return tide.semaphore(2) end,
  Server = function() return core.net.tcp_listen("127.0.0.1", 0) end,
  Service = function() return await(net.serve({ host = "127.0.0.1" }, M.nothing)) end,
  Signals = function() return (tide.signal("SIGUSR2")) end,
  Stream = stream("tcp"),
  TLSStream = stream("tls"),
  UDP = function() return net.udp({ host = "127.0.0.1" }) end,
  Watch = function() return (fs.watch("spec")) end,
}

--- The tables of functions.
M.TABLES = {
  AbortSignalClass = tide.AbortSignal,
  PromiseClass = tide.Promise,
  dns = require "moontide.dns",
  fs = fs,
  http = http,
  net = net,
  os = require "moontide.os",
  process = process,
  testing = testing,
  tide = tide,
  tls = require "moontide.tls",
}

--- What the options of a function have to have besides the one that is tried.
M.FIELDS = {
  ["net.connect"] = { host = "127.0.0.1", port = 1 },
  ["client:fetch"] = { method = "POST" },
  ["http.fetch"] = { method = "POST" },
  ["http.serve"] = { host = "127.0.0.1" },
  ["net.listen"] = { host = "127.0.0.1" },
  ["net.serve"] = { host = "127.0.0.1" },
  ["tls.client"] = { server_name = "localhost" },
}

--- Values of which most are wrong in most places: {what it is, the value}.
M.VALUES = {
  { "nil", nil },
  { "a boolean", true },
  { "one", 1 },
  { "a fraction", 1.5 },
  { "a negative number", -1 },
  { "NaN", 0 / 0 },
  { "text", "1" },
  { "a string with a NUL", "a\0b" },
  { "a table", {} },
  { "a function", M.nothing },
  { "a userdata", io.stdout },
}

--- What is right, by the name of the parameter or by its type.
local RIGHT = {
  address = function() return "127.0.0.1" end,
  any = function() return 1 end,
  events = function() return "r" end,
  group = function() return "239.1.2.3" end,
  host = function() return "127.0.0.1" end,
  name = function() return "name" end,
  options = function() return {} end,
  server = M.OBJECTS.Server,
  stream = M.OBJECTS.Stream,
  url = function() return "https://127.0.0.1:1/" end,
  string = function() return "/proc/absent/value" end,
  integer = function() return 1 end,
  number = function() return 1 end,
  boolean = function() return true end,
  ["any[]|moontide.List"] = function() return {} end,
}

-- What the annotations call a function; of `async fun(...)` the first word.
local FUNCTIONS = { ["moontide.Callable"] = true, ["moontide.AsyncCallable"] = true, async = true }

local function is_function(kind)
  return FUNCTIONS[kind] or kind:find("^fun%(") ~= nil
end

--- A right value for the parameter, or nil; and what closes it.
function M.right(parameter)
  if parameter.optional then
    return nil
  end
  local make = RIGHT[parameter.name] or RIGHT[parameter.type]
    or parameter.type == "string|number" and RIGHT.string
    or is_function(parameter.type) and function() return M.nothing end
    or parameter.type:match("%[%]$") and RIGHT["any[]|moontide.List"]
  if make then
    return make()
  end
end

local function is_literal(kind, value)
  return type(value) == "string" and kind == '"' .. value .. '"' or kind == tostring(value)
end

--- By type: whether a value is of it. Of others nothing is known.
local IS = {
  any = function() return true end,
  boolean = function(value) return type(value) == "boolean" end,
  integer = function(value) return math.tointeger(type(value) == "number" and value) ~= nil end,
  number = function(value) return type(value) == "number" end,
  string = function(value) return type(value) == "string" end,
  table = function(value) return type(value) == "table" end,
  ["moontide.AbortSignal"] = function() return false end,
  ["moontide.PollEvents"] = function() return false end,
  ["moontide.Promise"] = function() return false end,
  ["moontide.Server"] = function() return false end,
  ["moontide.Stream"] = function() return false end,
  ["moontide.tls.Context"] = function() return false end,
}

--- Whether a value that is not nil may be of one of the types.
function M.may_be(types, value)
  if is_function(types) then
    return core.callable(value)
  end
  for kind in types:gmatch("[^|]+") do
    local is = IS[kind] or kind:match("Options$") and IS.table or kind:match("%[%]$") and IS.table
    if is and is(value) or not is and not kind:match('^["%d]') or is_literal(kind, value) then
      return true
    end
  end
  return false
end

return M
