-- full_queue.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local plates = tide.queue(2)

local wash = async(function()
  for plate in plates do
    await(tide.sleep(1))
    print("washed " .. plate)
  end
end)

local main = async(function()
  local washing = wash()
  for plate = 1, 3 do
    await(plates:push(plate))
  end
  plates:close()
  await(washing)
end)

await(main())
