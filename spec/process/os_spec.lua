local tide = require "moontide"
local system = require "moontide.os"
local child = require "spec.support.child"
local dns = require "moontide.dns"
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised

local await = tide.await

-- What a command prints, without the last newline; nil where there is no such command.
local function output(command)
  local result = child.shell(command)
  return result.code == 0 and result.out:gsub("\n$", "") or nil
end

local function is_count(value)
  return math.type(value) == "integer" and value >= 0
end

describe("moontide.os", function()
  after_each(leak.check)

  describe("facts", function()
    it("have the hostname, and what uname prints", function()
      local name = system.uname()
      assert.equal(output("uname -s") or name.sysname, name.sysname)
      assert.equal(output("uname -r") or name.release, name.release)
      assert.equal(output("uname -v") or name.version, name.version)
      assert.equal(output("uname -m") or name.machine, name.machine)
      local hostname = system.hostname()
      assert.equal(output("uname -n") or hostname, hostname)
    end)

    it("have the processors", function()
      local list = system.cpus()
      assert.is_true(#list > 0)
      for _, cpu in ipairs(list) do
        assert.equal("string", type(cpu.model))
        assert.is_true(is_count(cpu.speed))
        for _, kind in ipairs({ "user", "nice", "sys", "idle", "irq" }) do
          assert.is_true(is_count(cpu.times[kind]), kind)
        end
      end
      local parallelism = system.available_parallelism()
      assert.is_true(parallelism >= 1 and is_count(parallelism))
    end)

    it("have the memory and the load", function()
      local total, free = system.total_memory(), system.free_memory()
      assert.is_true(is_count(total) and is_count(free))
      assert.is_true(free <= total and total > 1024 * 1024)
      assert.equal(3, select("#", system.load_average()))
      for _, load in ipairs({ system.load_average() }) do
        assert.is_true(load >= 0)
      end
    end)

    it("have times that go on", function()
      assert.is_true(system.uptime() > 0)
      local before = system.hrtime()
      assert.equal("integer", math.type(before))
      await(tide.sleep(1))
      local passed = system.hrtime() - before
      assert.is_true(passed > 500000, passed)
    end)

    it("have the interfaces", function()
      for _, interface in ipairs(system.interfaces()) do
        assert.equal("string", type(interface.name))
        assert.equal("boolean", type(interface.internal))
        assert.matches("^%x%x:%x%x:%x%x:%x%x:%x%x:%x%x$", interface.mac)
        local address, family = await(dns.lookup(interface.address))
        assert.equal(address, interface.address)
        assert.equal(family, interface.family)
        assert.equal(family, select(2, await(dns.lookup(interface.netmask))))
        if address == "127.0.0.1" then
          assert.is_true(interface.internal)
        end
      end
    end)

    it("have the process and its parent", function()
      local result = child.lua_source([[
        local system = require "moontide.os"
        print(system.pid(), system.ppid())
        local shell = io.popen("echo $PPID")
        print(shell:read("a"))
      ]])
      local pid, ppid, seen = result.out:match("^(%d+)%s+(%d+)%s+(%d+)%s*$")
      assert.equal(seen, pid, result.err)
      assert.is_true(tonumber(ppid) > 0)
      assert.not_equal(pid, ppid)
      assert.equal("integer", math.type(system.pid()))
    end)

    it("have the user", function()
      local user = system.user()
      assert.equal(output("id -un") or user.username, user.username)
      assert.equal(output("id -u"), tostring(user.uid))
      assert.equal(output("id -g"), tostring(user.gid))
      assert.equal("string", type(user.homedir))
    end)

    it("have the directories, of the environment first", function()
      local home, tmp = system.getenv("HOME"), system.getenv("TMPDIR")
      system.setenv("HOME", "/home of/somebody")
      system.setenv("TMPDIR", "/tmp of/somebody/")
      local homedir, tmpdir = system.homedir(), system.tmpdir()
      system.unsetenv("HOME")
      system.unsetenv("TMPDIR")
      local other_home = system.homedir()
      if home then
        system.setenv("HOME", home)
      end
      if tmp then
        system.setenv("TMPDIR", tmp)
      end
      assert.equal("/home of/somebody", homedir)
      assert.equal("/tmp of/somebody", tmpdir)
      assert.equal(system.user().homedir, other_home)
    end)

    it("are given at once, without a promise", function()
      for name, f in pairs(system) do
        if not (name:find("env", 1, true) or name == "random_bytes") then
          assert.not_equal("userdata", type((f())), name)
        end
      end
    end)
  end)

  describe("the environment", function()
    local NAME = "MOONTIDE_SPEC"

    after_each(function()
      system.unsetenv(NAME)
    end)

    it("is read and written, for Lua and for processes too", function()
      assert.is_nil(system.getenv(NAME))
      system.setenv(NAME, "a value = 1")
      assert.equal("a value = 1", system.getenv(NAME))
      assert.equal("a value = 1", os.getenv(NAME))
      assert.equal("a value = 1", output("printenv " .. NAME))
      system.setenv(NAME, "")
      assert.equal("", system.getenv(NAME))
      system.unsetenv(NAME)
      assert.is_nil(system.getenv(NAME))
      system.unsetenv(NAME)
    end)

    it("is listed", function()
      assert.is_nil(system.environ()[NAME])
      system.setenv(NAME, "x=y")
      local all = system.environ()
      assert.equal("x=y", all[NAME])
      for name, value in pairs(all) do
        assert.equal(os.getenv(name), value)
      end
    end)

    it("has values of any length", function()
      for _, length in ipairs({ 254, 255, 256, 257, 100000 }) do
        local value = ("x"):rep(length - 1) .. "y"
        system.setenv(NAME, value)
        assert.is_true(value == system.getenv(NAME))
      end
    end)

    it("raises for what can be no name or value", function()
      for _, name in ipairs({ "", "a=b", "=", "a\0b" }) do
        assert.matches("bad argument #1", raised(system.getenv, name))
        assert.matches("bad argument #1", raised(system.setenv, name, "value"))
        assert.matches("bad argument #1", raised(system.unsetenv, name))
      end
      assert.matches("contains a NUL", raised(system.setenv, NAME, "a\0b"))
      assert.matches("string expected", raised(system.setenv, NAME, nil))
      assert.matches("string expected", raised(system.getenv))
      assert.is_nil(system.getenv(NAME))
    end)
  end)

  describe("random_bytes", function()
    it("gives as many as are asked for", function()
      for _, n in ipairs({ 0, 1, 16, 256, 257, 1000, 100000 }) do
        assert.equal(n, #await(system.random_bytes(n)))
      end
    end)

    it("gives others each time", function()
      for _, n in ipairs({ 16, 256, 1000 }) do
        local a, b = tide.join(system.random_bytes(n), system.random_bytes(n))
        assert.not_equal(a, b)
        local zeros = select(2, b:gsub("%z", ""))
        assert.is_true(zeros < n / 2)
      end
    end)

    it("gets few at once, many in a thread", function()
      assert.equal("fulfilled", (system.random_bytes(256):state()))
      local p = leak.track(system.random_bytes(257), "promise")
      assert.equal("pending", (p:state()))
      await(p)
    end)

    it("heeds a signal, and does not keep a group waiting", function()
      local aborted = tide.AbortSignal.abort("reason")
      for _, n in ipairs({ 1, 1000 }) do
        assert.equal("reason", failure(system.random_bytes(n, { signal = aborted })))
      end
      local controller = tide.AbortController()
      local p = system.random_bytes(1000, { signal = controller.signal })
      controller:abort("reason")
      assert.equal("rejected", (p:state()))
      assert.equal("reason", failure(p))
      local group = tide.group(function(g)
        g:cancel("group's")
        await(system.random_bytes(1000))
      end)
      assert.equal("group's", failure(group))
    end)

    it("raises for what is no count", function()
      for _, n in ipairs({ -1, 0x80000000, math.maxinteger, math.mininteger }) do
        assert.matches("integer from 0 to 2147483647", raised(system.random_bytes, n))
      end
      assert.matches("expected, got string", raised(system.random_bytes, "many"))
      assert.matches("expected, got 1.5", raised(system.random_bytes, 1.5))
      assert.matches("table expected", raised(system.random_bytes, 1, true))
    end)
  end)
end)
