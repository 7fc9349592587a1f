-- A permit is released that has been given back already.
-- Line 15, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local door = tide.semaphore(2)

local visit = async(function(guest)
  local permit = await(door:acquire())
  await(tide.sleep(1))
  if guest.short then
    permit:release()
  end
  print(guest.name .. " leaves")
  permit:release()
end)

await(visit { name = "Ada" })
await(visit { name = "Bob", short = true })
