-- Of: process/stdio, stdio, async/line
local child = require "spec.support.child"
local core = require "moontide.core"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local process = require "moontide.process"
local sockets = require "spec.support.sockets"
local tide = require "moontide"

local await = tide.await

local PRELUDE = [[
  local tide = require "moontide"
  local stdio = require "moontide.stdio"
  local await, sleep = tide.await, tide.sleep
  local function log(...)
    io.stderr:write(table.concat({ ... }, " "), "\n")
  end
]]

--- Runs a program in a process of its own; `redirection` is the shell's.
local function run(source, options, redirection)
  return child.with_file(PRELUDE .. source, function(path)
    local command = child.command(path) .. " " .. (redirection or "")
    return await(process.exec("sh", { "-c", command }, options))
  end)
end

--- The same with the text on its standard input, as that kind of thing.
local function run_with(kind, text, source)
  if kind == "pipe" then
    return run(source, { input = text })
  end
  return child.with_file(text, function(path)
    return run(source, nil, "<" .. child.quote(path))
  end)
end

--- What is run has written only that, and succeeded.
local function check(out, err, result)
  assert.equal(err, result.stderr)
  assert.equal(out, result.stdout)
  assert.equal(0, result.code)
end

after_each(function()
  files.remove()
  leak.check()
end)

it("streams that are files check their arguments as others do", function()
  check([[
prog: calling 'stream:read' on bad self (stream expected, got table)
prog: calling 'stream:__close' on bad self (stream expected, got nil)
prog: bad argument #2 to 'stream:write' (string expected, got boolean)
prog: bad argument #1 to 'stream:shutdown' (field 'signal': AbortSignal expected, got number)
prog: calling 'stream:set_raw' on bad self (terminal expected)
]], "", run_with("file", "text", [[
    local stdin = stdio.stdin
    local function try(f, ...)
      local arguments = table.pack(...)
      local _, err = pcall(function()
        local result = f(table.unpack(arguments, 1, arguments.n))
        return result
      end)
      print((err:gsub("^[^:]+:%d+:", "prog:")))
    end
    try(stdin.read, {})
    try(getmetatable(stdin).__close)
    try(stdin.write, stdin, "x", true)
    try(stdin.shutdown, stdin, { signal = 1 })
    try(stdin.set_raw, stdin)
  ]]))
end)

for _, kind in ipairs({ "pipe", "file" }) do
  describe("stdio.stdin (" .. kind .. ")", function()
    it("is a stream", function()
      check("one,two three ,,four,nil,nil,\n", "", run_with(kind, "one\ntwo three \n\nfour", [[
        for line in stdio.stdin:lines() do
          io.write(line, ",")
        end
        local first, second = await(stdio.stdin:read()), await(stdio.stdin:read())
        print(tostring(first) .. "," .. tostring(second) .. ",")
      ]]))
    end)

    it("has every kind of read", function()
      check("ab c, d\nefghij 2\n", "", run_with(kind, "abc,d\nefghijkl", [[
        local stdin = stdio.stdin
        io.write(await(stdin:read(2)), " ", await(stdin:read_until(",")), " ")
        print(await(stdin:read_line()))
        io.write(await(stdin:read_exactly(6)), " ")
        print(#await(stdin:read_all()))
      ]]))
    end)

    it("is read in pieces, however much there is", function()
      check("3000000\n", "", run_with(kind, ("0123456789"):rep(300000), [[
        local n = 0
        for chunk in stdio.stdin:chunks() do
          n = n + #chunk
        end
        print(n)
      ]]))
    end)

    it("can be given to a child", function()
      check("some text", "", run_with(kind, "some text", [[
        local process = require "moontide.process"
        local child = await(process.spawn("cat", nil, { stdin = stdio.stdin }))
        assert(await(child:wait()).code == 0)
      ]]))
    end)

    it("tells of an end that comes too early", function()
      check("IncompleteReadError 3\n", "", run_with(kind, "abc", [[
        local ok, err = pcall(await, stdio.stdin:read_exactly(4))
        print(err.name .. " " .. err.received)
      ]]))
    end)

    it("loses nothing when a read is aborted", function()
      check("false\nwhole text\n", "", run_with(kind, "whole text", [[
        local done = await(tide.move_on_after(0, function()
          await(stdio.stdin:read_exactly(100, { signal = tide.AbortSignal.abort("now") }))
        end):catch(function() return false end))
        print(done)
        print(await(stdio.stdin:read_all()))
      ]]))
    end)

    it("is closed once", function()
      check("EBADF\n", "", run_with(kind, "text", [[
        do
          local stdin <close> = stdio.stdin
          await(stdin:read(1))
        end
        print(select(2, pcall(await, stdio.stdin:read())).code)
        await(stdio.stdin:close())
      ]]))
    end)
  end)
end

describe("stdio.stdin", function()
  it("is at its end at once where there is nothing", function()
    check("nil \n", "", run([[
      local nothing = await(stdio.stdin:read())
      print(tostring(nothing) .. " " .. await(stdio.stdin:read_all()))
    ]], { stdin = "null" }))
  end)

  it("gives what comes, when it comes", function()
    local source = PRELUDE .. [[
      for line in stdio.stdin:lines() do
        await(stdio.stdout:write("got ", line, "\n"))
      end
    ]]
    child.with_file(source, function(path)
      local options = { stdin = "pipe", stdout = "pipe" }
      local self <close> = await(process.spawn("sh", { "-c", child.command(path) }, options))
      for _, word in ipairs({ "one", "two" }) do
        await(self.stdin:write(word, "\n"))
        assert.equal("got " .. word, await(self.stdout:read_line()))
      end
      await(self.stdin:close())
      assert.same({ code = 0 }, await(self:wait()))
    end)
  end)

  it("keeps nothing alive unless somebody waits", function()
    child.with_file(PRELUDE .. [[
      local stdin = stdio.stdin
      await(tide.move_on_after(5, function() await(stdin:read()) end))
      tide.run()
      log(tostring(tide.alive()))
    ]], function(path)
      local options = { stdin = "pipe", stderr = "pipe" }
      local self <close> = await(process.spawn("sh", { "-c", child.command(path) }, options))
      assert.equal("false\n", await(self.stderr:read_all()))
      assert.same({ code = 0 }, await(self:wait()))
    end)
  end)

  it("may be a socket, which is left as it was", function()
    local ours, theirs = sockets.pair("pipe")
    child.with_file(PRELUDE .. [[
      await(stdio.stdout:write(await(stdio.stdin:read_line()), "\n"))
    ]], function(path)
      local options = { stdin = theirs, stdout = "pipe" }
      local self <close> = await(process.spawn("sh", { "-c", child.command(path) }, options))
      await(ours:write("text\n"))
      assert.equal("text\n", await(self.stdout:read_all()))
      assert.same({ code = 0 }, await(self:wait()))
    end)
    local fd = core.process.descriptor(theirs)
    local info = io.open("/proc/self/fdinfo/" .. fd)
    if info then
      local flags = tonumber(info:read("a"):match("flags:%s*(%d+)"), 8)
      info:close()
      assert.equal(0, flags & tonumber("4000", 8))
    end
    sockets.close(ours, theirs)
  end)

  it("leaves a pipe as it is for others", function()
    check("a\nb\n", "", run([[
      local line = await(stdio.stdin:read_line())
      await(stdio.stdout:write(line, "\n"))
      local info = io.open("/proc/self/fdinfo/0")
      for fd = 0, info and 1 or -1 do
        local text = io.open("/proc/self/fdinfo/" .. fd):read("a")
        assert(tonumber(text:match("flags:%s*(%d+)"), 8) & tonumber("4000", 8) == 0)
      end
      print(await(stdio.stdin:read_line()))
    ]], { input = "a\nb\n" }))
  end)
end)

describe("stdio.stdout", function()
  for _, kind in ipairs({ "pipe", "file" }) do
    local function run_to(source)
      if kind == "pipe" then
        return run(source)
      end
      local path = files.directory() .. "/out"
      local result = run(source, nil, ">" .. child.quote(path))
      result.stdout = files.read(path)
      return result
    end

    it("writes in order to a " .. kind, function()
      local numbers = {}
      for i = 1, 2000 do
        numbers[i] = i .. "\n"
      end
      check(table.concat(numbers), "", run_to([[
        for i = 1, 2000 do
          stdio.stdout:write(i, "\n")
        end
        await(stdio.stdout:shutdown())
      ]]))
    end)

    it("writes much to a " .. kind, function()
      local result = run_to([[
        local piece = ("0123456789"):rep(10000)
        for i = 1, 30 do
          await(stdio.stdout:write(piece))
        end
        await(stdio.stdout:close())
      ]])
      check(("0123456789"):rep(300000), "", result)
    end)

    it("comes after what Lua has written to a " .. kind, function()
      check("first second third\n", "", run_to([[
        io.write("first ")
        await(stdio.stdout:write("second ", "third\n"))
      ]]))
    end)

    it("takes nothing after its end: a " .. kind, function()
      check("text", "EPIPE\nEBADF\n", run_to([[
        stdio.stderr:write("")
        local stdout = stdio.stdout
        stdout:write("text")
        local ended = stdout:shutdown()
        log(select(2, pcall(await, stdout:write("more"))).code)
        await(ended)
        await(stdout:close())
        log(select(2, pcall(await, stdout:write("more"))).code)
      ]]))
    end)

    it("is flushed by <close> on a " .. kind, function()
      check(("x"):rep(200000), "", run_to([[
        do
          local stdout <close> = stdio.stdout
          stdout:write(("x"):rep(200000))
        end
        tide.run()
      ]]))
    end)
  end

  it("appends where the shell says so", function()
    local path = files.directory() .. "/out"
    files.write(path, "before\n")
    local result = run([[await(stdio.stdout:write("after\n"))]], nil, ">>" .. child.quote(path))
    check("", "", result)
    assert.equal("before\nafter\n", files.read(path))
  end)

  it("rejects what nobody reads, and the process goes on", function()
    local result = run([[
      await(sleep(1))
      local ok, err
      repeat
        ok, err = pcall(await, stdio.stdout:write(("x"):rep(10000)))
      until not ok
      log(err.code)
    ]], nil, "| head -c 1")
    check("x", "EPIPE\n", result)
  end)

  it("rejects what a full device refuses", function()
    if not os.execute("test -e /dev/full") then
      return pending("this system has no /dev/full")
    end
    check("", "ENOSPC ENOSPC\n", run([[
      local stdout = stdio.stdout
      local ok, err = pcall(await, stdout:write(("x"):rep(100000)))
      local _, later = pcall(await, stdout:write("more"))
      log(err.code, later.code)
    ]], nil, ">/dev/full"))
  end)

  it("waits for a slow reader", function()
    check("slow 1000000\n", "", run([[
      local stdout = stdio.stdout
      local fast = true
      local writing = stdout:write(("x"):rep(1000000))
      assert(writing:state() == "pending")
      await(writing)
      await(stdout:close())
    ]], nil, "| (sleep 0.05; printf 'slow '; wc -c)"))
  end)

  it("has all that streams have, as a file too", function()
    check("", "", run([[
      local missing = {}
      for name in pairs(require("moontide.core").net.Stream) do
        if not stdio.stdout[name] then
          missing[#missing + 1] = name
        end
      end
      assert(#missing == 0, table.concat(missing, " "))
      assert(stdio.stdout:size() == nil and stdio.stdout:peer_address() == nil)
      local written = stdio.stdout:write("x")
      assert(stdio.stdout:queued() == 1)
      tide.await(written)
      assert(stdio.stdout:queued() == 0)
      for _, name in ipairs({ "set_raw", "set_nodelay", "set_keepalive" }) do
        assert(not pcall(stdio.stdout[name], stdio.stdout, true))
      end
      assert(not pcall(stdio.stdout.write, stdio.stdout))
      assert(not pcall(stdio.stdout.write, stdio.stdout, {}))
      assert(not pcall(stdio.stdout.write, stdio.stdout, "x", 5, nil, "y"))
      assert(not pcall(stdio.stdout.write, {}, "x"))
      assert(stdio.other == nil)
    ]], nil, ">/dev/null"))
  end)
end)

describe("a process that was started without standard streams", function()
  it("has nothing to read, and nobody who reads", function()
    local result = run([[
      assert(await(stdio.stdin:read()) == nil)
      await(stdio.stdout:write("text"))
      await(stdio.stderr:write("text"))
      print("text")
    ]], nil, "<&- >&- 2>&-")
    check("", "", result)
  end)
end)

--- Runs it at a terminal; its input is typed there. After it, the shell runs `afterwards`.
local function run_at_terminal(source, input, afterwards)
  return child.with_file(PRELUDE .. source, function(path)
    local command = ("stty cols 91 rows 33; %s; %s"):format(child.command(path), afterwards or ":")
    local text = ("script -qec %s /dev/null"):format(child.quote(command))
    -- The sanitizer's runtime of this process is for that program only.
    return await(process.exec("sh", { "-c", text }, { input = input }))
  end)
end

describe("a terminal", function()
  local available = child.shell("script --version").out:find("util-linux", 1, true)

  local function it_needs_script(name, f)
    it(name, function()
      if not available then
        return pending("util-linux' script, which makes terminals, is not installed")
      end
      f()
    end)
  end

  it_needs_script("is read by lines, and written", function()
    local result = run_at_terminal([[
      local line = await(stdio.stdin:read_line())
      await(stdio.stdout:write("got ", line, "\n"))
    ]], "typed\n")
    assert.matches("got typed\r\n", result.stdout)
  end)

  it_needs_script("has a size", function()
    local result = run_at_terminal([[
      await(stdio.stdout:write(table.concat({ stdio.stdout:size() }, "x"), "\n"))
    ]], "")
    assert.matches("91x33\r\n", result.stdout)
  end)

  it_needs_script("is raw as long as it is said to be", function()
    local result = run_at_terminal([[
      local function show(name)
        local pipe <close> = io.popen("stty -a")
        local text = pipe:read("a")
        io.write(name, text:find("%-icanon") and " raw" or " cooked", "\n")
        io.flush()
      end
      show("first")
      assert(stdio.stdin:set_raw(true) == stdio.stdin)
      show("second")
      stdio.stdin:set_raw(false)
      show("third")
      stdio.stdin:set_raw(true)
      await(stdio.stdin:close())
      show("fourth")
    ]], "")
    local modes = {}
    for mode in result.stdout:gmatch("(%a+ %a+)\r\n") do
      modes[#modes + 1] = mode
    end
    assert.same({ "first cooked", "second raw", "third cooked", "fourth cooked" }, modes)
  end)

  for _, leave in ipairs({ "", "os.exit(0)", "os.exit(0, true)", "error('failed')" }) do
    it_needs_script("is not left raw by: " .. leave, function()
      local result = run_at_terminal("stdio.stdin:set_raw(true) " .. leave, "", "stty -a")
      assert.matches("[^-]icanon", result.stdout)
    end)
  end

  it_needs_script("is left blocking", function()
    local result = run_at_terminal([[
      local stdin, stdout = stdio.stdin, stdio.stdout
      await(stdout:write("x"))
      local text = io.open("/proc/self/fdinfo/0"):read("a")
      print(tonumber(text:match("flags:%s*(%d+)"), 8) & tonumber("4000", 8))
    ]], "")
    assert.matches("x0\r\n", result.stdout)
  end)
end)
