-- Three independent requests, one after the other and side by side.
local tide = require "moontide"
local await = tide.await

--- Stands for a request that takes so many milliseconds.
local function request(name, ms)
  return tide.sleep(ms):next(function() return name end)
end

local function timed(what, f)
  local start = tide.now()
  local names = table.concat({ f() }, ", ")
  print(("%s: %s, %.0f ms"):format(what, names, tide.now() - start))
  return tide.now() - start
end

-- Every await waits before the next request is even made: the sum of the three.
local sequential = timed("one after the other", function()
  local user = await(request("user", 60))
  local orders = await(request("orders", 40))
  local mail = await(request("mail", 20))
  return user, orders, mail
end)

-- All three are made, then waited for: the longest of them.
local parallel = timed("side by side", function()
  return tide.join(request("user", 60), request("orders", 40), request("mail", 20))
end)

print(("side by side takes about half the time: %s"):format(parallel < 0.75 * sequential))
