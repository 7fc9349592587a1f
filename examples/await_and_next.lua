-- One function, written with await and written with `next`: the same result, the same log.
local tide = require "moontide"
local async, await = tide.async, tide.await

local prices = { apple = 3, pear = 4 }

--- Stands for a request: the price of a fruit, a little later.
local function fetch_price(fruit)
  return tide.sleep(1):next(function()
    if not prices[fruit] then error("no " .. fruit .. " today", 0) end
    return prices[fruit]
  end)
end

local with_await = async(function(log, first, second)
  log("asks for " .. first)
  local ok, sum = pcall(function()
    local a = await(fetch_price(first))
    log("asks for " .. second)
    local b = await(fetch_price(second))
    return a + b
  end)
  log("done")
  if not ok then
    log("failed: " .. sum)
    return 0
  end
  return sum
end)

local function with_next(log, first, second)
  log("asks for " .. first)
  return fetch_price(first)
    :next(function(a)
      log("asks for " .. second)
      return fetch_price(second):next(function(b) return a + b end)
    end)
    :finally(function() log("done") end)
    :catch(function(reason)
      log("failed: " .. reason)
      return 0
    end)
end

--- Runs it twice, well and badly, and returns what it logged and gave.
local function observe(f)
  local lines = {}
  local function log(line) lines[#lines + 1] = line end
  log("gives " .. await(f(log, "apple", "pear")))
  log("gives " .. await(f(log, "apple", "plum")))
  return table.concat(lines, "\n")
end

local one, other = observe(with_await), observe(with_next)
print(one)
print("the same with next: " .. tostring(one == other))
