--- The public face of moontide; its annotations are in meta/moontide.lua.
require "moontide.internal.version"()
local core = require "moontide.core"
local abort = require "moontide.async.abort"
local argument = require "moontide.internal.argument"
local debug_mode = require "moontide.async.debug"
local group = require "moontide.async.group"
local generator = require "moontide.async.generator"
local handles = require "moontide.async.handles"
local tasks = require "moontide.async.tasks"
local traceback = require "moontide.async.traceback"

---@class moontide
local M = {
  async = core.async,
  spawn = core.spawn,
  await = core.await,
  queue_microtask = core.queue_microtask,
  set_timeout = core.set_timeout,
  clear_timeout = core.clear_timeout,
  set_interval = core.set_interval,
  clear_interval = core.clear_interval,
  set_immediate = core.set_immediate,
  clear_immediate = core.clear_immediate,
  sleep = core.sleep,
  yield = core.yield,
  run = core.run,
  step = core.step,
  stop = core.stop,
  set_thread_pool_size = core.set_thread_pool_size,
  alive = core.alive,
  backend_fd = core.backend_fd,
  backend_timeout = core.backend_timeout,
  on_wake = core.on_wake,
  on_unhandled_rejection = core.on_unhandled_rejection,
  on_rejection_handled = core.on_rejection_handled,
  traceback = traceback.traceback,
  tasks = tasks.tasks,
  handles = handles.handles,
  debug = debug_mode.debug,
  poll = core.poll,
  signal = core.signal,
  now = core.now,
  Promise = core.Promise,
  AbortController = abort.AbortController,
  AbortSignal = abort.AbortSignal,
  group = core.group,
  timeout = core.timeout,
  move_on_after = core.move_on_after,
  shield = core.shield,
  detach = core.detach,
  map = group.map,
  each = group.each,
  join = group.join,
  semaphore = core.semaphore,
  mutex = core.mutex,
  event = core.event,
  queue = core.queue,
  generator = core.generator,
  collect = generator.collect,
  import = require "moontide.async.import",
  ContextVar = require "moontide.async.context",
}

function M.promisify(f)
  argument.check("callable", f, 1, "promisify")
  return function(...)
    local args = table.pack(...)
    return core.Promise.new(function(resolve, reject)
      args[args.n + 1] = function(err, ...)
        if err ~= nil and err ~= false then
          reject(err)
        else
          resolve(...)
        end
      end
      f(table.unpack(args, 1, args.n + 1))
    end)
  end
end

return M
