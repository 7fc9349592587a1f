--- The files of a directory, as replies: what a GET or HEAD asks for, or has already.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local file = require "moontide.http.file"
local fs = require "moontide.fs"

local M = {}

local await = core.await

local function not_found()
  return { status = 404, headers = {}, body = "" }
end

---- paths ----

local function decode(path)
  return (path:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

--- The path below the directory; nothing for one with a NUL or a backslash, or that leads upwards,
--- or with a part that begins with a dot, unless these are served.
local function relative(path, dot_files)
  local parts = {}
  for part in decode(path):gmatch("[^/]+") do
    if part:find("[%z\\]") or part == "." or part == ".." or part:find("^%.") and not dot_files then
      return nil
    end
    parts[#parts + 1] = part
  end
  return table.concat(parts, "/")
end

--- The real path, if that is below the real directory.
local function find(root, path)
  local real = file.unless_missing(fs.realpath, path)
  local above = root == "/" and "/" or root .. "/"
  if real and (real == root or real:sub(1, #above) == above) then
    return real
  end
end

---- replies ----

local function serve_file(self, request, path)
  local reply = path and file.reply(request, path)
  if not reply then
    return not_found()
  elseif self.max_age then
    reply.headers["Cache-Control"] = ("max-age=%d"):format(self.max_age)
  end
  return reply
end

--- The index; links in it are about a path that ends with a slash.
local function serve_directory(self, root, request, real)
  if request.path:sub(-1) == "/" then
    return serve_file(self, request, self.index and find(root, real .. "/" .. self.index))
  end
  local location = "/" .. request.path:gsub("^/+", "") .. "/"
  return { status = 301, headers = { Location = location }, body = "" }
end

local function serve(self, root, request, prefix)
  if request.method ~= "GET" and request.method ~= "HEAD" then
    return { status = 405, headers = { Allow = "GET, HEAD" }, body = "" }
  end
  local path = request.path
  local below = path:sub(1, #prefix) == prefix
    and relative(path:sub(#prefix + 1), self.dot_files)
  local real = below and find(root, root .. "/" .. below)
  local stat = real and file.unless_missing(fs.stat, real)
  if stat and stat.type == "directory" then
    return serve_directory(self, root, request, real)
  elseif path:sub(-1) == "/" then
    return not_found()
  end
  return serve_file(self, request, real)
end

local FIELDS = {
  { "dot_files", "boolean" },
  { "index", "text" },
  { "max_age", "id" },
}

function M.static(directory, options)
  argument.check("text", directory, 1, "http.static")
  argument.check_options(options, FIELDS, 2, "http.static")
  options = options or {}
  local self = {
    dot_files = options.dot_files or false,
    index = options.index or "index.html",
    max_age = options.max_age,
  }
  local root
  return function(request, prefix)
    root = root or await(fs.realpath(directory))
    return serve(self, root, request, type(prefix) == "string" and prefix or "/")
  end
end

return M
