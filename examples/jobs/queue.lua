-- A queue of jobs in Redis 6.2 or later, for workers in any number of processes and machines.
--
-- Each job is done at least once, however workers end: one whose worker has gone is taken over when
-- the lease is over that this has not renewed. So a job may be done twice, and what it does should
-- be done under the job's id. One that fails, or ends its worker, is tried again, later each time;
-- after `max_attempts` it is a dead letter. There is one clock, that of Redis. How safe the jobs
-- are is up to Redis, too: see its `appendfsync`.
--
-- Keys, for a queue `jobs` (in a cluster, `{jobs}`):
--   jobs           stream of what is to be done, or is being done; its group is `workers`
--   jobs:delayed   sorted set of what is tried again, by its time
--   jobs:dead      stream of what has failed for good
local resp = require "resp"
local system = require "moontide.os"
local tide = require "moontide"

local await, sleep = tide.await, tide.sleep

local M = {}

-- The same for all workers of a queue, but the last.
local DEFAULTS = {
  lease = 30000, -- ms after which a worker that is silent has gone
  max_attempts = 5,
  backoff = 1000, -- ms, at least, before the second attempt; twice as many before each further one
  timeout = 600000, -- ms for an attempt
  concurrency = 4, -- jobs at a time of one worker
}

local BLOCK = 2000 -- ms that Redis keeps a worker waiting, before that asks again

---- what Redis does in one step ----

-- A job leaves the stream once: whoever comes second finds that it is not there.
local PRELUDE = [[
local stream, delayed, dead = KEYS[1], KEYS[2], KEYS[3]
local max_attempts, backoff = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function add(id, attempt, payload)
  redis.call('XADD', stream, '*', 'id', id, 'attempt', attempt, 'payload', payload)
end

local function take(entry)
  redis.call('XDEL', stream, entry)
  return redis.call('XACK', stream, 'workers', entry) == 1
end

local function fail(entry, id, attempt, payload, reason)
  if not take(entry) then return 'lost' end
  if tonumber(attempt) >= max_attempts then
    redis.call('XADD', dead, '*', 'id', id, 'attempts', attempt, 'payload', payload,
      'reason', reason)
    return 'dead'
  end
  local due = now + backoff * 2 ^ (attempt - 1)
  redis.call('ZADD', delayed, due, cmsgpack.pack({ id, attempt + 1, payload }))
  return 'delayed'
end
]]

local DONE = [[
return take(ARGV[3]) and 'done' or 'lost'
]]

local FAILED = [[
return fail(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7])
]]

-- What is due goes back into the stream; what nobody works on any more has failed; names of workers
-- that have gone are forgotten.
local TIDY = [[
local consumer, lease = ARGV[3], tonumber(ARGV[4])
for _, packed in ipairs(redis.call('ZRANGE', delayed, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)) do
  redis.call('ZREM', delayed, packed)
  add(unpack(cmsgpack.unpack(packed)))
end
local cursor = '0-0'
repeat
  local reply = redis.call('XAUTOCLAIM', stream, 'workers', consumer, lease, cursor)
  cursor = reply[1]
  for _, entry in ipairs(reply[2]) do
    local fields = entry[2]
    fail(entry[1], fields[2], fields[4], fields[6], 'its worker has gone')
  end
until cursor == '0-0'
for _, reply in ipairs(redis.call('XINFO', 'CONSUMERS', stream, 'workers')) do
  local name, pending, idle = reply[2], reply[4], reply[6]
  if pending == 0 and idle > 10 * lease then
    redis.call('XGROUP', 'DELCONSUMER', stream, 'workers', name)
  end
end
]]

---- queues ----

local function random_id()
  local bytes = await(system.random_bytes(12))
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local Queue = {}
Queue.__index = Queue

--- The backoff varies, so that not all that have failed together come back together.
local function eval(self, script, ...)
  local name, options = self._name, self._options
  local backoff = options.backoff * (1 + math.random() / 2)
  return await(self._redis:insist("EVAL", PRELUDE .. script, 3, name, name .. ":delayed",
    name .. ":dead", options.max_attempts, backoff, ...))
end

--- Adds a job, a text; returns its id. When Redis is lost at the wrong moment it is there twice,
--- with the same id.
function Queue:add(payload)
  local id = random_id()
  await(self._redis:insist("XADD", self._name, "*", "id", id, "attempt", 1, "payload", payload))
  return id
end

local function create_group(self)
  local ok, err = pcall(await,
    self._redis:insist("XGROUP", "CREATE", self._name, "workers", "0", "MKSTREAM"))
  if not ok and err.code ~= "BUSYGROUP" then error(err, 0) end
end

--- How many jobs are where.
function Queue:counts()
  create_group(self)
  local redis, name = self._redis, self._name
  local all, running, delayed, dead = tide.join(redis:insist("XLEN", name),
    redis:insist("XPENDING", name, "workers"), redis:insist("ZCARD", name .. ":delayed"),
    redis:insist("XLEN", name .. ":dead"))
  return { waiting = all - running[1], running = running[1], delayed = delayed, dead = dead }
end

local function pairs_of(list)
  local fields = {}
  for i = 1, #list, 2 do fields[list[i]] = list[i + 1] end
  return fields
end

--- The dead letters: { id=, attempts=, payload=, reason= }.
function Queue:dead()
  local entries = await(self._redis:insist("XRANGE", self._name .. ":dead", "-", "+"))
  for i, entry in ipairs(entries) do entries[i] = pairs_of(entry[2]) end
  return entries
end

function Queue:close() self._redis:close() end

Queue.__close = Queue.close

--- The queue of that name; the address is that of `resp.client`.
function M.open(address, name, options)
  local self = setmetatable({ _address = address, _name = name, _options = {} }, Queue)
  for key, default in pairs(DEFAULTS) do
    self._options[key] = options and options[key] or default
  end
  self._redis = resp.client(address)
  return self
end

---- workers ----

local Worker = {}
Worker.__index = Worker

--- Waits for a job; nil if none comes for a while. A read that was given up could be answered with
--- a job that nobody sees, and that waits for its lease to be over: so `stop` has Redis end it.
local function take(self)
  local reply = await(self._reader:insist("XREADGROUP", "GROUP", "workers", self.name, "COUNT", 1,
    "BLOCK", BLOCK, "STREAMS", self._queue._name, ">"))
  if not reply then return nil end
  local entry = reply[1][2][1]
  local job = pairs_of(entry[2])
  job.entry, job.attempt = entry[1], math.tointeger(tonumber(job.attempt))
  return job
end

--- Renews the lease, as long as the job is still this worker's.
local function keep(self, job)
  local queue = self._queue
  while true do
    await(sleep(queue._options.lease / 3))
    local held = await(queue._redis:insist("XCLAIM", queue._name, "workers", self.name, 0,
      job.entry, "JUSTID"))
    if #held == 0 then error("another worker has taken it over", 0) end
  end
end

local function attempt(self, job)
  return tide.group(function(g)
    local keeping = g:spawn(keep, self, job)
    await(tide.timeout(self._queue._options.timeout, self._handler, job))
    g:stop(keeping)
  end)
end

--- Does the job, and tells Redis what has become of it. A cancellation is no failure: then the job
--- is taken over when its lease is over.
local function work_on(self, signal, job)
  local ok, err = pcall(await, attempt(self, job))
  if ok then
    self._report(job, eval(self._queue, DONE, job.entry))
  elseif signal.aborted then
    error(err, 0)
  else
    local outcome = eval(self._queue, FAILED, job.entry, job.id, job.attempt, job.payload,
      tostring(err))
    self._report(job, outcome, err)
  end
end

local function tidy_up(self)
  local lease = self._queue._options.lease
  while true do
    eval(self._queue, TIDY, self.name, lease)
    await(sleep(math.min(lease / 4, 1000)))
  end
end

--- Takes jobs until it is stopped, as many at a time as it may; over when they are.
local function take_jobs(self)
  local permits = tide.semaphore(self._queue._options.concurrency)
  return tide.group(function(g)
    while not self._stopping do
      local permit = await(permits:acquire())
      local job = not self._stopping and take(self)
      g:spawn(function()
        local _ <close> = permit
        if job then work_on(self, g.signal, job) end
      end)
    end
  end)
end

--- Works until it is stopped. `report(job, outcome, err)` is told of each attempt: "done",
--- "delayed", "dead", or "lost" where another worker had taken it over.
function Worker:run()
  create_group(self._queue)
  local _ <close> = self._reader
  return await(tide.group(function(g)
    local tidying = g:spawn(tidy_up, self)
    await(take_jobs(self))
    g:stop(tidying)
  end))
end

--- Takes no more jobs; `run` ends when those that it has are done.
function Worker:stop()
  self._stopping = true
  if not self._reader.id then return end
  self._queue._redis:call("CLIENT", "UNBLOCK", self._reader.id):catch(function() end)
end

--- A worker that calls handler(job) for each job: { id=, payload=, attempt= }.
function Queue:worker(handler, report)
  return setmetatable({
    name = ("%s:%d:%s"):format(system.hostname(), system.pid(), random_id()),
    _queue = self,
    _handler = handler,
    _report = report or function() end,
    _reader = resp.client(self._address),
  }, Worker)
end

return M
