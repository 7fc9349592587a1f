-- Of: loop/stall, base/thread
local child = require "spec.support.child"
local compile = require "spec.support.compile"

local PRELUDE = [[
local tide = require "moontide"
local await, async, spawn = tide.await, tide.async, tide.spawn
tide.debug({ slow = 40, report = print })
local function burn(ms) local since = tide.now() while tide.now() - since < ms do end end
]]
local FIRST = select(2, PRELUDE:gsub("\n", "")) -- lines before the program's own

-- What a program reports, lines counted from its own first one.
local function reports(source)
  return child.with_file(PRELUDE .. source .. "\ntide.run()\n", function(path)
    local result = child.shell(child.command(path))
    assert.equal("", result.err)
    assert.equal(0, result.code)
    local out = result.out:gsub(path:gsub("%p", "%%%0"), "app.lua")
    return (out:gsub("app.lua:(%d+)", function(line)
      return "app.lua:" .. tonumber(line) - FIRST
    end))
  end)
end

-- A build that looks at everything is slow everywhere.
local it = os.getenv("MOONTIDE_BUILD") == "gcstress" and pending or it

describe("a job that holds the loop", function()
  it("S83 is reported with its stack and what has begun it", function()
    local out = reports([[
local function work() burn(400) end
tide.set_timeout(function() work() end, 1)]])
    assert.matches("a job holds the loop for more than 40 ms\nstack traceback:\n", out)
    assert.matches("app.lua:1: in upvalue 'work'\n", out)
    assert.matches("\t[from set_timeout at app.lua:2]\n", out, 1, true)
  end)

  it("S83 is reported in an async function, with who awaits it", function()
    local out = reports([[
local parse = async(function() await(nil) burn(400) end)
local load = async(function() await(parse()) end)
await(load())]])
    assert.matches("async function 'parse' %(app.lua:1%)\n\t%[await%]\n", out)
    assert.matches("async function 'load' %(app.lua:2%)", out)
  end)

  it("S83 is reported although it never ends", function()
    local out = reports([[
tide.set_timeout(function() os.exit(0) end, 1000)
spawn(function()
  tide.debug({ slow = 40, report = function(text) print(text) os.exit(0) end })
  await(nil)
  while true do end
end)]])
    assert.matches("^app.lua:5: a job holds the loop for more than 40 ms\n", out)
  end)

  it("S83 is reported at top level, while others wait", function()
    local out = reports([[
tide.set_timeout(function() end, 5)
await(tide.sleep(1))
burn(400)]])
    assert.matches("a job holds the loop for more than 40 ms\nstack traceback:\n", out)
    assert.matches("app.lua:3: in main chunk\n", out)
  end)

  it("S83 is reported when it has called C, just after the call", function()
    assert.matches("^app.lua:4: a job holds the loop", reports([[
spawn(function()
  await(nil)
  os.execute("sleep 0.4")
  return 1
end)]]))
  end)

  it("S83 is reported when it is nothing but a function of C", function()
    assert.equal("a job holds the loop for more than 40 ms, in a function of C\n",
      reports([[tide.set_timeout(os.execute, 1, "sleep 0.4")]]))
  end)

  it("is reported once for a line", function()
    local out = reports([[
local function work() local n = 0 for i = 1, 4e7 do n = n + i end end
for i = 1, 2 do tide.set_timeout(work, i) end]])
    assert.equal(1, select(2, out:gsub("a job holds", "")))
  end)
end)

describe("what watches for jobs that hold the loop", function()
  it("ends in the middle of a job, and the loop goes on", function()
    assert.equal("later\n", reports([[
tide.set_timeout(function() burn(30) tide.debug(false) burn(5) end, 1)
tide.set_timeout(print, 100, "later")]]))
  end)

  it("ends at top level, and the loop goes on", function()
    assert.equal("later\n", reports([[
tide.set_timeout(print, 100, "later")
await(tide.sleep(1))
burn(30)
tide.debug(false)]]))
  end)

  it("sees the top level after the coroutine that drove the loop has gone", function()
    local out = reports([[
tide.set_timeout(print, 1000, "later")
coroutine.wrap(function() await(tide.sleep(1)) end)()
collectgarbage()
local list = {}
for i = 1, 1000 do list[i] = {} end
burn(300)]])
    assert.matches("^app.lua:0: a job holds the loop.*\tapp.lua:6: in main chunk\n", out)
    assert.matches("later\n$", out)
  end)

  it("leaves the program's hook where it is, and tells that it does", function()
    assert.equal("a job holds the loop for more than 40 ms\n"
      .. "  its stack is not known: the program has set a hook\ntrue\n", reports([[
local function hook() end
debug.sethook(hook, "l")
tide.set_timeout(burn, 1, 300)
tide.run()
print(debug.gethook() == hook)]]))
  end)

  it("leaves SIGURG to the program", function()
    local out = reports([[
local urgent = tide.signal("SIGURG")
local count = 0
local function listen()
  for _ in urgent do count = count + 1 end
end
spawn(listen)
tide.set_timeout(function() burn(300) end, 1)
await(tide.sleep(400))
print(count)
os.execute("kill -URG $PPID")
await(tide.sleep(50))
print(count)
urgent:close()]])
    assert.equal(1, select(2, out:gsub("a job holds the loop", "")))
    assert.matches("\n0\n1\n$", out)
  end)

  it("takes as long as it is told", function()
    assert.equal("", reports([[
for _, limit in ipairs({ math.huge, 1e300, 1 }) do
  tide.debug({ slow = limit, report = print })
  await(tide.sleep(5))
end]]))
  end)
end)

describe("what watches for jobs, in other states and processes,", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. child.quote(folder))
    compile.module("spec/support/fork.c", folder .. "/fork.so")
    compile.module("spec/support/states.c", folder .. "/states.so")
  end)

  teardown(function()
    os.execute("rm -r " .. child.quote(folder))
  end)

  local function output(source)
    local path = ("package.cpath = %q .. package.cpath\n"):format(folder .. "/?.so;")
    local result = child.lua_source(path .. source)
    assert.equal("", result.err)
    assert.equal(0, result.code)
    return result.out
  end

  local STATES = ("local states = require 'states'\nlocal PRELUDE = %q\n"):format(
    PRELUDE:gsub("local ", ""))

  it("leaves nothing behind in the process", function()
    assert.matches("^[^\n]* a job holds the loop.*\nfine\n$", output(STATES .. [[
for _ = 1, 2 do
  local state = states.open()
  states.run(state, PRELUDE .. "tide.set_timeout(burn, 1, 300) tide.run()")
  states.close(state)
end
states.raise(23) -- SIGURG of Linux
print("fine")]]))
  end)

  it("follows a state from thread to thread", function()
    local out = output(STATES .. [[
local state = states.open()
states.run(state, PRELUDE)
states.run(state, "tide.set_timeout(burn, 1, 300) tide.set_timeout(print, 500, 'late') "
  .. "await(tide.sleep(310))")
states.run(state, "burn(100) tide.run()")
states.close(state)]])
    assert.equal(1, select(2, out:gsub("a job holds the loop", "")))
    assert.matches("late\n$", out)
  end)

  it("does not wait for what a fork has left behind", function()
    assert.equal("closed\noff\n", output("local process = require 'fork'\n" .. PRELUDE .. [[
io.stdout:setvbuf("no")
tide.debug({ slow = 5000, report = print })
tide.set_timeout(function()
  local pid = process.fork()
  if pid == 0 then io.write("closed\n") os.exit(0, true) end
  process.wait(pid)
  pid = process.fork()
  if pid == 0 then tide.debug(false) io.write("off\n") os.exit(0, true) end
  process.wait(pid)
end, 1)
tide.run()]]))
  end)

  it("watches a fork", function()
    local out = output("local process = require 'fork'\n" .. PRELUDE .. [[
local pid = process.fork()
if pid == 0 then
  tide.set_timeout(function() burn(300) end, 1)
  tide.run()
  os.exit(0, true)
end
process.wait(pid)]])
    assert.matches("a job holds the loop", out)
  end)
end)

describe("an await that has nothing to wait for", function()
  it("S64 gives nobody else a turn, so it holds the loop", function()
    assert.matches("a job holds the loop", reports([[
spawn(function() for _ = 1, 400 do burn(1) await(nil) end end)]]))
  end)
end)

describe("what holds no loop is not reported:", function()
  local innocent = {
    ["many short jobs"] = [[
for i = 1, 300 do tide.set_immediate(burn, 1) end]],
    ["many microtasks, none of which takes long"] = [[
for i = 1, 300 do tide.queue_microtask(burn, 1) end]],
    ["a function that lets others have their turn"] = [[
spawn(function() for _ = 1, 300 do burn(1) await(tide.yield()) end end)]],
    ["a wait for a timer"] = "await(tide.sleep(300))",
    ["a wait for a child"] = [[
await(require("moontide.process").exec("sleep", { "0.3" }))]],
    ["a long start, before anything waits"] = "burn(300)",
    ["an end on which nothing waits"] = "await(tide.sleep(1)) burn(300)",
    ["what a host does between two turns"] = [[
tide.set_interval(function() end, 1):unref()
tide.set_timeout(function() end, 1000)
for _ = 1, 3 do tide.step(0) burn(200) end
os.exit(0)]],
    ["anything, once debug mode is off"] = [[
tide.debug(false)
spawn(function() await(nil) burn(300) end)]],
  }
  for what, source in pairs(innocent) do
    it(what, function()
      assert.equal("", reports(source))
    end)
  end
end)
