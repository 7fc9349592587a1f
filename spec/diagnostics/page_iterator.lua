-- A coroutine of Lua's own awaits, in place of a generator.
-- Line 15, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local load_page = async(function(number)
  await(tide.sleep(1))
  return number <= 2 and "page " .. number or nil
end)

local function pages()
  return coroutine.wrap(function()
    local number = 1
    while true do
      local page = await(load_page(number))
      if not page then return end
      coroutine.yield(page)
      number = number + 1
    end
  end)
end

await(tide.spawn(function()
  for page in pages() do
    print(page)
  end
end))
