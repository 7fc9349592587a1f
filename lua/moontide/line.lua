--- Lines of those who wait: first come, first served.
---
--- Who is served and who is cancelled is decided here and nowhere else: whoever is in the line has
--- got nothing; whoever has left it is settled, in the same job. A function that awaits the promise
--- of a place directly gets what that promise was fulfilled with, even when it is cancelled in the
--- same job: a cancellation interrupts the await of a pending promise only, and an abort takes the
--- place out of the line before the promise is rejected.
local core = require "moontide.core"
local abort = require "moontide.abort"

local M = {}

local Line = {}
Line.__index = Line

--- An empty line: a ring of nodes, so that one in the middle leaves it as easily as the first.
function M.new()
  local line = setmetatable({}, Line)
  line.next, line.previous = line, line
  return line
end

---@param node table any fields but next and previous
function Line:append(node)
  node.next, node.previous = self, self.previous
  self.previous.next, self.previous = node, node
end

--- Takes a node out of whichever line it is in.
function M.remove(node)
  node.previous.next, node.next.previous = node.next, node.previous
  node.previous, node.next = nil, nil
end

--- The first of the line, which leaves it; nil if it is empty.
function Line:take()
  local node = self.next
  if node == self then
    return nil
  end
  M.remove(node)
  return node
end

--- Appends a node until it is taken, or the signal (or nil: none) aborts. Whoever takes it calls
--- its `resolve` or `reject`.
---@return moontide.Promise
function Line:wait(node, signal)
  local promise
  promise, node.resolve, node.reject = abort.abortable(signal, function()
    M.remove(node)
  end)
  self:append(node)
  return promise
end

--- What the caller of a public function has to heed: a signal, or nil; and if it has been aborted,
--- the promise to return. For the arguments see abort.effective_signal.
function M.heed(options, position, name)
  if options == nil and not core.context() then
    return nil
  end
  local signal = abort.effective_signal(options, position, name, 4)
  return signal, signal and signal.aborted and abort.refuse(signal)
end

return M
