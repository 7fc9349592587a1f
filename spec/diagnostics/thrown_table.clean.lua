-- thrown_table.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local ACCOUNTS = { ada = 500 }

local withdraw = async(function(account, amount)
  await(tide.sleep(1))
  if ACCOUNTS[account] < amount then
    error({ code = "INSUFFICIENT", account = account, missing = amount - ACCOUNTS[account] })
  end
  ACCOUNTS[account] = ACCOUNTS[account] - amount
end)

local pay = async(function(account, amount)
  await(withdraw(account, amount))
  print("paid " .. amount)
end)

await(pay("ada", 100))
