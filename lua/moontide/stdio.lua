--- The standard streams of the process. Terminals, pipes and sockets are streams of the core; files
--- get an object with the same methods here. Each is opened when it is first asked for.
require "moontide.internal.version"()
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local line = require "moontide.async.line"
local finally = require "moontide.internal.finally"

local Promise = core.Promise

local function nothing() end

--- Calls f(...) in no group: what is read or written in the background outlives a cancellation.
local function apart(f, ...)
  local previous = core.swap_context(nil)
  return finally(function()
    core.swap_context(previous)
  end, f, ...)
end

---- files ----

-- Fields: _file; _reader, fed with what is read of it; _pieces to be written next; _writing: some
-- are under way; so many bytes _accepted and _written in total; _line of those who wait until the
-- item is written; _failure of a write; _ended, _closing: nothing more is written; _closed, the
-- promise of that.
local methods = {}
local FileStream = { __name = "moontide.FileStream", __index = methods }

local DONE = Promise.resolve()

--- A function that reads the next piece of the file and feeds it to get_reader().
local function new_pull(file, get_reader)
  local function on_data(data)
    if data then
      get_reader():feed(data)
    else
      get_reader():finish()
    end
  end
  local function on_error(err)
    get_reader():finish(err)
  end
  return function()
    apart(file.read, file):next(on_data, on_error)
  end
end

local function new_file_stream(file)
  local reader
  reader = core.reader(new_pull(file, function()
    return reader
  end))
  return setmetatable({
    _file = file,
    _reader = reader,
    _pieces = {},
    _accepted = 0,
    _written = 0,
    _line = line.new(),
  }, FileStream)
end

local function check_self(self, name)
  if getmetatable(self) ~= FileStream then
    argument.expected("stream", self, 0, "stream:" .. name)
  end
end

for _, name in ipairs({
  "read", "read_exactly", "read_until", "read_line", "read_all", "chunks", "lines",
}) do
  local method = core.reader()[name]
  methods[name] = function(self, ...)
    check_self(self, name)
    return method(self._reader, ...)
  end
end

--- Why nothing can be written any more, or nil.
local function refusal(self, syscall)
  if self._closing then
    return core.stdio.refusal("EBADF", syscall)
  end
  return self._ended and core.stdio.refusal("EPIPE", syscall) or self._failure
end

--- Tells those who wait for what has been written now, or all that it failed.
local function wake(self)
  local node = self._line.next
  while node ~= self._line and (self._failure or node.item <= self._written) do
    line.remove(node)
    if self._failure then
      line.reject(node, self._failure)
    else
      line.resolve(node)
    end
    node = self._line.next
  end
end

--- Writes what is queued, one request at a time, so that all is in order.
local function pump(self)
  local data = table.concat(self._pieces)
  self._pieces, self._writing = {}, #data > 0
  if not self._writing then
    return
  end
  apart(self._file.write, self._file, data):next(function()
    self._written = self._written + #data
    pump(self)
    wake(self)
  end, function(err)
    self._pieces, self._writing, self._failure = {}, false, err
    wake(self)
  end)
end

--- The strings of a write as one, and its options.
local function collect(...)
  local n = select("#", ...)
  local pieces = { ... }
  local options
  if n > 1 and (pieces[n] == nil or type(pieces[n]) == "table") then
    options, n = pieces[n], n - 1
  end
  for i = 1, math.max(n, 1) do
    argument.check("data", pieces[i], i, "stream:write")
  end
  return table.concat(pieces, "", 1, n), options, n + 1
end

--- The promise that all that has been accepted so far is written.
local function wait_for_writes(self, signal)
  if self._written == self._accepted or self._failure then
    return self._failure and Promise.reject(self._failure) or DONE
  end
  return self._line:wait(signal, self._accepted)
end

function methods:write(...)
  check_self(self, "write")
  local data, options, position = collect(...)
  local signal, refused = line.heed(options, position, "stream:write")
  local err = refusal(self, "write")
  if refused or err then
    return refused or Promise.reject(err)
  end
  self._pieces[#self._pieces + 1] = data
  self._accepted = self._accepted + #data
  if not self._writing then
    pump(self)
  end
  return wait_for_writes(self, signal)
end

function methods:queued()
  check_self(self, "queued")
  return self._accepted - self._written
end

function methods:shutdown(options)
  check_self(self, "shutdown")
  local signal, refused = line.heed(options, 1, "stream:shutdown")
  local err = refusal(self, "shutdown")
  if refused or err then
    return refused or Promise.reject(err)
  end
  self._ended = true
  return wait_for_writes(self, signal)
end

--- Closes when what is queued has been written.
local function close(self)
  if not self._closing then
    self._closing = true
    self._reader:close()
    self._closed = wait_for_writes(self):catch(nothing):next(function()
      return self._file:close()
    end)
  end
  return self._closed
end

local function destroy(self)
  self._pieces = {}
  self._failure = self._failure or core.stdio.refusal("ECANCELED", "write")
  wake(self)
  return close(self)
end

function methods:close()
  check_self(self, "close")
  return apart(close, self)
end

function methods:destroy()
  check_self(self, "destroy")
  return apart(destroy, self)
end

function FileStream:__close(err)
  check_self(self, "__close")
  apart(err == nil and close or destroy, self)
end

-- What a file has not.
for _, name in ipairs({ "local_address", "peer_address", "size" }) do
  methods[name] = function(self)
    check_self(self, name)
  end
end

local function refuse(self, name, what)
  check_self(self, name)
  argument.fail(what .. " expected", 0, "stream:" .. name)
end

function methods:set_raw()
  refuse(self, "set_raw", "terminal")
end

function methods:set_nodelay()
  refuse(self, "set_nodelay", "tcp stream")
end

function methods:set_keepalive()
  refuse(self, "set_keepalive", "tcp stream")
end

---- the three ----

local DESCRIPTORS = { stdin = 0, stdout = 1, stderr = 2 }

local keepers = {} -- luacheck: ignore 241 (it is there to hold)

---@class moontide.stdio
local M = setmetatable({}, {
  __index = function(self, name)
    local fd = DESCRIPTORS[name]
    if not fd then
      return nil
    end
    local stream, keeper = core.stdio.open(fd, name)
    keepers[name] = keeper
    if not keeper then
      stream = new_file_stream(stream)
    end
    rawset(self, name, stream)
    return stream
  end,
})

return M
