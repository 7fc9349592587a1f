--- A peer on plain LuaSocket, for a process of its own: prints its port, then serves one connection
--- after the other with the Lua code in its first line. Ends when nobody has come for a while.
local socket = require "socket"

local IDLE = 120

local server = assert(socket.bind("127.0.0.1", 0, 64))
print((select(2, server:getsockname())))
io.stdout:flush()
server:settimeout(IDLE)

while true do
  local c = server:accept()
  if not c then
    break
  end
  c:settimeout(IDLE / 2)
  local code = c:receive()
  local environment = setmetatable(
    { c = c, server = server, socket = socket, sleep = socket.sleep },
    { __index = _G }
  )
  local ok, err = pcall(assert(load(code or "", "=peer", "t", environment)))
  if not ok then
    io.stderr:write("peer: ", tostring(err), "\n")
  end
  c:close()
end
