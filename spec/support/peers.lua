--- Programs of others that a spec talks to, while this process goes on.
local core = require "moontide.core"
local files = require "spec.support.files"
local fs = require "moontide.fs"
local process = require "moontide.process"
local system = require "moontide.os"
local tide = require "moontide"

local await = tide.await

local M = {}

local running = {}

--- Starts a command of the shell, with what it prints in files of the directory.
local function start(command, directory)
  local env = system.environ()
  env.LD_PRELOAD = nil -- a sanitizer's library is meant for this process
  env.PATH = env.PATH .. ":/usr/sbin:/usr/local/sbin"
  local out <close> = await(fs.open(directory .. "/out", "w"))
  local err <close> = await(fs.open(directory .. "/err", "w"))
  return await(process.spawn("sh", { "-c", "exec " .. command },
    { stdin = "null", stdout = out, stderr = err, env = env }))
end

--- Runs a command that ends by itself, and awaits that.
---@param command string
---@return spec.Result
function M.run(command)
  local directory = files.directory()
  local outcome = await(start(command, directory):wait())
  return {
    code = outcome.code or outcome.signal,
    out = files.read(directory .. "/out"),
    err = files.read(directory .. "/err"),
  }
end

local function free_port()
  local server <close> = core.net.tcp_listen("127.0.0.1", 0)
  return server:address().port
end

local function accepts(port)
  local stream, connected = core.net.tcp_connect("127.0.0.1", port)
  local ok = pcall(await, connected)
  stream:destroy()
  return ok
end

--- Starts a server that has to be told its port, one that was free a moment ago; `M.stop` ends it.
---@param command_for fun(port: integer): string
---@return integer port on which it accepts
function M.serve(command_for)
  local port, directory = free_port(), files.directory()
  local child = start(command_for(port), directory)
  running[#running + 1] = child
  local ended = child:wait()
  files.eventually(function()
    assert(ended:state() == "pending", files.read(directory .. "/err"))
    return accepts(port)
  end)
  return port
end

--- Ends the servers: for after_each.
function M.stop()
  for i, child in ipairs(running) do
    running[i] = nil
    child:kill("SIGKILL")
    await(child:wait())
  end
end

return M
