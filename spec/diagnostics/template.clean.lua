-- template.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local TEXTS = { title = "Tides", author = "Ada" }

local load_text = async(function(key)
  await(tide.sleep(1))
  return TEXTS[key]
end)

local render = async(function(template)
  local texts = {}
  for key in template:gmatch("{(%w+)}") do
    texts[key] = await(load_text(key))
  end
  return (template:gsub("{(%w+)}", texts))
end)

print(await(render("{title}, by {author}")))
