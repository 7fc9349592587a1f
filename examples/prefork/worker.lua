-- A server that shares its port with others: one of the processes of
-- examples/prefork/supervisor.lua.
--
-- Each has a socket of its own for the port, and the system spreads the connections. A socket is
-- closed when all who have connected to it are served. On Linux a client can still come between the
-- last look and the closing, some microseconds; it is passed on to another process where
-- `sysctl net.ipv4.tcp_migrate_req=1` is set, and else has its connection reset.
local http = require "moontide.http"
local stdio = require "moontide.stdio"
local system = require "moontide.os"
local tide = require "moontide"

local await = tide.await
local GRACE = 20000 -- ms for requests that are being answered

local service = await(http.serve({
  host = "127.0.0.1",
  port = tonumber(arg[1]),
  reuse_port = true,
}, function(request)
  if request.path == "/crash" then os.exit(3) end -- as a bug would
  return ("process %d\n"):format(system.pid())
end))

io.stdout:setvbuf "line"

await(tide.group(function(g)
  local signals <close> = tide.signal("SIGINT", "SIGTERM")
  print "ready" -- from now on it can be told to end
  local told = g:spawn(function() await(signals:next()) end)
  local left = g:spawn(function() await(stdio.stdin:read()) end)
  await(tide.Promise.race { told, left })
  await(service:close { grace = GRACE })
  g:stop()
end))
