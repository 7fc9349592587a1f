-- An early return leaves the permit to the collector.
-- Line 9, seen by `moontide --debug`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local printers = tide.semaphore(2)

local print_page = async(function(text)
  local permit = await(printers:acquire())
  if text == "" then return false end
  await(tide.sleep(1))
  print(text)
  permit:release()
  return true
end)

for _, page in ipairs { "high tide", "", "low tide" } do
  await(print_page(page))
end
