-- open_queue.lua without the mistake.
local tide = require "moontide"
local await = tide.await

package.preload["app.log"] = function()
  local lines = tide.queue()

  local function write_lines()
    for line in lines do
      await(tide.sleep(1))
      print("> " .. line)
    end
    print("all written")
  end

  tide.spawn(write_lines)
  return lines
end

local log = require "app.log"
log:push("ebb")
log:push("flow")
await(tide.sleep(10))
log:close()
