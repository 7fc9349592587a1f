-- A forgotten await: what pop returns is taken for the item.
-- Line 11, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local jobs = tide.queue()

local work = async(function()
  while #jobs > 0 do
    local job = jobs:pop()
    print(job.kind .. " for " .. job.customer)
    await(tide.sleep(1))
  end
end)

jobs:push { kind = "invoice", customer = "Ada" }
jobs:push { kind = "reminder", customer = "Bob" }
await(work())
