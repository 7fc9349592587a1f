--- Directories for specs, and files in them by Lua's own means.
local assert = require "luassert"
local tide = require "moontide"

local M = {}

local made = {}

--- A new directory; `M.remove` removes it.
---@return string path
function M.directory()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir '" .. path .. "'"))
  made[#made + 1] = path
  return path
end

--- Removes the directories: for after_each.
function M.remove()
  for i = #made, 1, -1 do
    os.execute("rm -rf '" .. made[i] .. "'")
    made[i] = nil
  end
end

function M.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

function M.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

--- What the command prints, without the last end of line.
function M.output(command)
  local pipe <close> = assert(io.popen(command))
  return (pipe:read("a"):gsub("\n$", ""))
end

--- What every rejection of moontide.fs looks like.
function M.check_error(err, code, syscall, path, dest)
  assert.equal("SystemError", err.name)
  assert.equal(code, err.code)
  assert.equal("integer", math.type(err.errno))
  assert.equal(syscall, err.syscall)
  assert.equal(path, err.path)
  assert.equal(dest, err.dest)
  assert.matches("^" .. code .. ": .+, " .. syscall .. " '", err.message)
  assert.is_truthy(err.message:find("'" .. path .. "'", 1, true))
  if dest then
    assert.is_truthy(err.message:find("' -> '" .. dest .. "'", 1, true))
  end
  assert.equal("SystemError: " .. err.message, tostring(err))
end

--- How many descriptors this process has open; 0 where the system does not tell. Not through popen:
--- what runs there may still see the other end of its pipe here.
function M.descriptors()
  local path = os.tmpname()
  os.execute("ls -1 /proc/$PPID/fd 2>/dev/null | wc -l >" .. path)
  local count = tonumber(M.read(path))
  os.remove(path)
  return count
end

--- Waits until f() gives true: for what threads do by themselves. Patience is 10 s by default.
---@param f fun(): any
---@param patience? number ms
function M.eventually(f, patience)
  local deadline = tide.now() + (patience or 10000)
  while not f() do
    assert(tide.now() < deadline, "this never came")
    tide.await(tide.sleep(1))
  end
end

return M
