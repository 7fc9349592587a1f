-- Of: coroutine, core/relay
-- Coroutines that are no async functions, and awaits in them.
local core = require "moontide.core"
local coroutines = require "moontide.coroutine"
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new
local raised = require("spec.support.raised").raised
local tide = require "moontide"

local await, async, spawn, sleep = tide.await, tide.async, tide.spawn, tide.sleep
local Promise = tide.Promise

--- Runs `f` as an async function and returns its values.
local function inside(f, ...)
  return await(spawn(f, ...))
end

---- what the original does ----

--- A value as a line shows it; what differs from run to run is left out.
local function show(value)
  local text = tostring(value):gsub("0x%x+", "ADDRESS")
  return (text:gsub("'moontide%.", "'"))
end

local CASES = {}
local function case(name, run)
  CASES[#CASES + 1] = { name = name, run = run }
end

case("passes values both ways", function(co, note)
  local c = co.create(function(...)
    note("first", ...)
    note("second", co.yield(1, nil, 3))
    return nil, "end", nil
  end)
  note(co.resume(c, "a", nil))
  note(co.resume(c, nil, "b", nil))
  note(co.resume(c))
end)

case("has no values", function(co, note)
  local c = co.create(function(...)
    note(select("#", ...), select("#", co.yield()))
  end)
  note(co.resume(c))
  note(co.resume(c))
end)

case("passes many values", function(co, note)
  local many = {}
  for i = 1, 3000 do
    many[i] = i
  end
  local c = co.wrap(function(...)
    return select("#", co.yield(...)), ...
  end)
  note(select("#", c(table.unpack(many))))
  note(c(table.unpack(many)))
end)

case("tells the status", function(co, note)
  local outer, inner
  outer = co.create(function()
    note(co.status(outer), co.status(inner))
    note(co.resume(inner))
    co.yield()
  end)
  inner = co.create(function()
    note(co.status(outer), co.status(inner))
  end)
  note(co.status(outer), co.status(inner))
  note(co.resume(outer))
  note(co.status(outer), co.status(inner))
  note(co.close(outer))
  note(co.status(outer), co.status(inner))
end)

case("raises errors unchanged, of any type", function(co, note)
  for _, reason in ipairs({ "text", 1, true, {} }) do
    local c = co.create(function()
      error(reason, 0)
    end)
    local ok, err = co.resume(c)
    note(ok, type(reason), rawequal(err, reason), co.status(c))
    note(co.resume(c))
    local _, wrapped = pcall(co.wrap(function()
      error(reason, 0)
    end))
    note(wrapped == reason, type(reason) ~= "table" and wrapped)
  end
  local c = co.create(function()
    error()
  end)
  note(co.resume(c))
  note(pcall(co.wrap(error)))
end)

case("adds a position to text", function(co, note)
  note(pcall(function()
    co.wrap(function()
      error("deep")
    end)()
  end))
  note(co.resume(co.create(function()
    local x = nil
    return x.y
  end)))
end)

case("keeps the frames of what has failed", function(co, note)
  local function deep()
    error("deep")
  end
  local c = co.create(function()
    deep()
  end)
  note(co.resume(c))
  note(debug.traceback(c))
  note(debug.traceback(c, "message"))
end)

case("resumes no dead one, no running one, no normal one", function(co, note)
  local dead = co.wrap(function() end)
  dead()
  note(pcall(dead))
  local self
  self = co.create(function()
    note(co.resume(self, 1, 2))
    note(co.resume(co.create(function()
      return co.resume(self, 3)
    end)))
  end)
  note(co.resume(self))
  note(co.resume(self))
  local wrapped
  wrapped = co.wrap(function()
    wrapped()
  end)
  note(pcall(wrapped))
end)

case("knows who runs and who can yield", function(co, note)
  local c
  c = co.create(function()
    local running, main = co.running()
    note(running == c, main, co.isyieldable())
    table.sort({ 1, 2 }, function(a, b)
      note(co.isyieldable())
      return a < b
    end)
  end)
  note(co.isyieldable(c))
  note(co.resume(c))
  note(type(co.running()))
end)

case("closes", function(co, note)
  local function closing(name, err)
    return setmetatable({}, {
      __close = function(_, reason)
        note("close", name, reason)
        if err then
          error(err, 0)
        end
      end,
    })
  end
  local c = co.create(function()
    local _ <close> = closing("outer")
    local _ <close> = closing("inner")
    co.yield(1)
  end)
  note(co.resume(c))
  note(co.close(c))
  note(co.status(c), co.close(c))
  c = co.create(function()
    local _ <close> = closing("failing", "no")
    co.yield()
  end)
  note(co.resume(c))
  note(co.close(c))
  c = co.create(function()
    local _ <close> = closing("after")
    error("before", 0)
  end)
  note(co.resume(c))
  note(co.close(c))
  note(pcall(co.wrap(function()
    local _ <close> = closing("wrapped")
    error("before", 0)
  end)))
  note(co.close(co.create(print)))
  c = co.create(function()
    note(pcall(co.close, c))
    note(co.resume(co.create(function()
      co.close(c)
    end)))
  end)
  note(co.resume(c))
end)

case("complains", function(co, note)
  for _, name in ipairs({ "create", "wrap", "resume", "status", "close" }) do
    for _, value in ipairs({ 1, "text", {} }) do
      note(name, pcall(co[name], value))
    end
    note(name, pcall(co[name]))
  end
end)

case("iterates", function(co, note)
  local function permute(list, n)
    n = n or #list
    if n <= 1 then
      co.yield(list)
    end
    for i = 1, n do
      list[n], list[i] = list[i], list[n]
      permute(list, n - 1)
      list[n], list[i] = list[i], list[n]
    end
  end
  for list in co.wrap(function()
    permute({ "a", "b", "c" })
  end) do
    note(table.concat(list))
  end
end)

case("yields through pcall and metamethods", function(co, note)
  local c = co.wrap(function()
    local t = setmetatable({}, {
      __index = function(_, key)
        return co.yield(key)
      end,
    })
    note(pcall(function()
      note(t.field)
      error(co.yield("again"), 0)
    end))
    return "done"
  end)
  note(c())
  note(c("value"))
  note(c("reason"))
end)

case("is nested as deep as Lua allows", function(co, note)
  local function descend(n)
    return n == 0 and "bottom" or co.wrap(descend)(n - 1)
  end
  note(descend(150))
  local ok, err = pcall(descend, 500)
  note(ok, err:match("C stack overflow"))
end)

--- What a case notes with these functions: a line for each call.
local function notes_of(co, run)
  local log, lines = new_log()
  run(co, function(...)
    local values = table.pack(...)
    for i = 1, values.n do
      values[i] = show(values[i])
    end
    log(values.n .. ":", table.unpack(values, 1, values.n))
  end)
  return lines
end

describe("moontide.coroutine", function()
  after_each(leak.check)

  for _, c in ipairs(CASES) do
    it(c.name .. ", like the original", function()
      local expected = notes_of(coroutine, c.run)
      assert.is_true(#expected > 0)
      assert.same(expected, notes_of(coroutines, c.run))
      assert.same(expected, inside(notes_of, coroutines, c.run))
      assert.same(inside(notes_of, coroutine, c.run), inside(notes_of, coroutines, c.run))
      assert.same(expected, tide.ContextVar("var"):run(1, notes_of, coroutines, c.run))
    end)
  end

  it("has what the original has", function()
    for name in pairs(coroutine) do
      assert.is_function(coroutines[name], name)
    end
  end)

  it("is not there by itself, and goes when it is told to", function()
    local before = {}
    for name, f in pairs(coroutine) do
      before[name] = f
    end
    local undo = coroutines.install()
    for name in pairs(before) do
      assert.equal(coroutines[name], coroutine[name])
    end
    local undo_again = coroutines.install()
    undo_again()
    assert.equal(coroutines.wrap, coroutine.wrap)
    undo()
    assert.same(before, coroutine)
  end)
end)

describe("S85 an await in a coroutine", function()
  after_each(leak.check)

  --- The values of `f` in so many coroutines around one another, in an async function.
  local function nested(depth, f, ...)
    if depth == 0 then
      return f(...)
    end
    return coroutines.wrap(nested)(depth - 1, f, ...)
  end

  for _, depth in ipairs({ 1, 2, 5, 40 }) do
    it("gives its values, at depth " .. depth, function()
      inside(nested, depth, function()
        assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(await(Promise.resolve(1, nil, 3, nil))))
        assert.same({ n = 0 }, table.pack(await(sleep(1))))
        assert.same({ nil, 2, nil, n = 3 }, table.pack(await(nil, 2, nil)))
        assert.same({ n = 0 }, table.pack(await()))
        local co = coroutine.running()
        assert.equal(co, (await(co)))
        assert.equal(co, (await(Promise.resolve(co))))
      end)
    end)

    it("raises, at depth " .. depth, function()
      local reason = {}
      inside(nested, depth, function()
        assert.equal(reason, raised(await, Promise.reject(reason)))
        assert.equal(reason, raised(function()
          await(sleep(1):next(function()
            error(reason, 0)
          end))
        end))
      end)
      assert.equal(reason, raised(inside, nested, depth, function()
        await(sleep(1))
        await(Promise.reject(reason))
      end))
    end)
  end

  it("leaves what is yielded alone", function()
    local log, lines = new_log()
    inside(function()
      local co = coroutines.create(function(...)
        log("started", ...)
        local value = await(Promise.resolve("awaited"))
        log("resumed", coroutines.yield(value, 1))
        await(sleep(1))
        log("resumed", coroutines.yield(2))
        return await(Promise.resolve("end", "of it"))
      end)
      log(coroutines.resume(co, "a"))
      log(coroutines.status(co))
      log(coroutines.resume(co, "b"))
      await(sleep(1))
      log(coroutines.resume(co, "c"))
      log(coroutines.status(co))
    end)
    assert.same({
      "started a", "true awaited 1", "suspended", "resumed b", "true 2", "resumed c",
      "true end of it", "dead",
    }, lines)
  end)

  it("is there for an iterator", function()
    local function numbers(n)
      return coroutines.wrap(function()
        for i = 1, n do
          await(sleep(1))
          coroutines.yield(i)
        end
      end)
    end
    local sum = inside(function()
      local sum = 0
      for i in numbers(5) do
        for j in numbers(3) do
          sum = sum + i * j
        end
      end
      return sum
    end)
    assert.equal(90, sum)
  end)

  it("takes as long as one without a coroutine", function()
    local function program(co, log)
      local function run(name)
        return spawn(function()
          co(function()
            log(name, 1)
            await(nil)
            log(name, 2)
            await(Promise.resolve())
            log(name, 3)
            await(async(function()
              return await(nil)
            end)())
            log(name, 4)
            pcall(await, Promise.reject("no"))
            log(name, 5)
            await({
              ["then"] = function(_, resolve)
                resolve()
              end,
            })
            log(name, 6)
          end)
        end)
      end
      local function ticks()
        return spawn(function()
          for i = 1, 12 do
            log("tick", i)
            await(nil)
          end
        end)
      end
      local list = { run("a"), ticks(), run("b") }
      await(Promise.all(list))
      log("turn", await(spawn(function()
        co(function()
          await(tide.yield())
          for i = 1, 3 do
            await(sleep(0))
            log("slept", i)
          end
        end)
      end)))
    end
    local log, expected = new_log()
    program(function(f)
      f()
    end, log)
    for depth = 1, 3 do
      local write, lines = new_log()
      program(function(f)
        nested(depth, f)
      end, write)
      assert.same(expected, lines)
    end
  end)

  it("waits where the reader holds the function", function()
    local queue = tide.queue(1)
    local got = {}
    local consumer = spawn(function()
      coroutines.wrap(function()
        for value in queue do
          got[#got + 1] = value
        end
      end)()
    end)
    inside(nested, 3, function()
      for i = 1, 5 do
        await(queue:push(i))
      end
      queue:close()
    end)
    await(consumer)
    assert.same({ 1, 2, 3, 4, 5 }, got)
  end)

  it("waits for a lock", function()
    local log, lines = new_log()
    local mutex = tide.mutex()
    local function work(name)
      nested(2, function()
        local _ <close> = await(mutex:acquire())
        log(name, "in")
        await(sleep(1))
        log(name, "out")
      end)
    end
    tide.join(spawn(work, "a"), spawn(work, "b"))
    assert.same({ "a in", "a out", "b in", "b out" }, lines)
  end)

  it("may stand in pcall, metamethods and <close>", function()
    local log, lines = new_log()
    inside(function()
      coroutines.wrap(function()
        local t = setmetatable({}, {
          __index = function(_, key)
            return await(sleep(1):next(function()
              return key
            end))
          end,
          __close = function(_, err)
            await(sleep(1))
            log("closed", err)
          end,
        })
        log(t.field)
        log(pcall(function()
          local _ <close> = t
          log(xpcall(await, function(err)
            return "handled " .. err
          end, Promise.reject("no")))
          error("out", 0)
        end))
        local _ <close> = t
      end)()
      log("after")
    end)
    assert.same({ "field", "false handled no", "closed out", "false out", "closed nil", "after" },
      lines)
  end)

  it("works at top level", function()
    local co = coroutines.create(function()
      local value = await(sleep(1):next(function()
        return "awaited"
      end))
      coroutines.yield(value)
      assert.equal("no", raised(await, Promise.reject("no")))
    end)
    assert.same({ true, "awaited", n = 2 }, table.pack(coroutines.resume(co)))
    assert.same({ true, n = 1 }, table.pack(coroutines.resume(co)))
    assert.equal("dead", coroutines.status(co))
    assert.equal("deep", nested(30, function()
      return await(Promise.resolve("deep"))
    end))
  end)

  it("calls async functions, however deep", function()
    local function descend(n)
      if n == 0 then
        return 0
      end
      return nested(2, function()
        return 1 + await(spawn(descend, n - 1))
      end)
    end
    assert.equal(500, inside(descend, 500))
    local function start(n)
      return nested(1, function()
        return n > 0 and spawn(start, n - 1) or nil
      end)
    end
    inside(start, 500)
  end)

  it("may be in a coroutine that another function goes on with", function()
    local co = coroutines.create(function()
      coroutines.yield(await(Promise.resolve(1)))
      coroutines.yield(await(sleep(1):next(function()
        return 2
      end)))
    end)
    assert.same({ true, 1, n = 2 }, table.pack(inside(coroutines.resume, co)))
    assert.same({ true, 2, n = 2 }, table.pack(inside(coroutines.resume, co)))
    assert.same({ true, n = 1 }, table.pack(coroutines.resume(co)))
  end)

  it("makes its coroutine one that cannot be resumed or closed, until it is done", function()
    local outer, inner
    local resolve, promise
    promise, resolve = Promise.with_resolvers()
    local function wake()
      return await(promise)
    end
    local wrapped = coroutines.wrap(function()
      inner = coroutines.create(wake)
      outer = coroutine.running()
      return coroutines.resume(inner)
    end)
    local done = spawn(function()
      return wrapped()
    end)
    for _, co in ipairs({ outer, inner }) do
      assert.equal("normal", coroutines.status(co))
      assert.same({ false, "cannot resume non-suspended coroutine" }, { coroutines.resume(co) })
      assert.equal("cannot close a normal coroutine", raised(coroutines.close, co))
    end
    assert.matches("cannot resume non%-suspended coroutine", raised(wrapped))
    assert.matches("cannot resume non%-suspended coroutine", raised(inside, wrapped))
    resolve("woken")
    assert.same({ true, "woken", n = 2 }, table.pack(await(done)))
    assert.equal("dead", coroutines.status(outer))
    assert.equal("dead", coroutines.status(inner))
  end)

  for _, depth in ipairs({ 1, 4 }) do
    it("does not survive that the original resumes it, at depth " .. depth, function()
      local message
      local innermost
      local done = spawn(function()
        nested(depth, function()
          innermost = coroutine.running()
          message = raised(await, sleep(20))
          message = message .. "; " .. raised(await, sleep(1))
        end)
      end)
      assert.is_true(inside(coroutine.resume, innermost))
      assert.matches("an async function was resumed by somebody else.*; "
        .. "await inside a coroutine that is not an async function", message)
      assert.matches("cannot resume dead coroutine", raised(await, done))
    end)
  end

  it("does not let anybody resume an async function", function()
    local co, message
    local victim = spawn(function()
      co = coroutine.running()
      message = raised(await, sleep(1))
      message = message .. "; " .. raised(await, sleep(1))
    end)
    inside(coroutines.resume, co)
    assert.matches("an async function was resumed by somebody else.*; "
      .. "await inside a coroutine that is not an async function", message)
    assert.matches("resumed or closed by somebody else", raised(await, victim))
  end)

  it("is refused in a coroutine of the original, with a word of what would do", function()
    local function refused(f)
      local expected = "await inside a coroutine that is not an async function: "
        .. "those of moontide.coroutine may await"
      assert.matches(expected, raised(inside, f), 1, true)
    end
    local function wait()
      await(sleep(1))
    end
    refused(function()
      coroutine.wrap(wait)()
    end)
    refused(function()
      coroutines.wrap(function()
        coroutine.wrap(wait)()
      end)()
    end)
    refused(function()
      coroutine.wrap(function()
        coroutines.wrap(wait)()
      end)()
    end)
  end)

  it("is refused below what cannot yield, and names that", function()
    local function sort(f)
      table.sort({ 1, 2 }, function(a, b)
        f()
        return a < b
      end)
    end
    local function wait()
      await(sleep(1))
    end
    for _, refused in ipairs({
      function()
        coroutines.wrap(sort)(wait)
      end,
      function()
        sort(function()
          coroutines.wrap(wait)()
        end)
      end,
      function()
        sort(function()
          nested(3, wait)
        end)
      end,
    }) do
      assert.matches("await cannot suspend inside table.sort, called from .*coroutine_spec.lua:%d+",
        raised(inside, refused))
    end
  end)

  it("is refused in a callback", function()
    local message
    tide.set_timeout(function()
      message = raised(nested, 2, function()
        await(sleep(1))
      end)
    end, 1)
    tide.run()
    assert.matches("await outside an async function", message)
  end)

  it("is refused while its coroutine is being closed", function()
    local message
    inside(function()
      local co = coroutines.create(function()
        local _ <close> = setmetatable({}, {
          __close = function()
            message = raised(await, sleep(1))
          end,
        })
        coroutines.yield()
      end)
      coroutines.resume(co)
      assert.is_true(coroutines.close(co))
    end)
    assert.matches("await cannot suspend inside a C function", message)
  end)

  ---- cancellation ----

  for _, depth in ipairs({ 1, 3 }) do
    it("is cancelled, at depth " .. depth, function()
      local log, lines = new_log()
      local ok = await(tide.move_on_after(5, nested, depth, function()
        local _ <close> = setmetatable({}, {
          __close = function(_, err)
            await(tide.shield(sleep, 1))
            log("closed", err ~= nil)
          end,
        })
        local ok, err = pcall(await, sleep(60000))
        log(ok, core.interrupted())
        error(err, 0)
      end))
      assert.is_false(ok)
      assert.same({ "false true", "closed true" }, lines)
    end)

    it("is cancelled where a queue holds the function, at depth " .. depth, function()
      local queue = tide.queue()
      assert.is_false(await(tide.move_on_after(5, nested, depth, function()
        for _ in queue do
          error("nothing was pushed")
        end
      end)))
      await(queue:push(1))
      assert.equal(1, await(queue:pop()))
    end)

    it("is given up after many attempts, and closed, at depth " .. depth, function()
      local log, lines = new_log()
      local function closing(name)
        return setmetatable({}, {
          __close = function()
            log(name)
          end,
        })
      end
      local function never()
        local _ <close> = closing("inner")
        while true do
          pcall(await, sleep(60000))
        end
      end
      local reason = raised(await, tide.group(function(g)
        g:spawn(function()
          local _ <close> = closing("outer")
          nested(depth, never)
        end)
        await(sleep(1))
        error("storm", 0)
      end, { grace = 1 }))
      assert.equal("storm", reason)
      assert.same({ "inner", "outer" }, lines)
    end)
  end

  it("belongs to the group of who resumes", function()
    local co = coroutines.create(function()
      coroutines.yield()
      await(sleep(60000))
    end)
    inside(coroutines.resume, co)
    assert.is_false(await(tide.move_on_after(5, function()
      error(select(2, coroutines.resume(co)), 0)
    end)))
  end)

  ---- contexts ----

  it("has the context in which its coroutine was made", function()
    local log, lines = new_log()
    local var, other = tide.ContextVar("var", "default"), tide.ContextVar("other", "none")
    inside(function()
      local made = var:run("made", function()
        return coroutines.wrap(function()
          log("first", var:get(), other:get())
          await(sleep(1))
          log("awaited", var:get(), other:get())
          coroutines.yield()
          log("resumed", var:get(), other:get())
          other:run("inner", function()
            coroutines.yield()
            log("inner", var:get(), other:get())
            await(sleep(1))
            log("inner", var:get(), other:get())
          end)
          log("after", var:get(), other:get())
        end)
      end)
      for i = 1, 3 do
        other:run("resumer", function()
          made()
          log("outside", i, var:get(), other:get())
        end)
      end
      log("end", var:get(), other:get())
    end)
    assert.same({
      "first made none", "awaited made none", "outside 1 default resumer", "resumed made none",
      "outside 2 default resumer", "inner made inner", "inner made inner", "after made none",
      "outside 3 default resumer", "end default none",
    }, lines)
  end)

  it("has the context around it, at any depth", function()
    local var = tide.ContextVar("var")
    local function run(name)
      return spawn(function()
        return var:run(name, nested, 3, function()
          await(sleep(1))
          local seen = var:get()
          return await(spawn(function()
            await(nil)
            return seen .. var:get()
          end))
        end)
      end)
    end
    assert.same({ "aa", "bb" }, { tide.join(run("a"), run("b")) })
  end)

  it("has the group of who resumes, whatever it was made in", function()
    local log, lines = new_log()
    local var = tide.ContextVar("var")
    local co
    await(tide.group(function()
      co = var:run("made", coroutines.create, function()
        for _ = 1, 2 do
          spawn(function()
            log(pcall(await, sleep(60000)))
            log(var:get())
          end)
          coroutines.yield()
        end
      end)
    end))
    for _ = 1, 2 do
      await(tide.group(function(g)
        assert.is_true(coroutines.resume(co))
        g:cancel("over")
      end))
    end
    assert.same({ "false over", "made", "false over", "made" }, lines)
  end)

  ---- traces ----

  it("is in the trace of the async function that it suspends", function()
    local resolve, promise
    promise, resolve = Promise.with_resolvers()
    local function innermost()
      await(promise)
    end
    local function outermost()
      nested(2, innermost)
      return true
    end
    local task = spawn(outermost)
    local lines = {}
    for line in tide.traceback("here", task):gmatch("\n\t([^\n]+)") do
      lines[#lines + 1] = line:gsub(":%d+", ":LINE"):gsub("^spec/", ""):gsub("%(spec/", "(")
    end
    assert.same({
      "coroutine_spec.lua:LINE: in function 'innermost' (coroutine_spec.lua:LINE)", "[coroutine]",
      "coroutine_spec.lua:LINE: in function 'nested' (coroutine_spec.lua:LINE)", "[coroutine]",
      "coroutine_spec.lua:LINE: in upvalue 'nested'",
      "coroutine_spec.lua:LINE: in async function 'outermost' (coroutine_spec.lua:LINE)",
    }, lines)
    resolve()
    assert.is_true(await(task))
  end)

  it("has a trace that leads into what it awaited", function()
    local function failing()
      await(sleep(1))
      error("deep", 0)
    end
    local co, trace
    inside(function()
      co = coroutines.create(function()
        local ok = xpcall(function()
          await(spawn(failing))
        end, function(err)
          trace = tide.traceback(err)
        end)
        assert.is_false(ok)
        await(spawn(failing))
      end)
      assert.same({ false, "deep" }, { coroutines.resume(co) })
    end)
    assert.matches("deep\nstack traceback:.-%[await%]", trace)
    assert.matches("coroutine_spec.lua:%d+: in function <", debug.traceback(co))
  end)

  it("has a trace that leads into the coroutine of wrap", function()
    local function failing()
      await(sleep(1))
      error("deep")
    end
    local line = debug.getinfo(failing, "S").linedefined + 2
    local trace = await(spawn(function()
      return select(2, xpcall(nested, tide.traceback, 2, failing))
    end))
    assert.matches("^spec/coroutine_spec.lua:%d+: spec/coroutine_spec.lua:%d+: "
      .. "spec/coroutine_spec.lua:" .. line .. ": deep\nstack traceback:\n"
      .. "\t%[C%]: in %a+ 'error'\n\tspec/coroutine_spec.lua:" .. line .. ":", trace)
    assert.matches("in %a+ 'xpcall'", trace)
  end)

  it("leaves nothing of a coroutine behind", function()
    inside(function()
      local co = leak.track(coroutines.create(function()
        await(sleep(1))
        coroutines.yield()
      end))
      coroutines.resume(co)
      nested(3, function()
        leak.track(coroutine.running())
        await(sleep(1))
      end)
    end)
  end)
end)
