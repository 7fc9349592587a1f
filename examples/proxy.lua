-- Passes connections on to another server, each direction for itself: when one side has no more to
-- send, the other side learns that, and may go on sending.
--
--   moontide examples/proxy.lua 7000 localhost 7001
--   moontide examples/proxy.lua demo              has a client and a server of its own
local tide = require "moontide"
local net = require "moontide.net"
local await = tide.await

local HOST = "127.0.0.1"

local function copy(from, to)
  for chunk in from:chunks() do
    await(to:write(chunk))
  end
  await(to:shutdown())
end

local function pass_on(host, port)
  return function(stream)
    local server <close> = await(net.connect { host = host, port = port })
    await(tide.group(function(g)
      g:spawn(copy, stream, server)
      g:spawn(copy, server, stream)
    end))
  end
end

if arg[1] == "demo" then
  -- Answers only when the client has sent everything.
  local server <close> = await(net.serve({ host = HOST }, function(stream)
    local text = await(stream:read_all())
    await(stream:write(("%d bytes have come through"):format(#text)))
  end))
  local proxy <close> = await(net.serve({ host = HOST }, pass_on(HOST, server:address().port)))
  local client <close> = await(net.connect { host = HOST, port = proxy:address().port })
  await(client:write(("x"):rep(1000000)))
  await(client:shutdown())
  print(await(client:read_all()))
else
  local from, host, to = tonumber(arg[1]), arg[2], tonumber(arg[3])
  local service = await(net.serve({ host = HOST, port = from }, pass_on(host, to)))
  print("listening on port " .. service:address().port)
  await(tide.signal("SIGINT"):next())
  await(service:close { grace = 1000 })
end
