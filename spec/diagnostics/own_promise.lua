-- One branch of the executor never resolves the promise.
-- Line 18, seen by `moontide`.
local tide = require "moontide"
local async, await, Promise = tide.async, tide.await, tide.Promise

local function ask(question)
  return Promise(function(resolve)
    tide.set_timeout(function()
      if question == "tea?" then
        resolve("yes")
      end
    end, 1)
  end)
end

local breakfast = async(function()
  print("tea:", await(ask("tea?")))
  print("coffee:", await(ask("coffee?")))
end)

await(breakfast())
