-- A client of Redis: its protocol, RESP2, over one connection. Commands may come from many
-- functions at once: they are sent as they come, and answered in that order. When the connection is
-- lost, what waits for answers fails, and the next command connects anew.
local net = require "moontide.net"
local tide = require "moontide"

local await = tide.await

local M = {}

local Error = { __tostring = function(self) return self.name .. ": " .. self.message end }

--- What Redis itself refuses has its first word as `code`: "WRONGTYPE", "NOGROUP", ...
local function refusal(text)
  return setmetatable({ name = "RedisError", message = text, code = text:match("^%u+") }, Error)
end

local function loss(cause)
  local message = cause and cause.message or "the connection has ended"
  return setmetatable({ name = "ConnectionError", message = message, cause = cause }, Error)
end

---- the protocol ----

local function encode(...)
  local parts = { ("*%d\r\n"):format(select("#", ...)) }
  for i, value in ipairs({ ... }) do
    local text = tostring(value)
    parts[i + 1] = ("$%d\r\n%s\r\n"):format(#text, text)
  end
  return table.concat(parts)
end

local read_reply

local function read_list(stream, count)
  local list = { n = count }
  for i = 1, count do list[i] = read_reply(stream) end
  return list
end

--- A string, an integer, a list, an error, or nil.
function read_reply(stream)
  local line = await(stream:read_line { crlf = true })
  if not line then error(loss(), 0) end
  local kind, rest = line:sub(1, 1), line:sub(2)
  if kind == "+" then return rest end
  if kind == "-" then return refusal(rest) end
  local number = math.tointeger(tonumber(rest)) or error(loss { message = "this is not RESP" }, 0)
  if kind == ":" then return number end
  if number < 0 then return nil end
  if kind == "*" then return read_list(stream, number) end
  return (await(stream:read_exactly(number + 2)):sub(1, number))
end

---- connections ----

local Client = {}
Client.__index = Client

local function ignore() end

local function give_replies(stream, waiting)
  while true do
    local reply = read_reply(stream)
    local call = table.remove(waiting, 1)
    if getmetatable(reply) == Error then call.reject(reply) else call.resolve(reply) end
  end
end

--- Gives the answers to those who wait for them, until the connection is lost.
local function serve_calls(self, stream, waiting)
  local _, err = pcall(give_replies, stream, waiting)
  stream:destroy()
  self._stream, self.id = nil, nil
  if getmetatable(err) ~= Error then err = loss(err) end
  for _, call in ipairs(waiting) do call.reject(err) end
end

--- Sends a command; the promise of its answer.
local function send(self, ...)
  local promise, resolve, reject = tide.Promise.with_resolvers()
  table.insert(self._waiting, { resolve = resolve, reject = reject })
  self._stream:write(encode(...)):catch(ignore) -- reading fails then, too
  return promise
end

local function open_stream(options)
  local ok, stream = pcall(await, net.connect(options))
  if ok then return stream end
  local name = type(stream) == "table" and stream.name
  error((name == "SystemError" or name == "AggregateError") and loss(stream) or stream, 0)
end

--- Connects, unless another one has done so meanwhile.
local function connect(self)
  local _ <close> = await(self._connecting:acquire())
  if self._stream then return end
  if self._closed then error(loss { message = "the client is closed" }, 0) end
  local stream = open_stream(self._options)
  self._stream, self._waiting = stream, {}
  tide.detach(serve_calls, self, stream, self._waiting) -- for all callers, not for this one
  send(self, "CLIENT", "ID"):next(function(id) self.id = id end, ignore)
end

--- The promise of a command's answer: `client:call("SET", "key", 1)`. Rejects with a RedisError, or
--- a ConnectionError, after which nobody knows whether the command was carried out.
Client.call = tide.async(function(self, ...)
  if not self._stream then connect(self) end
  return await(send(self, ...))
end)

--- Whether trying again may help.
local function is_temporary(err)
  return type(err) == "table" and (err.name == "ConnectionError" or err.code == "LOADING")
end

--- The same, but sends the command again, as often and as late as it takes, when the connection is
--- lost, or while Redis starts: for what may be carried out twice.
Client.insist = tide.async(function(self, ...)
  local delay = 50
  while true do
    local ok, reply = pcall(await, self:call(...))
    if ok then return reply end
    if self._closed or not is_temporary(reply) then error(reply, 0) end
    await(tide.sleep(delay))
    delay = math.min(2 * delay, 5000)
  end
end)

--- What waits for answers fails.
function Client:close()
  self._closed = true
  if self._stream then self._stream:destroy() end
end

Client.__close = Client.close

--- A client that connects with its first command. The address is `HOST:PORT`, or the path of a
--- socket.
function M.client(address)
  local host, port = address:match("^([^/]*):(%d+)$")
  local options = host and { host = host, port = tonumber(port), keepalive = 30, timeout = 10000 }
    or { path = address }
  return setmetatable({ _options = options, _connecting = tide.mutex() }, Client)
end

return M
