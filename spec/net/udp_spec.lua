local child = require "spec.support.child"
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local net = require "moontide.net"
local raised = require("spec.support.raised").raised
local refusing_send = require "spec.support.refusing_send"
local system = require "moontide.os"
local tide = require "moontide"

local await, sleep, udp = tide.await, tide.sleep, net.udp

local HOST = "127.0.0.1"

local function bound(options)
  options = options or {}
  options.host = options.host or HOST
  local socket = leak.track(udp(options))
  return socket, socket:address().port
end

--- A port of this machine that nobody listens at.
local function free_port()
  local socket, port = bound()
  socket:close()
  await(sleep(1))
  return port
end

local function has_ipv6()
  for _, interface in ipairs(system.interfaces()) do
    if interface.address == "::1" then
      return true
    end
  end
  return false
end

describe("udp", function()
  after_each(leak.check)

  it("sends and receives, and tells where from", function()
    local a <close>, a_port = bound()
    local b <close>, b_port = bound()
    await(a:send("question", HOST, b_port))
    local data, peer = await(b:receive())
    assert.equal("question", data)
    assert.same({ address = HOST, port = a_port, family = 4 }, peer)
    await(b:send("answer", peer.address, peer.port))
    data, peer = await(a:receive())
    assert.equal("answer", data)
    assert.same({ address = HOST, port = b_port, family = 4 }, peer)
  end)

  it("speaks IPv6", function()
    if not has_ipv6() then
      return pending("this machine has no IPv6")
    end
    local a <close> = bound({ host = "::1" })
    local b <close>, port = bound({ host = "::1", ipv6_only = true })
    await(a:send("six", "::1", port))
    local data, peer = await(b:receive())
    assert.equal("six", data)
    assert.same({ address = "::1", port = a:address().port, family = 6 }, peer)
  end)

  it("of IPv6 hears IPv4 as well, unless it is told not to", function()
    if not has_ipv6() then
      return pending("this machine has no IPv6")
    end
    local both <close> = udp({ family = 6 })
    local sender <close> = udp()
    assert.equal("::", both:address().address)
    await(sender:send("four", HOST, both:address().port))
    local data, peer = await(both:receive())
    assert.equal("four", data)
    assert.equal("::ffff:127.0.0.1", peer.address)
  end)

  it("is bound to a port of its own when it is told none", function()
    local socket <close> = udp()
    local address = socket:address()
    assert.equal("0.0.0.0", address.address)
    assert.equal(4, address.family)
    assert.is_true(address.port > 0)
  end)

  it("keeps the boundaries of datagrams, empty ones too", function()
    local a <close> = bound()
    local b <close>, port = bound()
    for _, text in ipairs({ "one", "", "three", ("x"):rep(60000), "nul\0nul" }) do
      await(a:send(text, HOST, port))
    end
    local lengths = {}
    for i = 1, 5 do
      lengths[i] = #await(b:receive())
    end
    assert.same({ 3, 0, 5, 60000, 7 }, lengths)
  end)

  it("tells of a datagram that is longer than the longest it takes", function()
    local a <close> = bound()
    local b <close>, port = bound({ max_length = 8 })
    await(a:send("12345678", HOST, port))
    await(a:send("123456789", HOST, port))
    local data, peer = await(b:receive())
    assert.equal("12345678", data)
    assert.is_nil(peer.truncated)
    data, peer = await(b:receive())
    assert.equal("12345678", data)
    assert.is_true(peer.truncated)
  end)

  it("is an iterator, until it is closed", function()
    local a <close> = bound()
    local b, port = bound()
    local seen = {}
    for _, text in ipairs({ "one", "", "last" }) do
      await(a:send(text, HOST, port))
    end
    for data, peer in b do
      assert.equal(HOST, peer.address)
      seen[#seen + 1] = data
      if data == "last" then
        b:close()
      end
    end
    assert.same({ "one", "", "last" }, seen)
  end)

  it("serves those who wait in their order", function()
    local a <close> = bound()
    local b <close>, port = bound()
    local first, second = b:receive(), b:receive()
    await(a:send("1", HOST, port))
    assert.equal("1", (await(first)))
    assert.equal("pending", second:state())
    await(a:send("2", HOST, port))
    assert.equal("2", (await(second)))
  end)

  it("keeps what comes while nobody waits", function()
    local a <close> = bound()
    local b <close>, port = bound()
    for i = 1, 20 do
      await(a:send(tostring(i), HOST, port))
    end
    for i = 1, 20 do
      assert.equal(tostring(i), (await(b:receive())))
      await(sleep(1))
    end
  end)

  it("keeps a bounded part of what comes faster than it is taken", function()
    local TOTAL = 3000
    local a <close> = bound()
    local b <close>, port = bound()
    await(a:send("begin", HOST, port))
    await(b:receive())
    local text = ("x"):rep(1000)
    for i = 1, TOTAL do
      await(a:send(text, HOST, port))
      if i % 20 == 0 then
        await(tide.yield())
      end
    end
    local count = 0
    while await(tide.move_on_after(50, function()
      await(b:receive())
    end)) do
      count = count + 1
    end
    -- The rest has been dropped by the system; 64 KiB of this process, and what it keeps itself.
    assert.is_true(count >= 20 and count < TOTAL / 2, count)
    await(a:send("and again", HOST, port))
    assert.equal("and again", (await(b:receive())))
  end)

  it("lets the others go on when it only sends", function()
    local socket <close> = bound()
    local to <close>, port = bound()
    local fired = false
    tide.set_timeout(function()
      fired = true
    end, 1)
    local count = 0
    while not fired and count < 1000000 do
      await(socket:send("x", HOST, port))
      count = count + 1
    end
    assert.is_true(fired)
    assert.equal("x", (await(to:receive())))
  end)

  it("keeps the loop alive only while somebody waits", function()
    local a <close> = bound()
    local b <close>, port = bound()
    assert.is_false(tide.alive())
    local promise = b:receive()
    assert.is_true(tide.alive())
    await(a:send("x", HOST, port))
    await(promise)
    await(sleep(1))
    assert.is_false(tide.alive())
  end)

  it("that nobody has any more closes itself", function()
    udp()
    assert.equal(1, core.stats().handles)
    leak.collect()
    await(sleep(1))
    assert.equal(0, core.stats().handles)
  end)

  describe("aborted", function()
    it("receives nothing, and loses nothing", function()
      local a <close> = bound()
      local b <close>, port = bound()
      local controller = tide.AbortController()
      local promise = b:receive({ signal = controller.signal })
      controller:abort("enough")
      assert.equal("enough", failure(promise))
      await(a:send("kept", HOST, port))
      assert.equal("kept", (await(b:receive())))
      assert.equal("stop", failure(b:receive({ signal = tide.AbortSignal.abort("stop") })))
    end)

    it("gives back the datagram that had come for it already", function()
      local a <close> = bound()
      local first <close>, first_port = bound()
      local second <close>, second_port = bound()
      local aborted, fulfilled = 0, 0
      for i = 1, 20 do
        local controller = tide.AbortController()
        local text = tostring(i)
        -- Both come in one poll: the reaction to the first aborts the second.
        local abort = first:receive():next(function()
          controller:abort("stop")
        end)
        local promise = second:receive({ signal = controller.signal })
        a:send(text, HOST, first_port)
        a:send(text, HOST, second_port)
        local ok, result = pcall(await, promise)
        if ok then
          fulfilled = fulfilled + 1
        else
          assert.equal("stop", result)
          result = await(second:receive())
          aborted = aborted + 1
        end
        assert.equal(text, result)
        await(abort)
      end
      assert.equal(20, aborted + fulfilled)
      assert.is_true(aborted > 0, "none was aborted between arrival and delivery")
    end)

    it("gives it to the next one who waits already", function()
      local a <close> = bound()
      local first <close>, first_port = bound()
      local second <close>, second_port = bound()
      local controller = tide.AbortController()
      local promise = second:receive({ signal = controller.signal })
      local other = second:receive()
      first:receive():next(function()
        controller:abort("stop")
      end)
      a:send("1", HOST, first_port)
      a:send("1", HOST, second_port)
      await(tide.Promise.all_settled({ promise }))
      if promise:state() == "fulfilled" then
        await(a:send("1", HOST, second_port))
      end
      assert.equal("1", (await(other)))
    end)

    it("is what its group does to it", function()
      local socket <close> = bound()
      assert.is_false(await(tide.move_on_after(5, function()
        await(socket:receive())
      end)))
      await(sleep(1))
      assert.equal(0, core.stats().operations)
    end)

    it("sends nothing", function()
      local a <close> = bound()
      local b <close>, port = bound()
      local options = { signal = tide.AbortSignal.abort("stop") }
      assert.equal("stop", failure(a:send("never", HOST, port, options)))
      await(a:send("first", HOST, port, {}))
      assert.equal("first", (await(b:receive())))
    end)
  end)

  describe("closed", function()
    it("ends those who receive, and gives nothing from then on", function()
      local socket = bound()
      local promise = socket:receive()
      socket:close()
      socket:close()
      assert.equal(0, select("#", await(promise)))
      assert.equal(0, select("#", await(socket:receive())))
    end)

    it("with datagrams that nobody asked for drops them", function()
      local a <close> = bound()
      local b, port = bound()
      for _ = 1, 5 do
        await(a:send("x", HOST, port))
      end
      await(b:receive())
      b:close()
      assert.equal(0, select("#", await(b:receive())))
    end)

    it("between arrival and delivery drops nothing that it was waited for", function()
      local a <close> = bound()
      local first <close>, first_port = bound()
      local second, second_port = bound()
      local promise = second:receive()
      first:receive():next(function()
        second:close()
      end)
      a:send("1", HOST, first_port)
      a:send("2", HOST, second_port)
      local results = table.pack(await(promise))
      assert.is_true(results.n == 0 or results[1] == "2")
    end)

    it("refuses everything else", function()
      local socket, port = bound()
      socket:close()
      assert.equal("EBADF", failure(socket:send("x", HOST, port)).code)
      for _, call in ipairs({
        { "address" },
        { "peer_address" },
        { "connect", HOST, 1 },
        { "disconnect" },
        { "set_ttl", 1 },
        { "set_broadcast", true },
        { "set_multicast_ttl", 1 },
        { "set_multicast_loop", true },
        { "set_multicast_interface", HOST },
        { "join_group", "239.255.0.1" },
        { "leave_group", "239.255.0.1" },
      }) do
        local method = socket[call[1]]
        local err = raised(method, socket, table.unpack(call, 2))
        assert.equal("EBADF", err.code, call[1])
      end
    end)

    it("by its scope", function()
      do
        local _ <close> = bound()
        assert.equal(1, core.stats().handles)
      end
      await(sleep(1))
      assert.equal(0, core.stats().handles)
    end)
  end)

  describe("connected", function()
    it("sends to its peer, and hears only that", function()
      local a <close> = bound()
      local b <close>, port = bound()
      local stranger <close> = bound()
      a:connect(HOST, port)
      assert.same({ address = HOST, port = port, family = 4 }, a:peer_address())
      await(a:send("direct"))
      assert.equal("direct", (await(b:receive())))
      await(stranger:send("strange", HOST, a:address().port))
      await(b:send("right", HOST, a:address().port))
      assert.equal("right", (await(a:receive())))
    end)

    it("takes no address, and needs one after it is disconnected", function()
      local a <close> = bound()
      local b <close>, port = bound()
      a:connect(HOST, port)
      assert.equal("EISCONN", failure(a:send("x", HOST, port)).code)
      assert.equal("EISCONN", raised(a.connect, a, HOST, port).code)
      a:disconnect()
      assert.is_nil(a:peer_address())
      assert.equal("ENOTCONN", raised(a.disconnect, a).code)
      local err = failure(a:send("x"))
      assert.equal("EDESTADDRREQ", err.code)
      assert.equal("sendmsg", err.syscall)
      await(a:send("x", HOST, port, nil))
      assert.equal("x", (await(b:receive())))
    end)

    it("to nobody tells the next who receives", function()
      local socket <close> = bound()
      socket:connect(HOST, free_port())
      local promise = socket:receive()
      await(socket:send("anybody?"))
      assert.equal("ECONNREFUSED", failure(promise).code)
      assert.equal("recvmsg", failure(promise).syscall)
    end)

    it("to nobody tells the next who sends, where nobody receives", function()
      local socket <close> = bound()
      socket:connect(HOST, free_port())
      local err
      for _ = 1, 100 do
        local ok, reason = pcall(await, socket:send("anybody?"))
        if not ok then
          err = reason
          break
        end
        await(sleep(1))
      end
      assert.equal("ECONNREFUSED", err.code)
    end)

    it("goes on after that", function()
      local socket <close> = bound()
      local port = free_port()
      socket:connect(HOST, port)
      socket:send("anybody?")
      failure(socket:receive())
      local peer <close> = bound({ port = port })
      await(socket:send("now?"))
      assert.equal("now?", (await(peer:receive())))
    end)
  end)

  describe("multicast", function()
    local GROUP = "239.255.77.77"

    it("reaches who has joined the group, until it leaves", function()
      local member <close> = udp({ reuse_address = true })
      local sender <close> = bound()
      local port = member:address().port
      member:join_group(GROUP, HOST)
      sender:set_multicast_interface(HOST)
      sender:set_multicast_ttl(0)
      sender:set_multicast_loop(true)
      await(sender:send("to all", GROUP, port))
      local data, peer = await(member:receive())
      assert.equal("to all", data)
      assert.equal(sender:address().port, peer.port)
      member:leave_group(GROUP, HOST)
      await(sender:send("to nobody", GROUP, port))
      await(sender:send("directly", HOST, port))
      assert.equal("directly", (await(member:receive())))
    end)

    it("from one source only", function()
      local member <close> = udp()
      local right <close> = bound()
      local wrong <close> = bound({ host = "127.0.0.2" })
      local port = member:address().port
      member:join_group(GROUP, HOST, HOST)
      for _, sender in ipairs({ wrong, right }) do
        sender:set_multicast_interface(HOST)
        await(sender:send(sender:address().address, GROUP, port))
      end
      assert.equal(HOST, (await(member:receive())))
      member:leave_group(GROUP, HOST, HOST)
    end)

    it("of IPv6, which no loopback interface carries", function()
      local zone
      for _, interface in ipairs(system.interfaces()) do
        if interface.address:find("^fe80:") and not interface.internal then
          zone = interface.name
        end
      end
      if not zone then
        return pending("this machine has no network with IPv6")
      end
      local member <close> = udp({ family = 6 })
      local sender <close> = udp({ family = 6 })
      local group = "ff11::7777"
      member:join_group(group, "::1%" .. zone)
      sender:set_multicast_interface("::1%" .. zone)
      await(sender:send("six", group .. "%" .. zone, member:address().port))
      local data, peer = await(member:receive())
      assert.equal("six", data)
      assert.matches("%%" .. zone .. "$", peer.address)
    end)

    it("of an address that is no group is refused", function()
      local socket <close> = bound()
      assert.equal("SystemError", raised(socket.join_group, socket, HOST).name)
      assert.equal("setsockopt", raised(socket.join_group, socket, HOST).syscall)
    end)
  end)

  describe("options", function()
    it("refuse a port that is in use, unless it is shared", function()
      local _ <close>, port = bound()
      local err = raised(udp, { host = HOST, port = port })
      assert.equal("EADDRINUSE", err.code)
      assert.equal("bind", err.syscall)
      assert.equal(HOST, err.address)
      assert.equal(port, err.port)
      assert.matches("127.0.0.1:" .. port, tostring(err), 1, true)
      local one <close>, shared = bound({ reuse_port = true })
      local two <close> = bound({ reuse_port = true, port = shared })
      assert.equal(one:address().port, two:address().port)
      local first <close>, again = bound({ reuse_address = true })
      local second <close> = bound({ reuse_address = true, port = again })
      assert.equal(first:address().port, second:address().port)
    end)

    it("allow broadcasts", function()
      local socket <close> = udp()
      assert.equal("EACCES", failure(socket:send("x", "255.255.255.255", 9)).code)
      socket:set_broadcast(true)
      socket:set_ttl(1)
      local _, result = pcall(await, socket:send("x", "127.255.255.255", 9))
      assert.is_nil(result)
      local other <close> = udp({ broadcast = true })
      _, result = pcall(await, other:send("x", "127.255.255.255", 9))
      assert.is_nil(result)
    end)

    it("of wrong types raise", function()
      assert.matches("table expected", raised(udp, 1))
      assert.matches("field 'host': string expected", raised(udp, { host = 1 }))
      assert.matches("field 'host': IP address expected", raised(udp, { host = "localhost" }))
      assert.matches("field 'host': string contains a NUL", raised(udp, { host = HOST .. "\0" }))
      assert.matches("field 'host': of another family", raised(udp, { host = HOST, family = 6 }))
      assert.matches("field 'port': integer from 0 to 65535", raised(udp, { port = 65536 }))
      assert.matches("field 'port': integer from 0 to 65535 expected, got string",
        raised(udp, { port = "1" }))
      assert.matches("field 'port': integer from 0 to 65535", raised(udp, { port = 1.5 }))
      assert.matches("field 'family'", raised(udp, { family = 5 }))
      assert.matches("field 'broadcast': boolean", raised(udp, { broadcast = 1 }))
      assert.matches("field 'max_length': integer from 1 to 65536", raised(udp, { max_length = 0 }))
      assert.equal(0, core.stats().handles)
    end)
  end)

  describe("errors", function()
    it("of a send reject", function()
      local socket <close> = bound()
      local err = failure(socket:send(("x"):rep(70000), HOST, 9))
      assert.equal("EMSGSIZE", err.code)
      assert.equal(9, err.port)
      assert.equal(HOST, err.address)
      assert.is_nil(err.path)
      if has_ipv6() then
        err = failure(socket:send("x", "::1", 9))
        assert.equal("SystemError", err.name)
        assert.matches("'[::1]:9'", tostring(err), 1, true)
      end
    end)

    it("of arguments raise", function()
      local socket <close> = bound()
      local send = socket.send
      assert.matches("string expected, got table", raised(send, socket, {}, HOST, 9))
      assert.matches("IP address expected", raised(send, socket, "x", "localhost", 9))
      assert.matches("contains a NUL", raised(send, socket, "x", HOST .. "\0", 9))
      assert.matches("#3", raised(send, socket, "x", HOST, 65536))
      assert.matches("#3", raised(send, socket, "x", HOST))
      assert.matches("#2", raised(send, socket, "x", nil, 9))
      assert.matches("table expected", raised(send, socket, "x", HOST, 9, true))
      assert.matches("AbortSignal", raised(socket.receive, socket, { signal = 1 }))
      assert.matches("table expected", raised(socket.receive, socket, 1))
      assert.matches("IP address expected", raised(socket.connect, socket, "localhost", 9))
      assert.matches("IP address expected", raised(socket.join_group, socket, "x"))
      assert.matches("IP address expected", raised(socket.join_group, socket, HOST, "lo"))
      assert.matches("1 to 255", raised(socket.set_ttl, socket, 0))
      assert.matches("0 to 255", raised(socket.set_multicast_ttl, socket, 256))
      assert.matches("boolean expected", raised(socket.set_broadcast, socket, 1))
      assert.matches("boolean expected", raised(socket.set_multicast_loop, socket))
      assert.matches("moontide.net.UDP", raised(socket.receive, io.stdout))
    end)
  end)

  describe("where the system takes no more for a while", function()
    local PRELUDE = [[
      local tide = require "moontide"
      local net = require "moontide.net"
      local await = tide.await
      local a = net.udp { host = "127.0.0.1" }
      local b = net.udp { host = "127.0.0.1" }
      local port = b:address().port
      local function send(text, options)
        return a:send(text .. (""):rep(2), "127.0.0.1", port, options)
      end
    ]]

    it("sends later, in the order of the calls", function()
      local out = refusing_send.run(5, PRELUDE .. [[
        local sent = { send "1", send "2", send "3" }
        print(sent[1]:state())
        collectgarbage()
        collectgarbage()
        for _ = 1, 3 do print((await(b:receive()))) end
        print(await(tide.Promise.all(sent)).n)
        a:connect("127.0.0.1", port)
        await(a:send("4"))
        print((await(b:receive())))
      ]])
      assert.equal("pending\n1\n2\n3\n3\n4\n", out)
    end)

    it("rejects a send that is aborted, and one that closing overtakes", function()
      local out = refusing_send.run(1000000, PRELUDE .. [[
        local controller = tide.AbortController()
        local aborted = send("1", { signal = controller.signal })
        local closed = send "2"
        controller:abort("enough")
        print(select(2, pcall(await, aborted)))
        a:close()
        print(select(2, pcall(await, closed)).code)
        b:close()
        tide.run()
        print(require("moontide.core").stats().operations)
      ]])
      assert.equal("enough\nECANCELED\n0\n", out)
    end)

    it("leaves nothing when the state closes meanwhile #closing", function()
      local out = refusing_send.run(1000000, PRELUDE .. [[
        kept = { send "1", send "2", b:receive() }
        a, b = nil, nil
        tide.step(0)
        print "done"
        os.exit(true, true)
      ]])
      assert.equal("done\n", out)
    end)
  end)

  it("closes with the state, whatever is in flight #closing", function()
    local result = child.lua_source([[
      local tide = require "moontide"
      local net = require "moontide.net"
      local await = tide.await
      local a, b, c = net.udp(), net.udp { host = "127.0.0.1" }, net.udp { host = "127.0.0.1" }
      local other = b:address().port
      for _ = 1, 10 do
        await(a:send("text", "127.0.0.1", other))
        a:send("text", "127.0.0.1", c:address().port)
      end
      await(b:receive())
      a:connect("127.0.0.1", other)
      local waits = { a:receive(), c:receive(), net.udp():receive() }
      tide.step(0)
      tide.spawn(function() for _ in net.udp() do end end)
      c:receive()
      net.udp()
      setmetatable({}, { __gc = function() pcall(b.receive, b) pcall(net.udp) end })
      print "done"
      os.exit(true, true)
    ]])
    assert.same({ code = 0, out = "done\n", err = "" }, result)
  end)

  it("of a closed runtime says so", function()
    local result = child.lua_source([[
      local late = setmetatable({}, { __gc = function(self)
        for _, name in ipairs { "receive", "send", "close", "address" } do
          print(select(2, pcall(self.socket[name], self.socket, "x", "127.0.0.1", 9)))
        end
        print(select(2, pcall(self.udp)))
      end })
      local net = require "moontide.net"
      late.socket, late.udp = net.udp(), net.udp
    ]])
    assert.equal("", result.err)
    assert.equal(("the runtime is closed\n"):rep(5), result.out)
  end)

  describe("with another program", function()
    --- Starts a command in the background; gives what it has printed when it has ended.
    local function started(command)
      local path = os.tmpname()
      assert(os.execute(("(%s) >%s 2>&1 & exit 0"):format(command, path)))
      return function()
        local text
        for _ = 1, 500 do
          local file <close> = assert(io.open(path))
          text = file:read("a")
          if text:find("ended\n", 1, true) then
            break
          end
          await(sleep(10))
        end
        os.remove(path)
        return text
      end
    end

    it("echoes to socat", function()
      local socket <close>, port = bound()
      local command = "printf hello | socat -t 0.5 - UDP4:127.0.0.1:%d; echo; echo ended"
      local output = started(command:format(port))
      local data, peer = await(socket:receive())
      await(socket:send(data:upper(), peer.address, peer.port))
      assert.equal("HELLO\nended\n", output())
    end)
  end)
end)
