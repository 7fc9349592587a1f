--- A body into a file: whoever opens the path finds what was there before, or all of it.
local core = require "moontide.core"
local finally = require "moontide.internal.finally"
local fs = require "moontide.fs"

local await = core.await

local function nothing() end

local function write(file, next_piece)
  for piece in next_piece do
    await(file:write(piece))
  end
  await(file:sync())
  await(file:close())
end

local function discard(opening, path)
  local file = await(opening)
  await(file:close())
  await(fs.unlink(path))
end

--- Writes all pieces beside the path and renames that. Awaits. Opening is not cancelled: else
--- nobody would know whether there is a file to remove.
---@param path string
---@param next_piece fun(): string?
return function(path, next_piece)
  local beside = ("%s.%x"):format(path, math.random(0))
  local opening = core.detach(fs.open, beside, "wx")
  finally(function(err)
    if err ~= nil then
      core.detach(discard, opening, beside):catch(nothing)
    end
  end, function()
    write(await(opening), next_piece)
    await(fs.rename(beside, path))
  end)
end
