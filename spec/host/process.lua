-- What spec/host/oom.c runs as well: child processes and standard streams. A script of its own, as
-- each run starts some processes. Modes as in core.lua.

local mode = ...
local fs = require "moontide.fs"
local process = require "moontide.process"
local stdio = require "moontide.stdio"
local tide = require "moontide"

local await = tide.await

local function fails(...)
  assert(not pcall(...))
end

-- The child ends by itself before long: nobody tells it to if a function is lost.
local function cancelled()
  local controller = tide.AbortController()
  local options = { signal = controller.signal, env = { A = "1" }, cwd = "/", kill_grace = 0 }
  local child <close> = await(process.spawn("/bin/sleep", { 2 }, options))
  local waits = { child:wait(), child:wait() }
  assert(not await(tide.move_on_after(1, function() await(child:wait()) end)))
  assert(child:kill("SIGCONT"))
  controller:abort()
  assert(await(waits[1]).signal == "SIGKILL" and await(waits[2]).signal == "SIGKILL")
  assert(await(child:wait()).signal == "SIGKILL")
end

local function ended()
  fails(await, process.spawn("/no/such/command"))
  fails(await, process.spawn("/bin/true", nil, { cwd = "/no/such/directory" }))
  local input <close> = await(fs.open("/dev/null"))
  local detached = await(process.spawn("/bin/true", nil, { detached = true, stdin = input }))
  assert(await(detached:wait()).code == 0)
end

local function piped()
  local child <close> = await(process.spawn("/bin/cat", nil, { stdin = "pipe", stdout = "pipe" }))
  local closing = child.stdin:write("text"):next(function() return child.stdin:close() end)
  local text = child.stdout:read_all()
  await(closing)
  assert(await(text) == "text" and await(child:wait()).code == 0)
end

local function collected()
  assert(await(process.exec("/bin/cat", nil, { input = "text" })).stdout == "text")
  fails(await, process.exec("/bin/cat", nil, { input = "text", limit = 1 }))
  fails(await, process.exec("/bin/false", nil, { check = true }))
end

local function standard()
  local stdin <close> = stdio.stdin
  await(tide.move_on_after(1, function() await(stdin:read()) end))
  await(stdio.stderr:write(""))
  await(stdio.stderr:close())
end

local function flight()
  local arrived = 0
  local function arrive() arrived = arrived + 1 end
  for _ = 1, 2 do
    process.spawn("/bin/sleep", { 1000 }):next(arrive)
  end
  tide.spawn(function()
    await(await(process.spawn("/bin/sleep", { 1000 })):wait())
    arrive()
  end)
  process.exec("/bin/sleep", { 1000 }, { input = "text" }):next(arrive)
  for _ = 1, 5 do
    tide.queue_microtask(arrive)
  end
  return function() return arrived end
end

if mode == "whole" then
  await(tide.spawn(cancelled))
  await(tide.spawn(ended))
  await(tide.spawn(piped))
  await(tide.spawn(collected))
  await(tide.spawn(standard))
end
return flight()
