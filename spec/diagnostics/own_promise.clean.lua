-- own_promise.lua without the mistake.
local tide = require "moontide"
local async, await, Promise = tide.async, tide.await, tide.Promise

local function ask(question)
  return Promise(function(resolve)
    tide.set_timeout(function()
      if question == "tea?" then
        resolve("yes")
      else
        resolve("no")
      end
    end, 1)
  end)
end

local breakfast = async(function()
  print("tea:", await(ask("tea?")))
  print("coffee:", await(ask("coffee?")))
end)

await(breakfast())
