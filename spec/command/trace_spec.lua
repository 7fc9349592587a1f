-- Of: command/trace, core/observer, core/journal, core/label, base/output
local child = require "spec.support.child"
local json = require "dkjson"
local leak = require "spec.support.leak"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

-- Runs a script with --trace; its result, the events, and the text of the file.
local function trace(source, under)
  local path = os.tmpname()
  local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
  local result = child.with_file(source, function(script)
    return child.shell((under or "") .. child.command("bin/moontide", "--trace", path, script))
  end)
  local text = read(path)
  local events, _, problem = json.decode(text)
  return result, assert(events, problem), text
end

local function of_phase(events, phase)
  local list = {}
  for _, event in ipairs(events) do
    if event.ph == phase then list[#list + 1] = event end
  end
  return list
end

-- The event "b" of the only call of that function.
local function call_of(events, name)
  local found
  for _, event in ipairs(of_phase(events, "b")) do
    if event.name == name then
      assert(not found, "called twice: " .. name)
      found = event
    end
  end
  return assert(found, "never called: " .. name)
end

-- For what a function waits, in order.
local function waits_of(events, name)
  local list = {}
  for _, event in ipairs(of_phase(events, "X")) do
    if event.name == name and event.args and event.args["for"] then
      list[#list + 1] = event.args["for"]
    end
  end
  return list
end

-- Less than the smallest difference of two times.
local EPSILON = 0.005

-- Each call begins and ends once, in this order, under one name.
local function check_calls(events)
  local open, seen, last = {}, {}, 0
  for _, event in ipairs(events) do
    if event.ph == "b" then
      assert.is_nil(seen[event.id])
      seen[event.id], open[event.id] = true, event
    elseif event.ph == "e" then
      local begun = assert(open[event.id], "ends, and has not begun")
      assert.equal(begun.name, event.name)
      assert.is_true(begun.ts <= event.ts)
      open[event.id] = nil
    end
    if event.ph == "b" or event.ph == "e" then
      assert.is_true(last <= event.ts, "time goes back")
      last = event.ts
    end
  end
  assert.is_nil(next(open))
end

-- Stretches of the thread are beside or inside one another, since one thing runs at a time.
local function check_stretches(events)
  local list, open = of_phase(events, "X"), {}
  table.sort(list, function(a, b)
    if a.ts == b.ts then return a.dur > b.dur end
    return a.ts < b.ts
  end)
  for _, event in ipairs(list) do
    local ends = event.ts + event.dur
    while open[1] and open[#open] <= event.ts + EPSILON do open[#open] = nil end
    assert.is_true(not open[1] or ends <= open[#open] + EPSILON, "two stretches overlap")
    open[#open + 1] = ends
  end
end

-- Each arrow begins and ends once, in this order, each in a stretch: not on its edges, which
-- readers round to whole nanoseconds.
local function check_arrows(events)
  local begun, stretches = {}, of_phase(events, "X")
  local function inside(event)
    for _, x in ipairs(stretches) do
      if x.ts + EPSILON < event.ts and event.ts < x.ts + x.dur - EPSILON then return true end
    end
  end
  for _, event in ipairs(of_phase(events, "s")) do
    assert.is_nil(begun[event.id])
    assert.is_true(inside(event))
    begun[event.id] = event
  end
  for _, event in ipairs(of_phase(events, "f")) do
    assert.is_true(begun[event.id].ts <= event.ts)
    assert.is_true(inside(event))
    begun[event.id] = nil
  end
  assert.is_nil(next(begun))
end

local function check(events)
  for _, event in ipairs(events) do
    assert.is_string(event.name)
    assert.is_number(event.pid)
    assert.is_true(event.ph == "M" or event.ts >= 0)
    assert.is_true(event.ph == "b" or event.ph == "e" or event.tid == 1)
  end
  check_calls(events)
  check_stretches(events)
  check_arrows(events)
end

describe("moontide --trace", function()
  after_each(leak.check)

  it("writes trace events: calls, stretches, arrows, counters, names", function()
    local result, events = trace([[
      local tide = require "moontide"
      local async, await = tide.async, tide.await
      local fetch = async(function(ms)
        await(tide.sleep(ms))
        return ms
      end)
      local load = async(function()
        return await(fetch(20)) + await(fetch(30))
      end)
      print(await(load()))
    ]])
    assert.same({ code = 0, out = "50\n", err = "" }, result)
    check(events)
    assert.equal(4, #of_phase(events, "b")) -- the script's as well
    assert.equal(9, #of_phase(events, "X"))
    assert.equal(3, #of_phase(events, "s"))
    assert.same({ "fetch", "fetch" }, waits_of(events, "load"))
    assert.same({ "sleep", "sleep" }, waits_of(events, "fetch"))
    assert.is_true(#of_phase(events, "C") >= 2)
    local names = {}
    for _, event in ipairs(of_phase(events, "M")) do names[event.name] = event.args.name end
    assert.same({ process_name = "moontide", thread_name = "Lua" }, names)
  end)

  it("says who calls a function, where it is defined, where it awaits, and which call", function()
    local _, events = trace([[
      local tide = require "moontide"
      local inner = tide.async(function() tide.await(nil) end)
      local outer = tide.async(function()
        tide.await(inner())
      end)
      tide.set_timeout(outer, 1)
      tide.run()
    ]])
    local outer, inner = call_of(events, "outer"), call_of(events, "inner")
    assert.equal(0, outer.args.by) -- the loop
    assert.equal(outer.id, inner.args.by)
    assert.matches(":3$", outer.args.at)
    for _, event in ipairs(of_phase(events, "X")) do
      if event.name == "outer" and event.args then
        assert.same({ id = outer.id, of = inner.id, ["for"] = "inner", line = 4 }, event.args)
      end
    end
  end)

  it("names what is waited for", function()
    local _, events = trace([[
      local tide = require "moontide"
      local await = tide.await
      local queue = tide.queue()
      local all = tide.async(function()
        await(nil)
        await(tide.sleep(1))
        await(require "moontide.fs".stat("/"))
        await(tide.Promise.all { tide.sleep(1), tide.sleep(2) })
        await(tide.group(function() await(tide.sleep(1)) end))
        tide.set_timeout(function() queue:push(1) queue:close() end, 1)
        for _ in queue do await(tide.Promise.resolve(1):next(print)) end
      end)
      await(all())
    ]])
    check(events)
    assert.same({
      "its turn", "sleep", "fs.stat '/'", "Promise.all", "group", "queue:pop", "Promise:next",
    }, waits_of(events, "all"))
  end)

  it("follows a promise that a call has returned", function()
    local _, events = trace([[
      local tide = require "moontide"
      local inner = tide.async(function() tide.await(tide.sleep(1)) end)
      local outer = tide.async(function() return inner() end)
      local sleep = tide.async(function() return tide.sleep(1) end)
      local all = tide.async(function()
        tide.await(outer())
        tide.await(sleep())
      end)
      tide.await(all())
    ]])
    check(events)
    assert.same({ "inner", "sleep" }, waits_of(events, "all"))
  end)

  it("draws an arrow from the callback or the function that wakes", function()
    local _, events = trace([[
      local tide = require "moontide"
      local event = tide.event()
      local wait = tide.async(function() event:wait():await() end)
      local wake = tide.async(function() tide.await(tide.sleep(1)) event:set() end)
      tide.await(tide.Promise.all { wait(), wake() })
    ]])
    check(events)
    local from = of_phase(events, "s")[1]
    for _, x in ipairs(of_phase(events, "X")) do
      if x.ts <= from.ts and from.ts <= x.ts + x.dur then assert.equal("wake", x.name) end
    end
    assert.equal(2, #of_phase(events, "s")) -- the other one is the script's
  end)

  it("tells calls in deep recursion, and callbacks", function()
    local _, events = trace([[
      local tide = require "moontide"
      local function down(n)
        if n > 0 then tide.await(tide.spawn(down, n - 1)) end
      end
      tide.set_timeout(function() end, 1)
      tide.queue_microtask(function() error("x") end)
      print(pcall(tide.await, tide.sleep(5)))
      tide.await(tide.spawn(down, 300))
    ]])
    check(events)
    local by
    for _, call in ipairs(of_phase(events, "b")) do
      if call.name == "down" then
        assert.equal(by, call.args and call.args.by)
        by = call.id
      end
    end
    assert.equal(302, #of_phase(events, "b"))
  end)

  it("tells of deadlines", function()
    local _, events = trace([[
      local tide = require "moontide"
      local late = tide.async(function() pcall(tide.await, tide.timeout(10, tide.sleep, 1000)) end)
      tide.await(late())
    ]])
    check(events)
    local deadlines = of_phase(events, "i")
    assert.equal(1, #deadlines)
    assert.same({ of = "timeout", ms = 10, id = call_of(events, "late").id }, deadlines[1].args)
  end)

  it("ends calls that fail, and those that are not over", function()
    local _, events = trace([[
      local tide = require "moontide"
      local fail = tide.async(function() tide.await(nil) error("x") end)
      local stay = tide.async(function() tide.await((tide.Promise.with_resolvers())) end)
      local close = tide.async(function() coroutine.yield() end)
      stay()
      pcall(tide.await, fail())
      pcall(tide.await, close())
    ]])
    check(events)
    local outcomes = {}
    for _, event in ipairs(of_phase(events, "e")) do
      outcomes[event.name] = event.args and event.args.outcome
    end
    assert.same({ fail = "failed", stay = "not over" },
      { fail = outcomes.fail, stay = outcomes.stay })
  end)

  describe("ends the file", function()
    it("at an error of the script", function()
      local result, events = trace([[
        local tide = require "moontide"
        tide.await(tide.spawn(function() tide.await(tide.sleep(1)) error("boom") end))
      ]])
      assert.equal(1, result.code)
      assert.matches("boom", result.err)
      check(events)
    end)

    it("at an error in a callback", function()
      local result, events = trace([[
        require "moontide".set_timeout(function() error("boom") end, 1)
      ]])
      assert.equal(1, result.code)
      check(events)
    end)

    for _, exit in ipairs { "os.exit(3)", "os.exit(3, true)" } do
      it("at " .. exit .. ", inside functions", function()
        local result, events = trace([[
          local tide = require "moontide"
          local inner = tide.async(function() ]] .. exit .. [[ end)
          local outer = tide.async(function() tide.await(nil) inner() end)
          outer()
          tide.await(tide.sleep(1000))
        ]])
        assert.equal(3, result.code)
        check(events)
        assert.equal(3, #of_phase(events, "e"))
      end)
    end

    it("at SIGINT", function()
      local result, events = trace([[
        local tide = require "moontide"
        os.execute("(sleep 0.1; kill -INT $PPID) &")
        tide.spawn(function() tide.await(tide.sleep(60000)) end)
        tide.await(tide.sleep(60000))
      ]])
      assert.equal(130, result.code)
      check(events)
    end)

    it("at a deadlock", function()
      local result, events = trace([[
        local tide = require "moontide"
        tide.await(tide.spawn(function() tide.await((tide.Promise.with_resolvers())) end))
      ]])
      assert.equal(13, result.code)
      check(events)
    end)
  end)

  it("escapes what JSON or a page would take for something else", function()
    local result, events, text = trace([[
      local tide = require "moontide"
      local chunk = '=</script>\u{e4}\n"\\' .. string.char(0xff)
      tide.await(tide.spawn(load("require'moontide'.await(nil)", chunk)))
    ]])
    assert.same({ code = 0, out = "", err = "" }, result)
    assert.is_nil(text:find("<", 1, true))
    assert.equal('</script>\u{e4}\n"\\\u{fffd}', of_phase(events, "b")[2].name)
  end)

  it("names an async function that a group calls, and functions of C", function()
    local _, events = trace([[
      local tide = require "moontide"
      local work = tide.async(function() end)
      tide.await(tide.timeout(1000, work))
      tide.await(tide.spawn(tide.sleep, 1))
    ]])
    check(events)
    local names = {}
    for i, event in ipairs(of_phase(events, "b")) do names[i] = event.name end
    assert.same({ "work", "work", "a function of C" }, { table.unpack(names, 2) })
  end)

  it("names functions of the library by where they are in it", function()
    local _, events = trace([[
      local tide = require "moontide"
      local work = tide.async(function() end)
      tide.await(tide.map({ 1 }, work))
    ]])
    check(events)
    assert.matches("^moontide/async/group%.lua:%d+$", of_phase(events, "b")[2].name)
    call_of(events, "work")
  end)

  it("tells two functions of one name apart", function()
    local _, events = trace([[
      local tide = require "moontide"
      do local work = tide.async(function() end) work() end
      do local work = tide.async(function() end) work() end
    ]])
    assert.equal("work", of_phase(events, "b")[2].name)
    assert.matches("^work %(.*:3%)$", of_phase(events, "b")[3].name)
  end)

  it("says before the script runs that a file cannot be written", function()
    local result = child.with_file("print 'ran'", function(script)
      return child.shell(child.command("bin/moontide", "--trace", "/no/such/folder/x", script))
    end)
    assert.same({
      code = 1,
      out = "",
      err = "moontide: cannot write '/no/such/folder/x': No such file or directory\n",
    }, result)
  end)

  it("does not write two things to one file", function()
    local result = child.with_file("print 'ran'", function(script)
      return child.shell(child.command("bin/moontide", "--trace", "x", "--timeline", "x", script))
    end)
    local message = "moontide: --trace and --timeline both write 'x'\n"
    assert.same({ code = 1, out = "", err = message }, result)
  end)

  it("says once that a file cannot be written to any more, and goes on", function()
    local full = io.open("/dev/full", "r")
    if not full then return pending "no /dev/full here" end
    full:close()
    local result = child.with_file([[
      local tide = require "moontide"
      local f = tide.async(function() end)
      for _ = 1, 5000 do f() end
      print "done"
    ]], function(script)
      return child.shell(child.command("bin/moontide", "--trace", "/dev/full", script))
    end)
    assert.same({
      code = 0,
      out = "done\n",
      err = "moontide: /dev/full: No space left on device; the rest of it is left out\n",
    }, result)
  end)

  it("tells that nobody reads the pipe any more, and goes on", function()
    local result = child.with_file([[
      local tide = require "moontide"
      local f = tide.async(function() end)
      for _ = 1, 5000 do f() end
      io.stderr:write("done\n")
    ]], function(script)
      local command = child.command("bin/moontide", "--trace", "/dev/stdout", script)
      return child.shell("({ " .. command .. "; echo $? >&2; } | true)")
    end)
    assert.matches("^moontide: /dev/stdout: Broken pipe; [^\n]*\ndone\n0\n$", result.err)
  end)

  it("has what was told before a program was killed that waits", function()
    local path = os.tmpname()
    local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
    local result = child.with_file([[
      local tide = require "moontide"
      os.execute("(sleep 0.1; kill -KILL $PPID) &")
      local wait = tide.async(function() tide.await(tide.sleep(60000)) end)
      tide.await(wait())
    ]], function(script)
      return child.shell(child.command("bin/moontide", "--trace", path, script))
    end)
    assert.equal(137, result.code)
    local events = assert(json.decode((read(path):gsub(",\n$", "]"))))
    assert.same({ "sleep" }, waits_of(events, "wait"))
  end)

  it("needs 200 bytes for a call at most", function()
    local calls = 1000
    local _, _, text = trace(([[
      local tide = require "moontide"
      local f = tide.async(function() end)
      for _ = 1, %d do tide.await(f()) end
    ]]):format(calls))
    assert.is_true(#text <= 200 * calls, #text / calls .. " bytes")
  end)
end)
