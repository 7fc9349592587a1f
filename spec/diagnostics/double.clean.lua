-- double.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local resize = async(function(image)
  await(tide.sleep(1))
  return image .. " (small)"
end)

local function map(list, f)
  local results = {}
  for i, item in ipairs(list) do
    results[i] = f(item)
  end
  return results
end

local resize_all = async(function(images)
  local small = await(tide.Promise.all(map(images, resize)))
  return #small .. " images are small"
end)

print(await(resize_all { "sun.png", "moon.png" }))
