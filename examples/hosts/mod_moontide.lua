-- A module for prosody 0.12, which has a loop of its own (net.server): moontide runs on that loop,
-- and the module fetches a line from a server when prosody has started, and every second.
--
--   plugin_paths = { "/path/to/examples/hosts" }
--   modules_enabled = { "moontide" }
--   moontide_fetch_port = 7000
--
-- The three parts that every host has: turns, an alarm, and a descriptor that is watched.
local server = require "net.server"
local timer = require "util.timer"

local tide = require "moontide"
local net = require "moontide.net"

local LONGEST = 3600

-- No error of a script may come out into prosody's loop.
local function turn()
  local ok, err = xpcall(tide.step, tide.traceback)
  if not ok then
    module:log("error", "moontide: %s", err)
  end
end

local function seconds()
  local ms = tide.backend_timeout()
  return ms < 0 and LONGEST or ms / 1000
end

local alarm = timer.add_task(seconds(), function()
  turn()
  return seconds()
end)

local watch = server.watchfd(tide.backend_fd(), function()
  turn()
  timer.reschedule(alarm, seconds())
end)

-- Somebody has called into moontide outside a turn, as the hooks below do.
tide.on_wake(function()
  timer.reschedule(alarm, 0)
end)

function module.unload()
  tide.on_wake(nil)
  watch:close()
  timer.stop(alarm)
end

-- What the module is for.
local port = module:get_option_number("moontide_fetch_port")

local function fetch(what)
  local stream <close> = tide.await(net.connect { host = "127.0.0.1", port = port })
  tide.await(stream:write(what .. "\n"))
  local line = tide.await(stream:read_line())
  tide.await(tide.sleep(10))
  module:log("info", "fetched %s", line)
end

module:hook_global("server-started", function()
  tide.spawn(tide.timeout, 5000, fetch, "at the start")
end)

module:add_timer(1, function()
  tide.spawn(tide.timeout, 5000, fetch, "in a timer of prosody's")
  return 1
end)
