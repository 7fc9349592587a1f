-- examples/jobs with a real redis-server: workers are killed, stopped, and lose Redis.
local child = require "spec.support.child"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local process = require "moontide.process"
local tide = require "moontide"

local await = tide.await

-- Workers that hang for longer lose their jobs to others, which does no harm.
local LEASE = 800 -- ms
local ATTEMPTS = 5
local PATIENCE = 60000 -- ms: many processes, one after the other

local function eventually(f) files.eventually(f, PATIENCE) end

local address, running

local function start(command, arguments, options)
  local started = await(process.spawn(command, arguments, options))
  running[#running + 1] = started
  return started
end

local REDIS = "exec $(command -v redis-server || command -v valkey-server) --port 0 --save '' "
  .. "--appendonly yes --appendfsync always --unixsocket \"$1\"/socket --dir \"$1\" >/dev/null 2>&1"

local function start_redis(directory)
  local redis = start("sh", { "-c", "unset LD_PRELOAD; " .. REDIS, "sh", directory })
  eventually(function() return os.execute("test -S " .. directory .. "/socket") end)
  return redis
end

local function script(name) return "examples/jobs/" .. name .. ".lua" end

--- Adds jobs: their ids, in no order, and what else is said.
local function produce(...)
  local result = await(process.exec(child.lua,
    { "bin/moontide", script "produce", address, ... }, { check = true }))
  local ids = {}
  for id, payload in result.stdout:gmatch("(%x+)\t([^\n]+)") do ids[payload] = id end
  return ids, result.stdout:gsub("%x+\t[^\n]+\n", "")
end

--- A worker, with all that it has printed: `said["ID done"]`.
local function start_worker()
  local worker = { said = {} }
  worker.child = start(child.lua, { "bin/moontide", script "worker", address, LEASE },
    { stdout = "pipe" })
  worker.reading = tide.spawn(function()
    for line in worker.child.stdout:lines() do worker.said[line] = true end
  end)
  return worker
end

--- That one of them that has begun with the job.
local function who_begins(workers, id)
  local found
  eventually(function()
    for _, worker in ipairs(workers) do
      for line in pairs(worker.said) do
        if line:find(id .. " begins", 1, true) then found = worker end
      end
    end
    return found
  end)
  return found
end

local function has_done(workers, id)
  for _, worker in ipairs(workers) do
    if worker.said[id .. " done"] then return true end
  end
  return false
end

local function others(workers, worker)
  local list = {}
  for _, other in ipairs(workers) do
    if other ~= worker then list[#list + 1] = other end
  end
  return list
end

local function stop(worker)
  worker.child:kill("SIGTERM")
  local outcome = await(worker.child:wait())
  await(worker.reading)
  assert.equal(0, outcome.code)
  assert.is_true(worker.said["everything that was taken is done"])
end

describe("examples/jobs", function()
  before_each(function()
    running = {}
  end)

  after_each(function()
    for _, started in ipairs(running) do
      started:kill("SIGKILL")
      await(started:wait())
      if started.stdout then started.stdout:close() end
    end
    files.remove()
    leak.check()
  end)

  it("does each job, though a worker is killed and another one stopped", function()
    local directory = files.directory()
    start_redis(directory)
    address = directory .. "/socket"
    local workers = { start_worker(), start_worker(), start_worker() }
    local long = produce("sleep 1500")["sleep 1500"]
    local killed = who_begins(workers, long)
    killed.child:kill("SIGKILL")
    await(killed.child:wait())
    await(killed.reading)

    local left = others(workers, killed)
    local payloads = { "dance", "sing" }
    for i = 1, 40 do payloads[#payloads + 1] = "sleep " .. i end
    local ids = produce(table.unpack(payloads))
    local last = produce("sleep 1501")["sleep 1501"]
    local stopped = who_begins(left, last)
    stop(stopped)
    assert.is_true(stopped.said[last .. " done"])

    eventually(function()
      local counts = select(2, produce())
      return counts:match("^0 waiting, 0 running, 0 delayed, 2 dead\n")
    end)
    local letters = select(2, produce())
    for payload, id in pairs(ids) do
      local is_poison = payload == "dance" or payload == "sing"
      assert.equal(not is_poison, has_done(workers, id), payload)
      local letter = ("%s dead after %d attempts: no such work: %s\n"):format(id, ATTEMPTS, payload)
      assert.equal(is_poison, letters:find(letter, 1, true) ~= nil)
    end
    assert.is_nil(killed.said[long .. " done"])
    assert.is_true(has_done(workers, long))
    stop(others(left, stopped)[1])
  end)

  it("goes on when Redis has been away", function()
    local directory = files.directory()
    address = directory .. "/socket"
    local redis = start_redis(directory)
    local worker = start_worker()
    local before = produce("sleep 400")["sleep 400"]
    who_begins({ worker }, before)
    redis:kill("SIGKILL")
    await(redis:wait())
    os.remove(address)
    start_redis(directory)
    local after = produce("sleep 1")["sleep 1"]
    eventually(function()
      return has_done({ worker }, before) and has_done({ worker }, after)
    end)
    assert.matches("^0 waiting, 0 running, 0 delayed, 0 dead\n", (select(2, produce())))
    stop(worker)
  end)
end)
