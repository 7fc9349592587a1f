--- The files of a directory, as replies: what a GET or HEAD asks for, or has already.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local date_of = require "moontide.http.date"
local fs = require "moontide.fs"
local type_of = require "moontide.http.types"

local M = {}

local await = core.await

local CHUNK = 64 * 1024
local NOT_THERE = {
  ENOENT = true, ENOTDIR = true, ENAMETOOLONG = true, EACCES = true, ELOOP = true, EINVAL = true,
}

local NOT_FOUND = { status = 404, body = "" }

---- paths ----

local function decode(path)
  return (path:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

--- The path below the directory; nothing for one with a part that begins with a dot, or a NUL or a
--- backslash.
local function relative(path)
  local parts = {}
  for part in decode(path):gmatch("[^/]+") do
    if part:find("^%.") or part:find("[%z\\]") then
      return nil
    end
    parts[#parts + 1] = part
  end
  return table.concat(parts, "/")
end

--- What f gives, or nothing where there is no such file.
local function unless_missing(f, ...)
  local ok, result = pcall(function(...)
    return await(f(...))
  end, ...)
  if ok then
    return result
  elseif type(result) ~= "table" or not NOT_THERE[result.code] then
    error(result, 0)
  end
end

--- The real path, if that is below the real directory.
local function find(root, path)
  local real = unless_missing(fs.realpath, path)
  local above = root == "/" and "/" or root .. "/"
  if real and (real == root or real:sub(1, #above) == above) then
    return real
  end
end

---- what is there already ----

local function matches(list, tag)
  for each in list:gmatch("[^,]+") do
    each = each:match("^%s*(.-)%s*$")
    if each == "*" or each:gsub("^W/", "") == tag then
      return true
    end
  end
  return false
end

--- Whether the client has it, by its tag, or else by the date that it was told: RFC 9110, 13.2.2.
local function is_known(request, tag, modified)
  local tags = request.headers:get("if-none-match")
  if tags then
    return matches(tags, tag)
  end
  return request.headers:get("if-modified-since") == modified
end

---- ranges ----

--- The first and the last byte that are asked for; false where there are none such; nothing where
--- all are to be sent, as for several ranges at once.
local function range_of(request, size, tag, modified)
  local given = request.method == "GET" and request.headers:get("range")
  local condition = request.headers:get("if-range")
  if not given or condition and condition ~= tag and condition ~= modified then
    return nil
  end
  local first, last = given:match("^bytes=(%d*)%-(%d*)$")
  first, last = math.tointeger(tonumber(first)), math.tointeger(tonumber(last))
  if first then
    last = math.min(last or size - 1, size - 1)
    if first >= size then
      return false
    elseif last >= first then
      return first, last
    end
  elseif last then
    if last == 0 or size == 0 then
      return false
    end
    return math.max(size - last, 0), size - 1
  end
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

---- replies ----

local function file_reply(request, path, file, stat)
  local tag = ('"%x-%x"'):format(math.floor(stat.mtime * 1000), stat.size)
  local modified = date_of(stat.mtime)
  local headers = { ETag = tag, ["Last-Modified"] = modified, ["Accept-Ranges"] = "bytes" }
  if is_known(request, tag, modified) then
    file:close()
    return { status = 304, headers = headers, body = "" }
  end
  local first, last = range_of(request, stat.size, tag, modified)
  if first == false then
    file:close()
    headers["Content-Range"] = "bytes */" .. stat.size
    return { status = 416, headers = headers, body = "" }
  end
  headers["Content-Type"] = type_of(path)
  headers["Content-Length"] = first and last - first + 1 or stat.size
  if first then
    headers["Content-Range"] = ("bytes %d-%d/%d"):format(first, last, stat.size)
  end
  local body = setmetatable({ file = file, at = first or 0, last = last or stat.size - 1 }, Part)
  return { status = first and 206 or 200, headers = headers, body = body }
end

--- The file; nothing for what is none: opening a pipe might wait for ever.
local function open(path)
  local stat = unless_missing(fs.stat, path)
  return stat and stat.type == "file" and unless_missing(fs.open, path)
end

local function serve_file(request, path)
  local file = path and open(path)
  if not file then
    return NOT_FOUND
  end
  return file_reply(request, path, file, await(file:stat()))
end

--- The index; links in it are about a path that ends with a slash.
local function serve_directory(root, request, real)
  if request.path:sub(-1) == "/" then
    return serve_file(request, find(root, real .. "/index.html"))
  end
  local location = "/" .. request.path:gsub("^/+", "") .. "/"
  return { status = 301, headers = { Location = location }, body = "" }
end

local function serve(root, request, prefix)
  if request.method ~= "GET" and request.method ~= "HEAD" then
    return { status = 405, headers = { Allow = "GET, HEAD" }, body = "" }
  end
  local path = request.path
  local below = path:sub(1, #prefix) == prefix and relative(path:sub(#prefix + 1))
  local real = below and find(root, root .. "/" .. below)
  local stat = real and unless_missing(fs.stat, real)
  if stat and stat.type == "directory" then
    return serve_directory(root, request, real)
  elseif path:sub(-1) == "/" then
    return NOT_FOUND
  end
  return serve_file(request, real)
end

function M.static(directory)
  argument.check("text", directory, 1, "http.static")
  local root
  return function(request, prefix)
    root = root or await(fs.realpath(directory))
    return serve(root, request, type(prefix) == "string" and prefix or "/")
  end
end

return M
