--- Files. The requests are the core's; here are the iterators over what they read.
require "moontide.internal.version"()
local abort = require "moontide.async.abort"
local argument = require "moontide.internal.argument"
local core = require "moontide.core"

local await = core.await

---@class moontide.fs
local M = {}

local FILE, DIRECTORY = "moontide.File", "moontide.Directory"
local File, Directory = core.fs.File, core.fs.Directory
for name, value in pairs(core.fs) do
  if value ~= File and value ~= Directory then
    M[name] = value
  end
end

---- lines ----

-- Fields: _read() gives the next chunk or nothing; _chunk, whose first unread byte is at _from;
-- _pieces of a line that has begun in chunks before, or nil; _over: the end has been seen;
-- _opening, the promise of a file that is the iterator's own.
local Lines = { __name = "moontide.Lines" }

local function new_lines(read)
  return setmetatable({ _read = read, _chunk = "", _from = 1 }, Lines)
end

--- Ends the line that has begun before with the text.
local function join(self, text)
  local pieces = self._pieces
  if not pieces then
    return text
  end
  self._pieces = nil
  pieces[#pieces + 1] = text
  return table.concat(pieces)
end

--- The chunk has no more ends of lines. State is whole before the read, which may be aborted.
local function next_chunk(self)
  if self._from <= #self._chunk then
    self._pieces = self._pieces or {}
    table.insert(self._pieces, self._chunk:sub(self._from))
  end
  self._chunk, self._from = "", 1
  local chunk = self._read()
  self._over = chunk == nil
  self._chunk = chunk or ""
end

local function check_lines(self, name)
  if getmetatable(self) ~= Lines then
    argument.check_self(self, Lines, name)
  end
end

function Lines:__call()
  check_lines(self, "lines:__call")
  while not self._over do
    local stop = self._chunk:find("\n", self._from, true)
    if stop then
      local text = self._chunk:sub(self._from, stop - 1)
      self._from = stop + 1
      return join(self, text)
    end
    next_chunk(self)
  end
  if self._pieces then
    return join(self, "")
  end
end

function Lines:__close()
  check_lines(self, "lines:__close")
  self._over, self._pieces = true, nil
  if self._opening then
    self._opening:next(File.close, function() end)
  end
end

function M.lines(path, options)
  argument.check("text", path, 1, "fs.lines")
  abort.own_signal(options, 2, "fs.lines")
  local opening = M.open(path, "r", options and { signal = options.signal })
  opening:catch(function() end) -- told by the first line, if anybody asks for it
  local lines = new_lines(function()
    return await(await(opening):read(nil, nil, options))
  end)
  lines._opening = opening
  return lines, nil, nil, lines
end

function File:lines(options)
  core.check_open(self, FILE, "file:lines")
  abort.own_signal(options, 1, "file:lines")
  return new_lines(function()
    return await(self:read(nil, nil, options))
  end)
end

---- chunks, entries ----

function File:chunks(size, options)
  core.check_open(self, FILE, "file:chunks")
  argument.check("count?", size, 1, "file:chunks")
  abort.own_signal(options, 2, "file:chunks")
  return function()
    return await(self:read(size, nil, options))
  end
end

function Directory:entries(options)
  core.check_open(self, DIRECTORY, "directory:entries")
  abort.own_signal(options, 1, "directory:entries")
  local batch, i = {}, 0
  return function()
    i = i + 1
    if batch[i] == nil then
      batch, i = await(self:read(options)) or {}, 1
    end
    return batch[i]
  end
end

return M
