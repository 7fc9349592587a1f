--- The other end of a WebSocket, made by hand: it sends what nobody should, and looks at all that
--- comes. The frames are written here, not by the codec that is tested.
local core = require "moontide.core"
local http = require "moontide.http"
local net = require "moontide.net"
local server = require "spec.support.server"
local tide = require "moontide"

local await = tide.await

local M = {}

local MASK = "\x37\xfa\x21\x3d"
local PATIENCE = 20000 -- ms

local function mask(data)
  local i = 0
  return (data:gsub(".", function(c)
    i = i % 4 + 1
    return string.char(c:byte() ~ MASK:byte(i))
  end))
end

--- The text of a frame.
---@param first integer its first byte: bits and opcode
---@param payload string
---@param is_masked? boolean as a client's are
---@return string
function M.frame(first, payload, is_masked)
  local bit = is_masked and 0x80 or 0
  local head = #payload < 126 and string.pack("BB", first, bit | #payload)
    or #payload < 65536 and string.pack(">BBI2", first, bit | 126, #payload)
    or string.pack(">BBI8", first, bit | 127, #payload)
  return head .. (is_masked and MASK .. mask(payload) or payload)
end

-- Fields: stream; is_client: what it plays.
local Peer = {}
Peer.__index = Peer

--- Sends frames, each {first byte, payload}, together, or byte by byte.
function Peer:send(frames, in_bytes)
  for _, frame in ipairs(frames) do
    local text = M.frame(frame[1], frame[2], self.is_client)
    if in_bytes then
      for c in text:gmatch(".") do
        self.stream:write(c):catch(function() end)
      end
    else
      self.stream:write(text):catch(function() end)
    end
  end
end

local NAMES =
  { [0x81] = "text", [0x82] = "binary", [0x88] = "close", [0x89] = "ping", [0x8a] = "pong" }

local IS_END = { IncompleteReadError = true, SystemError = true }

local function read_exactly(self, n)
  return await(self.stream:read_exactly(n))
end

--- The next frame: "text Hello", "close 1002 why"; nil at the end.
function Peer:receive()
  local ok, head = pcall(read_exactly, self, 2)
  if not ok and IS_END[head.name] then
    return nil
  end
  assert(ok, head)
  local first, length = head:byte(1, 2)
  assert(length & 0x80 == (self.is_client and 0 or 0x80), "the mask")
  length = length & 0x7f
  if length == 126 then
    length = string.unpack(">I2", read_exactly(self, 2))
  elseif length == 127 then
    length = string.unpack(">I8", read_exactly(self, 8))
  end
  local key = not self.is_client and read_exactly(self, 4)
  local payload = read_exactly(self, length)
  if key then
    local i = 0
    payload = payload:gsub(".", function(c)
      i = i % 4 + 1
      return string.char(c:byte() ~ key:byte(i))
    end)
  end
  local name = assert(NAMES[first], "the first byte of a frame")
  if name == "close" and payload ~= "" then
    payload = ("%d %s"):format(string.unpack(">I2", payload), payload:sub(3))
  end
  return name .. " " .. payload
end

--- All frames up to the end of the connection.
function Peer:receive_all()
  return await(tide.timeout(PATIENCE, function()
    local list = {}
    for frame in function() return self:receive() end do
      list[#list + 1] = frame
      if frame:find("^close") then
        self.stream:shutdown():catch(function() end)
      end
    end
    return list
  end))
end

--- The lines of a handshake that is accepted.
---@param ... string further lines
---@return string
function M.request(...)
  local lines = { "GET /chat HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", ... }
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

--- Connects a peer that is a client to a port.
function M.connect(port, ...)
  local stream = await(net.connect({ host = "127.0.0.1", port = port }))
  await(stream:write(M.request(...)))
  local head = await(stream:read_until("\r\n\r\n"))
  assert(head:find("^HTTP/1.1 101 "), head)
  return setmetatable({ stream = stream, is_client = true, head = head }, Peer)
end

--- The answer to a client's handshake.
function M.answer(head, ...)
  local key = core.websocket.accept_key(head:match("Sec%-WebSocket%-Key: ([^\r]+)"))
  local lines = { "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
    "Sec-WebSocket-Accept: " .. key, ... }
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

--- Calls f(peer) with a peer of our server's, where `use(ws)` runs.
function M.as_client(use, f, options)
  server.run(options and options.serve or {}, function(request)
    return request:websocket(use, options)
  end, function(port)
    local peer = M.connect(port)
    local ok, err = pcall(f, peer)
    peer.stream:destroy()
    assert(ok, err)
  end)
end

--- Calls f(peer) with a peer of our client's, where `use(ws)` runs.
function M.as_server(use, f, options)
  local listening = await(net.listen({ host = "127.0.0.1", port = 0 }))
  local url = ("ws://127.0.0.1:%d/chat"):format(listening:address().port)
  local open = tide.event()
  local done = tide.spawn(function()
    local ws = await(http.websocket(url, options))
    open:set()
    use(ws)
    ws:close()
  end)
  local stream = await(listening:accept())
  await(stream:write(M.answer(await(stream:read_until("\r\n\r\n")))))
  await(open:wait())
  local ok, err = pcall(f, setmetatable({ stream = stream, is_client = false }, Peer))
  stream:destroy()
  await(listening:close())
  pcall(await, done)
  assert(ok, err)
end

return M
