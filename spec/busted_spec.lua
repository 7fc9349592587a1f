-- The helper for busted, seen from outside: each spec runs busted on a spec file of its own.
local child = require "spec.support.child"
local leak = require "spec.support.leak"

local PRELUDE = [[
local tide = require "moontide"
local await, sleep, spawn, Promise = tide.await, tide.sleep, tide.spawn, tide.Promise
local timeout = require("moontide.busted").timeout
]]
local FIRST = select(2, PRELUDE:gsub("\n", "")) -- lines before the spec's own

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

-- Runs busted on a spec file; `out` has "SPEC" for its path and its line 1 is the text's.
local function run(text, options, environment)
  local base = os.tmpname()
  local path, config = base .. "_spec.lua", base .. ".config"
  local _ <close> = setmetatable({}, {
    __close = function()
      os.remove(base)
      os.remove(path)
      os.remove(config)
    end,
  })
  write(path, PRELUDE .. text)
  write(config, "return { _all = { helper = 'moontide.busted' } }")
  local words = { "-f", config, "-o", "plainTerminal", "--seed=1" }
  table.move(options or {}, 1, #(options or {}), #words + 1, words)
  words[#words + 1] = path
  local command = child.command("tools/busted.lua", table.unpack(words))
  local result = child.shell("MOONTIDE_TEST_TIMEOUT= " .. (environment or "") .. " " .. command)
  result.out = result.out:gsub(path:gsub("%p", "%%%0"), "SPEC"):gsub("SPEC( ?[:@] ?)(%d+)",
    function(separator, line)
      return "SPEC" .. separator .. tonumber(line) - FIRST
    end)
  result.dots = result.out:match("^[^\n]*")
  return result
end

local function has(text, result)
  local found = result.out:find(text, 1, true)
  assert.is_truthy(found, text .. "\nis not in\n" .. result.out .. result.err)
end

local function has_not(text, result)
  assert.is_nil(result.out:find(text, 1, true), text .. "\nis in\n" .. result.out)
end

-- Asserts one character for each test.
local function outcome(dots, result)
  assert.equal(dots, result.dots, result.out .. result.err)
end

describe("the helper for busted", function()
  after_each(leak.check)

  it("lets every part of a spec await, in busted's order", function()
    local result = run [[
local lines = {}
local function log(text)
  await(sleep(1))
  lines[#lines + 1] = text
end
describe("a block", function()
  lazy_setup(function() log "lazy_setup" end)
  setup(function() log "setup" end)
  before_each(function() log "before_each" end)
  after_each(function() log "after_each" end)
  teardown(function() log "teardown" end)
  lazy_teardown(function() log "lazy_teardown" end)
  it("awaits", function()
    finally(function() log "finally" end)
    log "it"
  end)
  insulate("inside", function()
    it("awaits as well", function() log "it" end)
  end)
end)
it("has seen it all", function()
  assert.equal("setup lazy_setup before_each it finally after_each before_each it after_each "
    .. "lazy_teardown teardown", table.concat(lines, " "))
end)
]]
    outcome("+++", result)
  end)

  it("leaves what is pending, skipped and failed to busted", function()
    local result = run [[
pending "without a body"
it("inside", function() pending "for a reason" end)
it("fails", function() assert.equal(1, 2) end)
it("raises", function() error { code = 1 } end)
describe("a block", function()
  before_each(function() error "before" end)
  it("is not run", function() end)
end)
insulate("a module", function() package.loaded.insulated = 1 end)
it("is gone", function() assert.is_nil(package.loaded.insulated) end)
]]
    outcome("..-*+", result)
    has("1 success / 1 failure / 2 errors / 2 pending", result)
    has("SPEC:3: Expected objects to be equal", result)
    has("SPEC:6: before", result)
  end)

  describe("a limit", function()
    it("fails a test at the await in which it hangs, and goes on", function()
      local result = run([[
it("hangs", function()
  timeout(30)
  await(sleep(1))
  await(sleep(1e6))
end)
it("hangs in another function", function()
  timeout(30)
  await(spawn(function()
    await(sleep(1e6))
  end))
end)
it("hangs in run", function()
  timeout(30)
  tide.run(function() await(sleep(1e6)) end)
end)
it("is clean", function()
  assert.is_false(tide.alive())
  tide.run()
end)
]], { "-v" })
      outcome("---+", result)
      has("SPEC:4: timed out after 30 ms", result)
      has("SPEC:8: timed out after 30 ms; waiting:\n"
        .. "\tSPEC:8: an async function, suspended at SPEC:9", result)
      has("SPEC:14: timed out after 30 ms", result)
      has("stack traceback:\n\tSPEC:4: in function <SPEC:1>", result)
      has_not("moontide/busted.lua", result)
    end)

    it("cannot be caught", function()
      local result = run [[
it("tries to", function()
  timeout(20)
  for _ = 1, 2 do
    pcall(await, sleep(1e6))
  end
end)
it("is clean", function() tide.run() end)
]]
      outcome("-+", result)
      has("SPEC:4: timed out after 20 ms\nThe test caught this error.", result)
    end)

    it("holds for tests that do not await", function()
      local result = run [[
it("computes", function()
  timeout(10)
  local stop = tide.now() + 30
  repeat until tide.now() > stop
end)
]]
      outcome("-", result)
      has("SPEC:1: took ", result)
    end)

    it("finds a deadlock at once", function()
      local result = run [[
it("waits for nothing", function()
  await((Promise.with_resolvers()))
end)
]]
      outcome("*", result)
      has("SPEC:2: DeadlockError", result)
      has("the top level, at SPEC:2, waits for a promise", result)
    end)

    it("is set for a block, for a test, and back", function()
      local result = run [[
local function wait() await(sleep(60)) end
describe("a block", function()
  timeout(20)
  it("inherits", wait)
  describe("inside", function()
    it("inherits", wait)
  end)
  describe("with a limit of its own", function()
    timeout(1000)
    it("has it", wait)
  end)
  it("sets it for itself", function() timeout(math.huge) wait() end)
  it("does so for nobody else", wait)
end)
it("is over with the block", wait)
]]
      outcome("--++-+", result)
      has("3 successes / 3 failures", result)
    end)

    it("is set for all by an argument or the environment", function()
      local text = [[it("takes 100 ms", function() await(sleep(100)) end)]]
      outcome("+", run(text))
      outcome("-", run(text, { "-Xhelper", "timeout=20" }))
      outcome("-", run(text, {}, "MOONTIDE_TEST_TIMEOUT=20"))
      outcome("+", run(text, { "-Xhelper", "timeout=2000" }, "MOONTIDE_TEST_TIMEOUT=20"))
    end)

    it("is refused when it is none", function()
      local result = run("", { "-Xhelper", "timeout=soon" })
      assert.equal(1, result.code)
      assert.matches("positive number of milliseconds expected, got 'soon'", result.err)
      outcome("**", run [[
it("is zero", function() timeout(0) end)
it("is no number", function() timeout() end)
]])
    end)

    it("holds for hooks", function()
      local result = run [[
local function hang() await(sleep(1e6)) end
describe("before_each", function()
  timeout(20)
  before_each(hang)
  it("is not run", function() end)
end)
describe("after_each", function()
  timeout(20)
  after_each(hang)
  it("is run", function() end)
end)
describe("setup", function()
  timeout(20)
  setup(hang)
  it("is not run", function() end)
end)
it("is clean", function() tide.run() end)
]]
      outcome("++", result)
      has("2 successes / 0 failures / 3 errors", result)
      has("SPEC:1: timed out after 20 ms", result)
    end)

    it("is not seen by tests", function()
      outcome("+", run [[
it("looks", function()
  assert.equal(-1, tide.backend_timeout())
  assert.equal(0, require("moontide.core").stats().timers)
  assert.is_false(tide.alive())
end)
]])
    end)
  end)

  it("S80 fails an assertion that compares a promise with what is none", function()
    local result = run([[
local f = tide.async(function() return 1 end)
it("equal", function() assert.equal(1, f()) end)
it("differ", function() assert.are_not.equal(2, f()) end)
it("same", function() assert.is_not.same({}, f()) end)
it("promises", function()
  local p = f()
  assert.equal(p, p)
  assert.not_equal(p, f())
  assert.equal(1, await(p))
end)
]])
    outcome("***+", result)
    has("SPEC:2: equal compares a promise with what is none (did you forget await?)", result)
    has("SPEC:3: equal compares a promise with what is none (did you forget await?)", result)
    has("SPEC:4: same compares a promise with what is none (did you forget await?)", result)
  end)

  it("S80 leaves an await of an async function that was not called an error", function()
    local result = run([[
local f = tide.async(function() return 1 end)
it("forgets the parentheses", function() await(f) end)
]])
    outcome("*", result)
    has("await of an async function that was not called: function <SPEC:1>", result)
  end)

  describe("what nobody awaited", function()
    it("fails the test, where it arose", function()
      local result = run([[
it("rejects", function()
  spawn(function()
    await(nil)
    error "in a function"
  end)
end)
it("rejects without a line", function()
  Promise.reject("plain")
end)
it("raises in a microtask", function()
  tide.queue_microtask(function() error "in a microtask" end)
end)
it("asserts in a reaction", function()
  Promise.resolve(1):next(function(v) assert.equal(2, v) end)
end)
it("is not to blame", function() await(sleep(1)) end)
]], { "-v" })
      outcome("***-+", result)
      has("SPEC:4: in a function\nNothing in the test awaited this.", result)
      has("stack traceback:\n\tSPEC:4: in async function <SPEC:2>", result)
      has("SPEC:7: plain", result)
      has("SPEC:11: in a microtask", result)
      has("SPEC:14: Expected objects to be equal", result)
      has_not("moontide/busted.lua", result)
    end)

    it("comes out of an await of the test", function()
      local result = run([[
it("throws in a timer", function()
  tide.set_timeout(function() error "in a timer" end, 1)
  await(sleep(50))
end)
it("rejects", function()
  spawn(function() await(sleep(1)) error "rejected" end)
  await(sleep(50))
end)
]], { "-v" })
      outcome("**", result)
      has("SPEC:2: in a timer", result)
      has("SPEC:6: rejected", result)
      has("\tSPEC:6: in async function <SPEC:6>\n\t[await]\n", result)
      has("\tSPEC:7: in function <SPEC:5>\n", result)
    end)

    it("goes to the handler that the test has set, and to no later one's", function()
      local result = run [[
it("handles", function()
  local seen
  tide.on_unhandled_rejection(function(reason) seen = reason end)
  Promise.reject "handled"
  await(sleep(1))
  assert.equal("handled", seen)
  Promise.reject "afterwards"
end)
it("does not", function() Promise.reject "not handled" end)
]]
      outcome("+*", result)
      has("SPEC:9: not handled", result)
      has_not("afterwards", result)
    end)
  end)

  describe("what is left behind", function()
    it("fails the test, with the lines that made it, and is gone", function()
      local result = run [[
local fired = {}
local function fire(name) fired[#fired + 1] = name end
local fs = require "moontide.fs"
it("leaves timers", function()
  tide.set_timeout(fire, 1, "timeout")
  tide.set_interval(fire, 1, "interval")
  tide.set_immediate(fire, "immediate")
end)
it("leaves a function", function()
  spawn(function()
    await(sleep(1))
    fire "function"
  end)
end)
local load = tide.async(function()
  fs.read_file("/dev/null")
  await(fs.stat("."))
  await(sleep(1))
  fire "load"
end)
it("leaves files", function()
  load()
end)
it("leaves a turn", function() tide.yield() end)
it("leaves a group", function()
  tide.group(function(g)
    g:spawn(function() await(sleep(1e6)) end)
    pcall(await, sleep(1e6))
  end)
end)
it("is clean", function()
  await(sleep(30))
  tide.run()
  assert.same({}, fired)
end)
]]
      outcome("-----+", result)
      has("SPEC:27: the test has left behind:\n\tSPEC:27: sleep\n", result)
      has("\n\tSPEC:28: sleep\n", result)
      has_not("later: the next test will meet it", result)
      has("SPEC:5: the test has left behind:\n\tSPEC:5: a timeout\n\tSPEC:6: an interval\n"
        .. "\tSPEC:7: an immediate\n", result)
      has("SPEC:11: the test has left behind:\n\tSPEC:11: sleep\n"
        .. "\tSPEC:10: an async function, suspended at SPEC:11\n", result)
      has("SPEC:16: the test has left behind:\n\tSPEC:16: fs.read_file\n\tSPEC:17: fs.stat\n"
        .. "\tSPEC:22: an async function, suspended at SPEC:17\n", result)
      has("SPEC:24: yield", result)
    end)

    it("may be any operation, and any open handle", function()
      local result = run [[
local dns, fs, system = require "moontide.dns", require "moontide.fs", require "moontide.os"
local socket = require("socket").udp()
socket:setsockname("127.0.0.1", 0)
it("leaves paths", function()
  fs.rename("/absent/a", "/absent/b"):catch(tostring)
  fs.lines("/dev/null")
end)
it("leaves a file's", function()
  local file = await(fs.open("/dev/null"))
  file:stat()
  file:read()
end)
it("leaves others", function()
  dns.lookup("localhost")
  system.random_bytes(1000)
  tide.poll(socket:getfd(), "w")
end)
kept = {}
it("leaves handles", function()
  kept[1] = tide.signal("SIGUSR1")
  kept[2] = fs.watch(".", {})
  kept[2]:next()
end)
it("leaves what is caught without a name", function()
  kept[3] = tide.spawn(function()
    for name in tide.signal("SIGUSR1") do
      error(name)
    end
  end)
end)
it("finds nothing of theirs", function()
  assert.equal(0, require("moontide.core").stats().handles)
end)
it("has closed its own", function()
  local signal <close> = tide.signal("SIGUSR1")
  for _, watch in ipairs({ fs.watch("."), fs.watch("/") }) do
    local promise = watch:next()
    watch:close()
    await(promise)
  end
end)
it("leaves some to the collector", function()
  tide.signal("SIGUSR1")
  fs.watch(".", {})
end)
]]
      outcome("-----+++", result)
      local head = ": the test has left behind:\n\t"
      has("SPEC:5" .. head .. "SPEC:5: fs.rename\n\tSPEC:6: fs.open\n", result)
      has("SPEC:10" .. head .. "SPEC:10: file:stat\n\tSPEC:11: file:read\n", result)
      has("SPEC:14" .. head .. "SPEC:14: dns.lookup\n\tSPEC:15: os.random_bytes\n"
        .. "\tSPEC:16: poll\n", result)
      has("SPEC:20" .. head .. "SPEC:20: signal\n\tSPEC:21: fs.watch\n"
        .. "\tSPEC:22: fs.watch:next\n", result)
      has("SPEC:26" .. head .. "SPEC:26: signal\n", result)
      has_not("cannot see it", result)
      has_not("later: the next test will meet it", result)
    end)

    it("is what neither the test nor finally nor after_each has ended", function()
      outcome("+++", run [[
describe("a block", function()
  local handle, service
  setup(function() service = tide.set_interval(function() end, 1000) end)
  teardown(function() service:close() end)
  before_each(function() handle = tide.set_timeout(error, 1e6) end)
  after_each(function() handle:close() end)
  it("closes in after_each", function() end)
  it("closes its own", function()
    local mine <close> = tide.set_interval(error, 1e6)
    tide.set_immediate(error):close()
    await(sleep(1))
  end)
  it("closes in finally", function()
    local mine = tide.set_timeout(error, 1e6)
    finally(function() mine:close() end)
  end)
end)
]])
    end)

    it("may be functions that nothing can wake, collected or not", function()
      local result = run [[
local allow_suspended = require("moontide.busted").allow_suspended
local never = Promise.with_resolvers()
local wait = tide.async(function(promise) await(promise or (Promise.with_resolvers())) end)
it("leaves one", function() wait(never) end)
it("leaves garbage", function()
  for _ = 1, 2 do wait() end
  collectgarbage()
  collectgarbage()
end)
it("leaves a call of a call", function() spawn(function() wait(never) end) end)
it("leaves a child", function()
  tide.group(function(g)
    g:spawn(function() await(never) end)
  end)
end)
it("ends with an error", function()
  pcall(await, spawn(error, "reason"))
  await(wait(1))
end)
it("means it", function()
  allow_suspended()
  wait(never)
end)
it("means it no longer", function() wait(never) end)
]]
      outcome("----++-", result)
      has("SPEC:4: the test has left behind:\n\tSPEC:4: an async function, suspended at SPEC:3\n",
        result)
      has("SPEC:6: the test has left behind:\n\tSPEC:6: an async function that nothing can wake\n"
        .. "\tSPEC:6: an async function that nothing can wake\n", result)
      has("SPEC:10: the test has left behind:\n\tSPEC:10: an async function, suspended at SPEC:3\n",
        result)
      has("\tSPEC:13: an async function, suspended at SPEC:13\n", result)
      has("SPEC:24: the test has left behind", result)
    end)

    it("is not held against a test that has failed", function()
      local result = run [[
it("fails", function()
  tide.set_timeout(error, 1)
  error "halfway"
end)
it("is clean", function() await(sleep(20)) end)
]]
      outcome("*+", result)
      has_not("left behind", result)
    end)

    it("counts against a test that an after_each has failed, too", function()
      local result = run [[
after_each(function() error "after" end)
it("leaves a timer", function() tide.set_timeout(error, 1) end)
]]
      has("SPEC:1: after", result)
      has("SPEC:2: the test has left behind", result)
      has("1 success / 0 failures / 2 errors", result)
    end)

    it("may be a clock", function()
      local result = run [[
local testing = require "moontide.testing"
it("closes it", function()
  local clock <close> = testing.clock()
  await(sleep(3600e3))
end)
it("does not", function()
  testing.clock()
end)
it("is clean", function()
  local start = tide.now()
  await(sleep(20))
  assert.is_true(tide.now() - start < 10000)
end)
it("shuffles", function()
  testing.shuffle(42)
  error "fails"
end)
]]
      outcome("+-+*", result)
      has("SPEC:7: a virtual clock", result)
      has("SPEC:16: fails\nShuffled with the seed 42.", result)
    end)
  end)

  it("leaves errors of the functions it watches as they are", function()
    local result = run [[
it("raises here", function() tide.set_timeout() end)
it("raises here", function() tide.sleep("soon") end)
it("raises here", function() spawn() end)
it("raises here", function() tide.async(1) end)
it("raises here", function() require("moontide.fs").stat() end)
]]
    outcome("*****", result)
    has("SPEC:1: bad argument #1 to 'set_timeout' (function expected, got nil)", result)
    has("SPEC:2: bad argument #1 to 'sleep' (number expected, got string)", result)
    has("SPEC:3: bad argument #1 to 'spawn' (function expected, got nil)", result)
    has("SPEC:4: bad argument #1 to 'async' (function expected, got number)", result)
    has("SPEC:5: bad argument #1 to 'fs.stat' (string expected, got nil)", result)
  end)

  it("works with other outputs, repeated, and listed", function()
    local text = [[
it("passes", function() await(sleep(1)) end)
it("leaves a timer", function() tide.set_timeout(error, 1) end)
]]
    local tap = run(text, { "-o", "TAP" })
    has("ok 1 - passes\nnot ok 2 - leaves a timer\n# SPEC @ 2\n", tap)
    has("SPEC:2: a timeout", tap)
    local junit = run(text, { "-o", "junit" })
    assert.matches("<testsuites[^>]- failures='1'", junit.out)
    assert.matches("<testsuites[^>]- errors='0'", junit.out)
    local repeated = run(text, { "--repeat=2" })
    local _, count = repeated.out:gsub("1 success / 1 failure / 0 errors", "")
    assert.equal(2, count, repeated.out)
    local listed = run(text, { "--list" })
    assert.equal("passes\nleaves a timer\n", listed.out)
  end)

  it("is for busted only", function()
    local result = child.lua_source [[print(pcall(require, "moontide.busted"))]]
    assert.is_truthy(result.out:find("is a helper for busted", 1, true), result.out)
  end)
end)
