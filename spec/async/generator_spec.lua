-- Of: async/generator, core/generator
-- luacheck: ignore 512 (loops that are left in the first round are the matter here)
local tide = require "moontide"
local allow_suspended = require("moontide.busted").allow_suspended
local child = require "spec.support.child"
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new
local new_random = require "spec.support.random"
local order = require "spec.support.order"
local scale = require "spec.support.scale"

local await, spawn, Promise = tide.await, tide.spawn, tide.Promise
local generator, collect = tide.generator, tide.collect

local FIRST_SEED = tonumber(os.getenv("MOONTIDE_SEED") or 1)

-- A <close> variable's value that calls f.
local function finally(f)
  return setmetatable({}, { __close = f })
end

local count_to = generator(function(yield, n)
  for i = 1, n do
    yield(i)
  end
end)

describe("generator", function()
  after_each(leak.check)

  describe("in a for loop", function()
    it("awaits each value", function()
      local seen = {}
      for v in count_to(3) do
        seen[#seen + 1] = v
      end
      assert.same({ 1, 2, 3 }, seen)
    end)

    it("in an async function lets others run meanwhile", function()
      local log, lines = new_log()
      local slowly = generator(function(yield)
        for i = 1, 2 do
          await(tide.yield())
          yield(i)
        end
      end)
      local function work(name)
        for v in slowly() do
          log(name, v)
        end
      end
      tide.join(spawn(work, "a"), spawn(work, "b"))
      assert.same({ "a 1", "b 1", "a 2", "b 2" }, lines)
    end)

    it("gives all values of a yield", function()
      local seen = {}
      for a, b, c in generator(function(yield)
        yield(1, nil, 3)
        yield(false)
      end)() do
        seen[#seen + 1] = table.pack(a, b, c)
      end
      assert.same({ { 1, nil, 3, n = 3 }, { false, nil, nil, n = 3 } }, seen)
    end)

    it("passes the arguments on, nils included", function()
      local args
      for _ in generator(function(_, ...)
        args = table.pack(...)
      end)(nil, 2, nil) do
        error("unreachable")
      end
      assert.same({ nil, 2, nil, n = 3 }, args)
    end)

    it("raises what the generator raises, with the values before; then it is over", function()
      local reason, seen = {}, {}
      local g = (generator(function(yield)
        yield(1)
        error(reason)
      end)())
      local ok, err = pcall(function()
        for v in g do
          seen[#seen + 1] = v
        end
      end)
      assert.is_false(ok)
      assert.equal(reason, err)
      assert.same({ 1 }, seen)
      assert.equal(0, select("#", await(g:next())))
    end)

    it("ends with the generator's return, whatever that returns", function()
      local seen = {}
      for v in generator(function(yield)
        yield(1)
        do return "result" end
      end)() do
        seen[#seen + 1] = v
      end
      assert.same({ 1 }, seen)
    end)

    it("awaits a promise that is yielded; its rejection is raised at the yield", function()
      local seen = {}
      for v in generator(function(yield)
        yield(Promise.resolve("value"))
        local ok, err = pcall(yield, Promise.reject("reason"))
        yield(tostring(ok) .. " " .. err)
      end)() do
        seen[#seen + 1] = v
      end
      assert.same({ "value", "false reason" }, seen)
    end)

    it("may nest, and be used in generators", function()
      local outer = generator(function(yield, n)
        for i in count_to(n) do
          for j in count_to(i) do
            yield(i * 10 + j)
          end
        end
      end)
      assert.same({ 11, 21, 22, 31, 32, 33 }, await(collect(outer(3))))
    end)
  end)

  describe("left early", function()
    local log, lines, gen
    before_each(function()
      log, lines = new_log()
      gen = generator(function(yield)
        local _ <close> = finally(function(_, err)
          log("clean-up", err and err.name)
          await(tide.sleep(1))
          log("cleaned up")
        end)
        for i = 1, 10 do
          yield(i)
        end
      end)
    end)

    it("by break runs its <close> variables, which may await, and waits for them", function()
      for v in gen() do
        log(v)
        break
      end
      log("after")
      assert.same({ "1", "clean-up AbortError", "cleaned up", "after" }, lines)
    end)

    it("by return, too", function()
      local function first()
        for v in gen() do
          return v
        end
      end
      assert.equal(1, first())
      assert.same({ "clean-up AbortError", "cleaned up" }, lines)
    end)

    it("by goto, too", function()
      for _ in gen() do
        goto out
      end
      ::out::
      assert.same({ "clean-up AbortError", "cleaned up" }, lines)
    end)

    it("by an error, too, which comes out", function()
      assert.equal("oops", failure(spawn(function()
        for _ in gen() do
          error("oops", 0)
        end
      end)))
      assert.same({ "clean-up AbortError", "cleaned up" }, lines)
    end)

    it("by the cancellation of the group", function()
      local promise = tide.group(function(g)
        for _ in gen() do
          tide.set_immediate(g.cancel, g, "stop")
          await(tide.sleep(1000))
        end
      end)
      assert.equal("stop", failure(promise))
      assert.same({ "clean-up AbortError", "cleaned up" }, lines)
    end)

    it("does nothing after the end", function()
      for v in gen() do
        log(v)
        if v == 10 then
          break
        end
      end
      assert.same("cleaned up", lines[#lines])
      local n = 0
      for _ in count_to(2) do
        n = n + 1
      end
      assert.equal(2, n)
    end)

    it("raises what its clean-up raises", function()
      local bad = generator(function(yield)
        local _ <close> = finally(function()
          error("clean-up failed", 0)
        end)
        yield(1)
      end)
      local ok, err = pcall(function()
        for _ in bad() do
          break
        end
      end)
      assert.is_false(ok)
      assert.equal("clean-up failed", err)
      ok, err = pcall(function()
        for _ in bad() do
          error("the loop's own", 0)
        end
      end)
      assert.is_false(ok)
      assert.equal("the loop's own", err)
    end)
  end)

  describe("as an object", function()
    it("runs nothing before the first request", function()
      local started = false
      local g <close> = (generator(function()
        started = true
      end)())
      await(tide.yield())
      assert.is_false(started)
      await(g:close())
      assert.is_false(started)
    end)

    it("next: a promise of the values; at the end nil and what is returned, or nothing", function()
      local g = (generator(function(yield)
        yield(1, 2)
        return "a", "b"
      end)())
      assert.same({ 1, 2, n = 2 }, table.pack(await(g:next())))
      assert.same({ nil, "a", "b", n = 3 }, table.pack(await(g:next())))
      assert.same({ n = 0 }, table.pack(await(g:next())))
    end)

    it("next passes values in, as the results of yield", function()
      local seen = {}
      local g = (generator(function(yield)
        seen[1] = table.pack(yield("a"))
        seen[2] = table.pack(yield("b"))
      end)())
      await(g:next("dropped"))
      await(g:next(1, nil))
      await(g:next())
      assert.same({ { 1, n = 2 }, { n = 0 } }, seen)
    end)

    it("throw raises at the yield", function()
      local g = (generator(function(yield)
        local ok, err = pcall(yield, 1)
        yield(tostring(ok) .. " " .. err)
      end)())
      await(g:next())
      assert.equal("false oops", await(g:throw("oops")))
      assert.equal("again", failure(g:throw("again")))
      assert.equal(0, select("#", await(g:next())))
      assert.equal("over", failure(g:throw("over")))
    end)

    it("throw before the start ends it", function()
      local g = count_to(3)
      assert.equal("oops", failure(g:throw("oops")))
      assert.equal(0, select("#", await(g:next())))
    end)

    it("answers several requests in their order", function()
      local slowly = generator(function(yield)
        for i = 1, 2 do
          await(tide.yield())
          yield(i)
        end
        error("end", 0)
      end)
      local g = slowly()
      local log, lines = new_log()
      for i = 1, 4 do
        g:next():next(function(...)
          log(i, "value", ...)
        end, function(err)
          log(i, "error", err)
        end)
      end
      await(g:close())
      assert.same({ "1 value 1", "2 value 2", "3 error end", "4 value" }, lines)
    end)

    it("close waits for the requests before it", function()
      local closed
      local g = (generator(function(yield)
        local _ <close> = finally(function()
          closed = true
        end)
        await(tide.yield())
        yield(1)
        yield(2)
      end)())
      local first, close, second = g:next(), g:close(), g:next()
      assert.equal(1, await(first))
      assert.equal(0, select("#", await(close)))
      assert.is_true(closed)
      assert.equal(0, select("#", await(second)))
    end)

    it("close may be asked by a group that is over when its turn comes", function()
      local closed
      local g = (generator(function(yield)
        local _ <close> = finally(function()
          await(tide.sleep(1))
          closed = true
        end)
        await(tide.sleep(1))
        yield(1)
      end)())
      local first, closing = g:next(), nil
      await(tide.group(function()
        closing = g:close()
      end))
      assert.equal(1, await(first))
      await(closing)
      assert.is_true(closed)
    end)

    it("is a <close> variable's value", function()
      local closed
      do
        local g <close> = (generator(function(yield)
          local _ <close> = finally(function()
            closed = true
          end)
          yield(1)
          yield(2)
        end)())
        for _ in g do
          break
        end
        assert.is_nil(closed)
        assert.equal(2, await(g:next()))
      end
      assert.is_true(closed)
    end)

    it("is garbage when it is dropped in the middle", function()
      allow_suspended()
      local g = count_to(3)
      await(g:next())
      leak.track(g)
    end)

    it("refuses to be closed by a loop that catches it", function()
      allow_suspended()
      local rounds = 0
      local g = (generator(function(yield)
        while true do
          rounds = rounds + 1
          pcall(yield, rounds)
        end
      end)())
      await(g:next())
      local err = failure(g:close())
      assert.equal("GeneratorError: yield in a generator that is being closed", tostring(err))
      assert.equal(2, rounds)
      assert.equal(0, select("#", await(g:next())))
    end)

    it("may be closed by itself", function()
      local g, promise
      g = generator(function(yield)
        promise = g:close()
        yield(1)
        error("unreachable")
      end)()
      assert.equal(1, await(g:next()))
      await(promise)
    end)
  end)

  it("refuses nil, which would end the loop", function()
    local lists = { { n = 0 }, { n = 1 }, { nil, 2, n = 2 }, { Promise.resolve(), n = 1 } }
    for _, values in ipairs(lists) do
      local g = (generator(function(yield)
        yield(table.unpack(values, 1, values.n))
      end)())
      assert.matches("spec.lua:%d+: bad argument #1 to 'yield' %(value expected, got nil%)",
        failure(g:next()))
    end
  end)

  it("refuses a yield when nobody has asked", function()
    local leaked
    local g = (generator(function(yield)
      leaked = yield
      yield(1)
    end)())
    await(g:next())
    assert.matches("spec.lua:%d+: yield outside its generator", failure(spawn(function()
      leaked(2)
    end)))
    await(g:next())
    assert.matches("yield outside its generator", failure(spawn(leaked, 2)))
  end)

  it("refuses a yield while its failure is on its way to who has asked", function()
    for _, closing in ipairs({ false, true }) do
      for ticks = 1, 4 do
        local other
        local g = (generator(function(yield)
          local go, resolve = Promise.with_resolvers()
          other = spawn(function()
            await(go)
            for _ = 1, ticks do
              await()
            end
            yield(2)
          end)
          if closing then
            pcall(yield, 1)
          end
          resolve()
          error("failed", 0)
        end)())
        local promise = g:next()
        if closing then
          await(promise)
          promise = g:close()
        end
        assert.equal("failed", failure(promise))
        assert.matches("yield outside its generator", failure(other))
        assert.equal(0, select("#", await(g:next())))
      end
    end
  end)

  describe("asked by a finalizer", function()
    -- What allocates next after when_collected(f) collects garbage, and so calls f.
    local WHEN_COLLECTED = [[
      local tide = require "moontide"
      local await = tide.await
      local count = tide.generator(function(yield)
        for i = 1, 10 do yield(i) end
      end)

      local armed
      local function make_garbage(f)
        setmetatable({}, { __gc = function()
          if armed then
            armed = false
            f()
          end
        end })
      end
      local function when_collected(f)
        collectgarbage("generational", 1, 100)
        make_garbage(f)
        local none = {}
        for i = 1, 2 ^ 18 do none[i] = i end
        armed = true
      end
    ]]

    local function prints(expected, source)
      local result = child.lua_source(WHEN_COLLECTED .. source)
      assert.same({ code = 0, out = expected, err = "" }, result)
    end

    it("begins once", function()
      prints("2\t1\n", [[
        local g = count()
        local first
        when_collected(function() first = g:next() end)
        print(await(g:next()), await(first))
      ]])
    end)

    it("answers both", function()
      -- Somewhere among so many requests the queue of jobs has to grow: nothing else allocates.
      prints("1100\ttrue\n", [[
        local go, resolve = tide.Promise.with_resolvers()
        local current, heard, rounds = count(), nil, 0
        go:next(function()
          when_collected(function() heard = current:next() end)
        end)
        for _ = 1, 1100 do
          tide.spawn(function()
            local g = count()
            await(g:next())
            await(go)
            current = g
            g()
            rounds = rounds + 1
          end)
        end
        await(tide.sleep(1))
        resolve()
        await(tide.sleep(1))
        print(rounds, await(heard) ~= nil)
      ]])
    end)
  end)

  it("refuses wrong arguments at once", function()
    assert.error_matches(function()
      generator(1)
    end, "bad argument #1 to 'generator' %(function expected, got number%)")
    local g = count_to(1)
    for _, name in ipairs({ "next", "throw", "close" }) do
      assert.error_matches(function()
        g[name]()
      end, "calling 'generator:" .. name .. "' on bad self %(moontide.Generator expected, got nil")
    end
  end)

  it("keeps the values of ContextVars that held where it was called", function()
    local var = tide.ContextVar("var", "default")
    local g = var:run("inside", generator(function(yield)
      yield(var:get())
      await(tide.yield())
      yield(var:get())
    end))
    assert.equal("inside", await(g:next()))
    assert.equal("default", var:get())
    assert.equal("inside", var:run("other", function()
      return await(g:next())
    end))
    await(g:close())
  end)

  describe("and cancellation", function()
    it("reaches the generator's await; the loop gets what that makes of it", function()
      local log, lines = new_log()
      local gen = generator(function(yield)
        yield(1)
        local ok, err = pcall(await, tide.sleep(1000))
        log("generator", ok, err)
        yield("last words")
        log("unreachable")
      end)
      local promise = tide.group(function(g)
        for v in gen() do
          log(v)
          tide.set_immediate(g.cancel, g, "stop")
          if v == "last words" then
            await(tide.sleep(1))
            log("clean-up")
            break
          end
        end
        return "result"
      end)
      assert.equal("result", await(promise))
      assert.same({ "1", "generator false stop", "last words", "clean-up" }, lines)
    end)

    it("reaches an await of something that knows nothing of it", function()
      local closed
      local gen = generator(function(yield)
        local _ <close> = finally(function()
          await(tide.yield())
          closed = true
        end)
        yield(1)
        await(Promise.new(function() end))
      end)
      local promise = tide.group(function(g)
        for _ in gen() do
          tide.set_immediate(g.cancel, g, "stop")
        end
      end)
      assert.equal("stop", failure(promise))
      assert.is_true(closed)
    end)

    it("is that of the group that asks, not of the one where it began", function()
      local queue = tide.queue()
      local gen = generator(function(yield)
        yield("header")
        await(queue:pop())
        yield("line")
      end)
      local g = gen()
      assert.equal("header", await(g:next()))
      assert.is_false(await(tide.move_on_after(2, function()
        for _ in g do
          error("unreachable")
        end
      end)))
      assert.equal(0, select("#", await(g:next())))
      queue:push("not for the one that was cancelled")
      assert.is_string(await(queue:pop()))
    end)

    it("leaves it alone while it waits at a yield", function()
      local gen = generator(function(yield)
        yield(1)
        yield(2)
      end)
      local g = gen()
      assert.equal("stop", failure(tide.group(function(group)
        assert(await(g:next()) == 1)
        group:cancel("stop")
        await(tide.sleep(1000))
      end)))
      assert.equal(2, await(g:next()))
      await(g:close())
    end)

    it("of a loop that is just being left still waits for the clean-up", function()
      local cleaned_up = false
      local gen = generator(function(yield)
        local _ <close> = finally(function()
          await(tide.yield())
          await(tide.yield())
          cleaned_up = true
        end)
        yield(1)
      end)
      assert.equal("stop", failure(tide.group(function(g)
        for _ in gen() do
          g:cancel("stop")
          break
        end
      end)))
      assert.is_true(cleaned_up)
    end)

    it("takes a request that waits for its turn back: no value is lost", function()
      local resolve
      local gen = generator(function(yield)
        await(Promise.new(function(f)
          resolve = f
        end))
        yield(1)
        yield(2)
      end)
      local g = gen()
      local first = g:next()
      local group
      local second = tide.group(function(gr)
        group = gr
        return await(g:next())
      end)
      local third = g:next()
      group:cancel("stop")
      assert.equal("stop", failure(second))
      resolve()
      assert.equal(1, await(first))
      assert.equal(2, await(third))
      await(g:close())
    end)

    it("comes when the request has just been made, or just been answered", function()
      local gen = generator(function(yield)
        for i = 1, math.huge do
          yield(i)
        end
      end)
      for ticks = 0, 16 do
        local closed = true
        local started, start = Promise.with_resolvers()
        spawn(function()
          local g = await(started)
          for _ = 1, ticks do
            await(nil)
          end
          g:cancel("stop")
        end)
        local promise = tide.group(function(g)
          start(g)
          for _ in generator(function(yield)
            closed = false
            local _ <close> = finally(function()
              await(tide.yield())
              closed = true
            end)
            for v in gen() do
              yield(v)
            end
          end)() do
            await(nil)
          end
        end)
        assert.equal("stop", failure(promise), ticks)
        assert.is_true(closed, ticks)
      end
    end)

    it("while its clean-up runs reaches that", function()
      local log, lines = new_log()
      local gen = generator(function(yield)
        local _ <close> = finally(function()
          log(pcall(await, tide.sleep(1000)))
        end)
        yield(1)
      end)
      local promise = tide.group(function(g)
        for _ in gen() do
          tide.set_immediate(g.cancel, g, "stop")
          break
        end
        log("left")
      end)
      pcall(await, promise)
      assert.same({ "false stop", "left" }, lines)
    end)
  end)

  it("shows in a trace where it failed, and who asked", function()
    local function fail_here()
      error("oops")
    end
    local gen = generator(function(yield)
      yield(1)
      await(tide.yield())
      fail_here()
    end)
    local trace
    await(spawn(function()
      xpcall(function()
        for _ in gen() do
          await(nil)
        end
      end, function(err)
        trace = tide.traceback(err)
      end)
    end))
    assert.matches("fail_here", trace)
  end)

  it("yields 100,000 times in constant memory", function()
    local before
    for i in count_to(scale(100000)) do
      if i == scale(1000) then
        leak.collect()
        before = collectgarbage("count")
      end
    end
    leak.collect()
    assert.is_true(collectgarbage("count") < before + 64)
  end)

  it("under random requests and closing runs each clean-up once", function()
    for seed = FIRST_SEED, FIRST_SEED + scale(300) do
      local random = new_random(seed)
      local opened, closed, ended = 0, 0, 0
      local function pause()
        local kind = random(3)
        if kind == 1 then
          await(nil)
        elseif kind == 2 then
          await(tide.yield())
        end
      end
      local gen = generator(function(yield)
        opened = opened + 1
        local _ <close> = finally(function()
          closed = closed + 1
        end)
        local _ <close> = finally(pause) -- which a cancellation may interrupt
        for i = 1, random(6) do
          pause()
          yield(i)
        end
        if random(4) == 1 then
          error("end", 0)
        end
      end)
      local function consume()
        local stop_at = random(8)
        for v in gen() do
          if v == stop_at then
            break
          end
          pause()
        end
      end
      local function consume_by_hand()
        local g <close> = gen()
        local list = {}
        for i = 1, random(6) do
          list[i] = random(4) == 1 and g:close() or g:next()
        end
        await(Promise.all_settled(list))
      end
      local promises = {}
      for i = 1, 6 do
        promises[i] = tide.group(function(g)
          if random(2) == 1 then
            tide.set_immediate(function()
              spawn(function()
                pause()
                g:cancel("stop")
              end)
            end)
          end
          return (random(2) == 1 and consume or consume_by_hand)()
        end)
        promises[i]:finally(function()
          ended = ended + 1
        end):catch(function() end)
      end
      await(Promise.all_settled(promises))
      assert.equal(6, ended)
      assert.equal(opened, closed, "seed " .. seed)
      leak.run_dry()
    end
  end)
end)

describe("collect", function()
  after_each(leak.check)

  it("makes a list of what a generator yields", function()
    assert.same({ 1, 2, 3 }, await(collect(count_to(3))))
    assert.same({}, await(collect(count_to(0))))
  end)

  it("takes queues, and whatever else a for loop takes", function()
    local queue = tide.queue()
    queue:push("a")
    queue:push("b")
    queue:close()
    assert.same({ "a", "b" }, await(collect(queue)))
    assert.same({ 1, 2 }, await(collect(ipairs({ "x", "y" }))))
    assert.same({ "x", "y" }, await(collect(("x y"):gmatch("%a"))))
  end)

  it("rejects with what the iteration raises", function()
    assert.equal("oops", failure(collect(generator(function(yield)
      yield(1)
      error("oops", 0)
    end)())))
  end)

  it("refuses what cannot be called", function()
    assert.error_matches(function()
      collect({})
    end, "bad argument #1 to 'collect' %(function expected, got table%)")
  end)
end)

describe("the order of generators", function()
  after_each(leak.check)

  local beside = [[
    (async () => { for (let i = 1; i <= 12; i++) { await null; log("tick", i); } })();
  ]]
  local function tick(log)
    spawn(function()
      for i = 1, 12 do
        await(nil)
        log("tick", i)
      end
    end)
  end

  order("of a loop", {
    lua = function(log)
      tick(log)
      spawn(function()
        for v in generator(function(yield)
          yield("a")
          yield("b")
          await(nil)
          yield("c")
        end)() do
          log(v)
        end
      end)
    end,
    js = beside .. [[
      (async () => {
        const gen = async function* () { yield "a"; yield "b"; await null; yield "c"; };
        for await (const v of gen()) log(v);
      })();
    ]],
    log = "tick 1, tick 2, a, tick 3, tick 4, b, tick 5, tick 6, tick 7, c, tick 8, tick 9, "
      .. "tick 10, tick 11, tick 12",
  })

  it("is the same in a group, where a step is a promise, and outside", function()
    local function run(around)
      local log, lines = new_log()
      local gen = generator(function(yield, how)
        yield("a")
        yield("b")
        yield("c")
        if how == "fail" then
          error("oops", 0)
        end
        return "result"
      end)
      tick(log)
      await(around(function()
        for _, how in ipairs({ "fail", "return", "break" }) do
          local ok, err = pcall(function()
            for v in gen(how) do
              log(v)
              if v == "b" and how == "break" then
                break
              end
            end
          end)
          log(how, ok, err)
        end
      end))
      return lines
    end
    assert.same(run(spawn), run(tide.group))
  end)

  order("of requests made at once", {
    lua = function(log)
      tick(log)
      local g = generator(function(yield)
        yield("a")
        yield("b")
      end)()
      for i = 1, 4 do
        g:next():next(function(v)
          log(i, v)
        end)
      end
    end,
    js = beside .. [[
      const g = (async function* () { yield "a"; yield "b"; })();
      for (let i = 1; i <= 4; i++)
        g.next().then(({ value }) => log(i, value));
    ]],
    log = "tick 1, tick 2, 1 a, tick 3, 2 b, 3 nil, 4 nil, tick 4, tick 5, tick 6, tick 7, tick 8, "
      .. "tick 9, tick 10, tick 11, tick 12",
  })
end)
