--- What the specs of moontide.luasocket have their sockets talk to.
local background = require "spec.support.background"
local child = require "spec.support.child"
local plain = require "socket"

local M = {}

--- Starts the peer (plain_peer.lua), which is stopped by background.stop, and sets M.port.
function M.start()
  local process = background.start("env " .. child.command("spec/support/plain_peer.lua"))
  M.port = assert(process.output:read("n"))
end

--- A connection with the peer, which runs the code with it as `c`, and then closes it.
---@param socket table LuaSocket's module, or ours
---@param code string
function M.open(socket, code)
  local c = assert(socket.connect("127.0.0.1", M.port))
  assert(c:send((code:gsub("%s+", " ")) .. "\n"))
  return c
end

-- What the peer runs to wait for M.release.
M.HOLD = "server:accept():close() "

function M.release()
  plain.connect("127.0.0.1", M.port):close()
end

--- A server of that module whose queue is full: on Linux, whoever connects has to wait.
---@return table server
---@return integer port
---@return fun() stop closes it
function M.full_server(socket)
  local server = assert(socket.tcp())
  assert(server:bind("127.0.0.1", 0))
  assert(server:listen(0))
  local _, port = server:getsockname()
  local clients = {}
  for i = 1, 4 do
    clients[i] = plain.tcp()
    clients[i]:settimeout(0)
    clients[i]:connect("127.0.0.1", port)
  end
  return server, port, function()
    for _, client in ipairs(clients) do
      client:close()
    end
    server:close()
  end
end

return M
