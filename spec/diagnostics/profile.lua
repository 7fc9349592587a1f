-- A forgotten await: a field of the promise is read.
-- Line 15, seen by `moontide`.
local tide = require "moontide"
local async, await = tide.async, tide.await

local Users = {}

Users.find = async(function(email)
  await(tide.sleep(1))
  return { name = "Ada", email = email, admin = true }
end)

local may_edit = async(function(email, page)
  local user = Users.find(email)
  return user.admin or page.owner == email
end)

local page = { title = "Tides", owner = "bob@example.org" }
if await(may_edit("ada@example.org", page)) then
  print("editing " .. page.title)
end
