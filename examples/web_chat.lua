-- A chat in the browser, over WebSocket: what one says, all hear. The first message of each is its
-- name.
--
--   moontide examples/web_chat.lua 8080        then open http://127.0.0.1:8080/, several times
local http = require "moontide.http"
local tide = require "moontide"
local await = tide.await

local PATIENCE, SILENCE, LONGEST = 5000, 30000, 1000 -- ms, ms, bytes
local folder = arg[0]:match("^(.*/)") or "./"
local present = {} -- WebSocket -> name

local function tell(socket, text)
  local in_time = await(tide.move_on_after(PATIENCE, function()
    await(socket:send(text))
  end))
  if not in_time then socket:close(1008, "too slow") end
end

--- Waits for those who are slow, within bounds; who has gone meanwhile is no failure.
local function tell_all(text)
  local told = {}
  for socket in pairs(present) do told[#told + 1] = tide.spawn(tell, socket, text) end
  await(tide.Promise.all_settled(told))
end

local function leave(socket)
  local name = present[socket]
  present[socket] = nil
  tell_all(name .. " has left")
end

--- Finds out who has gone without a word: a ping that is not answered fails.
local function ping(socket)
  while true do
    await(tide.sleep(SILENCE))
    await(tide.timeout(PATIENCE, function() await(socket:ping()) end))
  end
end

local function chat(socket)
  local name = await(socket:receive())
  if not name then return end
  present[socket] = name
  local _ <close> = setmetatable({}, { __close = function() leave(socket) end })
  tell_all(name .. " is here")
  await(tide.group(function(g)
    local pinging = g:spawn(ping, socket)
    for text in socket do tell_all(name .. ": " .. text) end
    g:stop(pinging)
  end))
end

--- Browsers let any page connect, and say which one it is.
local function is_own_page(request)
  local origin = request.headers:get "origin"
  return not origin or origin:match("^%a+://(.*)$") == request.headers:get "host"
end

local service = await(http.serve({ host = "127.0.0.1", port = tonumber(arg[1]) }, function(request)
  if request.path == "/" then return { file = folder .. "web_chat.html" } end
  if request.path ~= "/chat" then return { status = 404, body = "there is only the chat\n" } end
  if not is_own_page(request) then return { status = 403, body = "not from there\n" } end
  return request:websocket(chat, { max_message = LONGEST })
end))

print("listening on port " .. service:address().port)
await(tide.signal("SIGINT", "SIGTERM"):next())
await(service:close { grace = 1000 })
