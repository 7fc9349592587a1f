-- busy.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_limit = async(function()
  await(tide.sleep(1))
  return 25000
end)

local function is_prime(n)
  local divisor = 2
  while n % divisor ~= 0 do divisor = divisor + 1 end
  return divisor == n
end

local count_primes = async(function()
  local limit, count = await(load_limit()), 0
  for n = 2, limit do
    count = count + (is_prime(n) and 1 or 0)
    if n % 100 == 0 then await(tide.yield()) end
  end
  return count
end)

tide.set_timeout(print, 10, "a timer of 10 ms")
print(await(count_primes()))
