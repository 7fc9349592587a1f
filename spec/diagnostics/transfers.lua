-- Two functions take two mutexes, each in another order.
-- Line 12, seen by `moontide`.
local tide = require "moontide"
local async, await, Promise = tide.async, tide.await, tide.Promise

local accounts = { ada = tide.mutex(), bob = tide.mutex() }

local transfer = async(function(from, to, amount)
  local first, second = from, to
  local _ <close> = await(accounts[first]:acquire())
  await(tide.sleep(1))
  local _ <close> = await(accounts[second]:acquire())
  print(from, to, amount)
end)

await(Promise.all { transfer("ada", "bob", 5), transfer("bob", "ada", 7) })
