-- lost_permit.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local printers = tide.semaphore(2)

local print_page = async(function(text)
  local _ <close> = await(printers:acquire())
  if text == "" then return false end
  await(tide.sleep(1))
  print(text)
  return true
end)

for _, page in ipairs { "high tide", "", "low tide" } do
  await(print_page(page))
end
