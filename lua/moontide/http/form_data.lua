--- Bodies of type multipart/form-data. Source: the HTML standard, multipart/form-data encoding
--- algorithm; RFC 7578.
local core = require "moontide.core"
local fs = require "moontide.fs"
local argument = require "moontide.internal.argument"
local headers = require "moontide.http.headers"
local type_of = require "moontide.http.types"

local M = {}

local await = core.await

local FIELDS = {
  { "name", "string" },
  { "value", "string" },
  { "path", "text" },
  { "filename", "string" },
  { "type", "string" },
}

--- What is wrong with a part, or nil.
local function mistake_in_part(part)
  if type(part) ~= "table" then
    return "table expected, got " .. type(part)
  end
  local problem = argument.problem(part, FIELDS)
  if problem then
    return problem
  elseif part.name == nil then
    return "field 'name' is missing"
  elseif (part.value == nil) == (part.path == nil) then
    return "one of the fields 'value' and 'path' expected"
  end
  return part.type and headers.value_problem(part.type)
end

--- What is wrong with a list of parts, or nil.
function M.mistake(parts)
  for i = 1, #parts do
    local problem = mistake_in_part(parts[i])
    if problem then
      return ("part %d: %s"):format(i, problem)
    end
  end
end

local ESCAPES = { ["\r"] = "%0D", ["\n"] = "%0A", ['"'] = "%22" }

local function escape(name)
  return (name:gsub("\r?\n", "\r\n"):gsub('[\r\n"]', ESCAPES))
end

--- Line ends in names of files are as they are.
local function escape_filename(name)
  return (name:gsub('[\r\n"]', ESCAPES))
end

local function head_of(part, boundary)
  local filename = part.filename or part.path and part.path:match("[^/]*$")
  local kind = part.type or part.path and type_of(part.path)
    or filename and "application/octet-stream"
  return table.concat({
    "--", boundary, '\r\nContent-Disposition: form-data; name="', escape(part.name), '"',
    filename and '; filename="' .. escape_filename(filename) .. '"' or "",
    kind and "\r\nContent-Type: " .. kind or "", "\r\n\r\n",
  })
end

--- What nobody would have in a file.
function M.boundary()
  return ("----moontide%016x%016x"):format(math.random(0), math.random(0))
end

--- Gives the pieces of the files and what stands between them; closes the one that is open.
local Pieces = {}

function Pieces:__close()
  if self.file then
    self.file:close()
    self.file = nil
  end
end

--- The next bytes of the file that is open, of which not more are sent than were promised.
local function next_of_file(self)
  local data = self.left > 0 and await(self.file:read(math.min(self.left, 65536)))
  if data then
    self.left = self.left - #data
    return data
  elseif self.left > 0 then
    error(core.new_error("TypeError", "a file has become shorter while it was sent"), 0)
  end
  local file = self.file
  self.file = nil
  await(file:close())
end

function Pieces:__call()
  while true do
    local data = self.file and next_of_file(self)
    if data then
      return data
    end
    self.at = self.at + 1
    local item = self.items[self.at]
    if type(item) ~= "table" then
      return item
    end
    self.file, self.left = await(fs.open(item.path)), item.size
  end
end

--- The pieces of the body, and how long they are together. Awaits.
function M.pieces(parts, boundary)
  local items, length = {}, 0
  local function add(text)
    items[#items + 1], length = text, length + #text
  end
  for i = 1, #parts do
    local part = parts[i]
    add(head_of(part, boundary))
    if part.path then
      local size = await(fs.stat(part.path)).size
      items[#items + 1], length = { path = part.path, size = size }, length + size
    else
      add(part.value)
    end
    add("\r\n")
  end
  add("--" .. boundary .. "--\r\n")
  return setmetatable({ items = items, at = 0 }, Pieces), length
end

return M
