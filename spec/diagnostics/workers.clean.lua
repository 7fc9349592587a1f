-- workers.lua without the mistake.
local tide = require "moontide"
local async, await, Promise = tide.async, tide.await, tide.Promise

local mails = tide.queue()

local deliver = async(function(postman)
  for mail in mails do
    await(tide.sleep(1))
    print(postman, mail)
  end
end)

local main = async(function()
  local team = { deliver("Ebb"), deliver("Flow") }
  for number = 1, 3 do
    mails:push("letter " .. number)
  end
  mails:close()
  await(Promise.all(team))
end)

await(main())
