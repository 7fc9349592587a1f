-- Of: async/tasks, core/heap, core/suspension
-- luacheck: no max string line length (what is expected stands as it is printed)
local child = require "spec.support.child"
local leak = require "spec.support.leak"

local PRELUDE = [[
local tide = require "moontide"; local async, await, Promise = tide.async, tide.await, tide.Promise
]]

--- Runs a script whose first line is 1 in what it prints, as app.lua.
local function run(source, ...)
  local command = { ... }
  return child.with_file(PRELUDE:gsub("\n", " ") .. source, function(path)
    table.insert(command, path)
    local result = child.shell(child.command(table.unpack(command)))
    local function named(text) return (text:gsub(path:gsub("%p", "%%%0"), "app.lua")) end
    return { code = result.code, out = named(result.out), err = named(result.err) }
  end)
end

local MESSAGE = "moontide: " ..
  "DeadlockError: await: nothing is left to run that could settle the promise\n"

--- What the command says of a script that is stuck, after the first line, without the margin.
local function report(source)
  local result = run(source, "bin/moontide")
  assert.equal("", result.out)
  assert.equal(13, result.code, result.err)
  assert.equal(MESSAGE, result.err:sub(1, #MESSAGE))
  return (result.err:sub(#MESSAGE):gsub("\n  ", "\n"):sub(2))
end

--- Without what the lines of a long string have before them.
local function text(lines)
  local margin = lines:match("^ *")
  return (("\n" .. lines):gsub("\n" .. margin, "\n"):sub(2):gsub("\n *$", "\n"))
end

local function reports(expected, source) assert.equal(text(expected), report(source)) end

--- What a script prints that plain Lua runs.
local function prints(expected, source)
  local result = run(source)
  assert.equal("", result.err)
  assert.equal(text(expected), result.out)
  assert.equal(0, result.code)
end

describe("S82 a deadlock's report", function()
  after_each(leak.check)

  it("says where the top level waits, and for what", function()
    reports("the top level, at app.lua:1, waits for a promise\n",
      [[await((Promise.with_resolvers()))]])
  end)

  it("leads from what nobody will do to who waits for that", function()
    reports([[
      async function 'take' (app.lua:2), at app.lua:3, waits for queue:pop
        awaited by async function 'serve' (app.lua:5), at app.lua:6
          awaited by the top level, at app.lua:8
    ]], [[
      local queue = tide.queue()
      local function take()
        return await(queue:pop())
      end
      local serve = async(function()
        return await(tide.spawn(take))
      end)
      await(serve())
    ]])
  end)

  it("has the line where the function stands, in whatever it has called", function()
    reports([[
      async function <app.lua:3>, at app.lua:2, waits for queue:pop
        awaited by the top level, at app.lua:3
    ]], [[local queue = tide.queue()
      local function take() pcall(await, queue:pop()) end
      await(tide.spawn(function() take() end))
    ]])
  end)

  it("has the line where the function stands in a coroutine of its own", function()
    reports([[
      async function <app.lua:3>, at app.lua:2, waits for queue:pop
        awaited by the top level, at app.lua:3
    ]], [[local queue = tide.queue()
      local function take() await(queue:pop()) end
      await(tide.spawn(function() require("moontide.coroutine").wrap(take)() end))
    ]])
  end)

  it("comes with run as well", function()
    local result = run([[
      local function main()
        await(Promise.race {})
      end
      tide.run(main)
    ]], "bin/moontide")
    assert.equal(13, result.code)
    assert.equal(text [[
      moontide: DeadlockError: run: nothing is left to run that could settle the promise
        async function 'main' (app.lua:1), at app.lua:2, waits for Promise.race of nothing
          awaited by the top level, at app.lua:4
    ]], result.err)
  end)

  it("knows all that a function can wait for", function()
    reports([[
      async function <app.lua:6>, at app.lua:6, waits for mutex:acquire
      async function <app.lua:7>, at app.lua:7, waits for semaphore:acquire
      async function <app.lua:8>, at app.lua:8, waits for queue:pop
      async function <app.lua:9>, at app.lua:9, waits for queue:push
      async function <app.lua:10>, at app.lua:10, waits for event:wait
      async function <app.lua:11>, at app.lua:11, waits for a promise
      async function <app.lua:12>, at app.lua:12, waits for a thenable
      async function <app.lua:13>, at app.lua:13, waits for Promise:next of a promise
      async function <app.lua:14>, at app.lua:14, waits for Promise:finally of event:wait
      async function <app.lua:15>, at app.lua:15, waits for Promise.all [2] of a promise, event:wait
      async function <app.lua:16>, at app.lua:16, waits for Promise.race [1] of a promise
      async function <app.lua:17>, at app.lua:17, waits for queue:pop
      the top level, at app.lua:19, waits for a promise
    ]], [[
      local mutex, semaphore, event = tide.mutex(), tide.semaphore(1), tide.event()
      local empty, full, never = tide.queue(), tide.queue(0), Promise.with_resolvers()
      local permit, other = await(mutex:acquire()), await(semaphore:acquire())
      all = {
        event, empty, full, permit, other,
        tide.spawn(function() await(mutex:acquire()) end),
        tide.spawn(function() await(semaphore:acquire()) end),
        tide.spawn(function() await(empty:pop()) end),
        tide.spawn(function() await(full:push(1)) end),
        tide.spawn(function() await(event:wait()) end),
        tide.spawn(function() await(never) end),
        tide.spawn(function() await { ["then"] = function() end } end),
        tide.spawn(function() await(never:next(print)) end),
        tide.spawn(function() await(event:wait():finally(print)) end),
        tide.spawn(function() await(Promise.all { never, event:wait(), 1 }) end),
        tide.spawn(function() await(Promise.race { never }) end),
        tide.spawn(function() for _ in empty do print() end end),
      }
      await(never)
    ]])
  end)

  it("says through what functions are awaited", function()
    reports([[
      async function 'stuck' (app.lua:2), at app.lua:2, waits for a promise (x 3)
        awaited by async function 'both' (app.lua:3), at app.lua:3, through Promise.all [2]
        awaited by the top level, at app.lua:4, through Promise:next
    ]], [[local never = Promise.with_resolvers()
      local stuck = async(function() await(never) end)
      local both = async(function() await(Promise.all { stuck(), stuck() }) end)
      await(Promise.any { both(), stuck() }:next(print))
    ]])
  end)

  it("goes through functions that have returned a promise", function()
    reports([[
      async function 'stuck' (app.lua:2), at app.lua:2, waits for a promise
        awaited by the top level, at app.lua:4
    ]], [[local never = Promise.with_resolvers()
      local stuck = async(function() await(never) end)
      local passes = async(function() return stuck() end)
      await(passes())
    ]])
  end)

  it("finds functions that await one another", function()
    reports([[
      async function 'one' (app.lua:3), at app.lua:3, waits for async function 'other' (app.lua:4), in a circle
        awaited by async function 'other' (app.lua:4), at app.lua:4
        awaited by the top level, at app.lua:5
    ]], [[local one, other
      local start, resolve = Promise.with_resolvers()
      one = tide.spawn(function() await(start) await(other) end)
      other = tide.spawn(function() await(start) await(one) end)
      resolve() await(one)
    ]])
  end)

  it("finds a function that awaits itself, though its promise adopts itself", function()
    reports([[
      async function 'self' (app.lua:3), at app.lua:3, waits for async function 'self' (app.lua:3), in a circle
        awaited by the top level, at app.lua:4
    ]], [[local self
      local start, resolve = Promise.with_resolvers()
      self = tide.spawn(function() await(start) await(self) end)
      resolve() await(self)
    ]])
  end)

  it("finds promises that are resolved with one another", function()
    reports([[
      async function 'f' (app.lua:3), at app.lua:3, waits for promises in a circle (x 2)
        awaited by the top level, at app.lua:4, through Promise.all [2]
    ]], [[local a, resolve_a = Promise.with_resolvers()
      local b, resolve_b = Promise.with_resolvers() resolve_a(b) resolve_b(a)
      local function f() await(a) end
      await(Promise.all { tide.spawn(f), tide.spawn(f) })
    ]])
    reports("the top level, at app.lua:2, waits for promises in a circle\n", [[
      local a, resolve = Promise.with_resolvers() resolve(a:next())
      await(a)
    ]])
  end)

  it("finds a circle that leads through a combinator", function()
    reports([[
      async function 'one' (app.lua:4), at app.lua:4, waits for Promise.all [1], in a circle
        awaited by async function 'other' (app.lua:5), at app.lua:5
          awaited by the top level, at app.lua:6
    ]], [[local one, other

      local start, resolve = Promise.with_resolvers()
      one = tide.spawn(function() await(start) await(Promise.all { other }) end)
      other = tide.spawn(function() await(start) await(one) end)
      resolve() await(other)
    ]])
  end)

  it("has a function in each tree that leads to it, and who awaits it in one", function()
    reports([[
      async function 'a' (app.lua:2), at app.lua:2, waits for event:wait
        awaited by async function 'both' (app.lua:4), at app.lua:4, through Promise.all [2]
          awaited by the top level, at app.lua:5
      async function 'b' (app.lua:3), at app.lua:3, waits for queue:pop
        awaited by async function 'both' (app.lua:4), at app.lua:4, through Promise.all [2], see above
    ]], [[local event, queue = tide.event(), tide.queue()
      local a = async(function() await(event:wait()) end)
      local b = async(function() await(queue:pop()) end)
      local both = async(function() await(Promise.all { a(), b() }) end)
      await(both())
    ]])
  end)

  it("tells of the children of a group", function()
    reports([[
      async function 'child' (app.lua:4), at app.lua:4, waits for event:wait
        awaited by the top level, at app.lua:3, through group
        awaited by async function <app.lua:3>, at app.lua:5
    ]], [[local event = tide.event()

      await(tide.group(function(g)
        local child = g:spawn(function() await(event:wait()) end)
        await(child)
      end))
    ]])
  end)

  it("tells of the body of a generator, and of who asks it", function()
    for _, loop in ipairs({ "for _ in g do end", "await(g:next()) await(g:next())" }) do
      reports([[
        async function 'g' (app.lua:2), at app.lua:3, waits for a promise
          awaited by async function <app.lua:5>, at app.lua:6, through generator:next
            awaited by the top level, at app.lua:5
      ]], [[local never = Promise.with_resolvers()
        local g = tide.generator(function(yield)
          yield(1) await(never)
        end)()
        await(tide.spawn(function()
          ]] .. loop .. [[

        end))
      ]])
    end
  end)

  it("has one entry, with a count, for a thousand that stand alike", function()
    reports([[
      async function 'stuck' (app.lua:2), at app.lua:2, waits for a promise (x 1000)
        awaited by async function 'waits' (app.lua:3), at app.lua:3 (x 1000)
          awaited by the top level, at app.lua:6, through Promise.all [1000]
    ]], [[local never = Promise.with_resolvers()
      local stuck = async(function() await(never) end)
      local waits = async(function() await(stuck()) end)
      local list = {}
      for i = 1, 1000 do list[i] = waits() end
      await(Promise.all(list))
    ]])
  end)

  it("is not longer than twenty lines, nor deeper than ten", function()
    local wide = report([[local never, list = Promise.with_resolvers()
      list = {}
      for i = 1, 50 do
        local stuck = load("\nlocal tide, p = ...; tide.await(p)", "=chunk" .. i)
        list[i] = tide.spawn(stuck, tide, never)
      end
      await(never)
    ]])
    assert.equal(21, select(2, wide:gsub("\n", "")))
    assert.matches("\n%.%.%. and 31 more\n$", wide)
    local deep = report([[local never = Promise.with_resolvers()
      local function f(n)
        if n == 0 then await(never) else await(tide.spawn(f, n - 1)) end
      end
      await(tide.spawn(f, 5000))
    ]])
    assert.equal(11, select(2, deep:gsub("\n", "")))
    assert.matches("\n%.%.%. and 4992 more\n$", deep)
  end)

  it("finds functions wherever they are held", function()
    local holds = {
      ["an upvalue"] = "local f = stuck() function keep() return f end",
      ["a table's value"] = "deep = { { { stuck() } } }",
      ["a table's key"] = "keys = { [stuck()] = true }",
      ["a metatable"] = "object = setmetatable({}, { [1] = stuck() })",
      ["a user value"] = "full = tide.queue(0) full:push(stuck())",
      ["a coroutine's variable"] = [[co = coroutine.create(function(...)
          local held = ... coroutine.yield() return held
        end) coroutine.resume(co, stuck())]],
      ["a coroutine's extra argument"] = [[co = coroutine.create(function(...)
          coroutine.yield() return ...
        end) coroutine.resume(co, stuck())]],
      ["a frame further out"] = [[co = coroutine.create(function(p)
          local function inner() coroutine.yield() end
          inner() return p
        end) coroutine.resume(co, stuck())]],
      ["what an expression works on"] = [[co = coroutine.create(function(...)
          return { ..., coroutine.yield() }
        end) coroutine.resume(co, stuck())]],
      ["the running function"] = "local held = stuck()",
      ["the async context"] = [[var = tide.ContextVar("v")
          var:run(stuck(), never.next, never, print)]],
      ["a C function"] = [[held = tide.async(setmetatable({ stuck() }, { __call = print }))]],
    }
    for what, how in pairs(holds) do
      local got = report("local stuck = async(function() await((Promise.with_resolvers())) end) " ..
        "local never = Promise.with_resolvers() " .. how .. " await(never)")
      assert.matches("^async function [^\n]+, at app%.lua:1, waits for a promise\n", got,
        what)
    end
  end)

  it("takes weak tables for what they are", function()
    reports("the top level, at app.lua:7, waits for a promise\n",
      [[local stuck = async(function() await((Promise.with_resolvers())) end)
      keys = setmetatable({}, { __mode = "k" })
      values = setmetatable({}, { __mode = "v" })
      both = setmetatable({}, { __mode = "kv" })
      keys[stuck()], values[1] = 1, stuck()
      both[stuck()] = stuck()
      await((Promise.with_resolvers()))
    ]])
  end)

  it("calls no metamethod, and runs no finalizer while it looks", function()
    local result = run([[
      local function no() print("called") error("no") end
      local meta = { __index = no, __newindex = no, __len = no, __eq = no, __pairs = no,
        __tostring = no, __name = 1, __mode = setmetatable({}, { __index = no }) }
      strange = setmetatable({ setmetatable({}, meta) }, meta)
      setmetatable(meta, { __index = no })
      for i = 1, 1000 do
        setmetatable({}, { __gc = function() _G["key" .. i] = i end })
      end
      await((Promise.with_resolvers()))
    ]], "bin/moontide")
    assert.equal(13, result.code)
    assert.equal("", result.out)
    assert.equal(MESSAGE .. "  the top level, at app.lua:9, waits for a promise\n", result.err)
  end)

  it("is the error's field tasks; its text is one line; the program goes on", function()
    prints([[
      DeadlockError: await: nothing is left to run that could settle the promise
      1
      async function 'stuck' (app.lua:2)	app.lua	2	queue:pop	1
      1
      the top level	app.lua	4	async function 'stuck' (app.lua:2)	1
      0
      true
      42
    ]], [[
      local queue = tide.queue()
      local stuck = async(function() return await(queue:pop()) end)
      local promise = stuck()
      local ok, err = pcall(await, promise)
      local function show(e)
        print(e.name, e.source, e.line, e.waits_for, e.count) print(#e.awaited_by)
      end
      print(err) print(#err.tasks)
      show(err.tasks[1])
      show(err.tasks[1].awaited_by[1])
      local path = arg[0]:gsub("%p", "%%%0")
      print(tostring(err.tasks):gsub(path, "app.lua") ==
        "async function 'stuck' (app.lua:2), at app.lua:2, waits for queue:pop\n" ..
        "  awaited by the top level, at app.lua:4")
      queue:push(42)
      print(await(promise))
    ]])
  end)

  it("forgets a top level that has given up waiting", function()
    prints("async function 'stuck' (app.lua:2), at app.lua:2, waits for a promise\n",
      [[local never = Promise.with_resolvers()
      local stuck = tide.spawn(function() await(never) end)
      pcall(await, stuck)
      print(tide.tasks())
    ]])
  end)

  it("does not come when the loop was stopped", function()
    prints("await: the loop was stopped\tnil\n", [[
      tide.set_timeout(tide.stop, 1)
      local _, err = pcall(await, tide.sleep(60000))
      print(err.message, err.tasks)
    ]])
  end)

  it("holds nothing that it tells of", function()
    prints("nil\n", [[
      local weak = setmetatable({}, { __mode = "v" })
      local function deadlock()
        weak[1] = tide.spawn(function() await((Promise.with_resolvers())) end)
        return select(2, pcall(await, weak[1]))
      end
      local err = deadlock()
      collectgarbage() collectgarbage()
      print(weak[1])
      assert(err)
    ]])
  end)
end)

describe("tasks", function()
  after_each(leak.check)

  it("tells of the suspended functions while the program runs", function()
    prints([[
      async function 'nap' (app.lua:1), at app.lua:1, waits for sleep (x 2)
        awaited by async function 'both' (app.lua:2), at app.lua:3, through Promise.all [2]
          awaited by the top level, at app.lua:6
      async function <app.lua:5>, at app.lua:5, waits for its turn
    ]], [[
      local function nap() await(tide.sleep(20)) end
      local both = async(function()
        await(Promise.all { tide.spawn(nap), tide.spawn(nap) })
      end)
      tide.set_timeout(function() tide.spawn(function() await(1) end) print(tide.tasks()) end, 1)
      await(both())
    ]])
  end)

  it("does not tell of those that run, nor of those that are over", function()
    prints("0\n\n", [[
      tide.spawn(function() await(tide.sleep(1)) end)
      local function list() return tide.tasks() end
      await(tide.sleep(10))
      local outer = async(function()
        return await(tide.spawn(function() await(nil) return list() end))
      end)
      local tasks = await(tide.spawn(function() return list() end))
      print(#tasks) print(tasks)
    ]])
  end)

  it("tells of one that waits at a yield", function()
    prints([[async function 'g' (app.lua:1), at app.lua:1, waits for yield
    ]], [[local g = tide.generator(function(yield) yield(1) yield(2) end)()
      await(g:next())
      print(tide.tasks())
      await(g:close())
    ]])
  end)

  it("is there in a program that never awaits", function()
    prints("0\t\n", [[print(#tide.tasks(), tide.tasks())]])
  end)

  it("survives a program that collects garbage all the time", function()
    prints("50\n", [[
      local never = Promise.with_resolvers()
      list = {}
      for i = 1, 50 do
        list[i] = setmetatable({}, { __gc = function() collectgarbage("step") end })
        list[-i] = tide.spawn(function() await(never) end)
      end
      list[1] = nil
      collectgarbage("generational")
      print(tide.tasks()[1].count)
      assert(collectgarbage("isrunning"))
    ]])
  end)
end)
