-- second_permit.lua without the mistake.
local tide = require "moontide"
local async, await = tide.async, tide.await

local ledger = tide.mutex()
local entries = {}

local add = async(function(text)

  await(tide.sleep(1))
  entries[#entries + 1] = text
end)

local add_all = async(function(texts)
  local _ <close> = await(ledger:acquire())
  for _, text in ipairs(texts) do
    await(add(text))
  end
end)

await(add_all { "ebb", "flow" })
print(#entries)
