-- not_called.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local connect = async(function()
  await(tide.sleep(1))
  return { query = function(_, sql) return "result of " .. sql end }
end)

local report = async(function()
  local database = await(connect())
  return database:query("select 1")
end)

print(await(report()))
