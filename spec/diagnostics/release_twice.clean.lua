-- release_twice.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local door = tide.semaphore(2)

local visit = async(function(guest)
  local permit <close> = await(door:acquire())
  await(tide.sleep(1))
  if guest.short then
    permit:release()
  end
  print(guest.name .. " leaves")
  return guest.name
end)

await(visit { name = "Ada" })
await(visit { name = "Bob", short = true })
