-- A clock in the browser, whose time is the server's: it comes as server-sent events.
--
--   moontide examples/clock.lua 8080        then open http://127.0.0.1:8080/
local http = require "moontide.http"
local tide = require "moontide"
local await = tide.await

local folder = arg[0]:match("^(.*/)") or "./"

--- Ends when the client has left.
local function tell_time(events)
  while true do
    await(events:send { event = "time", data = os.date("%H:%M:%S") })
    await(tide.sleep(1000))
  end
end

local service = await(http.serve({ host = "127.0.0.1", port = tonumber(arg[1]) }, function(request)
  if request.path == "/" then return { file = folder .. "clock.html" } end
  if request.path == "/time" then return http.events(tell_time) end
  return { status = 404, body = "there is only the clock\n" }
end))

print("listening on port " .. service:address().port)
await(tide.signal("SIGINT", "SIGTERM"):next())
await(service:close { grace = 0 }) -- a clock never ends by itself
