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

local current_context, new_promise, resolve = core.context, core.new_promise, core.resolve

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

--- Appends a node with the item until it is taken, or the signal (or nil: none) aborts. Whoever
--- takes it calls resolve or reject.
---@return moontide.Promise
function Line:wait(signal, item)
  if not signal then
    local last = self.previous
    local node = { item = item, promise = new_promise(), next = self, previous = last }
    last.next, self.previous = node, node
    return node.promise
  end
  local promise
  local node = { item = item }
  promise, node.resolve, node.reject = abort.abortable(signal, function()
    M.remove(node)
  end)
  self:append(node)
  return promise
end

--- Resolves the promise of a node that has been taken.
function M.resolve(node, ...)
  local promise = node.promise
  if promise then
    resolve(promise, ...)
  else
    node.resolve(...)
  end
end

--- Rejects it.
function M.reject(node, reason)
  if node.promise then
    core.reject(node.promise, reason)
  else
    node.reject(reason)
  end
end

--- What the caller of a public function has to heed: a signal, or nil; and if it has been aborted,
--- the promise to return. For the arguments see abort.effective_signal.
function M.heed(options, position, name)
  if options == nil and not current_context() then
    return nil
  end
  local signal = abort.effective_signal(options, position, name, 4)
  return signal, signal and signal.aborted and abort.refuse(signal)
end

return M
