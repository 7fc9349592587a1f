-- second_loop.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local migrate = async(function(table_name)
  await(tide.sleep(1))
  print("migrated " .. table_name)
end)

local migrate_all = async(function(names)
  for _, name in ipairs(names) do
    await(migrate(name))
  end
end)

await(migrate_all { "users", "orders" })
