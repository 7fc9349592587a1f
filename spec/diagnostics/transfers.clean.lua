-- transfers.lua without the mistake.
local tide = require "moontide"
local async, await, Promise = tide.async, tide.await, tide.Promise

local accounts = { ada = tide.mutex(), bob = tide.mutex() }

local transfer = async(function(from, to, amount)
  local first, second = from, to
  if second < first then
    first, second = second, first
  end
  local _ <close> = await(accounts[first]:acquire())
  await(tide.sleep(1))
  local _ <close> = await(accounts[second]:acquire())
  print(from, to, amount)
end)

await(Promise.all { transfer("ada", "bob", 5), transfer("bob", "ada", 7) })
