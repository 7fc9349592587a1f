--- Lines of those who wait: first come, first served.
---
--- Who is served and who is cancelled is decided here and nowhere else: whoever is in the line has
--- got nothing; whoever has left it is settled, in the same job. A function that awaits the promise
--- of a place directly gets what that promise was fulfilled with, even when it is cancelled in the
--- same job: a cancellation interrupts the await of a pending promise only.
local core = require "moontide.core"
local abort = require "moontide.async.abort"

local M = {}

local new_waiter, wake_waiter, refused = core.new_waiter, core.wake_waiter, core.refused

local Line = {}
Line.__index = Line

--- An empty line: a ring of nodes, so that one in the middle leaves it as easily as the first.
function M.new()
  local line = setmetatable({}, Line)
  line.next, line.previous = line, line
  return line
end

--- Takes a node out of whichever line it is in.
function M.remove(node)
  node.previous.next, node.next.previous = node.next, node.previous
  node.previous, node.next = nil, nil
end

local Node = {}
Node.__index = Node

--- A cancellation has come for whoever waits at the node: whether that takes it out of a line.
function Node:leave()
  if self.next == nil then
    return false
  elseif self.next then -- else it has yet to enter a line
    M.remove(self)
  end
  return true
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

--- Appends a node with the item until it is taken, or the signal or a cancellation takes it out.
--- Whoever takes it wakes it.
---@return moontide.Promise
function Line:wait(signal, item)
  local node = setmetatable({
    item = item, promise = false, next = false, previous = false,
  }, Node)
  local promise = new_waiter(node, signal)
  local last = self.previous
  node.promise, node.next, node.previous = promise, self, last
  last.next, self.previous = node, node
  return promise
end

--- Resolves the promise of a node that has been taken.
function M.resolve(node, ...)
  wake_waiter(node.promise, ...)
end

--- Rejects it.
function M.reject(node, reason)
  core.fail_waiter(node.promise, reason)
end

--- The signal in the options of a public function; and the promise to return if it must not begin.
--- For the arguments see abort.own_signal.
function M.heed(options, position, name)
  if options == nil then
    return nil, refused()
  end
  local signal = abort.own_signal(options, position, name)
  return signal, abort.refused(signal)
end

return M
