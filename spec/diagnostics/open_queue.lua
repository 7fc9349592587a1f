-- A background function waits at the end: nobody has closed its queue.
-- Line 10, seen by `moontide --debug`.
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
