-- Peer: cqueues. `lua5.4 bench/io/cqueues.lua echo`.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local programs = {}

local function echo(connection)
  connection:setmode("bn", "bn") -- as it comes, and at once
  for chunk in connection:lines(-65536) do connection:write(chunk) end
  connection:close()
end

function programs.echo()
  local loop = cqueues.new()
  local server = assert(socket.listen { host = "127.0.0.1", port = 0 })
  loop:wrap(function()
    for connection in server:clients() do loop:wrap(echo, connection) end
  end)
  assert(server:listen())
  print((select(3, server:localname())))
  io.stdout:flush()
  assert(loop:loop())
end

programs[arg[1]]()
