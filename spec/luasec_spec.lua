-- moontide.luasec: against a TLS server of our own in the same process, and beside LuaSec itself
-- against openssl's.
local background = require "spec.support.background"
local certificates = require "spec.support.certificates"
local core = require "moontide.core"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local luasocket = require "moontide.luasocket"
local net = require "moontide.net"
local plain_https = require "ssl.https"
local plain_ssl = require "ssl"
local find_redis = require "spec.support.find_redis"
local raised = require("spec.support.raised").raised
local ssl = require "moontide.luasec"
local tide = require "moontide"
local tls = require "moontide.tls"

local await, spawn = tide.await, tide.spawn

local NAMES = "DNS:localhost,IP:127.0.0.1"

local authority = certificates.self_signed("Test CA")
local stranger = certificates.self_signed("Another CA")
local host = certificates.signed(authority, "localhost", NAMES)
local other_host = certificates.signed(authority, "example.org", "DNS:example.org")
local visitor = certificates.signed(authority, "visitor", "DNS:visitor.test")
files.remove()

local paths = {}

local function client_params(more)
  local params = { mode = "client", protocol = "any", verify = "peer", cafile = paths.ca }
  for name, value in pairs(more or {}) do
    params[name] = value
  end
  return params
end

--- Serves TLS; gives the port and the service, to be closed.
local function serve(handler, options)
  local secure = { cert = host.cert, key = host.key }
  for name, value in pairs(options or {}) do
    secure[name] = value
  end
  local service = await(net.serve({ host = "127.0.0.1", port = 0, tls = secure,
    on_error = function() end }, handler))
  return service:address().port, service
end

local function connect(port, params, name)
  local socket = assert(luasocket.connect("127.0.0.1", port))
  local conn = assert(ssl.wrap(socket, params or client_params()))
  if name then
    conn:sni(name)
  end
  return conn
end

--- A connection that has shaken hands with a server that runs the handler.
local function connected(handler, params)
  local port, service = serve(handler)
  local conn = connect(port, params, "localhost")
  assert.is_true(conn:dohandshake())
  return conn, service
end

describe("moontide.luasec", function()
  setup(function()
    local directory = files.directory()
    for name, text in pairs({
      ca = authority.cert,
      stranger = stranger.cert,
      cert = host.cert,
      key = host.key,
      other_cert = other_host.cert,
      other_key = other_host.key,
      visitor_cert = visitor.cert,
      visitor_key = visitor.key,
    }) do
      paths[name] = directory .. "/" .. name .. ".pem"
      files.write(paths[name], text)
    end
    paths.directory = directory
  end)

  teardown(function()
    background.stop()
    files.remove()
  end)

  after_each(leak.check)

  describe("a connection", function()
    it("shakes hands, sends and receives, while the loop ticks", function()
      local conn, service = connected(function(stream)
        for line in stream:lines() do
          await(tide.sleep(5))
          await(stream:write(line:upper(), "\n"))
        end
      end)
      local ticks = 0
      local timer <close> = tide.set_interval(function()
        ticks = ticks + 1
      end, 1)
      await(spawn(function()
        for _, word in ipairs({ "ebb", "flow" }) do
          assert.equal(#word + 1, conn:send(word .. "\n"))
          assert.equal(word:upper(), conn:receive())
        end
      end))
      timer:close()
      assert.is_true(ticks >= 4)
      conn:close()
      await(service:close())
    end)

    it("receives as LuaSocket does", function()
      local conn, service = connected(function(stream)
        await(stream:write("one\r\ntwo\n01234567"))
        await(tide.sleep(1))
        await(stream:write("89li"))
        await(tide.sleep(1))
        await(stream:write("ne\nrest", ("x"):rep(100000)))
      end)
      local function got(...)
        return table.pack(...)
      end
      assert.same({ "one", nil, nil, n = 3 }, got(conn:receive()))
      assert.same({ "pretwo", nil, nil, n = 3 }, got(conn:receive("*l", "pre")))
      assert.same({ "01", nil, nil, n = 3 }, got(conn:receive(2)))
      assert.same({ "", nil, nil, n = 3 }, got(conn:receive(0)))
      assert.is_true(conn:dirty())
      assert.same({ "p23456789", nil, nil, n = 3 }, got(conn:receive(9, "p")))
      assert.same({ "line", nil, nil, n = 3 }, got(conn:receive("*l")))
      assert.same({ "rest" .. ("x"):rep(100000), nil, nil, n = 3 }, got(conn:receive("*a")))
      assert.same({ nil, "closed", "", n = 3 }, got(conn:receive("*a")))
      assert.same({ nil, "closed", "pre", n = 3 }, got(conn:receive("*l", "pre")))
      assert.same({ nil, "closed", "", n = 3 }, got(conn:receive(1)))
      conn:close()
      await(service:close())
    end)

    it("sends much, and parts", function()
      local text = ("0123456789"):rep(200000)
      local conn, service = connected(function(stream)
        local all = await(stream:read_all())
        await(stream:write(tostring(all == text .. "34" .. "9")))
      end)
      await(spawn(function()
        assert.same({ #text, nil, nil, n = 3 }, table.pack(conn:send(text)))
        assert.equal(5, conn:send("0123456789", 4, 5))
        assert.equal(10, conn:send("0123456789", -1))
        assert.equal(4, conn:send("01234", 5, 4))
        assert.equal(1, conn:shutdown("send"))
        assert.equal("true", conn:receive("*a"))
      end))
      conn:close()
      await(service:close())
    end)

    it("gives up when its time is over, and goes on after that", function()
      local go_on = tide.event()
      local conn, service = connected(function(stream)
        await(stream:write("par"))
        await(go_on:wait())
        await(stream:write("tial\n"))
        await(stream:read_all())
      end)
      conn:settimeout(0.01)
      await(spawn(function()
        local _, err, partial = conn:receive()
        assert.equal("wantread", err)
        assert.equal("par", partial)
        assert.equal("read", conn:want())
        conn:settimeout(0)
        assert.same({ nil, "wantread", "", n = 3 }, table.pack(conn:receive(1)))
        go_on:set()
        conn:settimeout(nil)
        assert.equal("tial", conn:receive())
        assert.equal("nothing", conn:want())
      end))
      conn:close()
      await(service:close())
    end)

    it("gives up a handshake that is not answered", function()
      local silent = assert(luasocket.bind("127.0.0.1", 0))
      local _, port = silent:getsockname()
      local conn = connect(port, client_params(), "localhost")
      conn:settimeout(0.01)
      assert.same({ false, "wantread", n = 2 }, table.pack(await(spawn(conn.dohandshake, conn))))
      conn:close()
      silent:close()
    end)

    it("is cancelled while it waits, and loses nothing", function()
      local go_on = tide.event()
      local conn, service = connected(function(stream)
        await(stream:write("par"))
        await(go_on:wait())
        await(stream:write("tial\n"))
        await(stream:read_all())
      end)
      assert.is_false(await(tide.move_on_after(10, conn.receive, conn)))
      go_on:set()
      assert.equal("partial", conn:receive())
      conn:close()
      await(service:close())
    end)

    it("is closed while somebody waits", function()
      local conn, service = connected(function(stream)
        await(stream:read_all())
      end)
      local waiting = spawn(conn.receive, conn)
      conn:close()
      assert.same({ nil, "closed", "", n = 3 }, table.pack(await(waiting)))
      assert.same({ nil, "closed", 0, n = 3 }, table.pack(conn:send("x")))
      assert.same({ nil, "closed", "", n = 3 }, table.pack(conn:receive()))
      assert.same({ false, "closed", n = 2 }, table.pack(conn:dohandshake()))
      assert.equal(-1, conn:getfd())
      assert.is_nil(conn:close())
      await(service:close())
    end)

    it("takes the descriptor out of its socket", function()
      local port, service = serve(function() end)
      local socket = assert(luasocket.connect("127.0.0.1", port))
      local fd = socket:getfd()
      local conn = ssl.wrap(socket, client_params())
      assert.equal(-1, socket:getfd())
      assert.equal(fd, conn:getfd())
      assert.matches("^SSL connection: 0x%x+$", tostring(conn))
      conn:close()
      assert.matches("closed", tostring(conn))
      await(service:close({ grace = 0 }))
    end)

    it("knows what was agreed on", function()
      local port, service = serve(function(stream)
        await(stream:read_all())
      end, { alpn = { "moon/1" } })
      local conn = connect(port, client_params({ alpn = { "sun/1", "moon/1" } }), "localhost")
      assert.is_nil(conn:info())
      assert.is_true(conn:dohandshake())
      assert.is_true(conn:dohandshake())
      assert.equal("TLSv1.3", conn:info("protocol"))
      assert.equal("moon/1", conn:getalpn())
      assert.equal("localhost", conn:getsniname())
      assert.is_true(conn:getpeerverification())
      local certificate = conn:getpeercertificate()
      assert.equal(host.cert, certificate:pem())
      assert.equal(certificate:digest(), ssl.loadcertificate(host.cert):digest())
      conn:close()
      await(service:close())
    end)

    it("is a server's, too", function()
      local server = assert(luasocket.bind("127.0.0.1", 0))
      local _, port = server:getsockname()
      local serving = spawn(function()
        local conn = assert(ssl.wrap(server:accept(), {
          mode = "server", protocol = "any", key = paths.key, certificate = paths.cert,
          cafile = paths.ca, verify = { "peer", "fail_if_no_peer_cert" },
        }))
        assert.matches("not supported", raised(conn.sni, conn, "name"))
        assert.is_true(conn:dohandshake())
        assert.equal("localhost", conn:getsniname())
        local line = conn:receive()
        conn:send(line:reverse() .. "\n")
        conn:close()
      end)
      local conn = connect(port, client_params({
        key = paths.visitor_key, certificate = paths.visitor_cert,
      }), "localhost")
      assert.is_true(conn:dohandshake())
      conn:send("tide\n")
      assert.equal("edit", conn:receive())
      await(serving)
      conn:close()
      server:close()
    end)

    it("may begin in clear", function()
      local server = await(net.listen({ host = "127.0.0.1", port = 0 }))
      local serving = spawn(function()
        local stream = await(server:accept())
        await(stream:write("ready\n"))
        assert.equal("starttls", await(stream:read_line()))
        local secure <close> = await(tls.server(stream, { cert = host.cert, key = host.key }))
        await(secure:write("hello\n"))
      end)
      local socket = assert(luasocket.connect("127.0.0.1", server:address().port))
      assert.equal("ready", socket:receive())
      socket:send("starttls\n")
      local conn = assert(ssl.wrap(socket, client_params()))
      assert.is_true(conn:dohandshake())
      assert.equal("hello", conn:receive())
      conn:close()
      await(serving)
      server:close()
    end)
  end)

  describe("verification", function()
    local function outcome(params, name, options)
      local port, service = serve(function() end, options)
      local conn = connect(port, params, name)
      local result = table.pack(await(spawn(conn.dohandshake, conn)))
      conn:close()
      await(service:close())
      return result
    end

    local REFUSED = { false, "certificate verify failed", n = 2 }
    local TAKEN = { true, n = 1 }

    it("refuses an authority that is not known", function()
      assert.same(REFUSED, outcome(client_params({ cafile = paths.stranger }), "localhost"))
      assert.same(REFUSED, outcome(client_params({ cafile = paths.stranger })))
    end)

    it("refuses another host, where one is named", function()
      local of_another = { cert = other_host.cert, key = other_host.key }
      assert.same(REFUSED, outcome(client_params(), "localhost", of_another))
      assert.same(TAKEN, outcome(client_params(), "example.org", of_another))
    end)

    it("takes any host, where none is named", function()
      assert.same(TAKEN, outcome(client_params()))
    end)

    it("is not done where it is not asked for", function()
      assert.same(TAKEN, outcome({ mode = "client", protocol = "any" }, "other"))
      assert.same(TAKEN, outcome({ mode = "client", protocol = "any", verify = "none" }))
    end)

    it("tells the words of a peer that refuses", function()
      local result = outcome(client_params({ protocol = "tlsv1_2" }), "localhost",
        { min_version = "TLSv1.3" })
      assert.is_false(result[1])
      assert.matches("alert", result[2])
    end)
  end)

  describe("newcontext", function()
    local function refused(message, more)
      local context, err = ssl.newcontext(client_params(more))
      assert.is_nil(context)
      assert.equal(message, err)
    end

    it("serves many connections", function()
      local port, service = serve(function(stream)
        await(stream:write("hello\n"))
      end)
      local context = assert(ssl.newcontext(client_params()))
      assert.matches("^SSL context: 0x", tostring(context))
      for _ = 1, 2 do
        local conn = connect(port, context)
        assert.is_true(conn:dohandshake())
        assert.equal("hello", conn:receive())
        conn:close()
      end
      await(service:close())
    end)

    it("refuses what it cannot do", function()
      refused("invalid protocol (tlsv1)", { protocol = "tlsv1" })
      refused("invalid mode (cat)", { mode = "cat" })
      refused("invalid option (what)", { options = { "all", "what" } })
      refused("invalid verify option (what)", { verify = "what" })
      refused("no protocol is left", { options = { "no_tlsv1_2", "no_tlsv1_3" } })
      refused("ciphers: not supported", { ciphers = "ALL" })
      refused("capath: not supported", { capath = "/" })
      refused("key and certificate go together", { key = paths.key })
      refused("invalid password type", { password = 1 })
      refused("a server needs key and certificate", { mode = "server" })
      refused("invalid ALPN parameter", { alpn = 1 })
      refused("invalid ALPN name", { alpn = { "" } })
    end)

    it("tells about files", function()
      refused("error loading CA locations (/none: No such file or directory)",
        { cafile = "/none" })
      local _, err = ssl.newcontext(client_params({ cafile = paths.key }))
      assert.matches("cannot use the certificates of authorities", err)
    end)

    it("raises for what is no table, no context and no socket", function()
      assert.matches("bad argument #1 to 'newcontext'", raised(ssl.newcontext))
      for _, socket in ipairs({ {}, luasocket.tcp() }) do
        assert.matches("bad argument #1 to 'wrap'", raised(ssl.wrap, socket, client_params()))
      end
      local server = luasocket.bind("127.0.0.1", 0)
      local _, port = server:getsockname()
      local client = luasocket.connect("127.0.0.1", port)
      assert.matches("bad argument #2 to 'wrap'", raised(ssl.wrap, client))
      client:close()
      server:close()
    end)
  end)

  describe("LuaSec's https", function()
    local https, restore, port, url

    setup(function()
      restore = ssl.install()
      https = require "ssl.https"
      assert.not_equal(plain_https, https)
      files.write(paths.directory .. "/small.txt", "small\n")
      files.write(paths.directory .. "/large.txt", ("0123456789"):rep(50000))
      port = background.serve(function(free)
        return ("sh -c 'cd %s && exec openssl s_server -accept %d -cert cert.pem -key key.pem -WWW "
          .. "-quiet' >/dev/null 2>&1"):format(paths.directory, free)
      end)
      url = "https://localhost:" .. port .. "/"
    end)

    teardown(function()
      restore()
      assert.equal(plain_ssl, require "ssl")
      assert.equal(plain_https, require "ssl.https")
    end)

    for _, path in ipairs({ "small.txt", "large.txt", "none.txt" }) do
      it("gets what it gets on LuaSec: " .. path, function()
        local expected = table.pack(plain_https.request(url .. path))
        assert.is_truthy(expected[1])
        assert.same(expected, table.pack(await(spawn(https.request, url .. path))))
        assert.same(expected, table.pack(https.request(url .. path)))
      end)
    end

    it("fails as on LuaSec", function()
      local function ask(module, params)
        local result = table.pack(module.request(params))
        return result[1], result[2]
      end
      for _, params in ipairs({
        { verify = "peer", cafile = paths.stranger },
        { verify = "peer", cafile = "/none" },
        { protocol = "nonsense" },
        { url = "https://localhost:" .. background.free_port() .. "/" },
      }) do
        params.url = params.url or url .. "small.txt"
        local function copy()
          local result = {}
          for k, v in pairs(params) do
            result[k] = v
          end
          return result
        end
        local expected = table.pack(ask(plain_https, copy()))
        assert.is_nil(expected[1])
        local got = table.pack(await(spawn(ask, https, copy())))
        if not params.cafile or params.cafile ~= "/none" then
          assert.same(expected, got)
        else
          assert.matches("error loading CA locations", expected[2])
          assert.matches("error loading CA locations", got[2])
        end
      end
    end)

    it("waits for ten answers at once, while the loop ticks", function()
      local N, waiting, ticks = 10, 0, 0
      local all = tide.event()
      local free, service = serve(function(stream)
        local path = await(stream:read_line()):match("GET (%S+)")
        repeat
          local line = await(stream:read_line())
        until line == "\r" or line == ""
        waiting = waiting + 1
        if waiting == N then
          all:set()
        end
        await(all:wait())
        await(tide.sleep(5))
        await(stream:write("HTTP/1.1 200 OK\r\nContent-Length: ", #path, "\r\n\r\n", path))
      end)
      local timer <close> = tide.set_interval(function()
        ticks = ticks + 1
      end, 1)
      local bodies = await(tide.map({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, function(i)
        local parts = {}
        local ok, code = https.request({
          url = ("https://localhost:%d/%d"):format(free, i),
          sink = require("ltn12").sink.table(parts),
          verify = "peer",
          cafile = paths.ca,
        })
        assert.equal(1, ok)
        assert.equal(200, code)
        return table.concat(parts)
      end))
      timer:close()
      for i = 1, N do
        assert.equal("/" .. i, bodies[i])
      end
      assert.is_true(ticks >= 3)
      await(service:close())
    end)

    it("gives up after its own timeout", function()
      local silent = assert(luasocket.bind("127.0.0.1", 0))
      local _, free = silent:getsockname()
      local before = https.TIMEOUT
      https.TIMEOUT = 0.02
      local result, err = await(spawn(https.request, "https://127.0.0.1:" .. free .. "/"))
      assert.is_nil(result)
      assert.equal("wantread", err)
      https.TIMEOUT = before
      silent:close()
      files.eventually(function()
        return core.stats().operations == 0
      end)
    end)
  end)

  describe("lua-redis over TLS", function()
    local redis, behind

    --- Carries what one stream says to the other one.
    local function carry(from, to)
      for data in from:chunks() do
        await(to:write(data))
      end
      await(to:shutdown())
    end

    setup(function()
      local restore = luasocket.install()
      redis = dofile(find_redis())
      restore()
      behind = background.serve(function(free)
        local options = "--bind 127.0.0.1 --port %d --save '' --appendonly no --dir %s"
        return ("$(command -v redis-server || command -v valkey-server) %s >/dev/null 2>&1"):format(
          options:format(free, paths.directory)
        )
      end)
    end)

    it("gets what it sets, for many at once", function()
      local port, service = serve(function(stream, g)
        local server <close> = await(net.connect({ host = "127.0.0.1", port = behind }))
        local back = g:spawn(carry, server, stream)
        carry(stream, server)
        await(back)
      end)
      await(tide.each({ 1, 2, 3, 4, 5 }, function(i)
        local conn = connect(port, client_params(), "localhost")
        assert(conn:dohandshake())
        local client = redis.connect({ socket = conn })
        local key, value = "key" .. i, ("value\r\n"):rep(10000 * i)
        client:set(key, value)
        assert.equal(value, client:get(key))
        client:quit()
        conn:close()
      end))
      await(service:close())
    end)
  end)
end)
