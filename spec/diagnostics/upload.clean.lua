-- upload.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local done = {}

local upload = async(function(name)
  await(tide.sleep(#name))
  done[#done + 1] = name
end)

local upload_all = async(function(names)
  for _, name in ipairs(names) do
    await(upload(name))
  end
  print(#done .. " of " .. #names .. " uploaded")
end)

await(upload_all { "sun.png", "moon.png", "tide.png" })
