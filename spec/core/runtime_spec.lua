local core = require "moontide.core"
local tide = require "moontide"
local fs = require "moontide.fs"
local child = require "spec.support.child"
local leak = require "spec.support.leak"

local await, sleep = tide.await, tide.sleep
local Promise = tide.Promise

-- Runs Lua source in a process of its own, and demands that it ends well and says nothing else.
local function prints(expected, source)
  local result = child.lua_source(source)
  assert.equal("", result.err)
  assert.equal(expected, result.out)
  assert.equal(0, result.code)
end

describe("the library", function()
  after_each(leak.check)

  it("S48 prints nothing and sets no global", function()
    prints("", [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      local tide = require "moontide"
      local fs = require "moontide.fs"
      tide.run(function()
        tide.await(tide.sleep(1))
        pcall(tide.await, fs.stat("no/such/file"))
        tide.Promise.reject("handled"):catch(function() end)
      end)
      for name in pairs(_G) do assert(before[name], name) end
    ]])
  end)

  it("S48 prints nothing when it raises, and does not exit", function()
    prints("boom\nfloating\nDeadlockError\nstill here\n", [[
      local tide = require "moontide"
      print(select(2, pcall(tide.run, function() error("boom", 0) end)))
      tide.Promise.reject("floating")
      print(select(2, pcall(tide.run)))
      print(select(2, pcall(tide.await, (tide.Promise.with_resolvers()))).name)
      print("still here")
    ]])
  end)

  it("S48 leaves signal handlers, and the locale, as they were", function()
    local status = io.open("/proc/self/status")
    if not status then
      return pending("signals cannot be looked up without /proc")
    end
    status:close()
    prints("same\n", [[
      -- Without the real-time signals, two of which belong to the C library's threads.
      local function signals(text, name)
        return tonumber(text:match(name .. ":%s*(%x+)"), 16) & 0x7fffffff
      end
      local function look()
        local file <close> = io.open("/proc/self/status")
        local text = file:read("a")
        return ("%x %x %s"):format(signals(text, "SigIgn"), signals(text, "SigCgt"),
          os.setlocale())
      end
      local before = look()
      local tide = require "moontide"
      tide.await(tide.sleep(1))
      tide.await(require("moontide.fs").stat("."))
      local after = look()
      print(before == after and "same" or before .. " " .. after)
    ]])
  end)

  it("S48 changes no metatable of a basic type, and no library of Lua's", function()
    prints("", [[
      local function copy(t)
        local c = {}
        for k, v in pairs(t) do c[k] = v end
        return c
      end
      local libraries = { string, table, math, io, os, coroutine, debug, utf8 }
      local before = {}
      for i, library in ipairs(libraries) do before[i] = copy(library) end
      local tide = require "moontide"
      tide.await(tide.sleep(1))
      for i, library in ipairs(libraries) do
        for k, v in pairs(library) do assert(before[i][k] == v, k) end
        for k, v in pairs(before[i]) do assert(library[k] == v, k) end
      end
      for _, value in ipairs({ 1, true, print, coroutine.create(print) }) do
        assert(debug.getmetatable(value) == nil)
      end
      assert(debug.getmetatable(nil) == nil)
    ]])
  end)

  it("finds the same runtime when it is loaded again", function()
    local fired = false
    tide.set_timeout(function()
      fired = true
    end, 1)
    local saved = {}
    for name, value in pairs(package.loaded) do
      if name:match("^moontide") then
        saved[name] = value
        package.loaded[name] = nil
      end
    end
    finally(function()
      for name, value in pairs(saved) do
        package.loaded[name] = value
      end
    end)
    local again = require "moontide"
    assert.are_not.equal(tide, again)
    assert.is_true(again.alive())
    assert.equal("v", again.await(tide.Promise.resolve("v")))
    assert.equal("w", tide.await(again.spawn(function()
      await(again.sleep(1))
      return "w"
    end)))
    local p = tide.Promise.resolve(1)
    assert.equal(p, again.Promise.resolve(p))
    again.run()
    assert.is_true(fired)
  end)

  it("counts what is live", function()
    local names = {}
    for name, count in pairs(core.stats()) do
      assert.equal("integer", math.type(count))
      assert.equal(0, count)
      names[#names + 1] = name
    end
    table.sort(names)
    local all = { "handles", "immediates", "microtasks", "operations", "rejections", "timers" }
    assert.same(all, names)
    tide.set_timeout(function() end, 1)
    tide.sleep(1)
    tide.set_immediate(function() end)
    tide.queue_microtask(function() end)
    fs.stat(".")
    local rejected = Promise.reject()
    local stats = core.stats()
    assert.equal(2, stats.timers)
    assert.equal(1, stats.immediates)
    assert.equal(1, stats.microtasks)
    assert.equal(1, stats.operations)
    assert.equal(1, stats.rejections)
    rejected:catch(function() end)
  end)
end)

describe("bad arguments", function()
  after_each(leak.check)

  local function none() end
  local promise = Promise.resolve()
  local var = tide.ContextVar("var")

  -- The function's name and the argument's number, 0 for self, in the message, and what the message
  -- says about the type, where that is certain.
  local cases = {
    { "async", 1, "got nil", function() tide.async(nil) end },
    { "async", 1, "got nil", function() tide.async() end },
    { "async", 1, "got table", function() tide.async({}) end },
    { "spawn", 1, "got nil", function() tide.spawn(nil) end },
    { "spawn", 1, "got string", function() tide.spawn("f") end },
    { "Promise.new", 1, "got nil", function() Promise.new(nil) end },
    { "Promise.new", 1, "got number", function() Promise.new(1) end },
    { "Promise", 1, "got nil", function() Promise(nil) end },
    { "Promise", 1, "got table", function() Promise({}) end },
    { "Promise.all", 1, "table expected, got nil", function() Promise.all(nil) end },
    { "Promise.all", 1, "got number", function() Promise.all(1) end },
    { "Promise.all_settled", 1, "table expected", function() Promise.all_settled(nil) end },
    { "Promise.race", 1, "table expected", function() Promise.race("list") end },
    { "Promise.any", 1, "table expected", function() Promise.any(nil) end },
    { "Promise.all_keyed", 1, "table expected", function() Promise.all_keyed(nil) end },
    { "Promise.all_settled_keyed", 1, "got number", function() Promise.all_settled_keyed(1) end },
    { "Promise.try", 1, "got nil", function() Promise.try(nil) end },
    { "Promise.try", 1, "got table", function() Promise.try({}) end },
    { "promise:next", 0, "got table", function() promise.next({}, none) end },
    { "promise:catch", 0, "got nil", function() promise.catch(nil, none) end },
    { "promise:finally", 0, "got number", function() promise.finally(1, none) end },
    { "promise:await", 0, "got table", function() promise.await({}) end },
    { "promise:state", 0, "got nil", function() promise.state(nil) end },
    { "queue_microtask", 1, "got nil", function() tide.queue_microtask(nil) end },
    { "queue_microtask", 1, "got string", function() tide.queue_microtask("f") end },
    { "set_timeout", 1, "got nil", function() tide.set_timeout(nil, 1) end },
    { "set_timeout", 1, "got string", function() tide.set_timeout("f", 1) end },
    { "set_timeout", 2, "number expected, got string", function() tide.set_timeout(none, "x") end },
    { "set_timeout", 2, "number expected, got table", function() tide.set_timeout(none, {}) end },
    { "set_interval", 1, "got nil", function() tide.set_interval(nil, 1) end },
    { "set_interval", 2, "number expected", function() tide.set_interval(none, true) end },
    { "set_immediate", 1, "got nil", function() tide.set_immediate(nil) end },
    { "clear_timeout", 1, "got table", function() tide.clear_timeout({}) end },
    { "clear_interval", 1, "got string", function() tide.clear_interval("1") end },
    { "clear_immediate", 1, "got function", function() tide.clear_immediate(none) end },
    { "sleep", 1, "number expected, got string", function() sleep("x") end },
    { "sleep", 1, "number expected, got table", function() sleep({}) end },
    { "run", 1, "got number", function() tide.run(1) end },
    { "run", 1, "got table", function() tide.run({}) end },
    { "step", 1, "number expected", function() tide.step("x") end },
    {
      "on_unhandled_rejection",
      1,
      "got number",
      function() tide.on_unhandled_rejection(1) end,
    },
    { "on_rejection_handled", 1, "got string", function() tide.on_rejection_handled("f") end },
    { "promisify", 1, "got nil", function() tide.promisify(nil) end },
    { "promisify", 1, "got string", function() tide.promisify("f") end },
    { "import", 1, "string expected", function() tide.import(nil) end },
    { "import", 1, "string expected", function() tide.import({}) end },
    { "ContextVar", 1, "string expected", function() tide.ContextVar(nil) end },
    { "context_var:run", 2, "got nil", function() var:run("value", nil) end },
    { "context_var:run", 2, "got string", function() var:run("value", "f") end },
    { "fs.read_file", 1, "string expected, got nil", function() fs.read_file(nil) end },
    { "fs.read_file", 1, "string expected", function() fs.read_file({}) end },
    { "fs.write_file", 1, "string expected", function() fs.write_file(nil, "text") end },
    { "fs.write_file", 2, "string expected", function() fs.write_file("/dev/null", nil) end },
    { "fs.write_file", 2, "string expected", function() fs.write_file("/dev/null", {}) end },
    { "fs.stat", 1, "string expected", function() fs.stat(nil) end },
    { "fs.scandir", 1, "string expected", function() fs.scandir(true) end },
  }

  for _, case in ipairs(cases) do
    local name, index, detail, f = table.unpack(case)
    it(("raise at once: '%s' #%d (%s)"):format(name, index, detail), function()
      local ok, err = pcall(f)
      assert.is_false(ok)
      local text = index == 0 and ("calling '%s' on bad self"):format(name)
        or ("bad argument #%d to '%s'"):format(index, name)
      assert.matches("^[^\n]*runtime_spec%.lua:%d+: " .. text .. " %(.+%)$", err)
      assert.is_truthy(err:find(detail, 1, true), err)
      assert.equal("", leak.live())
    end)
  end

  it("raise in a method of something that is no handle", function()
    local handle <close> = tide.set_timeout(none, 1)
    for _, name in ipairs({ "ref", "unref", "close" }) do
      local ok, err = pcall(handle[name], {})
      assert.is_false(ok)
      assert.matches("calling 'handle:" .. name .. "' on bad self %(moontide.Handle expected", err)
    end
  end)

  it("raise for a table that only has the metatable of a handle or a promise", function()
    -- In a process of its own, as memory is at stake.
    prints("", [[
      local tide = require "moontide"
      local handle, promise = tide.set_timeout(print, 1), tide.Promise.resolve()
      local function check(object, ...)
        local fake = setmetatable({}, getmetatable(object))
        for _, f in ipairs({ ... }) do
          local ok, err = pcall(f, fake)
          assert(not ok and err:find("expected, got table", 1, true), err)
        end
      end
      check(handle, handle.close, handle.ref, handle.unref, tide.clear_timeout,
        tide.clear_interval, tide.clear_immediate)
      check(promise, promise.next, promise.catch, promise.finally, promise.state, promise.await,
        tostring)
      handle:close()
    ]])
  end)

  it("raise in a path with a NUL in it", function()
    local ok, err = pcall(fs.read_file, "a\0b")
    assert.is_false(ok)
    assert.matches("bad argument #1", err)
  end)

  it("raise inside an async function too, where the error is its rejection", function()
    local p = tide.spawn(function()
      tide.set_timeout("no function", 1)
    end)
    local ok, err = pcall(await, p)
    assert.is_false(ok)
    assert.matches("bad argument #1 to '[%w_.]*set_timeout'", err)
  end)

  it("are not the values that promises are made of", function()
    for _, value in ipairs({ 1, "x", true, print, {} }) do
      assert.equal(value, (await(value)))
      assert.equal(value, (await(Promise.resolve(value))))
    end
  end)
end)

describe("an error object", function()
  after_each(leak.check)

  it("has a name, a message and a readable tostring", function()
    local _, err = pcall(await, Promise.any({}))
    assert.equal("table", type(err))
    assert.equal("AggregateError", err.name)
    assert.equal(err.name .. ": " .. err.message, tostring(err))
    err.message = "changed"
    assert.equal("AggregateError: changed", tostring(err))
  end)
end)

describe("two states in one process #closing", function()
  it("S49 are independent, and each can be closed while the other runs", function()
    if not pcall(require, "luv") then
      return pending("luv, which can start a second state, is not installed")
    end
    prints("other 3 true\nmain 5 true\n", [[
      local uv = require "luv"
      local tide = require "moontide"
      local core = require "moontide.core"
      local function other(path, cpath)
        package.path, package.cpath = path, cpath
        local tide = require "moontide"
        local core = require "moontide.core"
        local alone = core.stats().timers == 0 and not tide.alive()
        local count = 0
        tide.set_interval(function() count = count + 1 end, 1)
        while count < 3 do tide.await(tide.sleep(1)) end
        -- All of this is still in flight when the thread ends and its state is closed.
        kept = { tide.sleep(1e9), require("moontide.fs").stat("."), tide.Promise.reject("r") }
        tide.spawn(function() tide.await(tide.sleep(1e9)) end)
        print("other 3 " .. tostring(alone))
      end
      local count = 0
      local interval = tide.set_interval(function() count = count + 1 end, 1)
      local thread = uv.new_thread(other, package.path, package.cpath)
      tide.await(tide.sleep(5))
      thread:join()
      local timers = core.stats().timers
      while count < 5 do tide.await(tide.sleep(1)) end
      interval:close()
      tide.run()
      print("main 5 " .. tostring(timers == 1))
    ]])
  end)
end)

describe("closing a state #closing", function()
  -- Everything that can be in flight, and everything that can be held when the state closes.
  local IN_FLIGHT = [[
    local tide = require "moontide"
    local fs = require "moontide.fs"
    local async, await, sleep, Promise = tide.async, tide.await, tide.sleep, tide.Promise
    local function closer()
      return setmetatable({}, { __close = function() print("closed") end })
    end
    kept = {
      tide.set_timeout(print, 1e9, "timer"),
      tide.set_interval(print, 1e9, "interval"),
      tide.set_immediate(print, "immediate"),
      tide.set_timeout(print, 1e9):unref(),
      sleep(1e9),
      tide.yield(),
      fs.stat("."),
      fs.read_file(arg[0]),
      fs.scandir("."),
      fs.watch("."),
      fs.watch("."):next(),
      Promise.with_resolvers(),
      Promise.reject("floating"),
      Promise.all({ sleep(1e9), Promise.resolve(1) }),
      Promise.resolve({ ["then"] = function() print("then") end }),
      Promise.resolve(1):next(print),
      async(function()
        local guard <close> = closer()
        await(sleep(1e9))
      end)(),
      async(function() await(fs.stat(".")) end)(),
      async(function() await((Promise.with_resolvers())) end)(),
      tide.ContextVar("var"):run({}, function() return sleep(1e9) end),
    }
    tide.set_timeout(print, 1e9, "dropped")
    fs.stat(".")
    fs.write_file("/dev/null", ("x"):rep(100000))
    tide.queue_microtask(print, "microtask")
  ]]

  it("S49 with everything still in flight runs nothing and says nothing", function()
    prints("", IN_FLIGHT)
  end)

  it("S49 works after a turn, with os.exit too", function()
    prints("turned\n", [[
      local tide = require "moontide"
      local fs = require "moontide.fs"
      tide.set_interval(function() end, 1)
      for i = 1, 10 do
        tide.spawn(function()
          while true do
            tide.await(fs.stat("."))
            tide.await(tide.sleep(1))
          end
        end)
      end
      tide.await(tide.sleep(20))
      print("turned")
      os.exit(true, true)
    ]])
  end)

  it("S49 works when os.exit is called in a callback, and in an async function", function()
    for _, start in ipairs({
      [[tide.set_timeout(leave, 1)]],
      [[tide.queue_microtask(leave)]],
      [[tide.set_immediate(leave)]],
      [[tide.spawn(function() tide.await(tide.sleep(1)) leave() end)]],
      [[fs.stat("."):next(leave)]],
    }) do
      prints("leaving\n", [[
        local tide = require "moontide"
        local fs = require "moontide.fs"
        local function leave()
          fs.stat(".")
          tide.sleep(1e9)
          print("leaving")
          os.exit(0, true)
        end
      ]] .. start .. "\ntide.run()")
    end
  end)

  it("S49 works after an error has left run with more in flight", function()
    local result = child.lua_source([[
      local tide = require "moontide"
      tide.set_timeout(error, 1, "out of the script", 0)
      require("moontide.fs").stat(".")
      tide.sleep(1e9)
      tide.run()
    ]])
    assert.equal(1, result.code)
    assert.matches("out of the script", result.err)
    assert.equal("", result.out)
  end)

  it("S49 works when nothing was ever run", function()
    prints("", [[require "moontide"]])
    prints("", [[require "moontide.core"]])
  end)

  it("S49 closes what a suspended coroutine of a task holds, or leaves it, but never hangs",
    function()
      local result = child.lua_source([[
        local tide = require "moontide"
        for i = 1, 1000 do
          tide.spawn(function()
            local held <close> = setmetatable({}, { __close = function() end })
            tide.await(tide.sleep(1e9))
          end)
        end
        print("end")
      ]])
      assert.same({ code = 0, out = "end\n", err = "" }, result)
    end)

  it("S49 answers everything older than the runtime: the runtime is closed", function()
    -- Finalizers run in the reverse order of their marking: this one after the runtime's.
    local calls = {
      "tide.async(f)()",
      "tide.spawn(f)",
      "tide.await(1)",
      "promise:await()",
      "Promise(f)",
      "Promise.resolve(1)",
      "Promise.reject(1)",
      "Promise.all({ 1 })",
      "Promise.race({ 1 })",
      "Promise.with_resolvers()",
      "promise:next(f)",
      "pending:catch(f)",
      "promise:finally(f)",
      "resolve(1)",
      "tide.queue_microtask(f)",
      "tide.set_timeout(f, 1)",
      "tide.set_interval(f, 1)",
      "tide.set_immediate(f)",
      "tide.sleep(1)",
      "tide.yield()",
      "tide.run()",
      "tide.run(f)",
      "tide.step()",
      "tide.stop()",
      "tide.alive()",
      "tide.backend_fd()",
      "tide.backend_timeout()",
      "tide.on_unhandled_rejection(f)",
      "tide.join(1)",
      "tide.ContextVar('v'):run(1, f)",
      "fs.read_file('x')",
      "fs.write_file('x', '')",
      "fs.stat('.')",
      "fs.scandir('.')",
      "fs.watch('.')",
      "watch:next()",
      "watch:close()",
      "async_function()",
      "core.stats()",
    }
    local source = { [[
      local tide, fs, core, Promise, promise, pending, resolve, async_function, watch
      local function f() end
      local old = setmetatable({}, { __gc = function()
        local function try(name, call)
          local ok, err = pcall(call)
          if ok or not tostring(err):find("the runtime is closed", 1, true) then
            print(name, ok, err)
          end
        end
    ]] }
    for _, call in ipairs(calls) do
      source[#source + 1] = ("try(%q, function() return %s end)\n"):format(call, call)
    end
    source[#source + 1] = [[
        print("tried")
      end })
      tide, fs, core = require "moontide", require "moontide.fs", require "moontide.core"
      Promise = tide.Promise
      promise = Promise.resolve(1)
      pending, resolve = Promise.with_resolvers()
      async_function = tide.async(f)
      watch = fs.watch(".")
      kept = old
    ]]
    prints("tried\n", table.concat(source))
  end)

  it("S49 lets handles be closed in a finalizer after the runtime", function()
    prints("done\n", [[
      local handle
      local old = setmetatable({}, { __gc = function()
        for _, name in ipairs({ "close", "unref", "ref" }) do
          local ok, err = pcall(function() return handle[name](handle) end)
          assert(ok or tostring(err):find("the runtime is closed", 1, true), err)
        end
        assert(type(tostring(handle)) == "string")
        print("done")
      end })
      handle = require("moontide").set_timeout(print, 1e9)
      kept = { old, handle }
    ]])
  end)

  it("S49 does not let a finalizer's new objects live on", function()
    prints("finalized\n", [[
      local tide = require "moontide"
      -- Marked after the runtime's, hence called before it.
      kept = setmetatable({}, { __gc = function()
        tide.set_timeout(print, 1, "never")
        require("moontide.fs").stat(".")
        tide.spawn(function() tide.await(tide.sleep(1)) end)
        print("finalized")
      end })
    ]])
  end)

  it("S49 does not load into a state that has begun to close, but says so", function()
    prints("false\ttrue\n", [[
      local old = setmetatable({}, { __gc = function()
        for name in pairs(package.loaded) do
          if name:match("^moontide") then package.loaded[name] = nil end
        end
        local ok, err = pcall(require, "moontide")
        print(ok, tostring(err):find("the runtime is closed", 1, true) ~= nil)
      end })
      require "moontide"
      kept = old
    ]])
  end)
end)
