-- The rules of groups and cancellation, one by one (S70 to S78).
local tide = require "moontide"
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local fs = require "moontide.fs"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local new_log = require("spec.support.log").new
local process = require "moontide.process"
local raised = require("spec.support.raised").raised
local scale = require "spec.support.scale"
local socket = require "socket"
local testing = require "moontide.testing"

local await, sleep, spawn = tide.await, tide.sleep, tide.spawn
local group, shield = tide.group, tide.shield
local move_on_after, timeout = tide.move_on_after, tide.timeout
local Promise = tide.Promise

local FOREVER = 100000
local GRACE = 5000
local LONG = 3000 -- rounds: beyond what is closed after the grace

local clock

--- Virtual ms since the spec began.
local function at()
  return math.floor(clock:elapsed() + 0.5)
end

local function on_virtual_time()
  before_each(function()
    clock = testing.clock()
  end)
  after_each(function()
    pcall(tide.run) -- what a failed spec has left ends while that takes no time
    clock:close()
    tide.on_unhandled_rejection(nil)
    leak.check()
  end)
end

--- The reasons that nobody has handled by the end of the spec.
local function collect_unhandled()
  local list = {}
  tide.on_unhandled_rejection(function(reason)
    list[#list + 1] = tostring(reason)
  end)
  return list
end

--- Receives the cancellation, cleans up for ms, and passes it on.
local function clean_up_for(ms, log, name)
  local ok, reason = pcall(await, sleep(FOREVER))
  if ok then
    log(name, "was not cancelled")
  end
  await(sleep(ms))
  log(name, at())
  error(reason, 0)
end

--- Waits for ever, and receives every cancellation once more.
local function catch_all(count)
  for _ = 1, count do
    pcall(await, sleep(FOREVER))
  end
end

local function cancel_after(ms, g, reason)
  tide.set_timeout(function()
    g:cancel(reason)
  end, ms)
end

describe("S70 the end of a group", function()
  on_virtual_time()

  it("S70 cancels calls that nobody spawned or awaits, and waits for their clean-up", function()
    local log, lines = new_log()
    local result = await(group(function(g)
      spawn(function()
        local ok, reason = pcall(await, sleep(FOREVER))
        log(ok, reason, g.signal.aborted)
        await(sleep(2))
        log("cleaned up", at())
        error(reason, 0)
      end)
      log("body")
      return "result"
    end))
    log(result, at())
    assert.same({
      "body",
      "false AbortError: the group is over false",
      "cleaned up 2",
      "result 2",
    }, lines)
  end)

  it("S70 comes after what was spawned, which is not cancelled", function()
    local log, lines = new_log()
    await(group(function(g)
      spawn(clean_up_for, 1, log, "called")
      g:spawn(function()
        await(sleep(10))
        log("spawned", at())
      end)
    end))
    log("over", at())
    assert.same({ "spawned 10", "called 11", "over 11" }, lines)
  end)

  it("S70 cancels groups, timeouts and maps inside that nobody awaits, in their order", function()
    local log, lines = new_log()
    await(group(function()
      group(function(g)
        g:spawn(clean_up_for, 1, log, "child of a group")
        await(sleep(FOREVER))
      end)
      timeout(FOREVER, clean_up_for, 1, log, "timeout")
      move_on_after(FOREVER, clean_up_for, 1, log, "move_on_after")
      tide.map({ 1 }, function()
        clean_up_for(1, log, "map")
      end)
      await(sleep(1))
    end))
    log("over", at())
    assert.same({
      "child of a group 2", "timeout 2", "move_on_after 2", "map 2", "over 2",
    }, lines)
  end)

  it("S70 waits for what is awaited inside, whoever awaits it", function()
    local log, lines = new_log()
    await(group(function(g)
      local p = spawn(function()
        await(sleep(5))
        return "called"
      end)
      g:spawn(function()
        log(await(p), at())
      end)
    end))
    assert.same({ "called 5" }, lines)
  end)

  it("S70 waits for a shield that nobody awaits, and cancels what that leaves", function()
    local log, lines = new_log()
    await(group(function()
      shield(function()
        spawn(clean_up_for, 1, log, "left in the shield")
        await(sleep(3))
        log("shield", at())
      end)
    end))
    log("over", at())
    assert.same({ "shield 3", "left in the shield 4", "over 4" }, lines)
  end)

  it("S70 awaits the promise that the body returns, which is its result", function()
    local log, lines = new_log()
    log(await(group(function()
      return spawn(function()
        await(sleep(3))
        return "result", at()
      end)
    end)))
    assert.same({ "result 3" }, lines)
  end)

  it("S70 refuses children from then on, and no cancellation counts", function()
    local log, lines = new_log()
    await(group(function(g)
      spawn(function()
        pcall(await, sleep(FOREVER))
        log((raised(g.spawn, g, print):match("the group is over")))
        g:cancel("too late")
        await(sleep(1))
        log("undisturbed", g.signal.aborted)
      end)
    end))
    assert.same({ "the group is over", "undisturbed false" }, lines)
  end)

  it("S70 gives what is left the grace, no more", function()
    local caught = 0
    await(group(function()
      spawn(function()
        for _ = 1, LONG do
          pcall(await, sleep(FOREVER))
          caught = caught + 1
        end
      end)
    end, { grace = 10 }))
    assert.equal(10, at())
    assert.is_true(caught >= 1000 and caught < LONG)
  end)

  it("S70 aborts the signals of groups inside, not its own", function()
    local log, lines = new_log()
    await(group(function(outer)
      group(function(inner)
        outer.signal:on_abort(log)
        inner.signal:on_abort(function(reason)
          log("inner", reason)
        end)
        await(sleep(FOREVER))
      end)
    end))
    assert.same({ "inner AbortError: the group is over" }, lines)
  end)

  it("S70 reports no cancellation of what is left, nor what was derived from that", function()
    local unhandled = collect_unhandled()
    await(group(function()
      sleep(FOREVER):next(print)
      spawn(sleep, FOREVER):next(print)
      spawn(function()
        await(sleep(FOREVER))
      end):finally(function() end):next(print)
      group(function()
        await(sleep(FOREVER))
      end)
      timeout(FOREVER, sleep, FOREVER):next(print)
      Promise.all({ sleep(FOREVER) })
    end))
    await(sleep(1))
    assert.same({}, unhandled)
  end)

  it("S70 reports a call's own failure, which is not the group's", function()
    local unhandled = collect_unhandled()
    assert.equal("result", await(group(function()
      spawn(function()
        pcall(await, sleep(FOREVER))
        error("in clean-up", 0)
      end)
      spawn(error, "at once", 0)
      return "result"
    end)))
    await(sleep(1))
    assert.same({ "at once", "in clean-up" }, unhandled)
  end)

  it("S70 does not reach what was detached, which keeps context variables", function()
    local log, lines = new_log()
    local var = tide.ContextVar("var")
    local p
    var:run("value", function()
      await(group(function(g)
        p = tide.detach(function(...)
          await(sleep(5))
          log("detached", at(), var:get(), ...)
          return "result"
        end, 1, nil)
        g:cancel("stop")
      end))
    end)
    log("over", at())
    log(await(p))
    assert.same({ "over 0", "detached 5 value 1 nil", "result" }, lines)
  end)

  it("S70 interrupts who awaits what was detached, and not that", function()
    local log, lines = new_log()
    local p
    assert.equal("stop", failure(group(function(g)
      p = tide.detach(sleep, 5)
      cancel_after(1, g, "stop")
      local ok, reason = pcall(await, p)
      log(ok, reason, at())
      error(reason, 0)
    end)))
    await(p)
    log(at())
    assert.same({ "false stop 1", "5" }, lines)
  end)

  it("S70 gives what begins afterwards in its context to the group around it", function()
    local log, lines = new_log()
    await(group(function(outer)
      await(group(function()
        tide.set_timeout(function()
          spawn(clean_up_for, 1, log, "called by a timer")
        end, 2)
      end))
      await(sleep(5))
      log(outer.signal.aborted)
    end))
    assert.same({ "false", "called by a timer 6" }, lines)
  end)
end)

-- What waits: `open` is outside the group, `start` inside.
local permits = {}
local OPERATIONS = {
  ["a sleep"] = {
    start = function() return sleep(FOREVER) end,
  },
  ["the pop of a queue"] = {
    open = tide.queue,
    start = function(queue) return queue:pop() end,
  },
  ["the push of a queue"] = {
    open = function() return tide.queue(0) end,
    start = function(queue) return queue:push(1) end,
  },
  ["a semaphore"] = {
    open = function()
      local mutex = tide.mutex()
      permits[mutex] = await(mutex:acquire()) -- else the collector would give it back
      return mutex
    end,
    start = function(mutex) return mutex:acquire() end,
    close = function(mutex) permits[mutex]:release() end,
  },
  ["an event"] = {
    open = tide.event,
    start = function(event) return event:wait() end,
  },
  ["accept"] = {
    open = function() return core.net.tcp_listen("127.0.0.1", 0) end,
    start = function(server) return server:accept() end,
    close = function(server) server:close() end,
  },
  ["the receive of a UDP socket"] = {
    open = function() return net.udp({ host = "127.0.0.1" }) end,
    start = function(udp) return udp:receive() end,
    close = function(udp) udp:close() end,
  },
  ["the next signal"] = {
    open = function() return (tide.signal("SIGUSR1")) end,
    start = function(signals) return signals:next() end,
    close = function(signals) signals:close() end,
  },
  ["the next change of a watched directory"] = {
    open = function() return (fs.watch("spec")) end,
    start = function(watch) return watch:next() end,
    close = function(watch) watch:close() end,
  },
  ["poll"] = {
    open = function()
      local udp = socket.udp()
      assert(udp:setsockname("127.0.0.1", 0))
      return udp
    end,
    start = function(udp) return tide.poll(udp:getfd(), "r") end,
    close = function(udp) udp:close() end,
  },
  ["the wait for a child process"] = {
    open = function() return await(process.spawn("sleep", { "1000" })) end,
    start = function(child) return child:wait() end,
    close = function(child)
      child:kill()
      await(child:wait())
    end,
  },
}

describe("S70 an operation that nobody awaits at the end of its group:", function()
  after_each(function()
    tide.on_unhandled_rejection(nil)
    leak.check()
  end)

  --- What the promise gives, or an error after a while: these would wait for ever.
  local function in_time(promise)
    local timer
    local late = Promise(function(_, reject)
      timer = tide.set_timeout(reject, 5000, "the group does not end")
    end)
    local _ <close> = timer
    return await(Promise.race({ promise, late }))
  end

  local names = {}
  for name in pairs(OPERATIONS) do
    names[#names + 1] = name
  end
  table.sort(names)

  for _, name in ipairs(names) do
    local operation = OPERATIONS[name]

    local function with_state(f)
      local state = operation.open and operation.open()
      local _ <close> = setmetatable({}, {
        __close = function()
          if operation.close then
            operation.close(state)
          end
        end,
      })
      f(state)
    end

    it("S70 " .. name, function()
      with_state(function(state)
        local unhandled = collect_unhandled()
        local p
        in_time(group(function()
          p = operation.start(state)
        end))
        assert.equal("rejected", p:state())
        assert.equal("AbortError: the group is over", tostring(failure(p)))
        assert.same({}, unhandled)
      end)
    end)

    it("S70 " .. name .. ", awaited by a call that nobody awaits", function()
      with_state(function(state)
        local reason
        in_time(group(function()
          spawn(function()
            reason = raised(await, operation.start(state))
            error(reason, 0)
          end)
          await(nil)
        end))
        assert.equal("AbortError: the group is over", tostring(reason))
      end)
    end)
  end

  it("S70 an iterator of signals, which never ends by itself", function()
    in_time(group(function()
      spawn(function()
        for _ in tide.signal("SIGUSR1") do end
      end)
    end))
  end)

  it("S70 a child process that nobody waits for is told to end", function()
    local child
    in_time(group(function()
      child = await(process.spawn("sleep", { "1000" }))
    end))
    in_time(child:wait())
  end)

  it("S70 the work of a thread is waited for", function()
    in_time(group(function()
      fs.stat(".")
      fs.read_file("Makefile")
    end))
    assert.equal(0, core.stats().operations)
  end)
end)

describe("S71 a cancellation", function()
  on_virtual_time()

  it("S71 comes to nested groups in the order in which they were made", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      for i = 1, 6 do
        g:spawn(function()
          await(group(function()
            local _, reason = pcall(await, sleep(FOREVER))
            log(i)
            error(reason, 0)
          end))
        end)
      end
      cancel_after(1, g, "stop")
      await(sleep(FOREVER))
    end)))
    assert.same({ "1", "2", "3", "4", "5", "6" }, lines)
  end)

  it("S71 comes to the signals of nested groups in the order in which they were made", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      for i = 1, 6 do
        g:spawn(group, function(inner)
          inner.signal:on_abort(function()
            log(i)
          end)
          await(sleep(FOREVER))
        end)
      end
      cancel_after(1, g, "stop")
      await(sleep(FOREVER))
    end)))
    assert.same({ "1", "2", "3", "4", "5", "6" }, lines)
  end)

  it("S71 comes to functions and to what is in groups in one order, that of their begin", function()
    local log, lines = new_log()
    local function wait(name)
      local _, reason = pcall(await, sleep(FOREVER))
      log(name)
      error(reason, 0)
    end
    failure(group(function(g)
      g:spawn(wait, "a")
      group(function(inner)
        inner:spawn(wait, "b")
        group(function()
          wait("c")
        end)
        wait("d")
      end)
      g:spawn(wait, "e")
      spawn(wait, "f")
      await(sleep(2))
      g:cancel("stop")
      wait("body")
    end))
    assert.same({ "body", "a", "d", "b", "c", "e", "f" }, lines)
  end)

  it("S71 comes to listeners first, then to operations and functions", function()
    local log, lines = new_log()
    failure(group(function(g)
      g:spawn(function()
        log("child", pcall(await, sleep(FOREVER)))
      end)
      local p = sleep(FOREVER)
      g.signal:on_abort(function(reason)
        log("listener", reason, p:state())
      end)
      g:cancel("stop")
      log("sync", p:state())
      await(nil)
    end))
    assert.same({ "listener stop pending", "sync rejected stop", "child false stop" }, lines)
  end)

  it("S71 comes once, to the innermost await; callers get what comes of it", function()
    local log, lines = new_log()
    failure(group(function(g)
      cancel_after(1, g, "stop")
      local ok, err = pcall(await, spawn(function()
        local inner_ok, reason = pcall(await, g:spawn(function()
          await(sleep(FOREVER))
        end))
        log("middle", inner_ok, reason)
        await(sleep(1))
        log("undisturbed", at())
        error("failure of its own", 0)
      end))
      log("body", ok, err)
      await(sleep(1))
      log("undisturbed", at())
      error("stop", 0)
    end))
    assert.same({
      "middle false stop", "undisturbed 2", "body false failure of its own", "undisturbed 3",
    }, lines)
  end)

  it("S71 leaves join waiting for its own, then raises there", function()
    local log, lines = new_log()
    local err = failure(timeout(5, function()
      local ok, reason = pcall(tide.join, spawn(clean_up_for, 3, log, "f"),
        spawn(clean_up_for, 6, log, "g"), sleep(FOREVER), (Promise.with_resolvers()))
      log("join", ok, at())
      await(sleep(1))
      log("clean-up", at())
      error(reason, 0)
    end))
    assert.equal("TimeoutError", err.name)
    assert.same({ "f 8", "g 11", "join false 11", "clean-up 12" }, lines)
  end)

  it("S71 interrupts Promise.all at once", function()
    local log, lines = new_log()
    failure(timeout(5, function()
      local ok, reason = pcall(await, Promise.all({ spawn(clean_up_for, 3, log, "f") }))
      log("all", ok, at())
      error(reason, 0)
    end))
    assert.same({ "all false 5", "f 8" }, lines)
  end)

  it("S71 refuses what a function asks for that has yet to receive it", function()
    local log, lines = new_log()
    local queue, semaphore = tide.queue(), tide.semaphore(1)
    queue:push("item")
    failure(group(function(g)
      g:cancel("stop")
      local refused = { sleep(1), queue:pop(), semaphore:acquire(), fs.stat(".") }
      for _, p in ipairs(refused) do
        log(p:state())
      end
      assert.equal(0, core.stats().operations)
      log(pcall(await, refused[1]))
      log(await(queue:pop()))
      error("stop", 0)
    end))
    assert.same({
      "rejected stop", "rejected stop", "rejected stop", "rejected stop", "false stop", "item",
    }, lines)
  end)

  it("S71 refuses an operation that a timer begins in the cancelled group", function()
    local state
    assert.equal("stop", failure(group(function(g)
      tide.set_timeout(function()
        state = sleep(1):state()
      end, 2)
      cancel_after(1, g, "stop")
      clean_up_for(3, function() end)
    end)))
    assert.equal("rejected", state)
  end)

  it("S71 counts as received in what a clean-up calls and opens", function()
    local log, lines = new_log()
    failure(group(function(g)
      cancel_after(1, g, "stop")
      local _, reason = pcall(await, sleep(FOREVER))
      log(await(spawn(function()
        await(sleep(1))
        return "called", at()
      end)))
      log(await(group(function(inner)
        return await(inner:spawn(function()
          await(sleep(1))
          return "group", at()
        end))
      end)))
      log(await(move_on_after(1, sleep, FOREVER)))
      log(pcall(await, g:spawn(function()
        await(sleep(1))
      end)))
      error(reason, 0)
    end))
    assert.same({ "called 2", "group 3", "false", "false stop" }, lines)
  end)

  it("S71 counts as received by signal:throw_if_aborted", function()
    local log, lines = new_log()
    failure(group(function(g)
      g:cancel("stop")
      local ok, reason = pcall(g.signal.throw_if_aborted, g.signal)
      log(ok, reason)
      await(sleep(1))
      log("undisturbed", at())
      error(reason, 0)
    end))
    assert.same({ "false stop", "undisturbed 1" }, lines)
  end)
end)

describe("S72 a cancellation is not lost", function()
  on_virtual_time()

  it("S72 when the group that is awaited holds nothing but a shield", function()
    local err = failure(timeout(10, function()
      await(group(function()
        shield(function()
          await(sleep(20))
        end)
      end))
      await(sleep(1000))
    end))
    assert.equal("TimeoutError", err.name)
    assert.equal(20, at())
  end)

  it("S72 when that is cleaning up for an earlier cancellation", function()
    local err = failure(timeout(10, function()
      await(move_on_after(5, function()
        pcall(await, sleep(FOREVER))
        await(sleep(15))
      end))
      await(sleep(1000))
    end))
    assert.equal("TimeoutError", err.name)
    assert.equal(20, at())
  end)

  it("S72 when a group in that is cleaning up for an earlier cancellation", function()
    local err = failure(timeout(10, function()
      await(group(function()
        move_on_after(5, function()
          pcall(await, sleep(FOREVER))
          await(sleep(15))
        end)
        await(sleep(7))
      end))
      await(sleep(1000))
    end))
    assert.equal("TimeoutError", err.name)
    assert.equal(20, at())
  end)

  it("S72 when only a thread is at work in it", function()
    local log, lines = new_log()
    failure(group(function(g)
      tide.queue_microtask(function()
        g:cancel("stop")
      end)
      log(pcall(await, group(function()
        fs.stat(".")
      end)))
      log(pcall(await, nil))
      error("stop", 0)
    end))
    assert.same({ "true", "false stop" }, lines)
  end)

  it("S72 when what is awaited ends without another await", function()
    local log, lines = new_log()
    failure(group(function(g)
      local p, resolve = Promise.with_resolvers()
      tide.set_timeout(function()
        resolve("value")
        g:cancel("stop")
      end, 1)
      log(await(spawn(function()
        return await(p)
      end)))
      log(pcall(await, sleep(FOREVER)))
      await(sleep(1))
      log("undisturbed", at())
      error("stop", 0)
    end))
    assert.same({ "value", "false stop", "undisturbed 2" }, lines)
  end)

  it("S72 by a child that is spawned when the group was cancelled", function()
    local log, lines = new_log()
    failure(group(function(g)
      cancel_after(1, g, "stop")
      pcall(await, sleep(FOREVER))
      await(g:spawn(function()
        log("starts")
        log(pcall(await, sleep(FOREVER)))
        await(sleep(1))
        log("undisturbed", at())
        error("stop", 0)
      end))
    end))
    assert.same({ "starts", "false stop", "undisturbed 2" }, lines)
  end)

  it("S72 but comes after one result that was there before", function()
    local log, lines = new_log()
    failure(group(function(g)
      local p, q = Promise.resolve("first"), Promise.resolve("second")
      g:cancel("stop")
      log(await(p))
      log(pcall(await, q))
      log(await(q))
      error("stop", 0)
    end))
    assert.same({ "first", "false stop", "second" }, lines)
  end)
end)

describe("S73 clean-up", function()
  on_virtual_time()

  it("S73 is undisturbed for the grace; then every await raises", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      cancel_after(1, g, "stop")
      log(at(), pcall(await, sleep(FOREVER)))
      await(sleep(9))
      for _ = 1, 2 do
        local ok, reason = pcall(await, sleep(FOREVER))
        log(at(), ok, reason)
      end
      log(at(), pcall(await, nil))
      log(at(), sleep(1):state())
      error("stop", 0)
    end, { grace = 10 })))
    assert.same({
      "0 false stop", "11 false stop", "11 false stop", "11 false stop", "11 rejected stop",
    }, lines)
  end)

  it("S73 raises a turn of the loop later each time, so that others get theirs", function()
    local log, lines = new_log()
    failure(group(function(g)
      for _, name in ipairs({ "a", "b" }) do
        g:spawn(function()
          for i = 1, 4 do
            pcall(await, sleep(FOREVER))
            log(name, i)
          end
        end)
      end
      g:cancel("stop")
      tide.set_timeout(function()
        tide.set_immediate(log, "immediate")
      end, 10)
      await(nil)
    end, { grace = 10 }))
    assert.same({ "a 1", "b 1", "a 2", "b 2" }, table.move(lines, 1, 4, 1, {}))
    local rest = table.move(lines, 5, #lines, 1, {})
    table.sort(rest)
    assert.same({ "a 3", "a 4", "b 3", "b 4", "immediate" }, rest)
    assert.is_true(lines[#lines] ~= "immediate")
  end)

  it("S73 that catches the reason 1,000 times after the grace is closed", function()
    local caught, closed = 0, nil
    local child
    assert.equal("stop", failure(group(function(g)
      child = g:spawn(function()
        local _ <close> = setmetatable({}, {
          __close = function()
            closed = pcall(await, nil)
          end,
        })
        for _ = 1, LONG do
          if not pcall(await, sleep(FOREVER)) then
            caught = caught + 1
          end
        end
      end)
      cancel_after(1, g, "stop")
    end, { grace = 10 })))
    assert.is_true(caught >= 1000 and caught <= 1003, caught)
    assert.is_false(closed)
    assert.equal("stop", failure(child))
    assert.equal(11, at())
  end)

  it("S73 has 5,000 ms in every kind of group, unless told otherwise", function()
    local function stubborn()
      catch_all(3)
      error("never mind", 0)
    end
    for _, open in ipairs({
      function() return timeout(10, stubborn) end,
      function() return move_on_after(10, stubborn) end,
      function()
        return group(function(g)
          cancel_after(10, g, "stop")
          stubborn()
        end)
      end,
      function()
        return timeout(10, function()
          await(tide.map({ 1 }, stubborn))
        end)
      end,
      function()
        return timeout(10, function()
          await(tide.each({ 1 }, stubborn))
        end)
      end,
    }) do
      local start = at()
      assert.equal("never mind", failure(open()))
      assert.equal(10 + GRACE, at() - start)
    end
  end)

  it("S73 may take for ever with a grace of math.huge", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      cancel_after(1, g, "stop")
      clean_up_for(FOREVER, log, "cleaned up")
    end, { grace = math.huge })))
    assert.same({ "cleaned up " .. FOREVER + 1 }, lines)
  end)

  it("S73 has no time at all with a grace of 0", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      cancel_after(5, g, "stop")
      local _, reason = pcall(await, sleep(FOREVER))
      log(pcall(await, sleep(FOREVER)))
      error(reason, 0)
    end, { grace = 0 })))
    assert.same({ "false stop" }, lines)
    assert.is_true(at() <= 6)
  end)

  it("S73 is not disturbed by a cancellation from further out, but bounded by its grace", function()
    local log, lines = new_log()
    assert.equal("outer", failure(group(function(outer)
      cancel_after(20, outer, "outer")
      local ok, reason = pcall(await, move_on_after(10, function()
        log(at(), pcall(await, sleep(FOREVER)))
        await(sleep(20))
        log(at(), "undisturbed")
        local _, late = pcall(await, sleep(FOREVER))
        log(at(), late)
        error(late, 0)
      end))
      log(at(), ok, reason)
      error(reason, 0)
    end, { grace = 50 })))
    assert.same({
      "0 false TimeoutError: not done after 10 ms", "30 undisturbed", "70 outer", "70 false outer",
    }, lines)
  end)

  it("S73 that swallowed an inner deadline leaves the outer one in force", function()
    local log, lines = new_log()
    local err = failure(timeout(100, function()
      log(await(move_on_after(10, function()
        pcall(await, sleep(FOREVER))
        await(sleep(10 * FOREVER))
      end)))
      log(at())
      await(sleep(FOREVER))
    end))
    log(err)
    assert.same({ "false", "5010", "TimeoutError: not done after 100 ms" }, lines)
    assert.equal(10 + GRACE, at())
  end)

  it("S73 ends a retry loop that catches everything", function()
    local tries = 0
    assert.is_false(await(move_on_after(100, function()
      for _ = 1, LONG do
        pcall(function()
          tries = tries + 1
          await(sleep(30))
          error("not yet", 0)
        end)
      end
    end)))
    assert.equal(100 + GRACE, at())
    assert.is_true(tries > 1000 and tries < LONG)
  end)

  it("S73 of a shield is out of reach of a cancellation and of its grace", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      cancel_after(1, g, "stop")
      log(await(shield(function()
        await(sleep(100))
        return "undisturbed", at()
      end)))
      log(pcall(await, sleep(FOREVER)))
      error("stop", 0)
    end, { grace = 10 })))
    assert.same({ "undisturbed 100", "false stop" }, lines)
  end)

  it("S73 may open a shield that outlasts the grace", function()
    local log, lines = new_log()
    assert.equal("stop", failure(group(function(g)
      cancel_after(1, g, "stop")
      local _, reason = pcall(await, sleep(FOREVER))
      log(await(shield(function()
        await(sleep(100))
        return "undisturbed", at()
      end)))
      error(reason, 0)
    end, { grace = 10 })))
    assert.same({ "undisturbed 101" }, lines)
  end)

  it("S73 ends functions that await or return one another, when the grace is over", function()
    local function pair(f, g)
      return function(scope)
        local a, b
        a = scope:spawn(function()
          await(nil)
          return f(b)
        end)
        b = scope:spawn(function()
          await(nil)
          return g(a)
        end)
      end
    end
    local function pass(promise)
      return promise
    end
    local function await_oneself(scope)
      local a
      a = scope:spawn(function()
        await(nil)
        await(a)
      end)
    end
    for _, body in ipairs({
      pair(await, await), pair(pass, pass), pair(await, pass), pair(pass, await), await_oneself,
    }) do
      local err = failure(tide.timeout(50, function()
        await(group(body, { grace = 10 }))
      end))
      assert.equal("TimeoutError", err.name)
    end
  end)

  it("S71 ends a function whose coroutine somebody else has closed", function()
    local co
    local err = failure(group(function(g)
      g:spawn(function()
        co = coroutine.running()
        await(Promise.new(function() end))
      end)
      await(sleep(1))
      coroutine.close(co)
      g:cancel("stop")
    end))
    assert.matches("resumed or closed by somebody else", err)
  end)

  it("S70 gives up an operation that was resolved with a promise of the group", function()
    local queue = tide.queue()
    failure(group(function(g)
      local inner = spawn(function()
        pcall(await, sleep(1e6))
        await(sleep(50))
      end)
      queue:pop()
      queue:push(inner)
      cancel_after(10, g, "stop")
      await(sleep(1e6))
    end))
  end)

  it("S75 stops a child that has returned a thenable", function()
    await(group(function(g)
      local child = g:spawn(function()
        return {
          ["then"] = function(_, resolve)
            tide.set_timeout(resolve, 50)
          end,
        }
      end)
      await(sleep(5))
      g:stop(child)
    end))
  end)

  it("S71 reaches a function that has returned a thenable which never settles", function()
    local never = { ["then"] = function() end }
    assert.equal("stop", failure(group(function(g)
      g:spawn(function()
        return never
      end)
      cancel_after(1, g, "stop")
    end)))
  end)

  it("S73 refuses a grace that is no time", function()
    for _, grace in ipairs({ 0 / 0, -1, -math.huge, "10", {} }) do
      assert.matches("^spec/async/scope_spec.lua:%d+: bad argument #2 to 'group' .*grace",
        raised(function()
          local _ = group(print, { grace = grace })
          return _
        end))
    end
    assert.matches("bad argument #2 to 'group' %(table expected, got number%)",
      raised(group, print, 10))
  end)
end)

describe("S74 a group that was cancelled", function()
  on_virtual_time()

  local function child()
    await(sleep(FOREVER))
  end

  for _, shape in ipairs({
    { "only spawns", function(g)
      g:spawn(child)
      cancel_after(1, g, "stop")
    end },
    { "only spawns and cancels", function(g)
      g:spawn(child)
      g:cancel("stop")
    end },
    { "awaits", function(g)
      cancel_after(1, g, "stop")
      await(sleep(FOREVER))
    end },
    { "awaits a child", function(g)
      cancel_after(1, g, "stop")
      await(g:spawn(child))
    end },
    { "swallows, and has a child that does not", function(g)
      g:spawn(child)
      cancel_after(1, g, "stop")
      pcall(await, sleep(FOREVER))
      return "result"
    end },
    { "raises an AggregateError of nothing but the reason", function(g)
      local children = { g:spawn(child), g:spawn(child) }
      cancel_after(1, g, "stop")
      pcall(await, sleep(FOREVER))
      await(Promise.any(children))
    end },
    { "returns a promise that is cancelled", function(g)
      cancel_after(1, g, "stop")
      return spawn(child)
    end },
  }) do
    it("S74 rejects with the reason where its body " .. shape[1], function()
      assert.equal("stop", failure(group(shape[2])))
    end)
  end

  it("S74 rejects alike by its deadline, and with the group around it", function()
    local function only_spawns(log)
      return group(function(g)
        g:spawn(function()
          await(sleep(FOREVER))
        end)
        log("body")
      end)
    end
    local log, lines = new_log()
    log(failure(timeout(5, function()
      await(only_spawns(log))
    end)))
    log(await(move_on_after(5, function()
      await(only_spawns(log))
    end)))
    assert.same({ "body", "TimeoutError: not done after 5 ms", "body", "false" }, lines)
  end)

  it("S74 has the results of its body where every function swallowed it", function()
    assert.equal("result", await(group(function(g)
      g:spawn(pcall, await, sleep(FOREVER))
      cancel_after(1, g, "stop")
      pcall(await, sleep(FOREVER))
      return "result"
    end)))
  end)

  it("S74 has the results of its body where nobody had to wait", function()
    assert.equal("result", await(group(function(g)
      g:cancel("stop")
      return "result"
    end)))
  end)

  it("S74 has the results of its body where only a call that nobody awaits got it", function()
    assert.equal("result", await(group(function(g)
      spawn(child)
      g:cancel("stop")
      return "result"
    end)))
  end)

  it("S74 rejects with its failures, if it has any", function()
    assert.equal("failure", failure(group(function(g)
      g:spawn(child)
      g:spawn(function()
        pcall(await, sleep(FOREVER))
        error("failure", 0)
      end)
      cancel_after(1, g, "stop")
    end)))
    local err = failure(group(function(g)
      for i = 1, 2 do
        g:spawn(function()
          pcall(await, sleep(FOREVER))
          error("failure " .. i, 0)
        end)
      end
      g:spawn(child)
      cancel_after(1, g, "stop")
    end))
    assert.equal("AggregateError", err.name)
    assert.same({ "failure 1", "failure 2", n = 2 }, err.errors)
  end)
end)

describe("S75 g:stop", function()
  on_virtual_time()

  it("S75 ends a child, and the group goes on", function()
    local log, lines = new_log()
    local result = await(group(function(g)
      local heartbeat = g:spawn(function()
        for _ = 1, 10 do
          await(sleep(10))
          log("beat", at())
        end
      end)
      await(sleep(25))
      g:stop(heartbeat)
      await(sleep(25))
      log(g.signal.aborted, at())
      return "result"
    end))
    log(result)
    assert.same({ "beat 10", "beat 20", "false 50", "result" }, lines)
  end)

  it("S75 rejects its promise with an AbortError, or the reason, for who awaits it", function()
    local log, lines = new_log()
    await(group(function(g)
      local a, b = g:spawn(sleep, FOREVER), g:spawn(sleep, FOREVER)
      g:stop(a)
      g:stop(b, "reason")
      local _, err = pcall(await, a)
      log(err.name)
      log(pcall(await, b))
    end))
    assert.same({ "AbortError", "false reason" }, lines)
  end)

  it("S75 ends all children without a child, not the body", function()
    local log, lines = new_log()
    await(group(function(g)
      for i = 1, 3 do
        g:spawn(clean_up_for, i, log, i)
      end
      await(sleep(10))
      g:stop()
      log("body")
      await(sleep(4))
      log("body", at())
    end))
    log("over", at())
    assert.same({ "body", "1 11", "2 12", "3 13", "body 14", "over 14" }, lines)
  end)

  it("S75 gives the first answer, and ends the others", function()
    local log, lines = new_log()
    local winner = await(group(function(g)
      local children = {}
      for i, ms in ipairs({ 30, 10, 20 }) do
        children[i] = g:spawn(function()
          await(sleep(ms))
          return i
        end)
      end
      local first = await(Promise.race(children))
      g:stop()
      return first
    end))
    log(winner, at())
    assert.same({ "2 10" }, lines)
  end)

  it("S75 reaches what the child called and opened, in order, and nothing else", function()
    local log, lines = new_log()
    await(group(function(g)
      local child = g:spawn(function()
        spawn(clean_up_for, 1, log, "called")
        await(group(function(inner)
          inner:spawn(clean_up_for, 1, log, "in a group of the child")
          await(sleep(FOREVER))
        end))
      end)
      g:spawn(function()
        await(sleep(20))
        log("other child", at())
      end)
      spawn(function()
        await(sleep(15))
        log("call of the body", at())
      end)
      await(sleep(10))
      g:stop(child)
      log(pcall(await, child))
      await(sleep(10))
    end))
    assert.equal("called 11", lines[1])
    assert.equal("in a group of the child 11", lines[2])
    assert.matches("^false AbortError", lines[3])
    assert.same({ "call of the body 15", "other child 20" }, { lines[4], lines[5] })
    assert.is_nil(lines[6])
  end)

  it("S75 fails the body that awaits the child and does not catch", function()
    assert.equal("reason", failure(group(function(g)
      local child = g:spawn(sleep, FOREVER)
      tide.set_timeout(function()
        g:stop(child, "reason")
      end, 1)
      await(child)
    end)))
  end)

  it("S75 makes a failure in the child's clean-up the group's", function()
    assert.equal("in clean-up", failure(group(function(g)
      g:stop(g:spawn(function()
        pcall(await, sleep(FOREVER))
        error("in clean-up", 0)
      end))
    end)))
  end)

  it("S75 leaves a child that swallows it its results", function()
    assert.equal("result", await(group(function(g)
      local child = g:spawn(function()
        pcall(await, sleep(FOREVER))
        await(sleep(1))
        return "result"
      end)
      g:stop(child)
      return await(child)
    end)))
  end)

  it("S75 gives the grace of the group", function()
    await(group(function(g)
      local child = g:spawn(function()
        catch_all(LONG)
      end)
      g:stop(child, "reason")
      assert.equal("reason", raised(await, child))
      assert.equal(10, at())
      await(sleep(20))
    end, { grace = 10 }))
    assert.equal(30, at())
  end)

  it("S75 does nothing to a child that is over", function()
    assert.equal("result", await(group(function(g)
      local child = g:spawn(function()
        return "result"
      end)
      await(child)
      g:stop(child)
      g:stop()
      return await(child)
    end)))
  end)

  it("S75 refuses what is no child of the group", function()
    await(group(function(g)
      local call = spawn(sleep, 1)
      for _, other in ipairs({ call, sleep(1), 7, "text" }) do
        assert.matches("bad argument #1 to 'group:stop' %(child of the group expected",
          raised(g.stop, g, other))
      end
      await(group(function(inner)
        local child = inner:spawn(sleep, 1)
        assert.matches("bad argument #1 to 'group:stop' %(child of the group expected",
          raised(g.stop, g, child))
      end))
      await(call)
    end))
  end)
end)

describe("S76 a deadline", function()
  on_virtual_time()

  it("S76 that is due together with the results comes last", function()
    assert.equal("in time", await(timeout(10, function()
      await(sleep(10))
      return "in time"
    end)))
    assert.same({ true, "in time", n = 2 }, table.pack(await(move_on_after(10, function()
      await(sleep(5))
      await(sleep(5))
      return "in time"
    end))))
    assert.is_false(await(move_on_after(10, sleep, 11)))
  end)

  it("S76 comes after a timer of the same time that was set later", function()
    local log, lines = new_log()
    log(await(move_on_after(10, function()
      await(sleep(5))
      tide.set_timeout(log, 5, "timer")
      await(sleep(FOREVER))
    end)))
    assert.same({ "timer", "false" }, lines)
  end)

  it("S76 of 0 and less is one of 1 ms", function()
    for _, ms in ipairs({ 0, -5, 0.5, 0 / 0, -math.huge }) do
      local start = at()
      assert.is_false(await(move_on_after(ms, sleep, FOREVER)))
      assert.equal(1, at() - start)
      assert.is_true((await(move_on_after(ms, sleep, 1))))
      assert.equal("TimeoutError", failure(timeout(ms, sleep, 2)).name)
    end
  end)

  it("S76 lets a body that is ready win, also where children are not over", function()
    assert.same({ true, "ready", n = 2 }, table.pack(await(move_on_after(10, function()
      spawn(sleep, FOREVER)
      await(sleep(9))
      return "ready"
    end))))
    assert.equal(9, at())
  end)

  it("S76 does nothing when the body is over, and what it left cleans up", function()
    local log, lines = new_log()
    log(await(move_on_after(10, function()
      spawn(clean_up_for, 15, log, "left")
      return "ready"
    end)))
    assert.same({ "left 15", "true ready" }, lines)
  end)
end)

describe("S76 a deadline on the wall clock", function()
  after_each(leak.check)

  it("S76 begins before the body's synchronous part", function()
    local log, lines = new_log()
    local ok = await(move_on_after(20, function()
      local start = tide.now()
      while tide.now() - start < 40 do end
      tide.set_timeout(log, 1, "timer")
      local _, reason = pcall(await, sleep(FOREVER))
      log("deadline")
      error(reason, 0)
    end))
    log(ok)
    await(sleep(60))
    assert.equal("deadline", lines[1])
  end)
end)

describe("S77 who leaves a promise before it settles", function()
  on_virtual_time()

  it("S77 leaves nothing behind there", function()
    local p, resolve = Promise.with_resolvers()
    local waiter = spawn(function()
      return await(p)
    end)
    local function rounds(n)
      for _ = 1, n do
        assert.is_false(await(move_on_after(0, function()
          await(p)
        end)))
      end
      leak.collect()
      return collectgarbage("count")
    end
    local n = math.max(20, scale(2000))
    local before = rounds(n)
    local grown = rounds(n) - before
    resolve("value")
    assert.equal("value", await(waiter))
    assert.is_true(grown < 16 + n / 50, ("%.1f KiB in %d rounds"):format(grown, n))
  end)

  it("S77 takes a new place when it awaits that again", function()
    local log, lines = new_log()
    local p, resolve = Promise.with_resolvers()
    local function wait(name)
      await(p)
      log(name)
    end
    local t = group(function(g)
      cancel_after(1, g)
      pcall(await, p)
      wait("T")
    end)
    local b, c = spawn(wait, "B"), spawn(wait, "C")
    await(sleep(2))
    resolve()
    tide.join(t, b, c)
    assert.same({ "B", "C", "T" }, lines)
  end)

  it("S77 leaves the others their places", function()
    local log, lines = new_log()
    local p, resolve = Promise.with_resolvers()
    await(group(function(g)
      local children = {}
      for i = 1, 5 do
        children[i] = g:spawn(function()
          await(p)
          log(i)
        end)
      end
      g:stop(children[3])
      g:stop(children[1])
      g:stop(children[5])
      await(sleep(1))
      resolve()
    end))
    assert.same({ "2", "4" }, lines)
  end)
end)

describe("S78 no cancellation loses", function()
  on_virtual_time()

  it("S78 a permit that nobody came to take: the collector gives it back", function()
    local s1, s2 = tide.semaphore(1), tide.semaphore(1)
    local held = await(s1:acquire())
    local function use()
      assert.equal("stop", failure(group(function(g)
        cancel_after(1, g, "stop")
        local pa, pb = s1:acquire(), s2:acquire()
        local a <close> = await(pa)
        local b <close> = await(pb)
        return a, b
      end)))
    end
    use()
    held:release()
    leak.collect()
    leak.run_dry()
    for _, semaphore in ipairs({ s1, s2 }) do
      assert.is_true((await(move_on_after(10, function()
        local _ <close> = await(semaphore:acquire())
      end))))
    end
  end)

  it("S78 a permit that was handed to an await", function()
    local log, lines = new_log()
    local semaphore = tide.semaphore(1)
    local held = await(semaphore:acquire())
    assert.equal("stop", failure(group(function(g)
      tide.set_timeout(function()
        held:release()
        g:cancel("stop")
      end, 1)
      local _ <close> = await(semaphore:acquire())
      log("has it")
      await(sleep(1))
    end)))
    assert.is_true((await(move_on_after(10, function()
      local _ <close> = await(semaphore:acquire())
      log("released")
    end))))
    assert.same({ "has it", "released" }, lines)
  end)

  it("S78 an item that was handed to an await", function()
    local log, lines = new_log()
    local queue = tide.queue()
    failure(group(function(g)
      tide.set_timeout(function()
        queue:push("item")
        g:cancel("stop")
      end, 1)
      log(await(queue:pop()))
      log(pcall(await, queue:pop()))
      error("stop", 0)
    end))
    assert.same({ "item", "false stop" }, lines)
  end)

  it("S78 an item that comes after who waited for it has left", function()
    local queue = tide.queue()
    assert.is_false(await(move_on_after(5, function()
      await(queue:pop())
    end)))
    queue:push("item")
    assert.equal("item", await(queue:pop()))
  end)

  it("S78 a result that was on its way through calls", function()
    local log, lines = new_log()
    failure(group(function(g)
      local p, resolve = Promise.with_resolvers()
      tide.set_timeout(function()
        resolve("result")
        g:cancel("stop")
      end, 1)
      log(await(spawn(function()
        return spawn(function()
          return await(p)
        end)
      end)))
      log(pcall(await, nil))
      error("stop", 0)
    end))
    assert.same({ "result", "false stop" }, lines)
  end)
end)
