--- A file as a reply: all of it, the range that is asked for, or that the client has it already.
local core = require "moontide.core"
local date = require "moontide.http.date"
local fs = require "moontide.fs"
local precondition = require "moontide.http.precondition"
local range = require "moontide.http.range"
local type_of = require "moontide.http.types"

local M = {}

local await = core.await

-- Larger ones cost memory for each slow client, smaller ones time: a file of 1 MiB takes a fifth
-- more with half of that.
local CHUNK = 128 * 1024

local NOT_THERE = {
  ENOENT = true, ENOTDIR = true, ENAMETOOLONG = true, EACCES = true, EISDIR = true, ELOOP = true,
  EINVAL = true,
}

--- What f gives, or nothing where there is no such file.
function M.unless_missing(f, ...)
  local ok, result = pcall(function(...)
    return await(f(...))
  end, ...)
  if ok then
    return result
  elseif type(result) ~= "table" or not NOT_THERE[result.code] then
    error(result, 0)
  end
end

--- The file; nothing for what is none: opening a pipe might wait for ever.
local function open(path)
  local stat = M.unless_missing(fs.stat, path)
  return stat and stat.type == "file" and M.unless_missing(fs.open, path)
end

--- Gives the bytes of a file from the first to the last, and closes it.
local Part = {}

function Part:__call()
  local n = math.min(CHUNK, self.last - self.at + 1)
  if n > 0 then
    local data = await(self.file:read(n, self.at))
    self.at = self.at + #(data or "")
    return data
  end
end

function Part:__close()
  self.file:close()
end

local function whole(path, file, size, headers)
  headers["Content-Type"] = type_of(path)
  headers["Content-Length"] = size
  return 200, setmetatable({ file = file, at = 0, last = size - 1 }, Part)
end

--- The status and the body that the request asks for; adds to the headers.
local function part_for(request, path, file, stat, headers)
  local validators = { tag = headers.ETag, modified = math.floor(stat.mtime) }
  local status = precondition.status(request.headers, validators)
  if status then
    return status, ""
  end
  local given = request.method == "GET" and request.headers:get("range")
  local first, last
  if given and precondition.allows_range(request.headers, validators) then
    first, last = range(given, stat.size)
  end
  if first == false then
    headers["Content-Range"] = "bytes */" .. stat.size
    return 416, ""
  end
  local _, body = whole(path, file, stat.size, headers)
  if not first then
    return 200, body
  end
  body.at, body.last = first, last
  headers["Content-Length"] = last - first + 1
  headers["Content-Range"] = ("bytes %d-%d/%d"):format(first, last, stat.size)
  return 206, body
end

--- What the handler returns. Awaits; nothing where there is no such file. Without a request, it is
--- all of the file, whatever is asked for.
---@return { status: integer, headers: table<string, string|integer>, body: any }?
function M.reply(request, path)
  local file = open(path)
  if not file then
    return nil
  end
  local stat = await(file:stat())
  local status, body
  local headers = {}
  if request then
    headers.ETag = ('"%x-%x"'):format(math.floor(stat.mtime * 1e6), stat.size)
    headers["Last-Modified"] = date.format(math.min(stat.mtime, os.time()))
    headers["Accept-Ranges"] = "bytes"
    status, body = part_for(request, path, file, stat, headers)
  else
    status, body = whole(path, file, stat.size, headers)
  end
  if body == "" then
    file:close()
  end
  return { status = status, headers = headers, body = body }
end

return M
