-- Of: loop/signal, base/signame
local tide = require "moontide"
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised

local await, sleep = tide.await, tide.sleep

--- Sends this process a signal. system(3) ignores SIGINT and SIGQUIT while it runs a command.
local function kill(name)
  assert(os.execute("kill -" .. name .. " $PPID"))
end

describe("signal", function()
  after_each(leak.check)

  it("gives the name of the next signal, while the process goes on", function()
    local signals <close> = tide.signal("SIGUSR1")
    local promise = signals:next()
    assert.equal("pending", promise:state())
    kill "USR1"
    assert.equal("SIGUSR1", await(promise))
  end)

  it("takes names with and without SIG, and several", function()
    local signals <close> = tide.signal("USR1", "SIGUSR2")
    kill "USR2"
    assert.equal("SIGUSR2", await(signals:next()))
    kill "USR1"
    assert.equal("SIGUSR1", await(signals:next()))
  end)

  it("is an iterator, and closed when its loop is left", function()
    local seen = {}
    tide.set_timeout(kill, 5, "USR1")
    tide.set_timeout(kill, 10, "USR2")
    for name in tide.signal("SIGUSR1", "SIGUSR2") do
      seen[#seen + 1] = name
      if #seen == 2 then
        break
      end
    end
    assert.same({ "SIGUSR1", "SIGUSR2" }, seen)
    await(sleep(1))
    assert.equal(0, core.stats().handles)
  end)

  it("keeps what comes while nobody waits", function()
    local signals <close> = tide.signal("SIGUSR1")
    kill "USR1"
    await(sleep(5))
    kill "USR1"
    await(sleep(5))
    assert.equal("SIGUSR1", await(signals:next()))
    assert.equal("SIGUSR1", await(signals:next()))
    assert.equal("pending", signals:next():state())
  end)

  it("serves those who wait in their order", function()
    local signals <close> = tide.signal("SIGUSR1")
    local first, second = signals:next(), signals:next()
    kill "USR1"
    await(first)
    assert.equal("pending", second:state())
  end)

  it("that is closed gives nothing, to those who wait as well", function()
    local signals = tide.signal("SIGUSR1")
    local promise = signals:next()
    signals:close()
    signals:close()
    assert.equal(0, select("#", await(promise)))
    assert.equal(0, select("#", await(signals:next())))
  end)

  it("keeps the loop alive only while somebody waits", function()
    local signals <close> = tide.signal("SIGUSR1")
    assert.is_false(tide.alive())
    local controller = tide.AbortController()
    local promise = signals:next({ signal = controller.signal })
    assert.is_true(tide.alive())
    controller:abort("enough")
    assert.equal("enough", failure(promise))
    await(sleep(1))
    assert.is_false(tide.alive())
  end)

  it("loses none to a wait that is aborted when it has come already", function()
    local signals <close> = tide.signal("SIGUSR1", "SIGUSR2")
    local controller = tide.AbortController()
    local first = signals:next({ signal = controller.signal })
    local other = signals:next()
    -- Both come in one poll, so that the abort finds the one for `first` undelivered or before it.
    kill "USR1"
    tide.set_immediate(controller.abort, controller, "stop")
    local ok, result = pcall(await, first)
    if ok then
      assert.equal("SIGUSR1", result)
      kill "USR2"
      assert.equal("SIGUSR2", await(other))
    else
      assert.equal("stop", result)
      assert.equal("SIGUSR1", await(other))
    end
  end)

  it("hands what an aborted wait was to get to the next one that waits", function()
    local signals <close> = tide.signal("SIGUSR1", "SIGUSR2")
    local controller = tide.AbortController()
    local got
    signals:next():next(function(name)
      got = name
      controller:abort("late")
    end)
    local aborted = signals:next({ signal = controller.signal })
    local behind = signals:next()
    kill "USR1"
    kill "USR2" -- both are there before the loop turns
    assert.equal("late", failure(aborted))
    assert.equal(got == "SIGUSR1" and "SIGUSR2" or "SIGUSR1", await(behind))
  end)

  it("heeds its group", function()
    local signals <close> = tide.signal("SIGUSR1")
    assert.is_false(await(tide.move_on_after(5, function()
      await(signals:next())
    end)))
    await(sleep(1))
    assert.equal(0, core.stats().operations)
  end)

  it("that nobody has any more closes itself", function()
    tide.signal("SIGUSR1")
    assert.equal(1, core.stats().handles)
    leak.collect()
    await(sleep(1))
    assert.equal(0, core.stats().handles)
  end)

  it("raises for what is no signal, or cannot be caught", function()
    assert.matches("unknown signal 'SIGNAL'", raised(tide.signal, "SIGNAL"))
    assert.matches("bad argument #2", raised(tide.signal, "INT", "NO"))
    assert.matches("string expected", raised(tide.signal))
    assert.equal("EINVAL", raised(tide.signal, "SIGUSR1", "SIGKILL").code)
    await(sleep(1))
    assert.equal(0, core.stats().handles)
  end)
end)
