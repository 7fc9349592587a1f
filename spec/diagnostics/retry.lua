-- A retry loop catches the cancellation too, and goes on after the deadline.
-- Line 13, seen by `moontide --debug`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local query = async(function()
  await(tide.sleep(20))
  error("the server is busy", 0)
end)

local query_patiently = async(function()
  for _ = 1, 3 do
    local ok, result = pcall(await, query())
    if ok then return result end
  end
  return "no result"
end)

print(pcall(await, tide.timeout(10, query_patiently)))
