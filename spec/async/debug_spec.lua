-- Of: async/debug, core/mark, core/place, core/report
local child = require "spec.support.child"
local leak = require "spec.support.leak"
local scale = require "spec.support.scale"

local PRELUDE = [[
local tide = require "moontide"
local fs = require "moontide.fs"
local await, async, spawn, Promise = tide.await, tide.async, tide.spawn, tide.Promise
tide.debug({ floating = true, permits = true, report = print, swallowed = true,
  unsettled = true })
local save = async(function(n) await(tide.sleep(1)) return n end)
local fail = async(function() await(nil) error("oops", 0) end)
]]
local FIRST = select(2, PRELUDE:gsub("\n", "")) -- lines before the program's own

-- What a program reports, lines counted from its own first one.
local function reports(source)
  return child.with_file(PRELUDE .. source .. [[

tide.run()
require("moontide.async.debug").finish()
]], function(path)
    local result = child.shell(child.command(path))
    assert.equal("", result.err)
    local out = result.out:gsub(path:gsub("%p", "%%%0"), "app.lua")
    return (out:gsub("app.lua:(%d+)", function(line)
      return "app.lua:" .. tonumber(line) - FIRST
    end))
  end)
end

describe("debug mode", function()
  after_each(leak.check)

  it("S83 reports a call whose promise was dropped, once for a line, and which function", function()
    assert.equal("app.lua:3: nobody awaits this call of async function 'save' (app.lua:-1) "
      .. "(3 times)\n", reports([[
local list = {}
for i = 1, 3 do
  list[i] = save(i)
end
await(tide.sleep(5))
list = nil]]))
  end)

  it("S83 reports one that is kept in a variable that goes", function()
    assert.matches("^app.lua:2: nobody awaits this call of async function 'save'", reports([[
local function work()
  local promise = save(1)
  return promise:state()
end
work()
]]))
  end)

  it("S83 reports operations", function()
    local lines = {}
    for line in reports([[
tide.sleep(1)
fs.stat("/")
fs.read_file("/dev/null")
]]):gmatch("[^\n]+") do
      lines[#lines + 1] = line
    end
    table.sort(lines) -- the collector finds them in any order
    assert.same({
      "app.lua:1: nobody awaits this call of sleep",
      "app.lua:2: nobody awaits this call of fs.stat",
      "app.lua:3: nobody awaits this call of fs.read_file",
    }, lines)
  end)

  it("S83 reports a call of the library that ends in a promise, at the program's line", function()
    assert.matches("^app.lua:2: nobody awaits this call of ", reports([[
local net = require "moontide.net"
net.listen({ host = "127.0.0.1", port = 0 })
await(tide.sleep(20))
]]))
  end)

  it("tells while the program goes on", function()
    assert.equal("app.lua:1: nobody awaits this call of async function 'save' (app.lua:-1)\nend\n",
      reports([[
save(1)
for _ = 1, 5 do
  await(tide.sleep(1))
  collectgarbage()
end
print("end")
]]))
  end)

  it("leaves out what is beyond twenty", function()
    local calls = {}
    for i = 1, 30 do
      calls[i] = "save(" .. i .. ")"
    end
    local out = reports(table.concat(calls, "\n") .. "\n")
    assert.equal(20, select(2, out:gsub("nobody awaits", "")))
    assert.matches("further reports are left out\n$", out)
  end)

  it("tells of a great many in one go", function()
    assert.matches("^app.lua:2: the permit [^\n]*\n$", reports(([[
local pool = tide.semaphore(%d)
for _ = 1, %d do await(pool:acquire()) end]]):gsub("%%d", scale(50000))))
  end)

  it("refuses options that it does not know", function()
    local tide = require "moontide"
    for options, text in pairs({
      [ { flaoting = true } ] = "field 'flaoting': there is no such option",
      [ { floating = 1 } ] = "field 'floating': boolean expected, got number",
      [ { slow = true } ] = "field 'slow': number of at least 1 expected",
      [ { slow = 0.5 } ] = "field 'slow': number of at least 1 expected",
      [ { slow = 0 / 0 } ] = "field 'slow': number of at least 1 expected",
      [ 5 ] = "table expected, got number",
    }) do
      local ok, err = pcall(tide.debug, options)
      assert.is_false(ok)
      assert.matches("bad argument #1 to 'debug' (" .. text, err, 1, true)
    end
  end)

  describe("goes off and on", function()
    it("in a report: the others are not told", function()
      assert.matches("^app.lua:[23]: nobody awaits this call of [^\n]*\nend\n$", reports([[
tide.debug({ floating = true, report = function(text) print(text) tide.debug(false) end })
save(1)
save(2)
await(tide.sleep(5))
collectgarbage()
tide.run()
print("end")]]))
    end)

    it("and what is looked after meanwhile is not reported", function()
      assert.equal("", reports([[
local p = save(1)
tide.debug(false)
await(p)
tide.debug({ floating = true, report = print })
p = nil]]))
    end)

    it("and a timer of before is in no trace after", function()
      assert.not_matches("from ", reports([[
tide.set_timeout(function() end, 1)
tide.debug(false)
tide.run()
tide.set_timeout(function()
  tide.debug({ report = print })
  print(tide.traceback("x"))
end, 1)]]))
    end)
  end)

  describe("a report function", function()
    it("that raises ends the run when all is told", function()
      local out = reports([[
local texts = {}
tide.debug({ floating = true, report = function(text)
  texts[#texts + 1] = text
  error("no report", 0)
end })
local one = save(1)
local other = save(2)
await(tide.sleep(5))
tide.set_timeout(function()
  one, other = nil, nil
  collectgarbage()
  collectgarbage()
end, 1)
print(pcall(tide.run))
print(pcall(tide.run))
print(#texts)]])
      assert.equal("false\tno report\ntrue\n2\n", out)
    end)

    it("may begin async calls, and cannot await", function()
      assert.matches("^false\tawait outside an async function\nbegun\n$", reports([[
tide.debug({ floating = true, report = function()
  print(pcall(await, tide.spawn(function() await(tide.sleep(1)) print("begun") end)))
end })
save(1)
await(tide.sleep(5))
tide.set_timeout(collectgarbage, 1)]]))
    end)

    it("may leave", function()
      assert.equal("leaves\n", reports([[
tide.debug({ floating = true, report = function() print("leaves") os.exit(0, true) end })
save(1)
save(2)
await(tide.sleep(5))
collectgarbage()
collectgarbage()]]))
    end)
  end)

  it("S83 tells a reason whose __tostring fails as well as others", function()
    local out = reports([[
tide.on_unhandled_rejection(function() end)
local raise = async(function(reason) await(nil) error(reason, 0) end)
raise(setmetatable({}, { __tostring = function() error("bad") end }))
raise(setmetatable({}, { __tostring = function() return 5 end }))
raise(nil)
raise({ name = "Odd", message = "kind" })]])
    assert.equal(4, select(2, out:gsub("nobody awaits", "")))
    assert.matches("app.lua:5: [^\n]*\n  it was rejected: nil\n", out)
    assert.matches("app.lua:6: [^\n]*\n  it was rejected: ", out)
  end)

  it("S83 reports a call that was cancelled at the line of the call, too", function()
    assert.matches("^app.lua:3: nobody awaits this call of async function 'wait'", reports([[
local wait = async(function() await(tide.sleep(1000)) end)
await(tide.move_on_after(1, function()
  wait()
  await(tide.sleep(1000))
end))]]))
  end)

  describe("S83 of cancellations", function()
    it("reports a function that catches its own and returns", function()
      local text = "app.lua:2: async function <app.lua:1> was cancelled here and did not pass "
        .. "that on (after the clean-up, raise the error again)\n"
      assert.equal(text, reports([[
await(tide.move_on_after(1, function()
  pcall(await, tide.sleep(1000))
end))]]))
    end)

    it("reports a loop that tries again", function()
      local text = "^app.lua:4: async function 'fetch' %(app.lua:2%) was cancelled here"
      assert.matches(text, reports([[
local tries = 0
local fetch = async(function()
  for _ = 1, 3 do
    local ok = pcall(await, tide.sleep(1000))
    if ok then return "got" end
    tries = tries + 1
  end
end)
pcall(await, tide.timeout(5, fetch))]]))
    end)

    it("reports one that catches what comes from its callee", function()
      local text = "^app.lua:5: async function 'outer' %(app.lua:4%) was cancelled here"
      assert.matches(text, reports([[
local inner = async(function()
  await(tide.sleep(1000))
end)
local outer = async(function()
  pcall(function() await(inner()) end)
end)
pcall(await, tide.group(function(g)
  g:spawn(outer)
  await(nil)
  g:cancel("stop")
end))]]))
    end)

    it("reports a function that waits on after the grace", function()
      local text = "app.lua:3: async function 'stubborn' %(app.lua:1%) still waits here, though "
        .. "the grace of its cancellation is over"
      assert.matches(text, reports([[
local stubborn = async(function()
  pcall(await, tide.sleep(1000))
  await(tide.sleep(1000))
end)
pcall(await, tide.group(function(g)
  g:spawn(stubborn)
  g:cancel("stop")
end, { grace = 5 }))]]))
    end)
  end)

  describe("S83 of what stays pending", function()
    it("reports a function that nothing can wake", function()
      assert.equal("app.lua:1: nothing can settle what this call of async function <app.lua:1> "
        .. "waits for\nstack traceback:\n\tapp.lua:2: in async function <app.lua:1>\n"
        .. "\t[from spawn at app.lua:1]\n", reports([[
spawn(function()
  await(Promise(function() end))
end)]]))
    end)

    it("reports the innermost of those that await one another", function()
      local out = reports([[
local never = Promise(function() end)
local ask = async(function() await(never) end)
local outer = async(function() await(ask()) end)
spawn(outer)
never, ask, outer = nil, nil, nil]])
      assert.matches("^app.lua:3: nothing can settle what this call of async function 'ask'", out)
      assert.equal(1, select(2, out:gsub("nothing can", "")))
    end)

    it("reports a promise with a handler, whether it is kept or not", function()
      assert.equal([[
app.lua:1: nothing can settle this promise any more, and others wait for it
app.lua:2: nothing can settle this promise any more, and others wait for it
]], reports([[
kept = Promise(function() end) kept:next(print)
Promise.with_resolvers():next(print)]]))
    end)

    it("tells the reason of what nobody awaited", function()
      assert.matches("app.lua:2: nobody awaits this call of async function 'fail' %b()\n"
        .. "  it was rejected: oops\n", reports([[
tide.on_unhandled_rejection(function() end)
fail()]]))
    end)
  end)

  it("S83 reports a permit that was dropped, with the line that acquired it", function()
    assert.equal("app.lua:3: the permit that was acquired here was dropped and never released\n",
      reports([[
local mutex = tide.mutex()
await(spawn(function()
  local permit = await(mutex:acquire())
  permit = nil
end))
collectgarbage()
collectgarbage()
await(mutex:acquire()):release()]]))
  end)

  it("S83 reports a permit that was waited for, likewise", function()
    assert.equal("app.lua:3: the permit that was acquired here was dropped and never released\n",
      reports([[
local pool = tide.semaphore(1)
local held = await(pool:acquire())
local waits = spawn(function() local p = await(pool:acquire()) return p ~= nil end)
await(nil)
held:release()
await(waits)]]))
  end)

  describe("S81 says in a trace by what was begun", function()
    local begun = {
      ["a timer's callback"] = { "tide.set_timeout(function() error('x') end, 1)", "set_timeout" },
      ["an interval's"] = { "local t t = tide.set_interval(function() t:close() "
        .. "error('x') end, 1)", "set_interval" },
      ["an immediate's"] = { "tide.set_immediate(function() error('x') end)", "set_immediate" },
      ["a microtask"] = { "tide.queue_microtask(function() error('x') end)", "queue_microtask" },
      ["a microtask with arguments"] = { "tide.queue_microtask(error, 'x')", "queue_microtask" },
      ["what spawn calls"] = { "spawn(function() await(nil) error('x') end)", "spawn" },
      ["a call"] = { "fail()", "the call" },
      ["an operation"] = { "fs.stat('/no/such/file')", "fs.stat" },
      ["work on a file"] = { "fs.write_file('/no/such/directory/file', '')", "fs.write_file" },
    }
    for what, case in pairs(begun) do
      it(what, function()
        local out = reports(([[
local ok, trace = xpcall(function() %s tide.run() end, tide.traceback)
print(ok, trace)]]):format(case[1]))
        assert.matches("^false\t", out)
        assert.matches("\n\t[from " .. case[2] .. " at app.lua:1]", out, 1, true)
      end)
    end

    it("but not in the trace of a reaction that follows", function()
      assert.not_matches("from ", reports([[
local ok, trace = xpcall(function()
  tide.set_timeout(function() end, 1)
  tide.sleep(1):next(function() error("x") end)
  tide.run()
end, tide.traceback)
print(ok, trace)]]))
    end)
  end)

  describe("says nothing of", function()
    local innocent = {
      ["a race against what never comes"] = [[
local event = tide.event()
await(Promise.race({ event:wait(), tide.sleep(1) }))
await(Promise.race({ Promise(function() end), tide.sleep(1) }))
await(Promise.race({ spawn(function() await(Promise(function() end)) end), tide.sleep(1) }))]],
      ["a promise on which nobody waits"] = "pending = Promise(function() end)",
      ["a generator that is left in the middle"] = [[
local numbers = tide.generator(function(yield) for i = 1, 3 do yield(i) await(nil) end end)
for i in numbers() do if i == 2 then break end end
local unfinished = numbers()
await(unfinished:next())]],
      ["a function that passes its cancellation on"] = [[
await(tide.move_on_after(1, function()
  local ok, err = pcall(await, tide.sleep(1000))
  await(tide.sleep(1))
  error(err, 0)
end))]],
      ["a variable that is closed"] = [[
await(tide.move_on_after(1, function()
  local _ <close> = setmetatable({}, { __close = function() await(tide.sleep(1)) end })
  await(tide.sleep(1000))
end))]],
      ["who catches what a timeout raises"] = [[
pcall(await, tide.timeout(1, function() await(tide.sleep(1000)) end))]],
      ["who catches that inside a group"] = [[
await(tide.group(function(g)
  g:spawn(function()
    pcall(await, tide.timeout(1, function() await(tide.sleep(1000)) end))
  end)
end))]],
      ["a shield"] = [[
await(tide.move_on_after(1, function()
  await(tide.shield(function() await(tide.sleep(10)) end))
  await(nil)
end))]],
      ["a child that is stopped"] = [[
await(tide.group(function(g)
  local child = g:spawn(function() await(tide.sleep(1000)) end)
  await(nil)
  g:stop(child)
end))]],
      ["siblings of a failure"] = [[
pcall(await, tide.group(function(g)
  g:spawn(function() await(tide.sleep(1000)) end)
  g:spawn(fail)
end))]],
      ["a function that ends in time although it is cancelled"] = [[
await(tide.group(function(g)
  g:spawn(function() g:cancel("stop") end)
end):catch(function() end))]],
      ["clean-up that catches errors of its own"] = [[
await(tide.move_on_after(1, function()
  local _ <close> = setmetatable({}, { __close = function() pcall(await, fail()) end })
  await(tide.sleep(1000))
end))]],
      ["a service that closes with connections open"] = [[
local net = require "moontide.net"
local service = await(net.serve({ host = "127.0.0.1" }, function(stream)
  for line in stream:lines() do stream:write(line, "\n") end
end))
local stream = await(net.connect({ host = "127.0.0.1", port = service:address().port }))
await(stream:write("hello\n"))
await(stream:read_line())
pcall(await, service:close({ grace = 1 }))]],
      ["a permit that is released, kept, or closed"] = [[
local mutex, pool = tide.mutex(), tide.semaphore(3)
kept = await(pool:acquire())
await(pool:acquire()):release()
do local _ <close> = await(mutex:acquire()) end]],
      ["an await"] = "await(save(1))",
      ["an await of what has settled"] = [[
local p = save(1)
await(tide.sleep(5))
await(p)]],
      ["an await in a function"] = "await(spawn(function() await(save(1)) end))",
      ["spawn"] = "spawn(function() await(tide.sleep(1)) end)",
      ["detach"] = "tide.detach(function() await(tide.sleep(1)) end)",
      ["a child of a group"] = [[
await(tide.group(function(g)
  g:spawn(function() await(tide.sleep(1)) end)
  g:spawn(save, 1)
end))]],
      ["a chain"] = "save(1):next(function() end)",
      ["a handler of failures"] = "fail():catch(function() end)",
      ["a handler that is attached a tick later"] = [[
local p = save(1)
tide.queue_microtask(function() p:next(function() end) end)]],
      ["a handler that is attached a turn later"] = [[
local p = save(1)
tide.set_timeout(function() p:next(function() end) end, 5)]],
      ["a returned promise"] = [[
local outer = async(function() return save(1) end)
await(outer())]],
      ["one that a callback returns"] = "tide.set_timeout(function() return save(1) end, 1)",
      ["one that a plain function returns"] = [[
local function outer() return save(1) end
await(outer())]],
      ["Promise.all"] = "await(Promise.all({ save(1), save(2) }))",
      ["Promise.race, the losers"] = [[
await(Promise.race({ save(1), tide.sleep(1), tide.sleep(20) }))]],
      ["Promise.any with failures"] = "await(Promise.any({ fail(), save(1) }))",
      ["join"] = "tide.join(save(1), save(2))",
      ["map"] = "await(tide.map({ 1, 2 }, save))",
      ["each"] = "await(tide.each({ 1, 2 }, save))",
      ["a list that is joined later"] = [[
local list = {}
for i = 1, 3 do list[i] = save(i) end
await(tide.sleep(5))
for _, p in ipairs(list) do await(p) end]],
      ["a cache"] = [[
cache = {}
local function get(k) cache[k] = cache[k] or save(k) return cache[k] end
await(get(1))
await(get(1))]],
      ["a cache of what is never asked for"] = "cache = { save(1) }",
      ["resolving with it"] = [[
local p, resolve = Promise.with_resolvers()
resolve(save(1))
await(p)]],
      ["a generator that yields promises"] = [[
for _ in tide.generator(function(yield) yield(save(1)) end)() do end]],
      ["a timeout"] = "await(tide.timeout(1000, save, 1))",
      ["a deadline that hits"] = [[
await(tide.move_on_after(1, function() await(tide.sleep(1000)) end))]],
      ["run"] = "tide.run(save, 1)",
      ["pcall"] = "pcall(await, fail())",
      ["an iteration over a file"] = "for _ in fs.lines('/dev/null') do end",
      ["a server and its handlers"] = [[
local net = require "moontide.net"
local service = await(net.serve({ host = "127.0.0.1" }, function(stream)
  for line in stream:lines() do stream:write(line, "\n") end
end))
local stream = await(net.connect({ host = "127.0.0.1", port = service:address().port }))
stream:write("hello\n")
await(stream:read_line())
stream:close()
await(service:close())]],
      ["a queue, a mutex and an event"] = [[
local queue, mutex, event = tide.queue(), tide.mutex(), tide.event()
queue:push(1)
queue:pop()
event:set()
event:wait()
do local _ <close> = await(mutex:acquire()) end]],
    }
    for what, source in pairs(innocent) do
      it(what, function()
        assert.equal("", reports(source .. "\ncollectgarbage() collectgarbage()\n"))
      end)
    end
  end)
end)
