-- Of: internal/report, loop/listener
local child = require "spec.support.child"
local leak = require "spec.support.leak"

-- Runs a script with bin/moontide.
local function run(source, ...)
  local args = table.pack(...)
  return child.with_file(source, function(path)
    return child.shell(child.command("bin/moontide", path, table.unpack(args, 1, args.n))), path
  end)
end

local function lines(text)
  local list = {}
  for line in text:gmatch("[^\n]+") do
    list[#list + 1] = line
  end
  return list
end

describe("bin/moontide", function()
  after_each(leak.check)

  it("runs a script that awaits at top level, then the loop until nothing is left", function()
    local result = run([[
      local tide = require "moontide"
      tide.set_timeout(print, 50, "timer")
      tide.spawn(function()
        tide.await(tide.sleep(100))
        print("async")
      end)
      tide.await(tide.sleep(1))
      print("main")
    ]])
    assert.same({ code = 0, out = "main\ntimer\nasync\n", err = "" }, result)
  end)

  it("runs a script that knows nothing of it", function()
    assert.same({ code = 0, out = "plain\n", err = "" }, run([[print("plain")]]))
  end)

  it("sets arg and hands over ... as lua does", function()
    local result, path = run([[
      print(arg[0], #arg, arg[1], arg[2], arg[3])
      print(select("#", ...), ...)
      print(arg[-1] ~= nil)
    ]], "one", "", "three four")
    local expected = "%s\t3\tone\t\tthree four\n3\tone\t\tthree four\ntrue\n"
    assert.same({ code = 0, out = expected:format(path), err = "" }, result)
  end)

  it("hands arguments that look like options to the script", function()
    assert.equal("-x\t--help\n", run([[print(...)]], "-x", "--help").out)
  end)

  it("accepts a first line that starts with #!", function()
    assert.equal("ran\n", run("#!/usr/bin/env moontide\nprint('ran')").out)
  end)

  it("keeps the exit code that the script gives", function()
    assert.equal(7, run([[os.exit(7)]]).code)
    local result = run([[
      local tide = require "moontide"
      tide.await(tide.sleep(1))
      tide.sleep(1e9)
      os.exit(3, true)
    ]])
    assert.same({ code = 3, out = "", err = "" }, result)
  end)

  it("S47 prints an error of the script with its trace to stderr and exits with 1", function()
    local result, path = run([[
      print("before")
      local function fail()
        error("boom")
      end
      fail()
    ]])
    assert.equal(1, result.code)
    assert.equal("before\n", result.out)
    assert.is_truthy(result.err:find(path:match("[^/]+$") .. ":3: boom", 1, true), result.err)
    assert.matches("stack traceback:", result.err)
    assert.matches(":5:", result.err)
  end)

  it("S47 prints an unhandled rejection with its async trace and exits with 1", function()
    local result = run([[
      local tide = require "moontide"
      local inner = tide.async(function()
        tide.await(tide.sleep(1))
        error("boom")
      end)
      local outer = tide.async(function()
        tide.await(inner())
      end)
      outer()
      tide.await(tide.sleep(60000))
      print("not reached")
    ]])
    assert.equal(1, result.code)
    assert.equal("", result.out)
    assert.matches(":4: boom", result.err)
    local thrown, awaited = result.err:find(":4: in", 1, true), result.err:find(":7:", 1, true)
    assert.is_truthy(thrown, result.err)
    assert.is_truthy(awaited, result.err)
    assert.is_true(thrown < awaited)
  end)

  it("S47 exits with 1 for a floating Promise.reject, and for an error in a timer", function()
    local result = run([[require("moontide").Promise.reject("floating")]])
    assert.equal(1, result.code)
    assert.matches("floating", result.err)
    result = run([[require("moontide").set_timeout(function() error("in a timer") end, 1)]])
    assert.equal(1, result.code)
    assert.matches(":1: in a timer", result.err)
  end)

  it("S47 lets on_unhandled_rejection decide instead", function()
    local result = run([[
      local tide = require "moontide"
      tide.on_unhandled_rejection(function(reason) print("decided", reason) end)
      tide.Promise.reject("floating")
    ]])
    assert.same({ code = 0, out = "decided\tfloating\n", err = "" }, result)
  end)

  it("shows an error value of any type", function()
    for thrown, pattern in pairs({
      [ [[setmetatable({}, { __tostring = function() return "own text" end })]] ] = "own text",
      ["{}"] = "table",
      ["nil"] = "nil",
      ["42"] = "42",
      ["false"] = "boolean",
    }) do
      local result = run(("error(%s)"):format(thrown))
      assert.equal(1, result.code, thrown)
      assert.matches(pattern, result.err)
      result = run(([[
        local tide = require "moontide"
        tide.await(tide.sleep(1))
        error(%s)
      ]]):format(thrown))
      assert.equal(1, result.code, thrown)
      assert.matches(pattern, result.err)
    end
  end)

  it("shows a SystemError in one readable line before the trace", function()
    local result = run([[
      local tide = require "moontide"
      tide.await(require("moontide.fs").read_file("no/such/file"))
    ]])
    assert.equal(1, result.code)
    assert.matches("SystemError: ENOENT: [^\n]+, open 'no/such/file'", lines(result.err)[1])
    assert.matches(":2:", result.err)
  end)

  it("exits with 13 when the script waits for what can never come, and says who waits", function()
    local result = run([[
      local tide = require "moontide"
      tide.await((tide.Promise.with_resolvers()))
      print("not reached")
    ]])
    assert.equal(13, result.code)
    assert.equal("", result.out)
    assert.equal(2, #lines(result.err))
    assert.matches("DeadlockError", lines(result.err)[1])
    assert.matches("^  the top level, at [^\n]+:2, waits for a promise$", lines(result.err)[2])
  end)

  it("exits with 13 when only an unref'd timer is left", function()
    local result = run([[
      local tide = require "moontide"
      tide.set_timeout(print, 60000):unref()
      tide.await((tide.Promise.with_resolvers()))
    ]])
    assert.equal(13, result.code)
  end)

  it("exits with 0 when a function that nobody waits for stays suspended", function()
    local result = run([[
      local tide = require "moontide"
      tide.spawn(function() tide.await((tide.Promise.with_resolvers())) end)
    ]])
    assert.same({ code = 0, out = "", err = "" }, result)
  end)

  describe("at SIGUSR1", function()
    local kill = [[os.execute("kill -USR1 $PPID") ]]

    it("tells what is suspended, and what keeps the loop alive, and goes on", function()
      local result, path = run([[
        local tide = require "moontide"
        local queue = tide.queue()
        local take = tide.async(function() return tide.await(queue:pop()) end)
        tide.set_timeout(function() print(1) ]] .. kill .. [[ end, 1)
        tide.set_timeout(function() queue:push(2) end, 200)
        print(tide.await(take()))
      ]])
      local err = result.err:gsub(path:gsub("%p", "%%%0"), "app.lua"):gsub("in %d+ ms", "in N ms")
      assert.equal(table.concat({
        "moontide: suspended:",
        "  async function 'take' (app.lua:3), at app.lua:3, waits for queue:pop",
        "    awaited by the top level, at app.lua:6",
        "moontide: keeps the loop alive:",
        "  timer: timeout, due in N ms, function <app.lua:5>",
        "",
      }, "\n"), err)
      assert.same({ 0, "1\n2\n" }, { result.code, result.out })
    end)

    it("does so also when nothing is suspended, each time", function()
      local result = run(kill .. [[
        local tide = require "moontide"
        tide.await(tide.sleep(20)) ]] .. kill .. [[
        tide.set_timeout(function() end, 20)
      ]])
      assert.equal(2, select(2, result.err:gsub("moontide: keeps the loop alive:", "")))
      assert.matches("^moontide: suspended:\n  the top level, at [^\n]+:2, waits for sleep\n",
        result.err)
      assert.matches("\nmoontide: suspended: nothing\n", result.err)
      assert.equal(0, result.code)
    end)

    it("keeps nothing alive by that", function()
      assert.same({ code = 0, out = "0\n", err = "" }, (run([[
        print(#require("moontide").handles())
      ]])))
    end)

    it("leaves the signal to a script that asks for it, as long as it does", function()
      local result = run([[
        local tide = require "moontide"
        local signals = tide.signal("SIGUSR1") ]] .. kill .. [[
        print(tide.await(signals:next()))
        signals:close() ]] .. kill .. [[
        tide.await(tide.sleep(50))
      ]])
      assert.equal("SIGUSR1\n", result.out)
      assert.equal(1, select(2, result.err:gsub("moontide: suspended:", "")))
    end)
  end)

  it("exits with 1 for a script that is not there, or that does not compile", function()
    local result = child.shell(child.command("bin/moontide", "no/such/script.lua"))
    assert.equal(1, result.code)
    assert.matches("no/such/script%.lua", result.err)
    assert.equal("", result.out)
    local broken, path = run("local = 1")
    assert.equal(1, broken.code)
    assert.is_truthy(broken.err:find(path:match("[^/]+$") .. ":1:", 1, true), broken.err)
  end)

  it("does not take a wrong call for a script: it shows how it is used", function()
    local result = child.shell(child.command("bin/moontide"))
    assert.is_true(result.code ~= 0)
    assert.matches("moontide .*SCRIPT", result.err)
    assert.equal("", result.out)
  end)

  it("runs from any directory", function()
    local result = child.with_file([[print(require("moontide").await("found"))]], function(path)
      local root = child.shell("pwd").out:gsub("\n$", "")
      return child.shell(("cd / && %s %s %s"):format(
        child.quote(child.lua),
        child.quote(root .. "/bin/moontide"),
        child.quote(path)
      ))
    end)
    assert.same({ code = 0, out = "found\n", err = "" }, result)
  end)

  describe("the collector", function()
    it("is incremental, as bench/README.md has it, when the script begins", function()
      local result = run([[
        print(collectgarbage("setpause", 100), collectgarbage("setstepmul", 100))
        print(collectgarbage("incremental"))
      ]])
      assert.same({ code = 0, out = "300\t100\nincremental\n", err = "" }, result)
    end)

    it("is the script's to choose", function()
      local result = run([[
        collectgarbage("generational")
        local tide = require "moontide"
        tide.set_timeout(function() print(collectgarbage("generational")) end, 1)
      ]])
      assert.same({ code = 0, out = "generational\n", err = "" }, result)
    end)

    it("is left alone by the library", function()
      for _, mode in ipairs { "incremental", "generational" } do
        local result = child.lua_source(([[
          collectgarbage("setpause", 160)
          collectgarbage("setstepmul", 120)
          collectgarbage(%q)
          local tide = require "moontide"
          tide.await(tide.sleep(1))
          print(collectgarbage("generational"))
          print(collectgarbage("setpause", 160), collectgarbage("setstepmul", 120))
        ]]):format(mode))
        assert.same({ code = 0, out = mode .. "\n160\t120\n", err = "" }, result)
      end
    end)
  end)
end)
