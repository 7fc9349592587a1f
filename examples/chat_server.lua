-- What one says, all the others hear. The first line of each client is its name.
--
--   moontide examples/chat_server.lua 7000        then, several times: nc 127.0.0.1 7000
--   moontide examples/chat_server.lua demo        talks to itself
local tide = require "moontide"
local net = require "moontide.net"
local await = tide.await

local HOST, PATIENCE = "127.0.0.1", 5000
local present = {} -- stream -> name

local function tell(stream, text)
  local in_time = await(tide.move_on_after(PATIENCE, function()
    await(stream:write(text, "\n"))
  end))
  if not in_time then stream:destroy() end -- it does not listen; its handler will notice
end

--- Waits for those who are slow, within bounds: so whoever talks is no faster than they are.
local function tell_others(speaker, text)
  local told = {}
  for stream in pairs(present) do
    if stream ~= speaker then told[#told + 1] = tide.spawn(tell, stream, text) end
  end
  await(tide.Promise.all_settled(told))
end

local function leave(stream)
  local name = present[stream]
  present[stream] = nil
  tell_others(stream, name .. " has left")
end

local function chat(stream)
  await(stream:write("your name?\n"))
  local name = await(stream:read_line { limit = 100 })
  if not name then return end
  present[stream] = name
  local _ <close> = setmetatable({}, { __close = function() leave(stream) end })
  tell_others(stream, name .. " is here")
  for line in stream:lines { limit = 1000 } do
    tell_others(stream, name .. ": " .. line)
  end
end

local function demo(port)
  local function enter(name)
    local stream = await(net.connect { host = HOST, port = port })
    await(stream:read_line())
    await(stream:write(name, "\n"))
    return stream
  end
  local ann <close> = enter "Ann"
  local ben = enter "Ben"
  print("Ann hears: " .. await(ann:read_line()))
  await(ben:write("hello, Ann\n"))
  print("Ann hears: " .. await(ann:read_line()))
  await(ann:write("hello, Ben\n"))
  print("Ben hears: " .. await(ben:read_line()))
  await(ben:close())
  print("Ann hears: " .. await(ann:read_line()))
end

local service = await(net.serve({ host = HOST, port = tonumber(arg[1]) }, chat))
local port = service:address().port

if arg[1] == "demo" then
  demo(port)
else
  print("listening on port " .. port)
  await(tide.signal("SIGINT"):next())
end
await(service:close { grace = 1000 })
