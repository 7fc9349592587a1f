--- Processes that run beside a spec, until it stops them.
local socket = require "socket"

local M = {}

local started = {}

---@class spec.Background
---@field pid integer
---@field output file* what it prints

--- Starts a shell command; `M.stop` ends it.
---@param command string
---@return spec.Background
function M.start(command)
  local output = assert(io.popen("echo $$; exec " .. command))
  local process = { pid = assert(output:read("n", "l")), output = output }
  started[#started + 1] = process
  return process
end

--- Ends all that have been started, the last first, and waits until they are gone.
function M.stop()
  for i = #started, 1, -1 do
    os.execute("kill " .. started[i].pid .. " 2>/dev/null")
    started[i].output:close()
    started[i] = nil
  end
end

--- A TCP port of 127.0.0.1 that nothing uses at the moment.
---@return integer
function M.free_port()
  local server = assert(socket.bind("127.0.0.1", 0))
  local _, port = server:getsockname()
  server:close()
  return math.tointeger(tonumber(port))
end

local function accepts(port)
  local client = socket.connect("127.0.0.1", port)
  return client and client:close()
end

--- Starts a server that has to be told its port; another one, should the first be taken meanwhile.
---@param command_for fun(port: integer): string
---@return integer port
function M.serve(command_for)
  for _ = 1, 5 do
    local port = M.free_port()
    local process = M.start(command_for(port))
    local alive = "kill -0 " .. process.pid .. " 2>/dev/null"
    for _ = 1, 500 do
      if accepts(port) then
        return port
      elseif not os.execute(alive) then
        break
      end
      socket.sleep(0.02)
    end
  end
  error("the server does not start")
end

return M
