-- The pcall guards the call, which never raises; a failure is the promise's.
-- Line 16, seen by `moontide --debug`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local send_mail = async(function(address)
  await(tide.sleep(1))
  if not address:find("@", 1, true) then
    error("no address: " .. address, 0)
  end
end)

local notify = async(function(addresses)
  local sent = 0
  for _, address in ipairs(addresses) do
    local ok = pcall(send_mail, address)
    if ok then sent = sent + 1 end
  end
  return sent
end)

print("sent: " .. await(notify { "ada@example.org", "bob@example.org" }))
