-- Code that was written for LuaSocket, and waits where LuaSocket would block: a server, and three
-- clients that ask it at the same time.
--
--   moontide examples/luasocket.lua

local tide = require "moontide"
require("moontide.luasocket").install()

---- from here on, a client that knows nothing of moontide ----

local socket = require "socket"

local function ask(port, question)
  local client = assert(socket.connect("127.0.0.1", port))
  client:settimeout(10)
  assert(client:send(question .. "\n"))
  local answer = assert(client:receive("*l"))
  client:close()
  return answer
end

---- the server: "NUMBER WORD" is answered after so many ms ----

local function serve(client)
  local ms, word = client:receive():match("(%d+) (%a+)")
  print(word .. " is asked")
  socket.sleep(ms / 1000)
  client:send("answer to " .. word .. "\n")
  client:close()
end

local server = assert(socket.bind("127.0.0.1", 0))
local _, port = server:getsockname()

tide.await(tide.group(function(g)
  for _, question in ipairs({ "60 one", "30 two", "0 three" }) do
    g:spawn(function() print(ask(port, question)) end)
    g:spawn(serve, server:accept())
  end
end))
server:close()
