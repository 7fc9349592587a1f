-- A server is never closed, so that the program does not end.
-- Line 11, seen by `kill -USR1`.
local tide = require "moontide"
local net = require "moontide.net"
local async, await = tide.async, tide.await

io.stdout:setvbuf("line")

local server = await(net.listen { host = "127.0.0.1" })
local answer = async(function()
  for client in server do
    await(client:write("high tide\n"))
    client:close()
  end
end)

local ask = async(function()
  local client <close> = await(net.connect { host = "127.0.0.1", port = server:address().port })
  return await(client:read_line())
end)

local answering = answer()
print(await(ask()))
await(answering)
