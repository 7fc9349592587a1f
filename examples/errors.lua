-- Errors across awaits: pcall, rethrow, clean-up, and values of any type.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await, Promise = tide.async, tide.await, tide.Promise

-- A rejection is raised where it is awaited. What is not ours is passed on, unchanged: level 0, so
-- that no position is put before it.
local read_or = async(function(path, default)
  local ok, text = pcall(await, fs.read_file(path))
  if ok then return text end
  if text.code ~= "ENOENT" then error(text, 0) end
  return default
end)

print("a missing file: " .. await(read_or("examples/absent.txt", "(default)")))
local ok, err = pcall(await, read_or("examples", "(default)"))
print("a directory:", ok, err.name, err.code)

-- An async function never raises: an error before its first await is a rejection as well.
local broken = async(function(...) error(..., 0) end)
local p = broken("at once")
print("the caller goes on, the promise is", p:state())
print("caught:", pcall(await, p))

-- Any value can be raised and arrives as the same value.
local reason = { code = 42 }
local _, caught = pcall(await, broken(reason))
print("the same table: " .. tostring(rawequal(caught, reason)))

-- Clean-up runs on the way out, and may await.
local function door()
  print "opened"
  return setmetatable({}, {
    __close = function()
      await(tide.sleep(1))
      print "closed"
    end,
  })
end

local visit = async(function()
  local _ <close> = door()
  await(tide.sleep(1))
  error("lost inside", 0)
end)
print("after the visit:", pcall(await, visit()))

-- The same with reactions: `finally` sees neither value nor reason, and passes them on.
await(broken("first")
  :finally(function() print "finally" end)
  :catch(function(r) error("then " .. r, 0) end)
  :catch(function(r) print("last: " .. r) end))

-- Promise.any fails only when all do, and says how.
local _, all_failed = pcall(await, Promise.any { broken("one"), broken("two") })
print(all_failed.name, all_failed.errors[1], all_failed.errors[2])
