-- Of: loop/interruption
local child = require "spec.support.child"
local leak = require "spec.support.leak"
local process = require "moontide.process"
local tide = require "moontide"

local await = tide.await

--- Prints a line at once, also into a pipe; `wait` is a promise that nothing settles.
local PRELUDE = [[
io.stdout:setvbuf("no")
local tide = require "moontide"
local await, sleep = tide.await, tide.sleep
local never = tide.Promise.with_resolvers()
local function reason_of(ok, err) return ok and "none" or err.name .. ": " .. err.message end
]]

--- Runs the source with the command, which is sent a signal for each line "ready" that it prints.
--- Libuv gives the child the usual dispositions, whatever those of this process are.
---@return spec.Result
local function interrupted(source, signals, words)
  return child.with_file(PRELUDE .. source, function(path)
    words = words or { "sh", "-c", "exec env " .. child.command("bin/moontide", path) }
    local running <close> = await(process.spawn(words[1], { table.unpack(words, 2) }, {
      stdin = "null", stdout = "pipe", stderr = "pipe",
    }))
    local err = running.stderr:read_all()
    local lines, sent = {}, 0
    for line in running.stdout:lines() do
      if line == "ready" then
        sent = sent + 1
        running:kill(signals[sent])
      else
        lines[#lines + 1] = line
      end
    end
    local outcome = await(running:wait())
    return {
      code = outcome.code,
      signal = outcome.signal,
      out = table.concat(lines, "\n"),
      err = await(err),
    }
  end)
end

local function interrupt(source)
  return interrupted(source, { "SIGINT", "SIGINT" })
end

describe("S84 SIGINT and SIGTERM to bin/moontide", function()
  after_each(leak.check)

  it("interrupt a script where it awaits, and exit with 130 and 143", function()
    for signal, code in pairs { SIGINT = 130, SIGTERM = 143 } do
      local result = interrupted([[
        print("ready")
        await(sleep(1e9))
      ]], { signal })
      assert.same({ code = code, out = "", err = "" }, result)
    end
  end)

  it("raise an AbortError there, which pcall catches; clean-up may await", function()
    local result = interrupt([[
      local _ <close> = setmetatable({}, { __close = function()
        await(sleep(1))
        print("closed")
      end })
      print("ready")
      print(reason_of(pcall(await, sleep(1e9))))
      await(sleep(10))
      print("cleaned up")
    ]])
    local out = "AbortError: interrupted by SIGINT\ncleaned up\nclosed"
    assert.same({ code = 130, out = out, err = "" }, result)
  end)

  it("reach what the script has begun, after its last line as well", function()
    local result = interrupt([[
      local function call(name, what)
        return tide.spawn(function()
          print(name, reason_of(pcall(await, what)))
          await(sleep(20))
          print(name, "over")
        end)
      end
      local queue = tide.queue()
      call("sleep", sleep(1e9))
      call("queue", queue:pop())
      call("promise", never)
      tide.set_interval(function() return queue, never end, 1e8)
      tide.set_timeout(print, 10, "ready")
    ]])
    assert.equal(130, result.code)
    assert.equal("", result.err)
    for _, name in ipairs { "sleep", "queue", "promise" } do
      local caught = name .. "\tAbortError: interrupted by SIGINT"
      assert.is_truthy(result.out:find(caught, 1, true), result.out)
      assert.is_truthy(result.out:find(name .. "\tover", 1, true), result.out)
    end
  end)

  it("reach who awaits a call by way of that", function()
    local result = interrupt([[
      local inner = tide.async(function()
        local ok, err = pcall(await, sleep(1e9))
        await(sleep(10))
        print("inner")
        error(err, 0)
      end)
      local outer = tide.async(function()
        print("outer", reason_of(pcall(await, inner())))
        print("outer awaits", await(sleep(1)))
      end)
      print("ready")
      print("main", reason_of(pcall(await, outer())))
      print("main again", reason_of(pcall(await, sleep(1))))
    ]])
    assert.same({
      code = 130,
      out = "inner\nouter\tAbortError: interrupted by SIGINT\nouter awaits\nmain\tnone\n"
        .. "main again\tAbortError: interrupted by SIGINT",
      err = "",
    }, result)
  end)

  it("reach who loops over a generator by way of that", function()
    local result = interrupt([[
      local numbers = tide.generator(function(yield)
        local _ <close> = setmetatable({}, { __close = function()
          await(sleep(20))
          print("generator")
        end })
        for i = 1, 1e9 do
          await(sleep(1))
          yield(i)
        end
      end)
      local loop = tide.async(function()
        for i in numbers() do
          if i == 2 then print("ready") end
        end
      end)
      print("loop", reason_of(pcall(await, loop())))
    ]])
    local out = "generator\nloop\tAbortError: interrupted by SIGINT"
    assert.same({ code = 130, out = out, err = "" }, result)
  end)

  it("reach a function whose calls swallow them", function()
    local result = interrupt([[
      local step = tide.async(function() pcall(await, sleep(1e9)) end)
      local loop = tide.async(function()
        while true do
          await(step())
        end
      end)
      local running = loop()
      print("ready")
      print(reason_of(pcall(await, running)))
    ]])
    assert.same({ code = 130, out = "AbortError: interrupted by SIGINT", err = "" }, result)
  end)

  it("cancel groups, the children of which clean up", function()
    local result = interrupt([[
      local group = tide.group(function(g)
        for i = 1, 2 do
          g:spawn(function()
            local ok, err = pcall(await, sleep(1e9))
            await(sleep(10 * i))
            print("child " .. i, reason_of(ok, err))
            error(err, 0)
          end)
        end
        print("ready")
      end)
      print(reason_of(pcall(await, group)))
    ]])
    local reason = "AbortError: interrupted by SIGINT"
    local out = ("child 1\t%s\nchild 2\t%s\n%s"):format(reason, reason, reason)
    assert.same({ code = 130, out = out, err = "" }, result)
  end)

  it("reach the function that tide.run was given", function()
    local result = interrupt([[
      tide.run(function()
        print("ready")
        local ok, err = pcall(await, sleep(1e9))
        await(sleep(10))
        print(reason_of(ok, err))
        error(err, 0)
      end)
    ]])
    assert.same({ code = 130, out = "AbortError: interrupted by SIGINT", err = "" }, result)
  end)

  it("end servers, whose handlers clean up", function()
    local result = interrupt([[
      local net = require "moontide.net"
      local server = await(net.serve({ host = "127.0.0.1" }, function(stream)
        print("ready")
        local ok, err = pcall(await, stream:read())
        print("handler", reason_of(ok, err))
        error(err, 0)
      end))
      local client = await(net.connect { host = "127.0.0.1", port = server:address().port })
      tide.set_interval(function() return client end, 1e8)
    ]])
    local out = "handler\tAbortError: interrupted by SIGINT"
    assert.same({ code = 130, out = out, err = "" }, result)
  end)

  it("print what fails in clean-up, and exit with 130 all the same", function()
    local result = interrupt([[
      local _ = tide.spawn(function()
        pcall(await, sleep(1e9))
        await(sleep(10))
        error("in a function")
      end)
      print("ready")
      pcall(await, sleep(1e9))
      error("in the script")
    ]])
    assert.equal(130, result.code)
    assert.matches("moontide: [^\n]*: in the script\n", result.err)
    assert.matches("moontide: [^\n]*: in a function\n", result.err)
  end)

  it("keep the exit code that clean-up gives", function()
    local result = interrupt([[
      print("ready")
      pcall(await, sleep(1e9))
      os.exit(7)
    ]])
    assert.same({ code = 7, out = "", err = "" }, result)
  end)

  it("end the process at once the second time", function()
    local result = interrupted([[
      print("ready")
      pcall(await, sleep(1e9))
      print("ready")
      await(sleep(1e9))
    ]], { "SIGINT", "SIGTERM" })
    assert.same({ signal = "SIGTERM", out = "", err = "" }, result)
  end)

  describe("interrupt code that does not come back:", function()
    for name, source in pairs {
      ["in the script"] = [[
        print("ready")
        print(reason_of(pcall(function() while true do end end)))
      ]],
      ["in an async function"] = [[
        local spin = tide.async(function()
          print("ready")
          while true do end
        end)
        print(reason_of(pcall(await, spin())))
      ]],
      ["in one that was resumed"] = [[
        local spin = tide.async(function()
          await(sleep(1))
          print("ready")
          while true do end
        end)
        print(reason_of(pcall(await, spin())))
      ]],
      ["in one that another calls"] = [[
        local spin = tide.async(function() while true do end end)
        local outer = tide.async(function()
          print("ready")
          await(spin())
        end)
        print(reason_of(pcall(await, outer())))
      ]],
      ["in one that awaits what is there"] = [[
        local spin = tide.async(function()
          await(sleep(1))
          print("ready")
          while true do await(nil) end
        end)
        print(reason_of(pcall(await, spin())))
      ]],
      ["in a callback"] = [[
        tide.set_timeout(function()
          print("ready")
          while true do end
        end, 1)
        print(reason_of(pcall(await, sleep(1e9))))
      ]],
      ["in the background, where the script awaits something else"] = [[
        tide.spawn(function()
          await(sleep(1))
          print("ready")
          while true do end
        end):catch(function() end)
        print(reason_of(pcall(await, sleep(1e9))))
      ]],
      ["in debug mode, where the script awaits something else"] = [[
        tide.debug({ slow = 20, report = function() end })
        tide.spawn(function()
          await(sleep(1))
          print("ready")
          while true do end
        end):catch(function() end)
        print(reason_of(pcall(await, sleep(1e9))))
      ]],
      ["in the child of a group"] = [[
        local group = tide.group(function(g)
          g:spawn(function()
            await(sleep(1))
            print("ready")
            while true do end
          end)
        end)
        print(reason_of(pcall(await, group)))
      ]],
    } do
      it(name, function()
        local out = "AbortError: interrupted by SIGINT"
        assert.same({ code = 130, out = out, err = "" }, interrupt(source))
      end)
    end
  end)

  it("leave code alone that comes back soon", function()
    local result = interrupt([[
      print("ready")
      local done = 0
      for i = 1, 100000 do done = i end
      print(done)
      print(reason_of(pcall(await, sleep(1e9))))
    ]])
    assert.equal("100000\nAbortError: interrupted by SIGINT", result.out)
  end)

  it("leave callbacks alone that run while the script waits for a clean-up", function()
    local result = interrupt([[
      local clean = tide.async(function()
        local ok, err = pcall(await, sleep(1e9))
        await(sleep(200))
        error(err, 0)
      end)
      tide.set_timeout(function()
        local n = 0
        for i = 1, 1e6 do n = i end
        print("callback", n)
      end, 150)
      print("ready")
      print(reason_of(pcall(await, clean())))
    ]])
    local out = "callback\t1000000\nAbortError: interrupted by SIGINT"
    assert.same({ code = 130, out = out, err = "" }, result)
  end)

  it("are the script's that asks for them", function()
    local result = interrupt([[
      local signals = tide.signal("SIGINT")
      print("ready")
      print(await(signals:next()))
      print("ready")
      print(await(signals:next()))
      await(sleep(1))
      print("not interrupted")
    ]])
    assert.same({ code = 0, out = "SIGINT\nSIGINT\nnot interrupted", err = "" }, result)
  end)

  it("are the script's that asks for them before it comes back to the loop", function()
    local result = interrupted([[
      tide.set_timeout(function() os.exit(9) end, 10000):unref()
      os.execute("kill -TERM $PPID")
      local signals = tide.signal("SIGINT", "SIGTERM")
      print(await(signals:next()))
      local others <close> = tide.signal("SIGTERM")
      await(sleep(1))
      print("not interrupted")
    ]], {})
    assert.same({ code = 0, out = "SIGTERM\nnot interrupted", err = "" }, result)
  end)

  it("interrupt it again when it no longer asks for them", function()
    local result = interrupt([[
      local signals = tide.signal("SIGINT")
      print("ready")
      print(await(signals:next()))
      signals:close()
      print("ready")
      await(sleep(1e9))
    ]])
    assert.same({ code = 130, out = "SIGINT", err = "" }, result)
  end)

  it("stay ignored where they were", function()
    local result = child.with_file(PRELUDE .. [[
      await(sleep(100))
      print("not interrupted")
    ]], function(path)
      local command = child.command("bin/moontide", path)
      return child.shell(("sh -c 'trap \"\" TERM; %s & sleep 0.05; kill -TERM $!; wait $!'")
        :format(command:gsub("'", [['\'']])))
    end)
    assert.same({ code = 0, out = "not interrupted\n", err = "" }, result)
  end)

  it("are what they were for programs that are not run by the command", function()
    local result = child.with_file(PRELUDE .. [[
      print("ready")
      await(sleep(1e9))
    ]], function(path)
      return interrupted("", { "SIGTERM" }, { "sh", "-c", "exec env " .. child.command(path) })
    end)
    assert.same({ signal = "SIGTERM", out = "", err = "" }, result)
  end)

  it("come from a terminal as well", function()
    if not child.shell("script --version").out:find("util-linux", 1, true) then
      return pending("util-linux' script, which makes terminals, is not installed")
    end
    local out, code = child.with_file(PRELUDE .. [[
      print("ready")
      print(reason_of(pcall(await, sleep(1e9))))
    ]], function(path)
      local running <close> = await(process.spawn("script", {
        "-qec", child.command("bin/moontide", path), "/dev/null",
      }, { stdin = "pipe", stdout = "pipe" }))
      local text = {}
      for line in running.stdout:lines() do
        if line:find("ready", 1, true) then
          await(running.stdin:write("\3"))
        end
        text[#text + 1] = line
      end
      return table.concat(text), await(running:wait()).code
    end)
    assert.equal(130, code)
    assert.matches("AbortError: interrupted by SIGINT", out)
  end)
end)
