--- Connected streams for specs: two ends of one connection, by tcp or by a unix domain socket.
local core = require "moontide.core"
local tide = require "moontide"

local await = tide.await
local net = core.net

local M = {}

local makers = {
  tcp = function()
    local server = net.tcp_listen("127.0.0.1", 0)
    return server, net.tcp_connect("127.0.0.1", server:address().port)
  end,
  pipe = function()
    local path = os.tmpname()
    os.remove(path)
    local server = net.pipe_listen(path)
    return server, net.pipe_connect(path)
  end,
}

--- The client's and the server's end of a new connection.
---@param kind? "tcp"|"pipe"
local function raw_pair(kind)
  local server, client, connected = makers[kind or "tcp"]()
  local accepted = server:accept()
  await(connected)
  local stream = await(accepted)
  await(server:close())
  return client, stream
end

local host

--- The client's and the server's end of a new connection; with "tls", by tcp and encrypted.
---@param kind? "tcp"|"pipe"|"tls"
function M.pair(kind)
  if kind ~= "tls" then
    return raw_pair(kind)
  end
  local tls = require "moontide.tls"
  host = host or require("spec.support.certificates").self_signed("localhost", "DNS:localhost")
  local client, server = raw_pair()
  return tide.join(
    tls.client(client, { ca = host.cert, server_name = "localhost" }),
    tls.server(server, { cert = host.cert, key = host.key })
  )
end

--- Closes streams, and waits for that.
function M.close(...)
  for _, stream in ipairs({ ... }) do
    await(stream:destroy())
  end
end

return M
