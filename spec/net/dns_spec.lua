local tide = require "moontide"
local dns = require "moontide.dns"
local child = require "spec.support.child"
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised
local slow_names = require "spec.support.slow_names"

local await = tide.await
local Promise = tide.Promise

-- What every rejection of this module looks like.
local function check_error(err, code, syscall, host)
  assert.equal("SystemError", err.name)
  assert.equal(code, err.code)
  assert.equal("integer", math.type(err.errno))
  assert.equal(syscall, err.syscall)
  assert.equal(host, err.host)
  assert.is_nil(err.path)
  assert.matches("^" .. code .. ": .+, " .. syscall .. " '", err.message)
  assert.is_truthy(err.message:find("'" .. host .. "'", 1, true))
end

-- Whether /etc/hosts gives the address a name, and which one first.
local function name_in_hosts(address)
  local file = io.open("/etc/hosts")
  if not file then
    return nil
  end
  local _ <close> = file
  for line in file:lines() do
    local found, name = line:match("^%s*([^%s#]+)%s+([^%s#]+)")
    if found == address then
      return name
    end
  end
end

-- Runs the source with slow names; nil and a pending test where there are none.
local function with_slow_names(source)
  local out = slow_names.run(source)
  if not out then
    pending("the resolver does not read $HOSTALIASES")
  end
  return out
end

describe("moontide.dns", function()
  after_each(leak.check)

  describe("lookup", function()
    it("gives an address and its family", function()
      local address, family = await(dns.lookup("localhost"))
      assert.is_truthy(address == "127.0.0.1" and family == 4 or address == "::1" and family == 6)
      assert.equal(2, select("#", await(dns.lookup("localhost"))))
    end)

    it("gives all of them, each once", function()
      local list = await(dns.lookup("localhost", { all = true }))
      local seen = {}
      assert.is_true(#list > 0)
      for _, entry in ipairs(list) do
        assert.is_nil(seen[entry.address])
        seen[entry.address] = true
        assert.equal(entry.address:find(":", 1, true) and 6 or 4, entry.family)
      end
      assert.equal(list[1].address, (await(dns.lookup("localhost"))))
    end)

    it("gives those of one family", function()
      if not name_in_hosts("127.0.0.1") then
        return pending("there is no /etc/hosts with localhost")
      end
      assert.same({ "127.0.0.1", 4 }, { await(dns.lookup("localhost", { family = 4 })) })
      for _, entry in ipairs(await(dns.lookup("localhost", { family = 4, all = true }))) do
        assert.equal(4, entry.family)
      end
    end)

    it("needs no thread for an address", function()
      local p = dns.lookup("127.0.0.1")
      assert.equal("fulfilled", (p:state()))
      assert.same({ "127.0.0.1", 4 }, { await(p) })
      assert.same({ "::1", 6 }, { await(dns.lookup("0:0::0001")) })
      local list = await(dns.lookup("::1", { all = true, family = 6 }))
      assert.same({ { address = "::1", family = 6 } }, list)
    end)

    it("keeps the zone of an address, if there is such an interface", function()
      local ok, address = pcall(await, dns.lookup("fe80::1%lo"))
      if ok then
        assert.equal("fe80::1%lo", address)
      end
      local host = "fe80::1%no-such-zone"
      check_error(failure(dns.lookup(host)), "EAI_NONAME", "getaddrinfo", host)
    end)

    it("rejects an address of the other family", function()
      local err = failure(dns.lookup("127.0.0.1", { family = 6 }))
      check_error(err, "EAI_ADDRFAMILY", "getaddrinfo", "127.0.0.1")
      err = failure(dns.lookup("::1", { family = 4, all = true }))
      check_error(err, "EAI_ADDRFAMILY", "getaddrinfo", "::1")
    end)

    it("rejects what can be no name, with the host in the error", function()
      check_error(failure(dns.lookup("no name")), "EAI_NONAME", "getaddrinfo", "no name")
      assert.equal("", failure(dns.lookup("")).host)
      local long = ("a."):rep(200)
      assert.equal(long, failure(dns.lookup(long)).host)
    end)

    it("raises what is wrong with its arguments, before anything else", function()
      local signal = tide.AbortSignal.abort()
      assert.matches("string expected", raised(dns.lookup, nil))
      assert.matches("contains a NUL", raised(dns.lookup, "localhost\0x"))
      assert.matches("table expected", raised(dns.lookup, "localhost", 4))
      for _, family in ipairs({ 5, "4", 4.5, false }) do
        local err = raised(dns.lookup, "localhost", { family = family, signal = signal })
        assert.matches("'family': 4 or 6 expected", err)
      end
      assert.matches("AbortSignal expected", raised(dns.lookup, "localhost", { signal = 1 }))
    end)

    it("rejects under an aborted signal, of a group too", function()
      local signal = tide.AbortSignal.abort("reason")
      assert.equal("reason", failure(dns.lookup("localhost", { signal = signal })))
      assert.equal("reason", failure(dns.lookup("127.0.0.1", { signal = signal })))
      local group = tide.group(function(g)
        g:cancel("group's")
        await(dns.lookup("localhost"))
      end)
      assert.equal("group's", failure(group))
    end)

    it("is rejected at once when it is aborted meanwhile", function()
      local controller = tide.AbortController()
      local list = {}
      for i = 1, 20 do
        list[i] = dns.lookup("localhost", { signal = controller.signal })
      end
      controller:abort("reason")
      for _, p in ipairs(list) do
        assert.equal("rejected", (p:state()))
        assert.equal("reason", failure(p))
      end
    end)

    it("lets go of promise and result", function()
      local p = leak.track(dns.lookup("localhost", { all = true }), "promise")
      p:next(function(list)
        leak.track(list, "result")
      end)
    end)

    it("works many at once", function()
      local list = {}
      for i = 1, 50 do
        list[i] = dns.lookup(i % 2 == 0 and "localhost" or "no name"):catch(function(err)
          return err.code
        end)
      end
      local results = await(Promise.all(list))
      for i = 1, 50 do
        assert.is_truthy(i % 2 == 1 and results[i] == "EAI_NONAME" or i % 2 == 0 and results[i])
      end
    end)
  end)

  describe("reverse", function()
    it("gives the name of an address", function()
      local name = name_in_hosts("127.0.0.1")
      if not name then
        return pending("there is no /etc/hosts with localhost")
      end
      assert.same({ name, n = 1 }, table.pack(await(dns.reverse("127.0.0.1"))))
    end)

    it("rejects when there is none", function()
      local ok, err = pcall(await, dns.reverse("127.99.88.77"))
      if not ok then
        check_error(err, err.code, "getnameinfo", "127.99.88.77")
        assert.matches("^EAI_", err.code)
      end
    end)

    it("raises for what is no address", function()
      for _, text in ipairs({ "", "localhost", "127.0.0.256", "::g", "127.0.0.1\0" }) do
        assert.matches("bad argument #1", raised(dns.reverse, text))
      end
      assert.matches("IP address expected", raised(dns.reverse, "localhost"))
      assert.matches("table expected", raised(dns.reverse, "::1", true))
    end)

    it("heeds a signal", function()
      local signal = tide.AbortSignal.abort("reason")
      assert.equal("reason", failure(dns.reverse("127.0.0.1", { signal = signal })))
      local controller = tide.AbortController()
      local p = dns.reverse("127.0.0.1", { signal = controller.signal })
      controller:abort("reason")
      assert.equal("reason", failure(p))
    end)
  end)

  describe("in the thread pool", function()
    it("leaves half of the threads to files, however many names are slow", function()
      local out = with_slow_names([[
        for i = 1, 100 do
          lookup(i):catch(function() end)
        end
        for i = 1, 100 do
          await(tide.Promise.all { fs.stat("."), fs.read_file(arg[0]), fs.scandir(".") })
        end
        local waiting = 0
        for _, p in pairs(pending) do
          waiting = waiting + (settled(p) and 0 or 1)
        end
        print(waiting)
        await(release())
        for _, p in pairs(pending) do
          assert(p:state() == "rejected")
        end
      ]])
      assert.equal(out and "100\n", out)
    end)

    it("takes a lookup that waits out of the line when it is aborted", function()
      local out = with_slow_names([[
        local core = require "moontide.core"
        local controller = tide.AbortController()
        local errors = {}
        for i = 1, 100 do
          lookup(i, { signal = controller.signal }):catch(function(err)
            errors[#errors + 1] = err
          end)
        end
        for i = 1, 3 do
          await(fs.stat(".")) -- the threads take what was there before
        end
        controller:abort("reason")
        await(fs.stat("."))
        print(#errors, errors[1], errors[100])
        print(core.stats().operations) -- two of four threads
        await(release())
      ]])
      assert.equal(out and "100\treason\treason\n2\n", out)
    end)

    it("does not keep a group that is cancelled from being settled", function()
      local out = with_slow_names([[
        local core = require "moontide.core"
        print(pcall(await, tide.group(function(g)
          local slow = lookup(1)
          await(fs.stat("."))
          g:cancel("reason")
          await(slow)
        end)))
        print(core.stats().operations)
        await(release())
      ]])
      assert.equal(out and "false\treason\n1\n", out)
    end)
  end)
end)

describe("set_thread_pool_size", function()
  after_each(leak.check)

  -- FIFOs nobody writes to hold so many threads; then a stat needs one more.
  local function stat_beside(holders, before, ms)
    local path = os.tmpname()
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    local _ <close> = setmetatable({}, {
      __close = function()
        os.remove(path)
      end,
    })
    local result = child.lua_source(before .. [[
      local tide, fs = require "moontide", require "moontide.fs"
      local path, holders, ms = ...
      for i = 1, holders do
        fs.read_file(path)
      end
      local stat = fs.stat(".")
      local over, resolve = tide.Promise.with_resolvers()
      local timer = tide.set_timeout(resolve, tonumber(ms))
      tide.await(tide.Promise.race { stat, over })
      timer:close()
      print((stat:state()))
      local function release()
        io.open(path, "r+"):close()
      end
      local interval = tide.set_interval(release, 1)
      interval:unref()
      tide.run()
    ]], path, tostring(holders), tostring(ms))
    assert.equal("", result.err)
    return result.out
  end

  it("sets how many threads there are", function()
    local set = "require('moontide').set_thread_pool_size(%d)\n"
    assert.equal("fulfilled\n", stat_beside(5, set:format(6), 20000))
    assert.equal("pending\n", stat_beside(1, set:format(1), 100))
  end)

  it("raises once an operation has been started", function()
    await(require("moontide.fs").stat("."))
    assert.matches("too late", raised(tide.set_thread_pool_size, 4))
  end)

  it("raises for what is no size", function()
    for _, n in ipairs({ 0, -1, 1025, math.maxinteger }) do
      assert.matches("integer from 1 to 1024 expected", raised(tide.set_thread_pool_size, n))
    end
    assert.matches("1024 expected, got nil", raised(tide.set_thread_pool_size))
    assert.matches("1024 expected, got 1.5", raised(tide.set_thread_pool_size, 1.5))
  end)
end)
