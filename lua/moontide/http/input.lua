--- What comes from a connection: read when a message needs it, and read ahead while a handler runs
--- that wants to know when its client leaves.
local core = require "moontide.core"

local M = {}

local await, Promise = core.await, core.Promise

local READ_AHEAD = 64 * 1024 -- bytes that are kept while nobody wants them

-- Fields: parser; stream, and next_chunk, its bytes; ended: nothing more comes; ahead, the promise
-- of a read that is under way; on_end, called when the end was read ahead; _context, the
-- connection's.
local Input = {}
Input.__index = Input

function M.new(stream, parser)
  return setmetatable({
    parser = parser,
    stream = stream,
    next_chunk = stream:chunks(),
    _context = core.context(),
  }, Input)
end

local function take_ahead(self, data)
  self.ahead = nil
  if not data then
    self.ended = true
    if self.on_end then
      self.on_end()
    end
    return
  end
  self.parser:feed(data)
  if self.on_end and self.parser:buffered() < READ_AHEAD then
    self:read_ahead()
  end
end

--- Begins to read, if that is not done already, in the connection's context: what is cancelled is
--- not this read, but who waits for it.
function Input:read_ahead()
  if self.ahead or self.ended then
    return
  end
  local previous = core.swap_context(self._context)
  local ok, result = pcall(function()
    return self.stream:read():next(function(data)
      take_ahead(self, data)
    end, function()
      take_ahead(self, nil)
    end)
  end)
  core.swap_context(previous)
  if not ok then
    error(result, 0)
  end
  self.ahead = result
end

--- Feeds the parser what next_chunk has given; false at the end.
function Input:take(data)
  if not data then
    self.ended = true
    return false
  end
  self.parser:feed(data)
  return true
end

--- The same with what comes next. Awaits.
function Input:fill()
  if self.ended then
    return false
  elseif self.ahead then
    await(self.ahead)
    return not self.ended
  end
  return self:take(self.next_chunk())
end

--- The same, but what rejects the promise ends the wait, and takes nothing.
function Input:fill_unless(promise)
  self:read_ahead()
  if self.ahead then
    await(Promise.race({ self.ahead, promise }))
  end
  return not self.ended
end

--- An iterator of what comes, past the parser, beginning with what that has not used.
function Input:chunks()
  local next_chunk = self.next_chunk
  if self.parser:buffered() == 0 and not self.ahead and not self.ended then
    return next_chunk
  end
  return function()
    local rest = self.parser:take()
    if rest == "" and self.ahead and self:fill() then
      rest = self.parser:take()
    end
    if rest ~= "" then
      return rest
    end
    return not self.ended and next_chunk() or nil
  end
end

return M
