-- S61: awaiting calls one by one that do not need one another.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_part = async(function(name, ms)
  await(tide.sleep(ms))
  return name
end)

-- wrong: the second call is made when the first has ended
local page_wrong = async(function()
  local head = await(load_part("head", 40))
  local body = await(load_part("body", 40)) -- moontide: ignore T201
  return head .. " and " .. body
end)

-- right: both calls are made, then both are awaited
local page = async(function()
  local head, body = tide.join(load_part("head", 40), load_part("body", 40))
  return head .. " and " .. body
end)

local function timed(f)
  local start = tide.now()
  local result = await(f())
  return tide.now() - start, result
end

local wrong, wrong_result = timed(page_wrong)
local right, right_result = timed(page)
print(("wrong: %s, %.0f ms"):format(wrong_result, wrong))
print(("right: %s, %.0f ms"):format(right_result, right))
print("right is faster: " .. tostring(right < wrong))
