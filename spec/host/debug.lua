-- What spec/host/oom.c runs besides core.lua: debug mode, and all that it reports. Arguments and
-- modes as there.

local mode, directory = ...
local core = require "moontide.core"
local debug_mode = require "moontide.async.debug"
local fs = require "moontide.fs"
local tide = require "moontide"

local async, await, Promise = tide.async, tide.await, tide.Promise

local reports = 0

local function nothing() end

local function begin()
  tide.debug {
    floating = true, permits = true, swallowed = true, unsettled = true, slow = 60000,
    report = function(text)
      assert(text:find "^[^\n]+")
      reports = reports + 1
    end,
  }
end

local save = async(function(n)
  await(nil)
  return n
end)

--- One of each mistake that is reported; nothing keeps what they are about.
local function mistakes()
  save(1)
  fs.stat(directory)
  tide.sleep(1)
  await(tide.move_on_after(1, function()
    pcall(await, tide.sleep(1000))
  end))
  tide.semaphore(1):acquire()
  Promise(nothing):next(nothing)
  tide.spawn(function() await(Promise(nothing)) end)
end

local function innocent()
  local mutex = tide.mutex()
  local permit = await(mutex:acquire())
  local waits = tide.spawn(function()
    local _ <close> = await(mutex:acquire())
  end)
  permit:release()
  await(waits)
  assert(await(save(1)) == 1)
  assert(#await(Promise.all { save(1), save(2) }) == 2)
  assert(not await(tide.move_on_after(1, function() await(tide.sleep(1000)) end)))
  tide.queue_microtask(nothing, 1)
  tide.set_immediate(save, 1)
  tide.set_timeout(function() return save(1) end, 1)
  await(tide.sleep(2))
end

local function flight()
  local arrived = 0
  local function arrive() arrived = arrived + 1 end
  for i = 1, 3 do
    tide.set_timeout(arrive, i)
    tide.set_immediate(arrive)
    save(i):next(arrive)
    fs.stat(directory):next(arrive)
    tide.sleep(1e9)
    tide.spawn(function() await(Promise(nothing)) end)
  end
  return function() return arrived end
end

begin()
if mode == "whole" then
  await(tide.spawn(innocent))
  collectgarbage()
  await(tide.spawn(mistakes))
  await(tide.sleep(5))
  collectgarbage()
  collectgarbage()
  await(tide.sleep(1))
  assert(reports > 4, reports)
  tide.debug(false)
  await(save(1))
  begin()
  assert(await(save(1)) == 1)
  save(2)
  core.report_left()
  debug_mode.finish()
  begin()
end
return flight()
