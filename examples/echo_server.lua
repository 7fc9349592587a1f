-- Sends back what it gets, until SIGINT; then gives its clients a second to end.
--
--   moontide examples/echo_server.lua 7000        then, elsewhere: nc 127.0.0.1 7000
--   moontide examples/echo_server.lua demo        is its own client
local tide = require "moontide"
local net = require "moontide.net"
local await = tide.await

local HOST = "127.0.0.1"

local function echo(stream)
  for chunk in stream:chunks() do
    await(stream:write(chunk)) -- reads no faster than the client does
  end
end

local service = await(net.serve({ host = HOST, port = tonumber(arg[1]) }, echo))
local port = service:address().port

if arg[1] == "demo" then
  local stream <close> = await(net.connect { host = HOST, port = port })
  for _, line in ipairs { "to and fro", "and back again" } do
    await(stream:write(line, "\n"))
    print(await(stream:read_line()))
  end
else
  print("listening on port " .. port)
  await(tide.signal("SIGINT"):next())
end
await(service:close { grace = 1000 })
