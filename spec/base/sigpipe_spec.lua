-- What nobody reads any more: an error of our own writes, and the end of a program that prints.
local child = require "spec.support.child"
local process = require "moontide.process"
local tide = require "moontide"

local PRELUDE = [[
local tide = require "moontide"
local fs = require "moontide.fs"
local net = require "moontide.net"
local process = require "moontide.process"
local async, await = tide.async, tide.await

--- The code of the error that the promises of f(1), f(2) ... end with, sooner or later.
local function failure(f)
  for i = 1, 1000 do
    local ok, err = pcall(function() await(f(i)) end)
    if not ok then return err.code or err end
  end
end
]]

-- Children that moontide starts have the default disposition, whatever this process has.
local function run(source)
  return child.with_file(PRELUDE .. source, function(path)
    return tide.await(process.exec("sh", { "-c", child.command(path) }))
  end)
end

local function prints(expected, source)
  local result = run(source)
  assert.equal("", result.stderr)
  assert.equal(expected, result.stdout)
  assert.equal(0, result.code)
end

local CONNECTED = [[
local server = await(net.listen { host = "127.0.0.1", port = 0 })
local accepting = server:accept()
local client = await(net.connect { host = "127.0.0.1", port = server:address().port })
local peer = await(accepting)
]]

describe("a write that nobody reads", function()
  it("is an error on a socket", function()
    prints("true\n", CONNECTED .. [[
      peer:destroy()
      await(tide.sleep(10))
      local code = failure(function() return client:write("x") end)
      print(code == "EPIPE" or code == "ECONNRESET")
      client:destroy()
      server:close()
    ]])
  end)

  it("is an error on a socket whose queue is full", function()
    prints("true\n", CONNECTED .. [[
      local writing = client:write(("x"):rep(1 << 24))
      await(tide.sleep(10))
      peer:destroy()
      local code = failure(function() return writing end)
      print(code == "EPIPE" or code == "ECONNRESET")
      client:destroy()
      server:close()
    ]])
  end)

  it("is an error on a pipe, at once or from the queue", function()
    prints("EPIPE\tEPIPE\n", [[
      local one = await(process.spawn("sh", { "-c", "exec <&-; sleep 1" }, { stdin = "pipe" }))
      local code = failure(function() return tide.sleep(1):next(function()
        return one.stdin:write("x")
      end) end)
      local other = await(process.spawn("sh", { "-c", "sleep 0.1" }, { stdin = "pipe" }))
      print(code, failure(function() return other.stdin:write(("x"):rep(1 << 20)) end))
      one.stdin:destroy()
      other.stdin:destroy()
      await(one:wait())
      await(other:wait())
    ]])
  end)

  it("is an error on a pipe that was opened as a file", function()
    prints("EPIPE\n", [[
      local path = os.tmpname()
      os.remove(path)
      os.execute("mkfifo " .. path)
      local reading = fs.open(path, "r")
      local file = await(fs.open(path, "w"))
      await(await(reading):close())
      print(failure(function() return file:write("x") end))
      await(file:close())
      os.remove(path)
    ]])
  end)
end)

describe("the disposition of SIGPIPE", function()
  it("stays what it was, and so does the mask", function()
    local status = child.shell("grep -c . /proc/self/status")
    if status.code ~= 0 then
      pending("no /proc")
    end
    prints("true\n", CONNECTED .. [[
      local function signals()
        local file = io.open("/proc/self/status")
        local text = file:read("a")
        file:close()
        return text:match("SigBlk:.-SigIgn:[^\n]*")
      end
      local before = signals()
      await(client:write("x"))
      local writing = client:write(("x"):rep(1 << 24))
      peer:destroy()
      failure(function() return writing end)
      failure(function() return client:write("x") end)
      print(signals() == before and before:find("SigBlk:%s*0+%s") ~= nil)
      client:destroy()
      server:close()
    ]])
  end)

  it("ends a script that prints what nobody reads", function()
    local source = PRELUDE .. [[
      local stdio = require "moontide.stdio"
      await(stdio.stderr:write(""))
      for i = 1, 2000 do
        print(i)
        io.stdout:flush()
        await(tide.sleep(1))
      end
    ]]
    child.with_file(source, function(path)
      local command = child.command("bin/moontide", path)
      local script = ("(%s; echo $? >&2) | head -n 1"):format(command)
      local result = tide.await(process.exec("sh", { "-c", script }))
      assert.equal("1\n", result.stdout)
      assert.equal("141\n", result.stderr)
    end)
  end)
end)
