-- Of: net, net/address, net/connect, net/pipe, net/tcp
local child = require "spec.support.child"
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local peers = require "spec.support.peers"
local process = require "moontide.process"
local raised = require("spec.support.raised").raised
local scale = require "spec.support.scale"
local socket = require "socket"
local tide = require "moontide"

local await, sleep = tide.await, tide.sleep

local HOST = "127.0.0.1"

local function no_error(err)
  error(err, 0)
end

--- A service on a port of its own; what fails in it fails the spec.
local function serve(handler, options)
  options = options or {}
  options.host = options.host or not options.path and HOST or nil
  options.on_error = options.on_error or no_error
  local service = await(net.serve(options, handler))
  return service, service:address().port
end

local function echo(stream)
  for chunk in stream:chunks() do
    await(stream:write(chunk))
  end
end

local function connect(port, options)
  options = options or {}
  options.host, options.port = options.host or HOST, port
  return await(net.connect(options))
end

--- Waits until the function returns something true, within bounds.
local function eventually(f)
  for _ = 1, 2000 do
    local result = f()
    if result then
      return result
    end
    await(sleep(1))
  end
  error("it never happened", 2)
end

local function close(...)
  for _, each in ipairs({ ... }) do
    await(each:close())
  end
end

--- A lookup that gives these addresses.
local function lookup_of(...)
  local list = {}
  for i, address in ipairs({ ... }) do
    list[i] = { address = address, family = address:find(":", 1, true) and 6 or 4 }
  end
  return function()
    return tide.Promise.resolve(list)
  end
end

--- An address and port that never answer: a server whose queue is full, and who accepts nothing.
local function black_hole()
  local server = assert(socket.tcp4())
  assert(server:bind(HOST, 0))
  assert(server:listen(0))
  local _, port = server:getsockname()
  local clients = {}
  for i = 1, 4 do
    clients[i] = assert(socket.tcp4())
    clients[i]:settimeout(0)
    clients[i]:connect(HOST, port)
  end
  return tonumber(port), setmetatable({}, {
    __close = function()
      server:close()
      for _, client in ipairs(clients) do
        client:close()
      end
    end,
  })
end

local function free_port()
  local server <close> = core.net.tcp_listen(HOST, 0)
  return server:address().port
end

local function finish()
  peers.stop()
  files.remove()
  leak.check()
end

describe("net.connect", function()
  after_each(finish)

  it("connects to an address", function()
    local service, port = serve(echo)
    local stream = connect(port)
    await(stream:write("hello"))
    assert.equal("hello", await(stream:read()))
    assert.same({ address = HOST, family = 4, port = port }, stream:peer_address())
    close(stream, service)
  end)

  it("connects to a name", function()
    local service, port = serve(echo, { host = "localhost" })
    local stream = connect(port, { host = "localhost" })
    await(stream:write("hello"))
    assert.equal("hello", await(stream:read()))
    close(stream, service)
  end)

  it("connects to the path of a unix domain socket", function()
    local path = files.directory() .. "/socket"
    local service = serve(echo, { path = path })
    assert.same({ path = path }, service:address())
    local stream = await(net.connect({ path = path }))
    await(stream:write("hello"))
    assert.equal("hello", await(stream:read()))
    close(stream, service)
  end)

  it("sets what the options say of the stream", function()
    local service, port = serve(function(stream)
      await(stream:write(stream:peer_address().address))
    end)
    local stream = connect(port, { nodelay = false, keepalive = 60, local_address = "127.0.0.3" })
    assert.equal("127.0.0.3", await(stream:read_all()))
    close(stream, service)
  end)

  it("rejects with the error of the only address", function()
    local port = free_port()
    local err = failure(net.connect({ host = HOST, port = port }))
    assert.equal("ECONNREFUSED", err.code)
    assert.equal("connect", err.syscall)
    assert.equal(HOST, err.address)
    assert.equal(port, err.port)
    assert.equal("ENOENT", failure(net.connect({ path = "/absent/socket" })).code)
    assert.equal("EAI_NONAME", failure(net.connect({ host = "no name", port = 1 })).code)
  end)

  it("heeds timeout, signal and cancellation during a lookup of the caller's own", function()
    local function never()
      return tide.Promise.new(function() end)
    end
    local function connect_with(lookup, more)
      local options = { host = "name", port = 1, lookup = lookup }
      for key, value in pairs(more or {}) do
        options[key] = value
      end
      return net.connect(options)
    end
    assert.equal("TimeoutError", failure(connect_with(never, { timeout = 1 })).name)
    local controller = tide.AbortController()
    tide.set_timeout(controller.abort, 1, controller, "enough")
    assert.equal("enough", failure(connect_with(never, { signal = controller.signal })))
    assert.is_false(await(tide.move_on_after(1, function()
      await(connect_with(never))
    end)))
    local at_once = tide.AbortController()
    assert.equal("enough", failure(connect_with(function()
      at_once:abort("enough")
      return never()
    end, { signal = at_once.signal })))
    assert.equal("no such host", failure(connect_with(function()
      error("no such host", 0)
    end, { timeout = 1000 })))
  end)

  it("goes on at once to the next address, families in turn, and tells of all", function()
    local port = free_port()
    local err = failure(net.connect({
      host = "name",
      port = port,
      attempt_delay = 1e9,
      lookup = lookup_of("127.0.0.1", "127.0.0.2", "::1", "127.0.0.3"),
    }))
    assert.equal("AggregateError", err.name)
    assert.equal(4, err.errors.n)
    local order = {}
    for i, each in ipairs(err.errors) do
      order[i] = each.address
      assert.matches(each.code, err.message)
    end
    assert.same({ "127.0.0.1", "::1", "127.0.0.2", "127.0.0.3" }, order)
    assert.matches("^cannot connect to name port " .. port, err.message)
    assert.matches("127.0.0.3:" .. port, err.message, 1, true)
  end)

  it("reaches the address that answers, behind one that refuses", function()
    local service, port = serve(echo, { host = "127.0.0.2" })
    local stream = connect(port, {
      attempt_delay = 1e9,
      lookup = lookup_of("127.0.0.1", "127.0.0.2"),
    })
    assert.equal("127.0.0.2", stream:peer_address().address)
    close(stream, service)
  end)

  it("does not wait for an address that never answers", function()
    local port, _ <close> = black_hole()
    local service = serve(echo, { host = "127.0.0.2", port = port })
    local stream = connect(port, {
      attempt_delay = 10,
      lookup = lookup_of("127.0.0.1", "127.0.0.2"),
    })
    assert.equal("127.0.0.2", stream:peer_address().address)
    close(stream, service)
    assert.equal(0, core.stats().handles)
  end)

  it("waits for an address before it begins with the next", function()
    local port, _ <close> = black_hole()
    local service = serve(echo, { host = "127.0.0.2", port = port })
    local promise = net.connect({
      host = "name",
      port = port,
      attempt_delay = 1e9,
      lookup = lookup_of("127.0.0.1", "127.0.0.2"),
      timeout = 50,
    })
    assert.equal("TimeoutError", failure(promise).name)
    assert.equal(0, service:connections())
    close(service)
  end)

  it("closes the attempts that come too late", function()
    local accepted, ended = 0, 0
    local service, port = serve(function(stream)
      accepted = accepted + 1
      pcall(await, stream:read())
      ended = ended + 1
    end, { host = "0.0.0.0" })
    for _ = 1, 20 do
      local stream = connect(port, {
        attempt_delay = 0,
        lookup = lookup_of("127.0.0.1", "127.0.0.2", "127.0.0.3"),
      })
      await(stream:close())
    end
    eventually(function()
      return accepted == ended and service:connections() == 0
    end)
    assert.is_true(accepted >= 20)
    close(service)
    await(sleep(1))
    assert.equal(0, core.stats().handles)
  end)

  it("that is aborted leaves nothing, at each stage", function()
    local port, _ <close> = black_hole()
    local at_once = lookup_of("127.0.0.1", "127.0.0.1")
    local function later(_, options)
      return sleep(3, options):next(at_once)
    end
    for stage = 0, 20 do
      local controller = tide.AbortController()
      local promise = net.connect({
        host = "name",
        port = port,
        lookup = stage % 2 == 0 and at_once or later,
        attempt_delay = 2,
        signal = controller.signal,
      })
      for _ = 1, stage // 2 do
        await(sleep(1))
      end
      controller:abort("enough")
      assert.equal("enough", failure(promise))
      await(sleep(1))
      assert.equal(0, core.stats().handles)
    end
    assert.equal("no", failure(net.connect({
      host = HOST,
      port = port,
      signal = tide.AbortSignal.abort("no"),
    })))
  end)

  it("that is cancelled with its group leaves nothing", function()
    local port, _ <close> = black_hole()
    assert.is_false(await(tide.move_on_after(5, function()
      connect(port)
    end)))
    await(sleep(1))
    assert.equal(0, core.stats().handles)
  end)

  it("heeds its timeout", function()
    local port, _ <close> = black_hole()
    local promise = net.connect({ host = HOST, port = port, timeout = 5 })
    assert.equal("TimeoutError", failure(promise).name)
    leak.collect()
    await(sleep(1))
    assert.equal(0, core.stats().handles)
  end)

  it("raises for wrong options", function()
    local connect_with = net.connect
    assert.matches("table expected", raised(connect_with))
    assert.matches("'host' or 'path' expected", raised(connect_with, {}))
    assert.matches("'host' or 'path' expected", raised(connect_with, { host = HOST, path = "x" }))
    assert.matches("field 'port' expected", raised(connect_with, { host = HOST }))
    assert.matches("field 'port': integer from 0 to 65535",
      raised(connect_with, { host = HOST, port = -1 }))
    assert.matches("contains a NUL", raised(connect_with, { host = "a\0b", port = 1 }))
    assert.matches("contains a NUL", raised(connect_with, { path = "a\0b" }))
    for field, value in pairs({
      family = 5,
      nodelay = 1,
      keepalive = true,
      timeout = "1",
      attempt_delay = -1,
      lookup = 1,
      local_address = 1,
      local_port = "x",
      tls = 1,
      signal = 1,
    }) do
      local options = { host = HOST, port = 1, [field] = value }
      assert.matches("field '" .. field .. "'", raised(connect_with, options))
    end
  end)
end)

describe("net.listen", function()
  after_each(finish)

  it("gives a server, at a port of its own", function()
    local server = await(net.listen({ host = HOST }))
    local port = server:address().port
    assert.is_true(port > 0)
    local promise = server:accept()
    local client = connect(port)
    local stream = await(promise)
    assert.same(client:local_address(), stream:peer_address())
    close(client, stream, server)
  end)

  it("without a host listens everywhere", function()
    local server = await(net.listen({}))
    local four = connect(server:address().port)
    close(four, await(server:accept()), server)
    server = await(net.listen({ family = 4 }))
    assert.equal("0.0.0.0", server:address().address)
    close(server)
  end)

  it("refuses a port that is in use, unless it is shared", function()
    local server = await(net.listen({ host = HOST }))
    local port = server:address().port
    local err = failure(net.listen({ host = HOST, port = port }))
    assert.equal("EADDRINUSE", err.code)
    assert.same({ HOST, port }, { err.address, err.port })
    assert.is_nil(err.path)
    close(server)
    local one = await(net.listen({ host = HOST, reuse_port = true }))
    port = one:address().port
    local two = await(net.listen({ host = HOST, port = port, reuse_port = true }))
    close(one, two)
  end)

  it("removes the file of its socket when it is closed", function()
    local path = files.directory() .. "/socket"
    local server = await(net.listen({ path = path }))
    assert.is_truthy(os.rename(path, path))
    close(server)
    assert.is_nil(os.rename(path, path))
  end)

  it("replaces the file of a socket that nobody listens at", function()
    local path = files.directory() .. "/socket"
    local unix = require "socket.unix"
    local dead = assert(unix.stream and unix.stream() or unix())
    assert(dead:bind(path))
    assert(dead:listen())
    dead:close()
    local server = await(net.listen({ path = path }))
    local client = await(net.connect({ path = path }))
    close(client, await(server:accept()))
    -- This one is alive.
    assert.equal("EADDRINUSE", failure(net.listen({ path = path })).code)
    close(server)
  end)

  it("leaves a file that is no socket alone", function()
    local path = files.directory() .. "/file"
    files.write(path, "text")
    assert.equal("EADDRINUSE", failure(net.listen({ path = path })).code)
    assert.equal("text", files.read(path))
  end)

  it("raises for wrong options", function()
    assert.matches("table expected", raised(net.listen, 80))
    assert.matches("'path': not with a host or port",
      raised(net.listen, { host = HOST, path = "x" }))
    assert.matches("field 'backlog'", raised(net.listen, { backlog = 0 }))
    assert.matches("field 'reuse_port'", raised(net.listen, { reuse_port = 1 }))
    assert.matches("field 'tls'", raised(net.listen, { tls = true }))
  end)
end)

describe("net.serve", function()
  after_each(finish)

  it("runs the handlers side by side, and closes what they leave", function()
    local service, port = serve(function(stream)
      await(stream:write(await(stream:read_line()), "\n"))
    end)
    local a, b = connect(port), connect(port)
    eventually(function()
      return service:connections() == 2
    end)
    await(b:write("b\n"))
    assert.equal("b\n", await(b:read_all()))
    await(a:write("a\n"))
    assert.equal("a\n", await(a:read_all()))
    close(a, b)
    eventually(function()
      return service:connections() == 0
    end)
    close(service)
  end)

  it("answers curl", function()
    local service, port = serve(function(stream)
      for line in stream:lines() do
        if line == "\r" then
          break
        end
      end
      await(stream:write("HTTP/1.0 200 OK\r\n\r\nhello, ", "curl"))
    end)
    local result = peers.run("curl -s http://127.0.0.1:" .. port)
    assert.equal("hello, curl", result.out)
    close(service)
  end)

  it("answers socat over a unix domain socket, which half-closes", function()
    local path = files.directory() .. "/socket"
    local service = serve(function(stream)
      local text = await(stream:read_all())
      await(stream:write(text:upper()))
    end, { path = path })
    local result = await(process.exec("socat", { "-t", "5", "-", "UNIX-CONNECT:" .. path }, {
      input = "question",
    }))
    assert.equal("QUESTION", result.stdout)
    close(service)
  end)

  it("waits for the children of a handler before it closes the connection", function()
    local service, port = serve(function(stream, group)
      group:spawn(function()
        await(sleep(5))
        await(stream:write("child"))
      end)
    end)
    local stream = connect(port)
    assert.equal("child", await(stream:read_all()))
    close(stream, service)
  end)

  it("goes on when a handler fails, and reports that", function()
    local errors = {}
    local service, port = serve(function(stream)
      local line = await(stream:read_line())
      if line == "fail" then
        error({ line })
      end
      await(stream:write(line))
    end, {
      on_error = function(err, stream)
        errors[#errors + 1] = { err[1], type(stream) }
      end,
    })
    local other, failing = connect(port), connect(port)
    await(failing:write("fail\n"))
    pcall(await, failing:read_all())
    assert.same({ { "fail", "userdata" } }, errors)
    await(other:write("fine\n"))
    assert.equal("fine", await(other:read_all()))
    close(other, failing, service)
  end)

  it("reports to stderr, with a trace, unless it is told otherwise", function()
    local result = child.lua_source([[
      local tide = require "moontide"
      local net = require "moontide.net"
      local function deep() error("what a handler raises") end
      local service = tide.await(net.serve({ host = "127.0.0.1" }, function(stream)
        tide.await(tide.sleep(1))
        deep()
      end))
      local stream = tide.await(net.connect {
        host = "127.0.0.1", port = service:address().port,
      })
      pcall(tide.await, stream:read_all())
      tide.await(service:close())
      print "on"
    ]])
    assert.equal("on\n", result.out)
    assert.equal(0, result.code)
    assert.matches("^moontide.net: the handler of a connection has failed: ", result.err)
    assert.matches("what a handler raises\nstack traceback:", result.err, 1, true)
    assert.matches("deep", result.err)
  end)

  it("accepts no more than max_connections at a time", function()
    local running, most = 0, 0
    local service, port = serve(function(stream)
      running = running + 1
      most = math.max(most, running)
      await(stream:write("x"))
      await(stream:read())
      running = running - 1
    end, { max_connections = 2 })
    local streams = {}
    for i = 1, 6 do
      streams[i] = connect(port)
    end
    await(sleep(10))
    assert.equal(2, service:connections())
    for i = 1, 6 do
      assert.equal("x", await(streams[i]:read()))
      await(streams[i]:close())
    end
    assert.equal(2, most)
    close(service)
  end)

  it("sends what a handler has written, although it has returned", function()
    local text = ("x"):rep(4 << 20)
    local service, port = serve(function(stream)
      stream:write(text)
    end)
    local stream = connect(port)
    await(sleep(5))
    assert.equal(#text, #await(stream:read_all()))
    close(stream, service)
  end)

  describe("closed", function()
    --- Clients whom the system has connected, without a turn of the loop.
    local function connect_at_once(port, n)
      local clients = {}
      for i = 1, n do
        clients[i] = assert(socket.connect(HOST, port))
        clients[i]:settimeout(1)
      end
      return clients
    end

    local function greet(stream)
      await(stream:write("hello\n"))
    end

    it("serves who has connected before", function()
      local service, port = serve(greet)
      local clients = connect_at_once(port, 3)
      local closed = service:close()
      assert.is_nil(socket.connect(HOST, port))
      await(closed)
      for _, client in ipairs(clients) do
        assert.equal("hello", client:receive())
        client:close()
      end
    end)

    it("does so within its group, whoever closes it", function()
      local service, port = serve(function(stream)
        await(sleep(5))
        greet(stream)
      end)
      local clients = connect_at_once(port, 1)
      await(tide.group(function()
        service:close()
      end))
      await(service:close())
      assert.equal("hello", clients[1]:receive())
      clients[1]:close()
    end)

    it("serves no more than it may", function()
      local service, port = serve(greet, { max_connections = 2 })
      local clients = connect_at_once(port, 3)
      await(service:close())
      assert.equal("hello", clients[1]:receive())
      assert.equal("hello", clients[2]:receive())
      assert.is_nil(clients[3]:receive())
      for _, client in ipairs(clients) do client:close() end
    end)

    it("serves none without a grace", function()
      local service, port = serve(greet)
      local clients = connect_at_once(port, 1)
      await(service:close({ grace = 0 }))
      assert.is_nil(clients[1]:receive())
      for _, client in ipairs(clients) do client:close() end
    end)

    it("lets the handlers end", function()
      local service, port = serve(echo)
      local stream = connect(port)
      await(stream:write("1"))
      assert.equal("1", await(stream:read()))
      local closed = service:close()
      assert.equal("ECONNREFUSED", failure(net.connect({ host = HOST, port = port })).code)
      await(stream:write("2"))
      assert.equal("2", await(stream:read()))
      assert.equal("pending", closed:state())
      await(stream:close())
      assert.equal(0, select("#", await(closed)))
      await(service:close())
    end)

    it("cancels them after the grace", function()
      local cleaned = 0
      local service, port = serve(function(stream)
        local _ <close> = setmetatable({}, {
          __close = function()
            await(sleep(1))
            cleaned = cleaned + 1
          end,
        })
        await(stream:read())
      end)
      local streams = { connect(port), connect(port) }
      eventually(function()
        return service:connections() == 2
      end)
      await(service:close({ grace = 5 }))
      assert.equal(2, cleaned)
      assert.equal(0, service:connections())
      close(table.unpack(streams))
    end)

    it("cancels them at once where there is no grace, or by its scope", function()
      local streams = {}
      for i, leave in ipairs({
        function(service)
          await(service:close({ grace = 0 }))
        end,
        function(service)
          service:close()
          local _ <close> = service
        end,
      }) do
        local service, port = serve(echo)
        streams[i] = connect(port)
        eventually(function()
          return service:connections() == 1
        end)
        leave(service)
        await(service:close())
      end
      close(table.unpack(streams))
    end)

    it("does not wait beyond the grace for a peer that reads nothing", function()
      local service, port = serve(function(stream)
        stream:write(("x"):rep(16 << 20))
      end)
      local stream = connect(port)
      await(sleep(10))
      assert.equal(1, service:connections())
      await(service:close({ grace = 5 }))
      assert.equal(0, service:connections())
      close(stream)
    end)

    it("while it is full, with others in the queue", function()
      local service, port = serve(echo, { max_connections = 1 })
      local streams = { connect(port), connect(port), connect(port) }
      eventually(function()
        return service:connections() == 1
      end)
      await(service:close({ grace = 1 }))
      close(table.unpack(streams))
    end)
  end)

  it("ends with its group, when that is cancelled", function()
    local service, stream
    assert.is_false(await(tide.move_on_after(20, function()
      local port
      service, port = serve(echo)
      stream = connect(port)
      await(stream:read())
    end)))
    assert.equal(0, service:connections())
    assert.is_nil(service:address())
    close(stream)
  end)

  it("keeps its group open until it is closed", function()
    local service, stream
    local group = tide.group(function()
      local port
      service, port = serve(echo)
      stream = connect(port)
    end)
    eventually(function()
      return stream
    end)
    await(sleep(5))
    assert.equal("pending", group:state())
    service:close()
    await(stream:close())
    await(group)
  end)

  it("ends with its signal", function()
    local controller = tide.AbortController()
    local service, port = serve(echo, { signal = controller.signal })
    local stream = connect(port)
    eventually(function()
      return service:connections() == 1
    end)
    controller:abort("enough")
    await(service:close())
    assert.equal(0, service:connections())
    close(stream)
    assert.equal("enough", failure(net.serve({ signal = controller.signal }, echo)))
  end)

  it("raises for wrong options", function()
    assert.matches("function expected", raised(net.serve, { host = HOST }))
    assert.matches("#2 to 'net.serve'", raised(net.serve, { host = HOST }, 1))
    assert.matches("field 'max_connections'", raised(net.serve, { max_connections = 0 }, echo))
    assert.matches("field 'on_error'", raised(net.serve, { on_error = 1 }, echo))
    local service <close> = serve(echo)
    assert.matches("field 'grace'", raised(service.close, service, { grace = -1 }))
    assert.matches("moontide.net.Service expected, got nil", raised(service.close))
    assert.equal("EADDRINUSE", failure(net.serve({
      host = HOST,
      port = service:address().port,
    }, echo)).code)
  end)
end)

describe("TLS", function()
  local has_tls = pcall(require, "moontide.tls")

  after_each(finish)

  local function host()
    return require("spec.support.certificates").self_signed("localhost", "DNS:localhost")
  end

  it("is an option of connect and serve", function()
    if not has_tls then
      return pending("built without OpenSSL")
    end
    local certificate = host()
    local errors = {}
    local service, port = serve(echo, {
      host = "localhost",
      tls = { cert = certificate.cert, key = certificate.key },
      on_error = function(err)
        errors[#errors + 1] = err.name
      end,
    })
    local stream = connect(port, { host = "localhost", tls = { ca = certificate.cert } })
    await(stream:write("hello"))
    assert.equal("hello", await(stream:read()))
    assert.is_truthy(stream:tls_info())
    -- Nobody vouches for this one.
    local err = failure(net.connect({ host = "localhost", port = port, tls = true }))
    assert.equal("TLSError", err.name)
    eventually(function()
      return service:connections() == 1
    end)
    assert.same({ "TLSError" }, errors)
    close(stream, service)
  end)

  it("is an option of listen", function()
    if not has_tls then
      return pending("built without OpenSSL")
    end
    local certificate = host()
    local server = await(net.listen({
      host = "localhost",
      tls = { cert = certificate.cert, key = certificate.key },
    }))
    local accepted = server:accept()
    local stream = connect(server:address().port, {
      host = "localhost",
      tls = { ca = certificate.cert },
    })
    local other = await(accepted)
    await(other:write("hello"))
    assert.equal("hello", await(stream:read()))
    close(stream, other, server)
    assert.equal("TLSError", failure(net.listen({
      host = HOST,
      tls = { cert = "-----BEGIN NOTHING", key = "-----BEGIN NOTHING" },
    })).name)
  end)
end)

describe("faults of sockets", function()
  after_each(finish)

  --- Has the system reset the connection.
  local function reset(client)
    client:setoption("linger", { on = true, timeout = 0 })
    client:close()
  end

  --- A client that is not ours.
  local function stranger(port)
    return assert(socket.connect(HOST, port))
  end

  it("a peer that resets while it is read from", function()
    local reason
    local service, port = serve(function(stream)
      reason = failure(stream:read())
      assert.equal("ECONNRESET", failure(stream:read()).code)
    end)
    local client = stranger(port)
    eventually(function()
      return service:connections() == 1
    end)
    await(sleep(1))
    reset(client)
    eventually(function()
      return reason
    end)
    assert.equal("ECONNRESET", reason.code)
    close(service)
  end)

  it("a peer that resets before it is read from, and before it is accepted", function()
    local server = await(net.listen({ host = HOST }))
    local client = stranger(server:address().port)
    local stream = await(server:accept())
    reset(client)
    assert.equal("ECONNRESET", failure(stream:read()).code)
    await(stream:close())
    reset(stranger(server:address().port))
    stream = await(server:accept())
    assert.equal("ECONNRESET", failure(stream:read()).code)
    close(stream, server)
  end)

  it("a peer that resets while it is written to", function()
    local server = await(net.listen({ host = HOST }))
    local client = stranger(server:address().port)
    local stream = await(server:accept())
    local written = stream:write(("x"):rep(16 << 20))
    assert.equal("pending", written:state())
    reset(client)
    local code = failure(written).code
    assert.is_true(code == "ECONNRESET" or code == "EPIPE", code)
    code = failure(stream:write("more")).code
    assert.is_true(code == "ECONNRESET" or code == "EPIPE", code)
    close(stream, server)
  end)

  it("a peer that resets after it was told the end", function()
    local server = await(net.listen({ host = HOST }))
    local client = stranger(server:address().port)
    local stream = await(server:accept())
    await(stream:shutdown())
    reset(client)
    assert.equal("ECONNRESET", failure(stream:read()).code)
    close(stream, server)
  end)

  it("a half-closed peer still gets the answer", function()
    local service, port = serve(function(stream)
      local text = await(stream:read_all())
      await(stream:write(#text, "\n"))
    end)
    local stream = connect(port)
    await(stream:write(("x"):rep(1000)))
    await(stream:shutdown())
    assert.equal("1000", await(stream:read_line()))
    close(stream, service)
  end)

  it("a reader slower than the writer keeps the memory bounded", function()
    local function resident()
      local file <close> = assert(io.open("/proc/self/statm"))
      return tonumber(file:read("a"):match("^%d+ (%d+)")) * 4096
    end
    if not io.open("/proc/self/statm") then
      return pending("this system does not tell how much memory is used")
    elseif scale(100) == 0 then
      return pending("too much for this build")
    end
    local TOTAL = 64 << 20
    local sent = 0
    local service, port = serve(function(stream)
      local piece = ("x"):rep(256 << 10)
      while sent < TOTAL do
        await(stream:write(piece))
        sent = sent + #piece
      end
    end)
    local stream = connect(port)
    await(stream:read(1))
    await(sleep(20))
    -- What the system holds of both ends, and a little more.
    assert.is_true(sent < TOTAL / 4, sent)
    leak.collect()
    local before, received, count = resident(), 1, 0
    local most = before
    for chunk in stream:chunks() do
      received = received + #chunk
      count = count + 1
      if count % 64 == 0 then
        await(sleep(1))
        collectgarbage()
        most = math.max(most, resident())
      end
    end
    assert.equal(TOTAL, received)
    -- A sanitizer keeps what is freed for a while.
    assert.is_true(most - before < 24 << 20 or scale(100) < 100, most - before)
    close(stream, service)
  end)

  it("no descriptors left: the server survives, and goes on when there are some again", function()
    local script = [[
      local tide = require "moontide"
      local net = require "moontide.net"
      local await = tide.await
      tide.set_timeout(function() os.exit(14) end, 20000):unref()
      local service = await(net.serve({ host = "127.0.0.1" }, function(stream)
        for chunk in stream:chunks() do await(stream:write(chunk)) end
      end))
      local options = { host = "127.0.0.1", port = service:address().port }
      local function works(stream)
        return pcall(function()
          await(stream:write("x"))
          assert(await(stream:read()) == "x")
        end)
      end
      local dropped = 0
      for round = 0, 1 do
        -- One descriptor more or less: in one of the rounds, the last one is a client's.
        local filler = round == 1 and io.open("/dev/null")
        local streams = {}
        while true do
          local ok, stream = pcall(await, net.connect(options))
          if not ok then
            assert(stream.code == "EMFILE", stream.code)
            break
          end
          streams[#streams + 1] = stream
          if not works(stream) then dropped = dropped + 1 end
        end
        for _, stream in ipairs(streams) do await(stream:destroy()) end
        while service:connections() > 0 do await(tide.sleep(1)) end
        if filler then filler:close() end
        local stream = await(net.connect(options))
        print(works(stream), #streams > 3)
        await(stream:close())
      end
      print(dropped > 0)
      await(service:close())
    ]]
    local result = child.with_file(script, function(path)
      return child.shell("ulimit -n 40; " .. child.command(path))
    end)
    assert.same({ code = 0, out = "true\ttrue\ntrue\ttrue\ntrue\n", err = "" }, result)
  end)
end)

describe("many idle connections", function()
  after_each(finish)

  it("cost little, and end together", function()
    local limit = tonumber(files.output("ulimit -n")) or 0
    local n = scale(math.min(10000, limit - 100))
    if n < scale(1000) then
      return pending("this process may not have enough descriptors")
    end
    local clients = [[
      local tide = require "moontide"
      local net = require "moontide.net"
      local port, n = tonumber(arg[1]), tonumber(arg[2])
      local list = {}
      for i = 1, n do list[i] = i end
      local streams = tide.await(tide.map(list, function()
        return net.connect { host = "127.0.0.1", port = port }
      end, { concurrency = 100 }))
      for i = 1, n do pcall(tide.await, streams[i]:read()) end
    ]]
    local server = [[
      local tide = require "moontide"
      local net = require "moontide.net"
      local process = require "moontide.process"
      local await = tide.await
      local n = tonumber(arg[1])
      tide.set_timeout(function() os.exit(14) end, 60000):unref()
      local service = await(net.serve({ host = "127.0.0.1" }, function(stream)
        await(stream:read())
      end))
      local function memory()
        collectgarbage()
        collectgarbage()
        return collectgarbage("count") * 1024
      end
      local before = memory()
      local other = await(process.spawn(arg[2], {
        arg[3], tostring(service:address().port), arg[1],
      }, { stderr = "inherit" }))
      while service:connections() < n do await(tide.sleep(10)) end
      print((memory() - before) // n)
      await(service:close { grace = 1 })
      print(service:connections(), await(other:wait()).code)
    ]]
    local result = child.with_file(clients, function(other)
      return child.lua_source(server, tostring(n), child.lua, other)
    end)
    assert.equal("", result.err)
    local bytes, rest = result.out:match("^(%d+)[.0-9]*\n(.*)$")
    assert.equal("0\t0\n", rest)
    assert.is_true(tonumber(bytes) < 8192, bytes)
  end)
end)

describe("with servers of others", function()
  after_each(finish)

  it("talks to socat", function()
    local port = peers.serve(function(port)
      return ("socat TCP-LISTEN:%d,bind=127.0.0.1,reuseaddr,fork EXEC:cat"):format(port)
    end)
    local stream = connect(port)
    await(stream:write("to and fro\n"))
    assert.equal("to and fro", await(stream:read_line()))
    await(stream:shutdown())
    assert.equal("", await(stream:read_all()))
    close(stream)
  end)

  it("talks to redis", function()
    if not child.shell("command -v redis-server").out:find("redis") then
      return pending("redis-server is not installed")
    end
    local port = peers.serve(function(port)
      return ('redis-server --port %d --bind 127.0.0.1 --save "" --dir /tmp'):format(port)
    end)
    local stream = connect(port)
    await(stream:write("PING\r\n", "SET key value\r\n", "GET key\r\n"))
    local lines = {}
    for i = 1, 4 do
      lines[i] = await(stream:read_line())
    end
    assert.same({ "+PONG\r", "+OK\r", "$5\r", "value\r" }, lines)
    close(stream)
  end)
end)

it("closes with the state, whatever sockets are open #closing", function()
  local result = child.lua_source([[
    local tide = require "moontide"
    local net = require "moontide.net"
    local await = tide.await
    local service = await(net.serve({ host = "127.0.0.1", max_connections = 2 }, function(stream)
      stream:write(("x"):rep(1 << 20))
      await(stream:read_line())
    end))
    local port = service:address().port
    local streams = {}
    for i = 1, 4 do streams[i] = await(net.connect { host = "127.0.0.1", port = port }) end
    tide.spawn(function() for chunk in streams[1]:chunks(10) do await(tide.sleep(1)) end end)
    service:close { grace = 1000 }
    net.connect { host = "127.0.0.1", port = port }
    net.connect { host = "localhost", port = port, timeout = 1000 }
    net.listen {}
    tide.step(0)
    print "done"
    os.exit(true, true)
  ]])
  assert.same({ code = 0, out = "done\n", err = "" }, result)
end)
