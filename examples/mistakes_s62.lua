-- S62: a swallowed error. The program goes on as if all were well.
local tide = require "moontide"
local fs = require "moontide.fs"
local async, await = tide.async, tide.await

-- wrong: pcall guards the call, which never raises; and the promise that it returns is dropped.
-- What happens to the file is then anybody's guess: all that is left is an unhandled rejection.
local save_wrong = async(function(path, text)
  local ok = pcall(fs.write_file, path, text) -- moontide: ignore T106
  return ok
end)

-- wrong: catches everything, also the mistakes that nobody thought of
local load_wrong = async(function(path)
  local ok, text = pcall(function() return await(fs.read_file(path)):uper() end)
  return ok and text or ""
end)

-- right: awaits inside pcall, and says what happened
local save = async(function(path, text)
  local ok, err = pcall(await, fs.write_file(path, text))
  return ok, not ok and err.code or nil
end)

-- right: catches what it has an answer to, and lets the rest through
local load = async(function(path)
  local ok, text = pcall(function() return await(fs.read_file(path)):uper() end)
  if ok then return text end
  if type(text) ~= "table" or text.code ~= "ENOENT" then error(text, 0) end
  return ""
end)

-- So that the script can go on after the first wrong one.
tide.on_unhandled_rejection(function(reason) print("nobody caught: " .. reason.code) end)

print("wrong: saved", await(save_wrong("examples/absent/file", "text")))
await(tide.sleep(20))
print("right: saved", await(save("examples/absent/file", "text")))

print(("wrong: loaded %q"):format(await(load_wrong("examples/mistakes_s62.lua"))))
local _, err = pcall(await, load("examples/mistakes_s62.lua"))
print("right: " .. tostring(err):gsub("^.*%d: ", ""))
