-- Of: async/handles
local child = require "spec.support.child"
local leak = require "spec.support.leak"

local PRELUDE = [[local tide = require "moontide" local async, await = tide.async, tide.await ]]

--- Runs a script, whose text is app.lua in what it prints; ports, pids and times are N there.
local function run(source)
  return child.with_file(PRELUDE .. source, function(path)
    local result = child.shell(child.command(path))
    local out = result.out:gsub(path:gsub("%p", "%%%0"), "app.lua")
    out = out:gsub("(127%.0%.0%.1:)%d+", "%1N"):gsub("(process: )%d+", "%1N")
    result.out = out:gsub("in %d+ ms", "in N ms")
    return result
  end)
end

local function prints(expected, source)
  local margin = expected:match("^ *")
  local lines = ("\n" .. expected):gsub("\n" .. margin, "\n"):sub(2):gsub("\n *$", "\n")
  local result = run(source)
  assert.equal("", result.err)
  assert.equal(lines, result.out)
  assert.equal(0, result.code)
end

describe("handles", function()
  after_each(leak.check)

  it("is an empty list where nothing keeps the loop alive", function()
    prints("0\t\n", [[
      tide.set_timeout(print, 10):unref()
      tide.set_immediate(print):close()
      local signal <close> = tide.signal("SIGUSR2")
      local server <close> = await(require("moontide.net").listen { host = "127.0.0.1" })
      print(#tide.handles(), tide.handles())
    ]])
  end)

  it("tells of timers, the next one first, and of immediates", function()
    prints([[
      timer: sleep, due in N ms, awaited at app.lua:4
      timer: timeout, due in N ms, function <app.lua:1>
      timer: sleep, due in N ms
      timer: deadline, due in N ms, awaited at app.lua:6
      timer: interval of 4500 ms, due in N ms, C function
      immediate: function <app.lua:1>
      immediate: yield, awaited at app.lua:8
    ]], [[local function nothing() end
      local handles = { tide.set_timeout(nothing, 2000), tide.set_immediate(nothing) }
      handles[3] = tide.set_interval(print, 4500)
      tide.spawn(function() await(tide.sleep(1000)) end)
      local function never() await(tide.Promise.new(nothing)) end
      tide.spawn(function() await(tide.timeout(4000, never)) end)
      local sleep = tide.sleep(3000)
      tide.spawn(function() await(tide.yield()) end)
      print(tide.handles())
      local first = tide.handles()[1]
      assert(first.kind == "timer" and first.source:find(arg[0], 1, true) and first.line == 4)
      assert(first.due > 0 and first.due <= 1000)
      os.exit(0, true)
    ]])
  end)

  it("tells of files that are worked on, by their paths", function()
    prints([[
      operation: file:read 'Makefile', awaited at app.lua:3
      operation: fs.read_file 'Makefile', awaited at app.lua:4
      operation: fs.stat 'spec', awaited at app.lua:5
    ]], [[local fs = require "moontide.fs"
      local file = await(fs.open("Makefile"))
      tide.spawn(function() await(file:read(10)) end)
      tide.spawn(function() await(fs.read_file("Makefile")) end)
      tide.spawn(function() await(fs.stat("spec")) end)
      print(tide.handles())
      tide.run()
      await(file:close())
      assert(#tide.handles() == 0)
    ]])
  end)

  it("tells of sockets, servers and names", function()
    prints([[
      operation: connect '127.0.0.1:N'
      operation: dns.lookup 'localhost', awaited at app.lua:9
      server: 127.0.0.1:N, awaited at app.lua:5
      udp: 127.0.0.1:N, awaited at app.lua:4
      stream: 127.0.0.1:N to 127.0.0.1:N, awaited at app.lua:13
    ]], [[local net, dns = require "moontide.net", require "moontide.dns"
      local server, stream = await(net.listen { host = "127.0.0.1" }), nil
      local udp, port = net.udp { host = "127.0.0.1" }, server:address().port
      tide.spawn(function() udp:receive():await() end)
      tide.spawn(function() for c in server do stream = stream or c end end)
      local client = tide.spawn(function()
        return await(net.connect { host = "127.0.0.1", port = port })
      end)
      tide.spawn(function() await(dns.lookup("localhost")) end)
      for _ = 1, 10 do await(nil) end print(tide.handles())
      client = await(client)
      await(tide.sleep(50))
      tide.spawn(function() client:read():await() end)
      udp:close() server:close()
      await(tide.sleep(1))
      print(tide.handles())
      client:close() stream:close()
    ]])
  end)

  it("tells of a stream that writes, also when nobody waits for that", function()
    prints("stream: 127.0.0.1:N to 127.0.0.1:N\n", [[
      local net = require "moontide.net"
      local server = await(net.listen { host = "127.0.0.1" })
      local client = await(net.connect { host = "127.0.0.1", port = server:address().port })
      client:write(("x"):rep(1 << 24))
      print(tide.handles())
      client:destroy() server:close()
    ]])
  end)

  it("tells of children, signals and watches", function()
    prints([[
      process: N, awaited at app.lua:3
      signal: SIGUSR2, awaited at app.lua:4
      watch: spec, awaited at app.lua:5
      true
    ]], [[local process, fs = require "moontide.process", require "moontide.fs"
      local proc = await(process.spawn("sleep", { "60" }))
      tide.spawn(function() await(proc:wait()) end)
      local signals = tide.signal("SIGUSR2") tide.spawn(function() signals:next():await() end)
      local watch = fs.watch("spec") tide.spawn(function() watch:next():await() end)
      print(tide.handles())
      print(tide.handles()[1].pid == proc.pid)
      proc:kill("KILL") signals:close() watch:close()
    ]])
  end)

  it("has operations in what functions wait for, too", function()
    prints("async function 'f' (app.lua:1), at app.lua:1, waits for fs.stat 'spec'\n", [[
      local f = async(function() await(require("moontide.fs").stat("spec")) end) f()
      print(tide.tasks())
    ]])
  end)

  it("prints twenty lines, and how many more there are", function()
    local result = run([[
      for _ = 1, 30 do tide.set_immediate(print) end
      print(tide.handles())
    ]])
    assert.equal(20, select(2, result.out:gsub("immediate: C function\n", "")))
    assert.matches("\n%.%.%. and 10 more\n", result.out)
  end)
end)
