-- The replacement of gsub awaits, where nothing can suspend.
-- Line 14, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local TEXTS = { title = "Tides", author = "Ada" }

local load_text = async(function(key)
  await(tide.sleep(1))
  return TEXTS[key]
end)

local render = async(function(template)
  return (template:gsub("{(%w+)}", function(key)
    return await(load_text(key))
  end))
end)

print(await(render("{title}, by {author}")))
