-- S63: for_each with an async function does not wait.
local tide = require "moontide"
local async, await, Promise = tide.async, tide.await, tide.Promise

local lengths = { 3, 1, 2 }

--- The loop that every library has, in one way or another.
local function for_each(list, f)
  for i = 1, #list do f(list[i]) end
end

local function logger()
  local lines = {}
  return function(line) lines[#lines + 1] = line end, function()
    return table.concat(lines, ", ")
  end
end

local function work(log)
  return async(function(n)
    await(tide.sleep(10 * n))
    log(tostring(n))
    return n * n
  end)
end

-- wrong: for_each drops the promises, so that "all done" comes first
local log, text = logger()
for_each(lengths, work(log)) -- moontide: ignore T109
log("all done")
await(tide.sleep(60))
print("wrong:      " .. text())

-- right, one after the other: a for loop in an async function may await
log, text = logger()
local f = work(log)
for _, n in ipairs(lengths) do await(f(n)) end
log("all done")
print("sequential: " .. text())

-- right, side by side: keep the promises, await them all
log, text = logger()
f = work(log)
local calls = {}
for i, n in ipairs(lengths) do calls[i] = f(n) end
local squares = await(Promise.all(calls))
log("all done")
print("parallel:   " .. text())
print("results, in the order of the calls: " .. table.concat(squares, ", "))
