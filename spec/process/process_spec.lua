local child = require "spec.support.child"
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local files = require "spec.support.files"
local fs = require "moontide.fs"
local leak = require "spec.support.leak"
local process = require "moontide.process"
local raised = require("spec.support.raised").raised
local system = require "moontide.os"
local tide = require "moontide"

local await, sleep, spawn = tide.await, tide.sleep, process.spawn

--- Whether a process of that number is there, be it one that has ended and was not reaped.
local function exists(pid)
  return (os.execute(("kill -0 %d 2>/dev/null"):format(pid)))
end

--- The command of a shell, as arguments.
local function shell(text, ...)
  return "sh", { "-c", text, "sh", ... }
end

--- A child with its standard output in a file, and what is in that file when it has ended.
local function output_of(command, arguments, options)
  local path = os.tmpname()
  local file <close> = await(fs.open(path, "w"))
  options = options or {}
  options.stdout = file
  local outcome = await(await(spawn(command, arguments, options)):wait())
  local text = files.read(path)
  os.remove(path)
  return text, outcome
end

--- A child that does not end by SIGTERM, and does not know it before it is prepared.
local function stubborn(options)
  local path = os.tmpname()
  local text = "trap '' TERM; echo ready >\"$1\"; while :; do sleep 0.02; done"
  local command, arguments = shell(text, path)
  local obstinate = await(spawn(command, arguments, options))
  files.eventually(function()
    return files.read(path) == "ready\n"
  end)
  os.remove(path)
  return obstinate
end

describe("process.spawn", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("gives a promise of the running child, which is settled already", function()
    local promise = spawn("true")
    assert.equal("fulfilled", promise:state())
    local self = await(promise)
    assert.equal("integer", math.type(self.pid))
    assert.matches("^moontide.Child: " .. self.pid .. "$", tostring(self))
    assert.same({ code = 0 }, await(self:wait()))
  end)

  it("takes arguments as they are, numbers too", function()
    local arguments = { "%s|", "a b", "$HOME", "'\"", "", 7, 1.5 }
    assert.equal("a b|$HOME|'\"||7|1.5|", (output_of("printf", arguments)))
    assert.equal("a|b|", (output_of("printf", { n = 3, "%s|", "a", "b", "c" })))
  end)

  it("gives the child the environment that is set", function()
    local text = output_of("env", nil, { env = { A = "1", B = "two=2", C = 3 } })
    local lines = {}
    for line in text:gmatch("[^\n]+") do
      lines[#lines + 1] = line
    end
    table.sort(lines)
    assert.same({ "A=1", "B=two=2", "C=3" }, lines)
  end)

  it("lets it inherit that of the process otherwise", function()
    system.setenv("MOONTIDE_PROCESS_SPEC", "inherited")
    local text = output_of("printenv", { "MOONTIDE_PROCESS_SPEC" })
    local env = system.environ()
    system.unsetenv("MOONTIDE_PROCESS_SPEC")
    assert.equal("inherited\n", text)
    env.MOONTIDE_PROCESS_SPEC = "changed"
    assert.equal("changed\n", (output_of("printenv", { "MOONTIDE_PROCESS_SPEC" }, { env = env })))
  end)

  it("looks for the command in the PATH of the child", function()
    local directory = files.directory()
    files.write(directory .. "/own", "#!/bin/sh\nexit 5\n")
    await(fs.chmod(directory .. "/own", 493))
    local own = await(spawn("own", nil, { env = { PATH = directory } }))
    assert.same({ code = 5 }, await(own:wait()))
    assert.equal("ENOENT", failure(spawn("own")).code)
  end)

  it("starts it in a directory", function()
    local directory = await(fs.realpath(files.directory()))
    assert.equal(directory .. "\n", (output_of("pwd", nil, { cwd = directory })))
  end)

  it("starts it as another user, or says that it may not", function()
    local ids = { uid = 65534, gid = 65533, cwd = "/" }
    if system.user().uid == 0 then
      local text = output_of("sh", { "-c", "id -u; id -g" }, ids)
      assert.equal("65534\n65533\n", text)
    else
      assert.equal("EPERM", failure(spawn("id", nil, ids)).code)
    end
  end)

  it("has descriptors for its streams: of files, of Lua's files, by number, or none", function()
    local path = files.directory() .. "/file"
    files.write(path, "text\n")
    local input <close> = await(fs.open(path))
    assert.equal("text\n", (output_of("cat", nil, { stdin = input })))
    local lua_input <close> = io.open(path)
    assert.equal("text\n", (output_of("cat", nil, { stdin = lua_input })))
    assert.equal("", (output_of("cat", nil, { stdin = "null" })))
    local errors <close> = await(fs.open(path, "w"))
    local command, arguments = shell("echo err >&2; echo out")
    assert.equal("out\n", (output_of(command, arguments, { stderr = errors })))
    assert.equal("err\n", files.read(path))
  end)

  it("writes what is in the buffer of Lua's file first", function()
    local path = files.directory() .. "/file"
    local output <close> = assert(io.open(path, "w"))
    output:write("first\n")
    await(await(spawn("echo", { "second" }, { stdout = output })):wait())
    assert.equal("first\nsecond\n", files.read(path))
  end)

  it("rejects what the system refuses, with the path that is to blame", function()
    local directory = files.directory()
    files.write(directory .. "/file", "text")
    files.check_error(failure(spawn("/no/such/command")), "ENOENT", "spawn", "/no/such/command")
    files.check_error(failure(spawn("")), "ENOENT", "spawn", "")
    files.check_error(failure(spawn(directory .. "/file")), "EACCES", "spawn", directory .. "/file")
    files.check_error(failure(spawn(directory)), "EACCES", "spawn", directory)
    local function in_directory(path)
      return spawn("true", nil, { cwd = path })
    end
    files.check_error(failure(in_directory("/no/such")), "ENOENT", "chdir", "/no/such")
    local path = directory .. "/file"
    files.check_error(failure(in_directory(path)), "ENOTDIR", "chdir", path)
    files.check_error(failure(spawn("gone", nil, { cwd = "/" })), "ENOENT", "spawn", "gone")
    assert.equal("EBADF", failure(spawn("true", nil, { stdout = 9999 })).code)
  end)

  it("raises for what can never be started", function()
    local closed = assert(io.open("/dev/null"))
    closed:close()
    for _, case in ipairs({
      { "#1 to 'process.spawn' %(string expected, got nil", nil },
      { "#1 to 'process.spawn' %(string contains a NUL", "a\0b" },
      { "#2 to 'process.spawn' %(table expected, got string", "true", "x" },
      { "#2 to 'process.spawn' %(element 2: string without NUL", "true", { "a", "b\0" } },
      { "#2 to 'process.spawn' %(element 1: string without NUL", "true", { {} } },
      { "#2 to 'process.spawn' %(element 1: string without NUL", "true", { n = 1 } },
      { "#3 to 'process.spawn' %(table expected, got number", "true", {}, 5 },
      { "field 'signal': AbortSignal", "true", {}, { signal = 5 } },
      { "field 'env': table", "true", {}, { env = "A=1" } },
      { "field 'env': a name", "true", {}, { env = { ["A=B"] = "1" } } },
      { "field 'env': a name", "true", {}, { env = { [""] = "1" } } },
      { "field 'env': a name", "true", {}, { env = { "A=1" } } },
      { "field 'env': 'A': string", "true", {}, { env = { A = "\0" } } },
      { "field 'env': 'A': string", "true", {}, { env = { A = true } } },
      { "field 'cwd': string contains a NUL", "true", {}, { cwd = "a\0" } },
      { "field 'uid': integer from 0", "true", {}, { uid = -1 } },
      { "field 'gid': integer from 0", "true", {}, { gid = "users" } },
      { "field 'kill_grace': non%-negative number", "true", {}, { kill_grace = -1 } },
      { "field 'kill_grace': non%-negative number", "true", {}, { kill_grace = 0 / 0 } },
      { "field 'stdin': 'inherit'", "true", {}, { stdin = "nothing" } },
      { "field 'stdout': 'inherit'", "true", {}, { stdout = -1 } },
      { "field 'stderr': 'inherit'", "true", {}, { stderr = {} } },
      { "field 'input': string", "true", {}, { input = {} } },
      { "'input' and 'stdin' exclude", "true", {}, { input = "", stdin = "null" } },
      { "field 'stdout': it is closed", "true", {}, { stdout = closed } },
    }) do
      assert.matches(case[1], raised(spawn, table.unpack(case, 2, 4)))
    end
    local _, err = pcall(function()
      return (spawn("true", nil, { cwd = 5 }))
    end)
    assert.matches("^[^:]*process_spec.lua:%d+: bad argument", err)
    assert.equal(0, core.stats().operations)
  end)

  it("starts nothing for a signal that has been aborted", function()
    local path = files.directory() .. "/made"
    local options = { signal = tide.AbortSignal.abort("enough") }
    assert.equal("enough", failure(spawn("touch", { path }, options)))
    await(sleep(20))
    assert.is_nil(io.open(path))
  end)

  it("starts many at once", function()
    local codes = await(tide.map({ 0, 1, 2, 3, 4, 5, 6, 7 }, function(code)
      return await(await(spawn(shell("exit " .. code))):wait()).code
    end))
    assert.same({ n = 8, 0, 1, 2, 3, 4, 5, 6, 7 }, codes)
  end)
end)

describe("a child", function()
  after_each(leak.check)

  it("tells its exit code, or the signal that ended it", function()
    assert.same({ code = 3 }, await(await(spawn(shell("exit 3"))):wait()))
    assert.same({ signal = "SIGKILL" }, await(await(spawn(shell("kill -KILL $$"))):wait()))
    assert.same({ signal = "SIGALRM" }, await(await(spawn(shell("kill -ALRM $$"))):wait()))
  end)

  it("may be waited for by any number, and after its end", function()
    local self = await(spawn("true"))
    local waits = { self:wait(), self:wait() }
    local first, second = tide.join(table.unpack(waits))
    assert.same({ code = 0 }, first)
    assert.same({ code = 0 }, second)
    first.code = "changed"
    local late = self:wait()
    assert.equal("fulfilled", late:state())
    assert.same({ code = 0 }, await(late))
  end)

  it("gets signals, SIGTERM unless told", function()
    for _, name in ipairs({ "SIGTERM", "SIGINT", "USR1" }) do
      local self = await(spawn("sleep", { 1000 }))
      assert.is_true(self:kill(name ~= "SIGTERM" and name or nil))
      assert.same({ signal = "SIG" .. name:gsub("^SIG", "") }, await(self:wait()))
    end
  end)

  it("is asked for by 0, which sends none", function()
    local self = await(spawn("cat", {}, { stdin = "pipe" }))
    assert.is_true(self:kill(0))
    assert.is_true(self:kill(0.0))
    self.stdin:close()
    assert.same({ code = 0 }, await(self:wait()))
    assert.is_false(self:kill(0))
  end)

  it("gets none when it has ended", function()
    local self = await(spawn("true"))
    await(self:wait())
    assert.is_false(self:kill())
    assert.is_false(self:kill("SIGKILL"))
  end)

  it("raises for wrong arguments", function()
    local self = await(spawn("true"))
    assert.matches("#1 to 'child:kill' %(unknown signal 'SIGNONE'%)",
      raised(self.kill, self, "SIGNONE"))
    assert.matches("#1 to 'child:kill' %(string expected", raised(self.kill, self, 9))
    assert.matches("#1 to 'child:wait' %(table expected", raised(self.wait, self, 9))
    assert.matches("calling 'child:kill' on bad self", raised(self.kill))
    assert.matches("calling 'child:wait' on bad self", raised(self.wait, {}))
    await(self:wait())
  end)

  it("goes on when a wait is aborted", function()
    local controller = tide.AbortController()
    local self = await(spawn("sleep", { 1000 }))
    local other = self:wait()
    local aborted = self:wait({ signal = controller.signal })
    controller:abort("enough")
    assert.equal("enough", failure(aborted))
    assert.is_true(exists(self.pid))
    assert.equal("pending", other:state())
    self:kill()
    assert.same({ signal = "SIGTERM" }, await(other))
  end)

  it("is reaped though everybody has forgotten it", function()
    local pids = {}
    for i = 1, 10 do
      pids[i] = leak.track(await(spawn(shell("exit 1")))).pid
    end
    leak.collect()
    tide.run()
    for i = 1, 10 do
      assert.is_falsy(exists(pids[i]))
    end
  end)

  it("leaves nothing to do when somebody has been told of its end", function()
    local self = await(process.spawn("true"))
    await(self:wait())
    assert.is_false(tide.alive())
    assert.equal(0, core.stats().operations)
  end)

  it("keeps the loop alive", function()
    local self = await(spawn("sleep", { 0.05 }))
    assert.is_true(tide.alive())
    tide.run()
    assert.equal("fulfilled", self:wait():state())
  end)

  it("ends when its variable goes out of scope", function()
    local pid
    do
      local self <close> = await(spawn("sleep", { 1000 }))
      pid = self.pid
    end
    tide.run()
    assert.is_falsy(exists(pid))
  end)

  it("is not told to end when it has ended before that", function()
    local outcome
    do
      local self <close> = await(spawn("true"))
      outcome = await(self:wait())
    end
    assert.same({ code = 0 }, outcome)
  end)
end)

describe("a child that is cancelled", function()
  after_each(leak.check)

  it("ends by SIGTERM, and its waits tell that", function()
    local controller = tide.AbortController()
    local self = await(spawn("sleep", { 1000 }, { signal = controller.signal }))
    local waiting = self:wait()
    controller:abort("enough")
    assert.same({ signal = "SIGTERM" }, await(waiting))
  end)

  it("ends by SIGKILL after a while, when it does not otherwise", function()
    local controller = tide.AbortController()
    local self = stubborn({ signal = controller.signal, kill_grace = 20 })
    controller:abort()
    assert.same({ signal = "SIGKILL" }, await(self:wait()))
  end)

  it("is left that while, for ever if told so", function()
    local controller = tide.AbortController()
    local self = stubborn({ signal = controller.signal, kill_grace = math.huge })
    controller:abort()
    local waiting = self:wait()
    await(sleep(30))
    assert.equal("pending", waiting:state())
    self:kill("SIGKILL")
    assert.same({ signal = "SIGKILL" }, await(waiting))
  end)

  it("ends by SIGKILL at once without a grace", function()
    local controller = tide.AbortController()
    local self = await(spawn("sleep", { 1000 }, { signal = controller.signal, kill_grace = 0 }))
    controller:abort()
    assert.same({ signal = "SIGKILL" }, await(self:wait()))
  end)

  it("may use the while to end in good order", function()
    local path = os.tmpname()
    local command, arguments =
      shell("trap 'exit 7' TERM; echo ready >\"$1\"; while :; do sleep 0.02; done", path)
    local controller = tide.AbortController()
    local self = await(spawn(command, arguments, { signal = controller.signal }))
    files.eventually(function()
      return files.read(path) == "ready\n"
    end)
    os.remove(path)
    controller:abort()
    assert.same({ code = 7 }, await(self:wait()))
  end)

  it("is not touched when it has ended before", function()
    local controller = tide.AbortController()
    local self = await(spawn("true", nil, { signal = controller.signal }))
    await(self:wait())
    controller:abort()
    assert.same({ code = 0 }, await(self:wait()))
  end)
end)

describe("a child in a group", function()
  after_each(leak.check)

  it("is waited for", function()
    local self = await(tide.group(function()
      return await(spawn("sleep", { 0.05 }))
    end))
    assert.equal("fulfilled", self:wait():state())
    assert.is_falsy(exists(self.pid))
  end)

  it("ends with it, and is reaped when that is over", function()
    local pid, quiet_pid
    local done = await(tide.move_on_after(20, function()
      local quiet = await(spawn("sleep", { 1000 }))
      local self = await(spawn("sleep", { 1000 }))
      pid, quiet_pid = self.pid, quiet.pid
      await(self:wait())
    end))
    assert.is_false(done)
    assert.is_falsy(exists(pid))
    assert.is_falsy(exists(quiet_pid))
  end)

  it("holds it while it does not heed SIGTERM", function()
    local self, early
    local cancelled = tide.group(function(group)
      self = stubborn({ kill_grace = 30 })
      group:cancel("enough")
      self:wait():next(nil, function(reason)
        early = reason
      end)
      await(sleep(1e9))
    end)
    assert.equal("enough", failure(cancelled))
    assert.equal("enough", early)
    assert.equal("fulfilled", self:wait():state())
    assert.same({ signal = "SIGKILL" }, await(self:wait()))
    assert.is_falsy(exists(self.pid))
  end)

  it("ends when a function beside it fails", function()
    local self
    local err = failure(tide.group(function(group)
      self = await(spawn("sleep", { 1000 }))
      group:spawn(function()
        await(sleep(5))
        error("failed", 0)
      end)
    end))
    assert.equal("failed", err)
    assert.equal("fulfilled", self:wait():state())
    assert.same({ signal = "SIGTERM" }, await(self:wait()))
  end)

  it("may be started by clean-up", function()
    local code
    await(tide.move_on_after(5, function()
      local _ <close> = setmetatable({}, {
        __close = function()
          code = await(await(spawn(shell("exit 4"))):wait()).code
        end,
      })
      await(sleep(1e9))
    end))
    assert.equal(4, code)
  end)
end)

describe("a detached child", function()
  after_each(leak.check)

  --- The process group of a process.
  local function group_of(pid)
    local file <close> = io.open("/proc/" .. pid .. "/stat")
    if file then
      return tonumber(file:read("a"):match("%) %a %d+ (%d+)"))
    end
    return tonumber(files.output("ps -o pgid= -p " .. pid))
  end

  it("has a session of its own", function()
    local self = await(spawn("sleep", { 1000 }, { detached = true }))
    assert.equal(self.pid, group_of(self.pid))
    self:kill()
    assert.same({ signal = "SIGTERM" }, await(self:wait()))
    local other <close> = await(spawn("sleep", { 1000 }))
    assert.not_equal(other.pid, group_of(other.pid))
  end)

  it("keeps neither the loop alive nor its group open, and does not end with them", function()
    local self
    await(tide.move_on_after(5, function()
      self = await(spawn("sleep", { 1000 }, { detached = true }))
      await(sleep(1e9))
    end))
    tide.run()
    assert.is_false(tide.alive())
    assert.is_true(exists(self.pid))
    self:kill()
    assert.same({ signal = "SIGTERM" }, await(self:wait()))
    assert.is_falsy(exists(self.pid))
  end)

  it("keeps the loop alive while somebody waits for it", function()
    local controller = tide.AbortController()
    local self = await(spawn("sleep", { 1000 }, { detached = true }))
    local waiting = self:wait({ signal = controller.signal })
    assert.is_true(tide.alive())
    controller:abort("enough")
    assert.equal("enough", failure(waiting))
    tide.run()
    assert.is_false(tide.alive())
    self:kill()
    await(self:wait())
  end)

  it("heeds a signal of its own", function()
    local controller = tide.AbortController()
    local options = { detached = true, signal = controller.signal }
    local self = await(spawn("sleep", { 1000 }, options))
    controller:abort()
    assert.same({ signal = "SIGTERM" }, await(self:wait()))
    assert.equal("because", failure(spawn("true", nil, {
      detached = true,
      signal = tide.AbortSignal.abort("because"),
    })))
  end)

  it("may be collected while it runs, and is reaped", function()
    local pid = leak.track(await(spawn("sleep", { 0.02 }, { detached = true }))).pid
    leak.collect()
    files.eventually(function()
      return not exists(pid)
    end)
  end)
end)

describe("the pipes of a child", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("are streams", function()
    local self <close> = await(spawn("cat", nil, { stdin = "pipe", stdout = "pipe" }))
    assert.is_nil(self.stderr)
    await(self.stdin:write("one\ntwo"))
    assert.equal("one", await(self.stdout:read_line()))
    await(self.stdin:close())
    assert.equal("two", await(self.stdout:read_all()))
    assert.same({ code = 0 }, await(self:wait()))
  end)

  it("tell of their end by shutdown, too", function()
    local self <close> = await(spawn("cat", nil, { stdin = "pipe", stdout = "pipe" }))
    self.stdin:write(("x"):rep(1000000))
    local all = self.stdout:read_all()
    await(self.stdin:shutdown())
    assert.equal(1000000, #await(all))
    assert.equal("EBADF", failure(self.stdin:write("more")).code)
  end)

  it("keep errors apart", function()
    local command, arguments = shell("echo out; echo err >&2")
    local self <close> = await(spawn(command, arguments, { stdout = "pipe", stderr = "pipe" }))
    assert.is_nil(self.stdin)
    assert.equal("err\n", await(self.stderr:read_all()))
    assert.equal("out\n", await(self.stdout:read_all()))
  end)

  it("can be opened anew by the child, as pipes can", function()
    local command, arguments = shell("cat /dev/stdin >/dev/stdout")
    assert.equal("text", await(process.exec(command, arguments, { input = "text" })).stdout)
  end)

  it("stop a child that nobody reads from", function()
    local path = files.directory() .. "/done"
    local command, arguments = shell('head -c 10000000 /dev/zero; echo >"$1"', path)
    local self <close> = await(spawn(command, arguments, { stdout = "pipe" }))
    assert.equal(1, #await(self.stdout:read(1)))
    await(sleep(50))
    assert.is_nil(io.open(path))
    assert.equal(9999999, #await(self.stdout:read_all()))
    await(self:wait())
    assert.equal("\n", files.read(path))
  end)

  it("hold up whoever writes to a child that does not read", function()
    local self <close> = await(spawn("sleep", { 1000 }, { stdin = "pipe" }))
    local writing = self.stdin:write(("x"):rep(1000000))
    await(sleep(5))
    assert.equal("pending", writing:state())
    self:kill()
    assert.equal("EPIPE", failure(writing).code)
  end)

  it("give an error when the child has closed its end", function()
    local command, arguments = shell("exec <&-; echo closed; exec sleep 1000")
    local self <close> = await(spawn(command, arguments, { stdin = "pipe", stdout = "pipe" }))
    assert.equal("closed", await(self.stdout:read_line()))
    assert.equal("EPIPE", failure(self.stdin:write("x")).code)
    assert.is_true(exists(self.pid))
  end)

  it("can be given to other children", function()
    local first <close> = await(spawn("seq", { 100000 }, { stdout = "pipe" }))
    local second <close> = await(spawn("tail", { "-n", 1 }, {
      stdin = first.stdout,
      stdout = "pipe",
    }))
    await(first.stdout:close())
    assert.equal("100000\n", await(second.stdout:read_all()))
  end)

  it("pass on much from one child to another", function()
    local first <close> = await(spawn("head", { "-c", 8000000, "/dev/zero" }, { stdout = "pipe" }))
    local second <close> = await(spawn("wc", { "-c" }, { stdin = "pipe", stdout = "pipe" }))
    for chunk in first.stdout:chunks() do
      await(second.stdin:write(chunk))
    end
    await(second.stdin:close())
    assert.equal(8000000, math.tointeger(await(second.stdout:read_all())))
  end)

  it("are closed when the child's variable goes out of scope", function()
    local stdin, stdout
    do
      local self <close> = await(spawn("cat", nil, { stdin = "pipe", stdout = "pipe" }))
      stdin, stdout = self.stdin, self.stdout
    end
    assert.equal("EBADF", failure(stdin:write("x")).code)
    assert.equal("EBADF", failure(stdout:read()).code)
  end)

  it("feed it what was given", function()
    assert.equal("text", (output_of("cat", nil, { input = "text" })))
    assert.equal("7", (output_of("cat", nil, { input = 7 })))
    assert.equal("", (output_of("cat", nil, { input = "" })))
    local count = output_of("wc", { "-c" }, { input = ("x"):rep(3000000) })
    assert.equal(3000000, math.tointeger(count))
  end)

  it("do not mind that it does not read that", function()
    local self = await(spawn("true", nil, { input = ("x"):rep(3000000) }))
    assert.is_nil(self.stdin)
    assert.same({ code = 0 }, await(self:wait()))
  end)

  it("are not opened when nothing is started", function()
    local before = files.descriptors()
    local all = { stdin = "pipe", stdout = "pipe", stderr = "pipe" }
    assert.equal("ENOENT", failure(spawn("/no/such/command", nil, all)).code)
    assert.is_true(files.descriptors() <= before) -- what is garbage may have gone meanwhile
  end)
end)

describe("process.exec", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  local exec = process.exec

  it("gives what a program has written, and how it ended", function()
    local command, arguments = shell("echo out; echo err >&2; exit 3")
    assert.same({ code = 3, stdout = "out\n", stderr = "err\n" }, await(exec(command, arguments)))
    local killed = { signal = "SIGKILL", stdout = "", stderr = "" }
    assert.same(killed, await(exec(shell("kill -KILL $$"))))
  end)

  it("gives it input, or none", function()
    assert.equal("", await(exec("cat")).stdout)
    assert.equal("text", await(exec("cat", nil, { input = "text" })).stdout)
    local text = ("0123456789"):rep(100000)
    assert.equal(text, await(exec("cat", nil, { input = text })).stdout)
  end)

  it("takes what spawn takes", function()
    local directory = await(fs.realpath(files.directory()))
    local env = { PATH = os.getenv("PATH"), A = "1" }
    local options = { cwd = directory, env = env, stderr = "null" }
    local command, arguments = shell("pwd; echo $A; echo err >&2")
    local result = await(exec(command, arguments, options))
    assert.same({ code = 0, stdout = directory .. "\n1\n" }, result)
  end)

  it("rejects what did not succeed if that is to be checked", function()
    local command, arguments = shell("echo out; echo wrong >&2; echo more >&2; exit 3")
    local err = failure(exec(command, arguments, { check = true }))
    assert.equal("ExitError", err.name)
    assert.equal("ExitError: 'sh' exited with code 3: wrong", tostring(err))
    assert.equal(3, err.code)
    assert.equal("out\n", err.stdout)
    assert.equal("wrong\nmore\n", err.stderr)
    command, arguments = shell("kill -KILL $$")
    err = failure(exec(command, arguments, { check = true }))
    assert.equal("'sh' was ended by SIGKILL", err.message)
    assert.equal("SIGKILL", err.signal)
    assert.equal(0, await(exec("true", nil, { check = true })).code)
  end)

  it("leaves signals to the program: one whose reader has gone ends", function()
    assert.same({ code = 0, stdout = "y\n", stderr = "" }, await(exec(shell("yes | head -n 1"))))
  end)

  it("ends a program that writes too much", function()
    local err = failure(exec("yes", nil, { limit = 100000 }))
    assert.equal("LimitError", err.name)
    local result = await(exec("head", { "-c", 100000, "/dev/zero" }, { limit = 100000 }))
    assert.equal(100000, #result.stdout)
  end)

  it("rejects what cannot be started", function()
    assert.equal("ENOENT", failure(exec("/no/such/command")).code)
  end)

  it("is aborted when the child has been reaped", function()
    local path = files.directory() .. "/pid"
    local controller = tide.AbortController()
    local text = "trap '' TERM; echo $$ >\"$1\"; while :; do sleep 0.02; done"
    local command, arguments = shell(text, path)
    local promise = exec(command, arguments, { signal = controller.signal, kill_grace = 20 })
    files.eventually(function()
      return files.output("cat " .. path .. " 2>/dev/null") ~= ""
    end)
    controller:abort("enough")
    assert.equal("enough", failure(promise))
    assert.is_falsy(exists(tonumber(files.read(path))))
    local aborted = { signal = tide.AbortSignal.abort("before") }
    assert.equal("before", failure(exec("true", nil, aborted)))
  end)

  it("ends with its group", function()
    assert.is_false(await(tide.move_on_after(5, function()
      await(exec("sleep", { 1000 }))
    end)))
    local floating
    await(tide.move_on_after(5, function()
      floating = exec("sleep", { 1000 })
    end))
    assert.equal("rejected", floating:state())
  end)

  it("raises for wrong arguments", function()
    assert.matches("#1 to 'process.exec'", raised(exec))
    assert.matches("field 'limit'", raised(exec, "true", nil, { limit = 0 }))
    assert.matches("field 'detached'", raised(exec, "true", nil, { detached = true }))
    assert.matches("field 'cwd'", raised(exec, "true", nil, { cwd = 5 }))
  end)
end)

describe("closing a state with children #closing", function()
  local SCRIPT = [[
    local tide = require "moontide"
    local process = require "moontide.process"
    for _, options in ipairs({ {}, { detached = true }, { kill_grace = 1e9 } }) do
      print(tide.await(process.spawn("sleep", { 1000 }, options)).pid)
    end
    kept = tide.await(process.spawn("sleep", { 1000 }))
    kept:wait()
    print(kept.pid)
  ]]

  it("kills and reaps them, but not those that are detached", function()
    local result = child.lua_source(SCRIPT)
    assert.equal("", result.err)
    local pids = {}
    for pid in result.out:gmatch("%d+") do
      pids[#pids + 1] = pid
    end
    assert.equal(4, #pids)
    local alive = {}
    for i, pid in ipairs(pids) do
      alive[i] = exists(pid) or false
    end
    os.execute("kill " .. pids[2])
    assert.same({ false, true, false, false }, alive)
  end)
end)
