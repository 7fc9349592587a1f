-- Of: core/traceback, core/trace, async/traceback, base/source
local tide = require "moontide"
local child = require "spec.support.child"
local files = require "spec.support.files"
local leak = require "spec.support.leak"

local async, await, spawn, sleep = tide.async, tide.await, tide.spawn, tide.sleep
local Promise = tide.Promise

-- The line that this function's caller is at.
local function here()
  return debug.getinfo(2, "l").currentline
end

-- Demands that the trace names these lines of this file, in this order.
local function passes(trace, ...)
  assert.equal("string", type(trace))
  local at = 1
  for i = 1, select("#", ...) do
    local line = select(i, ...)
    local _, last = trace:find(("traceback_spec.lua:%d:"):format(line), at, true)
    assert.is_truthy(last, ("line %d, the %dth, is missing in\n%s"):format(line, i, trace))
    at = last + 1
  end
end

local function trace_of(...)
  local ok, trace = xpcall(tide.run, tide.traceback, ...)
  assert.is_false(ok)
  return trace
end

describe("traceback", function()
  after_each(leak.check)
  after_each(files.remove)

  it("is like debug.traceback where no async function runs", function()
    local line = here() + 1
    local trace = tide.traceback("message")
    assert.matches("^message\nstack traceback:\n", trace)
    passes(trace, line)
    assert.matches("^stack traceback:\n", tide.traceback())
    assert.matches("^42\nstack traceback:\n", tide.traceback(42))
    assert.matches("^stack traceback:\n", tide.traceback(nil))
  end)

  it("starts at the level given", function()
    local line
    local function inner()
      return tide.traceback("m", 2)
    end
    local function outer()
      line = here() + 1
      local trace = inner()
      return trace
    end
    local trace = outer()
    passes(trace, line)
    assert.matches("^m\nstack traceback:\n[^\n]*traceback_spec%.lua:" .. line .. ":", trace)
  end)

  it("has no frames beyond the last level", function()
    assert.equal("m", tide.traceback("m", 0x7fffffff))
  end)

  it("describes what is no text", function()
    assert.matches("^%(error object is a boolean value%) true\nstack", tide.traceback(true))
    assert.matches("^%(error object is a function value%) function: ", tide.traceback(print))
    assert.matches("^%(error object is a table value%)\nstack", tide.traceback({}))
    local value = { code = 7, detail = { 1 }, name = "Odd", message = "no luck" }
    assert.matches("^Odd: no luck\n  code = 7\n  detail = table: [^\n]+\nstack",
      tide.traceback(value))
    assert.same({ code = 7, detail = { 1 }, name = "Odd", message = "no luck" }, value)
  end)

  it("describes errors that do not let themselves be read", function()
    local file <close> = assert(io.tmpfile())
    local refusing = setmetatable({}, { __tostring = error, __index = error, __len = error })
    local metatable = getmetatable(file)
    debug.setmetatable(file, { __tostring = error })
    for text, value in pairs({
      ["m\n  field = userdata\nstack"] = { message = "m", field = file },
      ["(error object is a userdata value) userdata\nstack"] = file,
      ["m\nstack"] = { message = "m", errors = refusing },
      ["n\nstack"] = { message = "n", errors = { n = "x" } },
    }) do
      assert.equal(text, tide.traceback(value):sub(1, #text))
    end
    debug.setmetatable(file, metatable)
  end)

  it("tells once what errors that contain one another consist of", function()
    local value = { message = "m", errors = {} }
    for i = 1, 16 do
      value.errors[i] = value
    end
    value.cause = value
    assert.matches("^m\nstack traceback:\n.-\n%[1%] m\n%[2%] m\n.*\n%[16%] m\ncaused by: m$",
      tide.traceback(value))

    local promise = Promise.reject("inner")
    for _ = 1, 20 do
      local list = {}
      for i = 1, 100 do
        list[i] = promise
      end
      promise = Promise.any(list)
    end
    local _, err = pcall(await, promise)
    assert.is_true(#tide.traceback(err) < 1e6)
  end)

  it("shows both ends of a stack of more than 21 levels, and says how many are between", function()
    local trace
    local function f(n)
      if n == 1 then
        trace = tide.traceback()
      else
        f(n - 1)
      end
      return n
    end
    for n = 19, 40 do
      spawn(f, n)
      local skipped = trace:match("\n\t%.%.%.\t%(skipping (%d+) levels%)\n")
      local _, shown = trace:gsub("traceback_spec%.lua:%d+: in ", "")
      assert.equal(n <= 21, skipped == nil)
      assert.equal(n, shown + (skipped or 0))
    end
  end)

  it("shows a name of any length", function()
    for _, length in ipairs({ 40, 100, 1000, 3000, 100000 }) do
      local name = ("x"):rep(length)
      local source = "local o, trace = {}, ... function o:%s() return (trace()) end return (o:%s())"
      local trace = assert(load(source:format(name, name), "=chunk"))(tide.traceback)
      assert.matches("^stack traceback:\n\tchunk:1: in method '" .. name .. "'\n", trace)
    end
  end)

  it("reads no source that is no plain file, and none without an end", function()
    local directory = files.directory()
    local pipe, huge = directory .. "/pipe", directory .. "/huge"
    assert(os.execute("mkfifo '" .. pipe .. "' && truncate -s 64G '" .. huge .. "'"))
    for _, path in ipairs({ pipe, huge, directory, "/dev/zero", "/dev/stdin", "/nowhere" }) do
      local source = "local await, sleep = ... return function() await(sleep(1)) end"
      local promise = spawn(assert(load(source, "@" .. path))(await, sleep))
      local trace = tide.traceback(nil, promise)
      await(promise)
      assert.matches("in async function <" .. path .. ":1>", trace, 1, true)
    end
  end)

  it("goes on with the functions that await the running one", function()
    local l1, l2, l3, trace
    local c = async(function()
      await(nil)
      l1 = here() + 1
      trace = tide.traceback("in c")
    end)
    local b = async(function()
      l2 = here() + 1
      await(c())
    end)
    local a = async(function()
      l3 = here() + 1
      await(b())
    end)
    await(a())
    assert.matches("^in c\nstack traceback:\n", trace)
    passes(trace, l1, l2, l3)
  end)

  it("shows the plain functions in between", function()
    local l1, l2, l3, trace
    local c = async(function()
      await(sleep(1))
      l1 = here() + 1
      trace = tide.traceback()
    end)
    local function plain()
      l2 = here() + 1
      await(c())
    end
    await(spawn(function()
      l3 = here() + 1
      plain()
    end))
    passes(trace, l1, l2, l3)
  end)

  it("shows for a promise where its function waits, and who waits for it", function()
    local l1, l2
    local p, resolve = Promise.with_resolvers()
    local inner = spawn(function()
      l1 = here() + 1
      await(p)
    end)
    spawn(function()
      l2 = here() + 1
      await(inner)
    end)
    local trace = tide.traceback("waiting", inner)
    assert.matches("^waiting\n", trace)
    passes(trace, l1, l2)
    resolve()
    tide.run()
  end)
end)

describe("the trace of an error", function()
  after_each(leak.check)

  it("starts where it was raised and goes on across awaits", function()
    local l1, l2, l3
    local c = async(function()
      await(sleep(1))
      l1 = here() + 1
      error("boom")
    end)
    local b = async(function()
      await(nil)
      l2 = here() + 1
      await(c())
    end)
    local trace = trace_of(function()
      l3 = here() + 1
      await(b())
    end)
    assert.matches("^[^\n]*traceback_spec%.lua:" .. l1 .. ": boom\nstack traceback:\n", trace)
    passes(trace:match("stack traceback:.*"), l1, l2, l3)
  end)

  it("is there when the call fails before its first await", function()
    local l1, l2
    local f = async(function()
      l1 = here() + 1
      error("early")
    end)
    local trace = trace_of(function()
      l2 = here() + 1
      await(f())
    end)
    passes(trace:match("stack traceback:.*"), l1, l2)
  end)

  it("is there for a run-time error", function()
    local line
    local trace = trace_of(function()
      await(nil)
      local t = nil
      line = here() + 1
      return t.field
    end)
    assert.matches("attempt to index a nil value", trace)
    passes(trace:match("stack traceback:.*"), line)
  end)

  it("is there for an unhandled rejection of a function that nobody waits for", function()
    local l1, l2
    local inner = async(function()
      await(nil)
      l1 = here() + 1
      error("floating")
    end)
    local trace = trace_of(function()
      spawn(function()
        l2 = here() + 1
        await(inner())
      end)
      await(sleep(20))
    end)
    tide.run()
    assert.matches(": floating\n", trace)
    passes(trace:match("stack traceback:.*"), l1, l2)
  end)

  it("is there for an error in a timer", function()
    local line
    tide.set_timeout(function()
      line = here() + 1
      error("in a timer")
    end, 1)
    local trace = trace_of()
    assert.matches(": in a timer\n", trace)
    passes(trace:match("stack traceback:.*"), line)
  end)

  it("goes on through Promise.all", function()
    local l1, l2
    local fail = async(function()
      await(sleep(1))
      l1 = here() + 1
      error("one of all")
    end)
    local trace = trace_of(function()
      l2 = here() + 1
      await(Promise.all({ sleep(2), fail() }))
    end)
    assert.matches(": one of all\n", trace)
    passes(trace:match("stack traceback:.*"), l1, l2)
  end)

  it("goes on through join", function()
    local l1, l2
    local fail = async(function()
      await(nil)
      l1 = here() + 1
      error("one of them")
    end)
    local trace = trace_of(function()
      l2 = here() + 1
      tide.join(fail(), sleep(1))
    end)
    passes(trace:match("stack traceback:.*"), l1, l2)
  end)

  it("stays that of the first error when it is rethrown unchanged", function()
    local l1, l2
    local fail = async(function()
      await(nil)
      l1 = here() + 1
      error("first")
    end)
    local trace = trace_of(function()
      local ok, err = pcall(await, fail())
      assert.is_false(ok)
      l2 = here() + 1
      error(err, 0)
    end)
    passes(trace, l1)
    passes(trace, l2)
  end)

  it("never changes the reason", function()
    local reason = {}
    local f = async(function()
      await(nil)
      error(reason)
    end)
    local ok, err = xpcall(tide.run, function(e)
      return e
    end, f)
    assert.is_false(ok)
    assert.equal(reason, err)
    ok, err = pcall(tide.run, async(function()
      await(f())
    end))
    assert.is_false(ok)
    assert.equal(reason, err)
  end)

  it("is not kept alive longer than the rejection", function()
    local function fail()
      local p = spawn(function()
        local value = leak.track({}, "local of the function")
        await(nil)
        error(leak.track({ value }, "reason"))
      end)
      assert.is_false(pcall(await, p))
      leak.track(p, "promise")
    end
    fail()
  end)

  it("shows names of any length, as often as it is rethrown", function()
    local name = ("x"):rep(3000)
    local source = "local o, await = {}, ... function o:%s(p) await(p) return 1 end "
      .. "return function(p) return o:%s(p) + 1 end"
    local f = async(assert(load(source:format(name, name), "=chunk"))(await))
    local trace = trace_of(function()
      await(f(f(f(Promise.reject("reason")))))
    end)
    local _, count = trace:gsub("chunk:1: in method '" .. name .. "'\n", "")
    assert.equal(3, count)
    assert.matches("^reason\nstack traceback:\n", trace)
  end)

  it("is short for a recursion that is long", function()
    local f
    f = async(function(n)
      if n == 0 then
        await(nil)
        error("bottom")
      end
      await(f(n - 1))
    end)
    local trace = trace_of(function()
      await(f(500))
    end)
    assert.matches(": bottom\n", trace)
    local _, count = trace:gsub("\n", "\n")
    assert.is_true(count < 200, tostring(count))
  end)
end)

-- Whole traces: what the command prints for a program, whose file is called app.lua here.
describe("S81 the whole trace", function()
  local function trace(source)
    return child.with_file(source, function(path)
      local result = child.shell(child.command("bin/moontide", path))
      assert.equal(1, result.code, result.err)
      return (result.err:gsub(path:gsub("%p", "%%%0"), "app.lua"))
    end)
  end

  local HEAD = [[
local tide = require "moontide"
local await, async, Promise = tide.await, tide.async, tide.Promise
local function load_user(id)
  await(tide.sleep(1))
  error("no user " .. id)
end
]]

  for what, case in pairs({
    ["chain"] = { [==[
local page = async(function(id)
  local user = await(tide.spawn(load_user, id))
  return user
end)
await(page(1))
]==], [==[
moontide: app.lua:5: no user 1
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[await]
	app.lua:8: in async function 'page' (app.lua:7)
	[await]
	app.lua:11: in main chunk
]==] },
    ["child of a group"] = { [==[
local function page()
  await(tide.group(function(g)
    g:spawn(load_user, 2)
    await(tide.sleep(100))
  end))
end
await(tide.spawn(page))
]==], [==[
moontide: app.lua:5: no user 2
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[group child (app.lua:3)]
	app.lua:8: in async function 'page' (app.lua:7)
	[await]
	app.lua:13: in main chunk
]==] },
    ["body of a group"] = { [==[
await(tide.group(function()
  load_user(3)
end))
]==], [==[
moontide: app.lua:5: no user 3
stack traceback:
	[C]: in global 'error'
	app.lua:5: in upvalue 'load_user'
	app.lua:8: in async function <app.lua:7>
	[group]
	app.lua:7: in main chunk
]==] },
    ["timeout"] = { [==[
await(tide.timeout(1000, load_user, 4))
]==], [==[
moontide: app.lua:5: no user 4
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[timeout]
	app.lua:7: in main chunk
]==] },
    ["move_on_after in a shield"] = { [==[
await(tide.shield(function()
  await(tide.move_on_after(1000, load_user, 5))
end))
]==], [==[
moontide: app.lua:5: no user 5
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[move_on_after]
	app.lua:8: in async function <app.lua:7>
	[shield]
	app.lua:7: in main chunk
]==] },
    ["map"] = { [==[
await(tide.map({ 6 }, load_user))
]==], [==[
moontide: app.lua:5: no user 6
stack traceback:
	[C]: in global 'error'
	app.lua:5: in upvalue 'f'
	[map child]
	app.lua:7: in main chunk
]==] },
    ["several children"] = { [==[
local function fail(n) await(nil) error({ code = n }) end
await(tide.group(function(g)
  g:spawn(fail, 1)
  g:spawn(fail, 2)
end))
]==], [==[
moontide: AggregateError: 2 functions of the group failed
stack traceback:
	[group]
	app.lua:8: in main chunk
[1] (error object is a table value)
  code = 1
stack traceback:
	[C]: in global 'error'
	app.lua:7: in async function 'fail' (app.lua:7)
	[group child (app.lua:7)]
[2] (error object is a table value)
  code = 2
stack traceback:
	[C]: in global 'error'
	app.lua:7: in async function 'fail' (app.lua:7)
	[group child (app.lua:7)]
]==] },
    ["Promise.all"] = { [==[
await(Promise.all({ tide.sleep(5), tide.spawn(load_user, 7) }))
]==], [==[
moontide: app.lua:5: no user 7
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[Promise.all [2]]
	app.lua:7: in main chunk
]==] },
    ["Promise.all_keyed"] = { [==[
await(Promise.all_keyed({ orders = tide.spawn(load_user, 8) }))
]==], [==[
moontide: app.lua:5: no user 8
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[Promise.all_keyed ['orders']]
	app.lua:7: in main chunk
]==] },
    ["Promise.race"] = { [==[
await(Promise.race({ tide.spawn(load_user, 9), tide.sleep(50) }))
]==], [==[
moontide: app.lua:5: no user 9
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[Promise.race [1]]
	app.lua:7: in main chunk
]==] },
    ["Promise.any"] = { [==[
await(Promise.any({ tide.spawn(load_user, 10), Promise.reject("plain") }))
]==], [==[
moontide: AggregateError: all promises were rejected
stack traceback:
	[Promise.any]
	app.lua:7: in main chunk
[1] app.lua:5: no user 10
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
[2] plain
]==] },
    ["join"] = { [==[
tide.join(tide.sleep(5), tide.spawn(load_user, 11))
]==], [==[
moontide: app.lua:5: no user 11
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[Promise.all [2]]
	app.lua:7: in main chunk
]==] },
    ["next and finally"] = { [==[
await(tide.spawn(load_user, 12):next(print):finally(function() end))
]==], [==[
moontide: app.lua:5: no user 12
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[await]
	app.lua:7: in main chunk
]==] },
    ["error in a reaction"] = { [==[
local M = {}
function M.on_value() error("in a reaction") end
await(tide.sleep(1):next(M.on_value))
]==], [==[
moontide: app.lua:8: in a reaction
stack traceback:
	[C]: in global 'error'
	app.lua:8: in function 'M.on_value' (app.lua:8)
	[await]
	app.lua:9: in main chunk
]==] },
    ["error in a timer"] = { [==[
local function tick()
  error("in a timer")
end
tide.set_timeout(tick, 1)
await(tide.sleep(1000))
]==], [==[
moontide: app.lua:8: in a timer
stack traceback:
	[C]: in global 'error'
	app.lua:8: in function 'tick' (app.lua:7)
]==] },
    ["unhandled rejection in the background"] = { [==[
tide.spawn(load_user, 13)
await(tide.sleep(1000))
]==], [==[
moontide: app.lua:5: no user 13
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
]==] },
    ["generator"] = { [==[
local users = tide.generator(function(yield)
  yield(1)
  load_user(14)
end)
for _ in users() do end
]==], [==[
moontide: app.lua:5: no user 14
stack traceback:
	[C]: in global 'error'
	app.lua:5: in upvalue 'load_user'
	app.lua:9: in async function 'users' (app.lua:7)
	[await]
	app.lua:11: in main chunk
]==] },
    ["cause"] = { [==[
local function save()
  local ok, err = pcall(load_user, 15)
  if not ok then
    error({ name = "SaveError", message = "cannot save", cause = err, step = 3 })
  end
end
await(tide.spawn(function() await(tide.spawn(save)) end))
]==], [==[
moontide: SaveError: cannot save
  step = 3
stack traceback:
	[C]: in global 'error'
	app.lua:10: in async function 'save' (app.lua:7)
	[await]
	app.lua:13: in async function <app.lua:13>
	[await]
	app.lua:13: in main chunk
caused by: app.lua:5: no user 15
]==] },
    ["cause that was awaited"] = { [==[
local function save()
  local ok, err = pcall(await, tide.spawn(load_user, 16))
  if not ok then error({ name = "SaveError", cause = err }) end
end
await(tide.spawn(save))
]==], [==[
moontide: SaveError
stack traceback:
	[C]: in global 'error'
	app.lua:9: in async function 'save' (app.lua:7)
	[await]
	app.lua:11: in main chunk
caused by: app.lua:5: no user 16
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
]==] },
    ["nil"] = { [==[
await(tide.spawn(function() error() end))
]==], [==[
moontide: (error object is a nil value)
stack traceback:
	[C]: in global 'error'
	app.lua:7: in async function <app.lua:7>
	[await]
	app.lua:7: in main chunk
]==] },
    ["after a pcall, in a catch handler, in an xpcall"] = { [==[
local texts = {}
local function keep(err) texts[#texts + 1] = tide.traceback(err) end
local function handlers()
  local _, err = pcall(await, tide.spawn(load_user, 17))
  keep(err)
  await(tide.spawn(load_user, 18):catch(keep))
  xpcall(function() await(tide.spawn(load_user, 19)) end, keep)
end
await(tide.spawn(handlers))
error(table.concat(texts, "\n"), 0)
]==], [==[
moontide: app.lua:5: no user 17
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[await]
	app.lua:8: in upvalue 'keep'
	app.lua:11: in async function 'handlers' (app.lua:9)
app.lua:5: no user 18
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
app.lua:5: no user 19
stack traceback:
	[C]: in global 'error'
	app.lua:5: in async function 'load_user' (app.lua:3)
	[await]
	app.lua:8: in function 'keep' (app.lua:8)
	app.lua:13: in function <app.lua:13>
	[C]: in global 'xpcall'
	app.lua:13: in async function 'handlers' (app.lua:9)
stack traceback:
	[C]: in global 'error'
	app.lua:16: in main chunk
]==] },
  }) do
    it("of " .. what, function()
      assert.equal(case[2], trace(HEAD .. case[1]))
    end)
  end
end)
