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
  local waiting = child:wait()
  assert(child:kill("SIGCONT"))
  controller:abort()
  assert(await(waiting).signal == "SIGKILL" and await(child:wait()).signal == "SIGKILL")
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
  child.stdin:write("text")
  child.stdin:close()
  assert(await(child.stdout:read_all()) == "text")
end

local function collected()
  fails(await, process.exec("/bin/cat", nil, { input = "text", limit = 1 }))
  fails(await, process.exec("/bin/false", nil, { check = true }))
end

local function standard()
  local _ <close> = stdio.stdin
  await(stdio.stderr:write(""))
  await(stdio.stderr:close())
end

local function flight()
  local arrived = 0
  local function arrive() arrived = arrived + 1 end
  process.spawn("/bin/sleep", { 1000 }):next(function(child) child:wait():next(arrive) end)
  process.exec("/bin/sleep", { 1000 }, { input = "text" }):next(arrive)
  for _ = 1, 6 do
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
