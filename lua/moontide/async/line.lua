--- Lines of those who wait: first come, first served.
---
--- Who is served and who is cancelled is decided here and nowhere else: whoever is in the line has
--- got nothing; whoever has left it is settled, in the same job. A function that awaits the promise
--- of a place directly gets what that promise was fulfilled with, even when it is cancelled in the
--- same job: a cancellation interrupts the await of a pending promise only, and an abort takes the
--- place out of the line before the promise is rejected.
local core = require "moontide.core"
local abort = require "moontide.async.abort"

local M = {}

local new_sleeper, wake_sleeper, refused = core.new_sleeper, core.wake_sleeper, core.refused

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

---@param node table any fields but next and previous
function Line:append(node)
  node.next, node.previous = self, self.previous
  self.previous.next, self.previous = node, node
end

--- A cancellation has come for whoever waits at the node.
function abort.policy.leave(node)
  if not node.next then
    return false
  end
  M.remove(node)
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

--- Appends a node with the item until it is taken, or what is heeded cancels it; see heed. Whoever
--- takes it wakes it.
---@return moontide.Promise
function Line:wait(heeded, item)
  local node = { item = item, promise = false, next = false, previous = false }
  local promise = new_sleeper(node, heeded)
  local last = self.previous
  node.promise, node.next, node.previous = promise, self, last
  last.next, self.previous = node, node
  return promise
end

--- Resolves the promise of a node that has been taken.
function M.resolve(node, ...)
  wake_sleeper(node.promise, ...)
end

--- Rejects it.
function M.reject(node, reason)
  core.fail_sleeper(node.promise, reason)
end

--- What the caller of a public function has to heed: a signal, nil for nothing, or false for the
--- scope that it runs in; and if that has been aborted, the promise to return. For the arguments
--- see abort.effective_signal.
function M.heed(options, position, name)
  if options == nil then
    return false, refused()
  end
  local signal = abort.effective_signal(options, position, name, 4)
  return signal, signal and signal.aborted and abort.refuse(signal)
end

return M
