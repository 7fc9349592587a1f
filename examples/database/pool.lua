-- A pool of processes for libraries that block. Each works on one job at a time: a line of JSON
-- says what is to be done, and a line of JSON what came of it.
local json = require "dkjson"
local process = require "moontide.process"
local tide = require "moontide"

local await = tide.await

local LONGEST_ANSWER = 64 << 20 -- bytes

local Pool = {}
Pool.__index = Pool

local function settle(job, how, value)
  if job.remove then job.remove() end
  how(value)
end

--- The line that the process answers with; or nothing, if it has gone.
local function ask(child, request)
  local sent, err = pcall(await, child.stdin:write(request, "\n"))
  if not sent and (type(err) ~= "table" or err.code ~= "EPIPE") then error(err, 0) end
  return sent and await(child.stdout:read_line { limit = LONGEST_ANSWER }) or nil
end

--- Hands the job what its answer says.
local function answer(job, line)
  local result, _, err = json.decode(line, 1, json.null)
  if not result or result.error then
    settle(job, job.reject, err or result.error)
  else
    settle(job, job.resolve, result)
  end
end

--- Has the process do the job; whether it can go on after that.
local function work_on(child, job)
  local ok, line = pcall(ask, child, job.request)
  if not ok then -- the pool is cancelled, or nobody knows where the next answer begins
    settle(job, job.reject, line)
    error(line, 0)
  elseif line then
    answer(job, line)
    return true
  end
  local outcome = await(child:wait())
  settle(job, job.reject, ("the worker has ended: %s"):format(outcome.signal or outcome.code))
  return false
end

--- Has the process work until there are no jobs any more; whether it lives then.
local function work(self, child)
  for job in self._jobs do
    if not job.aborted and not work_on(child, job) then return false end
  end
  return true
end

--- Keeps one process, a new one whenever one ends. One that ends without a job to reject is found
--- out by the next job.
local function keep_worker(self, options)
  while true do
    local child <close> = await(process.spawn(options.command, options.arguments,
      { stdin = "pipe", stdout = "pipe" }))
    if work(self, child) then
      await(child.stdin:close())
      return await(child:wait())
    end
    self.restarts = self.restarts + 1
  end
end

--- Does a job: the promise of its answer. An abort takes it out of the queue; one that a process
--- works on by then is done, and its answer dropped.
function Pool:call(request, options)
  local signal = options and options.signal
  if signal and signal.aborted then return tide.Promise.reject(signal.reason) end
  local promise, resolve, reject = tide.Promise.with_resolvers()
  local job = { request = json.encode(request), resolve = resolve, reject = reject }
  job.remove = signal and signal:on_abort(function(reason)
    job.aborted = true
    reject(reason)
  end)
  if not self._jobs:try_push(job) then settle(job, reject, "the pool is closed") end
  return promise
end

--- Lets the jobs be done that are there, and ends the processes; a promise of that.
function Pool:close()
  self._jobs:close()
  return self._done
end

--- Starts so many processes; they belong to the group of who does.
---@param options { command: string, arguments: string[], size: integer }
return function(options)
  local self = setmetatable({ restarts = 0, _jobs = tide.queue() }, Pool)
  self._done = tide.group(function(g)
    for _ = 1, options.size do
      g:spawn(keep_worker, self, options)
    end
  end):finally(function()
    self._jobs:close()
    for job in self._jobs.try_pop, self._jobs do
      settle(job, job.reject, "the pool has ended")
    end
  end)
  return self
end
