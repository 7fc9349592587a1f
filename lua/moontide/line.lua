--- Lines of those who wait: first come, first served.
---
--- Who is served and who is cancelled is decided here and nowhere else: whoever is in the line has
--- got nothing; whoever has left it is settled, in the same job. A function that awaits the promise
--- of a place directly gets what that promise was fulfilled with, even when it is cancelled in the
--- same job: a cancellation interrupts the await of a pending promise only, and an abort takes the
--- place out of the line before the promise is rejected.
local abort = require "moontide.abort"

local Line = {}
Line.__index = Line

-- A ring of nodes: one that leaves from the middle costs as little as the first.
local function unlink(node)
  node.previous.next, node.next.previous = node.next, node.previous
  node.previous, node.next = nil, nil
end

--- Puts a node at the end of the line, until it is taken or the signal (or nil: none) aborts.
--- Whoever takes it calls its `resolve` or `reject`.
---@param node table any fields but next, previous, resolve, reject
---@return moontide.Promise
function Line:wait(node, signal)
  local promise
  promise, node.resolve, node.reject = abort.abortable(signal, function()
    unlink(node)
  end)
  node.next, node.previous = self, self.previous
  self.previous.next, self.previous = node, node
  return promise
end

--- The first of the line, which leaves it; nil if it is empty.
function Line:take()
  local node = self.next
  if node == self then
    return nil
  end
  unlink(node)
  return node
end

return function()
  local line = setmetatable({}, Line)
  line.next, line.previous = line, line
  return line
end
