-- Prints a file, and then whatever is added to it, until it is interrupted. It goes on from the
-- start when the file is emptied, and with the new file when another one takes its name, as logs do
-- that are rotated.
--
--   moontide examples/tail.lua FILE
local tide = require "moontide"
local fs = require "moontide.fs"
local await = tide.await

local path = ...
if not path then
  io.stderr:write("usage: tail.lua FILE\n")
  os.exit(64)
end
local directory, name = path:match("^(.*/)([^/]+)$")
if not directory then directory, name = ".", path end

io.stdout:setvbuf "no"

local file -- the one that is open, or nil
local inode, position

--- Prints what has not been printed of the open file.
local function print_rest()
  if await(file:stat()).size < position then position = 0 end
  for chunk in function() return await(file:read(nil, position)) end do
    io.write(chunk)
    position = position + #chunk
  end
end

--- Opens the file, unless there is none now.
local function open()
  local ok, opened = pcall(await, fs.open(path))
  if ok then
    file, inode, position = opened, await(opened:stat()).ino, 0
  elseif opened.code ~= "ENOENT" then
    error(opened, 0)
  end
end

--- Whether another file has the name now. As long as there is none, the old one stays open.
local function is_replaced()
  local ok, stat = pcall(await, fs.stat(path))
  return ok and stat.ino ~= inode
end

local function catch_up()
  if not file then open() end
  if not file then return end
  local replaced = is_replaced()
  print_rest()
  if replaced then
    file:close()
    file = nil
    catch_up()
  end
end

-- It is watched before it is read, so nothing can come between. A file that is watched would be
-- followed to its new name when it is moved; hence the directory.
local watch <close> = fs.watch(directory)
catch_up()
for event in watch do
  if event.name == name or event.kind == "overflow" then catch_up() end
end
