-- Of: tls, tls/options, tls/server
-- TLS over sockets. What every stream does is in stream_spec.lua, for TLS as well; here is what is
-- particular to TLS, and peers that are not ours.
local certificates = require "spec.support.certificates"
local child = require "spec.support.child"
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local nginx = require "spec.support.nginx"
local peers = require "spec.support.peers"
local raised = require("spec.support.raised").raised
local scale = require "spec.support.scale"
local sockets = require "spec.support.sockets"
local tide = require "moontide"
local tls = require "moontide.tls"

local await, sleep = tide.await, tide.sleep

local NAMES = "DNS:localhost,IP:127.0.0.1"

local authority = certificates.self_signed("Test CA")
local host = certificates.signed(authority, "localhost", NAMES)
local expired = certificates.signed(authority, "localhost", NAMES, -1)
local alone = certificates.self_signed("localhost", NAMES)
files.remove()

local function nothing() end

local function with(options, more)
  for name, value in pairs(more or {}) do
    options[name] = value
  end
  return options
end

local function client_options(more)
  return with({ ca = authority.cert, server_name = "localhost" }, more)
end

local function server_options(more)
  return with({ cert = host.cert, key = host.key }, more)
end

--- The promises of both ends of a new connection; and what is below them.
local function handshakes(client_more, server_more)
  local a, b = sockets.pair()
  local client = tls.client(a, client_options(client_more))
  return client, tls.server(b, server_options(server_more)), a, b
end

--- Both ends of a connection that these two streams carry.
local function joined(a, b)
  return tide.join(tls.client(a, client_options()), tls.server(b, server_options()))
end

local function pair(...)
  local client, server, a, b = handshakes(...)
  client, server = tide.join(client, server)
  return client, server, a, b
end

--- A value for a `<close>` variable that closes both.
local function closing(...)
  local streams = { ... }
  return setmetatable({}, {
    __close = function()
      for _, stream in ipairs(streams) do
        stream:close()
      end
    end,
  })
end

--- What both ends of a handshake that fails are rejected with.
local function failures(client_more, server_more)
  local client, server, a, b = handshakes(client_more, server_more)
  client:catch(nothing)
  server:catch(nothing)
  local reasons = { failure(client), failure(server) }
  for _, stream in ipairs({ a, b }) do
    assert.equal("EBADF", failure(stream:read()).code)
  end
  return table.unpack(reasons)
end

local function check_error(err, code, text)
  assert.equal("TLSError", err.name)
  assert.equal(code, err.code)
  assert.matches(text or "", err.message)
  assert.equal("TLSError: " .. err.message, tostring(err))
end

--- Closes what is open, and looks whether anything is left.
local function over()
  peers.stop()
  files.remove()
  leak.check()
end

describe("tls.client and tls.server", function()
  after_each(over)

  it("make streams that tell what was agreed on", function()
    local client, server = pair({ alpn = { "one", "two" } }, { alpn = { "two" } })
    local _ <close> = closing(client, server)
    local facts = client:tls_info()
    assert.equal("TLSv1.3", facts.version)
    assert.equal("two", facts.alpn)
    assert.equal("CN=localhost", facts.peer_subject)
    assert.is_nil(facts.verify_error)
    assert.equal("localhost", server:tls_info().server_name)
    assert.equal("two", server:tls_info().alpn)
  end)

  it("let nobody on the way read along", function()
    local a, b = sockets.pair()
    local c, d = sockets.pair()
    local seen = {}
    local function carry(from, to)
      for chunk in from:chunks() do
        seen[#seen + 1] = chunk
        if not pcall(await, to:write(chunk)) then
          break -- the other side is gone
        end
      end
      pcall(await, to:shutdown())
    end
    local carried = tide.Promise.all({ tide.spawn(carry, b, c), tide.spawn(carry, c, b) })
    local client, server = joined(a, d)
    await(client:write("secret of the tide"))
    assert.equal("secret of the tide", await(server:read()))
    client:close()
    server:close()
    await(carried)
    sockets.close(b, c)
    assert.is_true(#seen > 3)
    assert.is_nil(table.concat(seen):find("secret", 1, true))
  end)

  it("send megabytes both ways at once", function()
    local client, server = pair()
    local _ <close> = closing(client, server)
    local text = {}
    for i = 1, scale(400000) do
      text[i] = ("%08d"):format(i)
    end
    text = table.concat(text)
    local function send(stream, data)
      for from = 1, #data, 100000 do
        await(stream:write(data:sub(from, from + 99999)))
      end
      await(stream:shutdown())
    end
    local one, _, other, _ = tide.join(
      client:read_all(), tide.spawn(send, client, text),
      server:read_all(), tide.spawn(send, server, text:reverse())
    )
    assert.is_true(one == text:reverse())
    assert.is_true(other == text)
  end)

  it("keep writes in order, whoever waits for them", function()
    local client, server = pair()
    local _ <close> = closing(client, server)
    local writes, expected = {}, {}
    for i = 1, 200 do
      expected[i] = ("%d:%s\n"):format(i, ("x"):rep(i * 7))
      writes[i] = client:write(expected[i])
    end
    client:shutdown()
    assert.equal(table.concat(expected), await(server:read_all()))
    await(tide.Promise.all(writes))
  end)

  it("hold a writer back whose peer does not read", function()
    local client, server = pair()
    local block, written = ("x"):rep(65536), 0
    local writer = tide.spawn(function()
      while written < 100 << 20 do
        await(client:write(block))
        written = written + #block
      end
    end)
    writer:catch(nothing)
    await(sleep(50))
    local before = written
    await(sleep(50))
    assert.equal(before, written)
    assert.is_true(written < 50 << 20)
    server:destroy()
    client:destroy()
    failure(writer)
  end)

  it("still read after they have said that they write no more", function()
    local client, server = pair()
    local _ <close> = closing(client, server)
    await(client:write("question\n"))
    await(client:shutdown())
    assert.equal("question\n", await(server:read_all()))
    await(server:write("answer\n"))
    await(server:shutdown())
    assert.equal("answer\n", await(client:read_all()))
  end)

  it("tell an end that the peer has not announced from one that it has", function()
    local client, server, _, below = pair()
    await(server:write("half of it"))
    await(below:shutdown()) -- the transport's end only: what anybody on the way could do
    check_error(failure(client:read_all()), "UNEXPECTED_EOF_WHILE_READING", "close_notify")
    assert.equal("half of it", await(client:read()))
    check_error(failure(client:read()), "UNEXPECTED_EOF_WHILE_READING")
    sockets.close(client, server)
  end)

  it("notice what was changed on the way, and refuse to go on", function()
    local client, server, _, below = pair()
    await(below:write("\23\3\3\0\20" .. ("?"):rep(20)))
    check_error(failure(client:read()), "DECRYPTION_FAILED_OR_BAD_RECORD_MAC")
    check_error(failure(client:write("x")), "DECRYPTION_FAILED_OR_BAD_RECORD_MAC")
    check_error(failure(server:read()), "ALERT_BAD_RECORD_MAC")
    sockets.close(client, server)
  end)

  it("work over whatever is a stream, themselves too", function()
    local client, server = pair()
    local inner, inside = joined(client, server)
    local _ <close> = closing(inside)
    await(inner:write("twice wrapped"))
    inner:close()
    assert.equal("twice wrapped", await(inside:read_all()))
  end)

  it("use TLS 1.2 with those who have nothing else", function()
    local client, server = pair(nil, { max_version = "TLSv1.2" })
    local _ <close> = closing(client, server)
    assert.equal("TLSv1.2", client:tls_info().version)
    await(client:write("ping"))
    assert.equal("ping", await(server:read()))
  end)

  it("are collected when nobody has them", function()
    for _ = 1, 3 do
      local client, server = pair()
      leak.track(client)
      leak.track(server)
    end
    await(sleep(1))
    leak.collect()
    await(sleep(1))
  end)
end)

describe("a TLS stream's read that is aborted", function()
  after_each(over)

  it("leaves nothing that waits, and loses nothing", function()
    local client, server = pair()
    local _ <close> = closing(client, server)
    local controller = tide.AbortController()
    local promise = client:read_exactly(6, { signal = controller.signal })
    await(server:write("abc"))
    await(sleep(5))
    controller:abort("enough")
    assert.equal("enough", failure(promise))
    assert.is_false(tide.alive())
    await(server:write("def"))
    assert.equal("abcdef", await(client:read_exactly(6)))
  end)

  it("heeds its group", function()
    local client, server = pair()
    local _ <close> = closing(client, server)
    for _ = 1, 3 do
      assert.is_false(await(tide.move_on_after(3, function()
        await(client:read())
      end)))
      assert.is_false(tide.alive())
    end
    await(server:write("later"))
    assert.equal("later", await(client:read()))
  end)

  it("lets the next one go on, in a group of its own, at once", function()
    local client, server = pair()
    local _ <close> = closing(client, server)
    local controller = tide.AbortController()
    for i = 1, 20 do
      local first = client:read(nil, { signal = controller.signal })
      tide.set_immediate(server.write, server, tostring(i))
      controller:abort("next")
      assert.equal("next", failure(first))
      controller = tide.AbortController()
      local ok, data = await(tide.move_on_after(10000, function()
        return await(client:read())
      end))
      assert.is_true(ok)
      assert.equal(tostring(i), data)
      assert.is_false(await(tide.move_on_after(1, function()
        await(client:read())
      end)))
    end
  end)

  it("may be so in the middle of a record", function()
    local a, b = sockets.pair()
    local c, d = sockets.pair()
    local function carry(from, to)
      for chunk in from:chunks(1) do
        if not pcall(await, to:write(chunk)) then
          break
        end
      end
      pcall(await, to:shutdown())
    end
    local carried = tide.Promise.all({ tide.spawn(carry, b, c), tide.spawn(carry, c, b) })
    local client, server = joined(a, d)
    for i = 1, 10 do
      local promise = client:read(nil, { signal = tide.AbortSignal.timeout(1) })
      server:write(("record %d"):format(i))
      await(tide.Promise.all_settled({ promise }))
      local state, data = promise:state()
      if state == "rejected" then
        data = await(client:read())
      end
      assert.equal(("record %d"):format(i), data)
    end
    client:close()
    server:close()
    await(carried)
    sockets.close(b, c)
  end)
end)

describe("a TLS handshake", function()
  after_each(over)

  it("fails for a certificate of another host", function()
    local client, server = failures({ server_name = "other.test" })
    check_error(client, "HOSTNAME_MISMATCH", "certificate verify failed: .+, 'other.test'")
    check_error(server, "ALERT_BAD_CERTIFICATE")
  end)

  it("fails for a certificate that nobody known has signed", function()
    check_error((failures(nil, { cert = alone.cert, key = alone.key })),
      "DEPTH_ZERO_SELF_SIGNED_CERT")
    local a, b = sockets.pair()
    local server = tls.server(b, server_options())
    check_error(failure(tls.client(a, { server_name = "localhost" })),
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY")
    check_error(failure(server), "ALERT_UNKNOWN_CA")
  end)

  it("fails for a certificate that has expired", function()
    check_error((failures(nil, { cert = expired.cert, key = expired.key })), "CERT_HAS_EXPIRED")
  end)

  it("takes any certificate when it is told so", function()
    local client, server = pair({ ca = nil, verify = false, server_name = "other" },
      { cert = expired.cert, key = expired.key })
    local _ <close> = closing(client, server)
    assert.is_string(client:tls_info().verify_error)
    await(client:write("x"))
    assert.equal("x", await(server:read()))
  end)

  it("fails when there is no protocol that both speak", function()
    local client, server = failures({ alpn = { "h2" } }, { alpn = { "http/1.1" } })
    check_error(client, "ALERT_NO_APPLICATION_PROTOCOL")
    check_error(server, "NO_APPLICATION_PROTOCOL")
  end)

  it("wants a certificate of the client when the server does", function()
    local wanting = { verify_client = true, ca = authority.cert }
    local client, server = pair({ cert = host.cert, key = host.key }, wanting)
    local _ <close> = closing(client, server)
    assert.equal("CN=localhost", server:tls_info().peer_subject)
    assert.equal("CN=localhost", client:tls_info().peer_subject)
    local promise, refusing = handshakes(nil, wanting)
    check_error(failure(refusing), "PEER_DID_NOT_RETURN_A_CERTIFICATE")
    local stream = await(promise) -- in TLS 1.3 the client is done before the server
    check_error(failure(stream:read()), "ALERT_CERTIFICATE_REQUIRED")
    await(stream:close())
  end)

  it("fails when the peer goes", function()
    local a, b = sockets.pair()
    local client = tls.client(a, client_options())
    client:catch(nothing)
    await(b:read())
    await(b:close())
    check_error(failure(client), "UNEXPECTED_EOF_WHILE_READING", "during the handshake")
    assert.equal("EBADF", failure(a:read()).code)
  end)

  -- OpenSSL has an allocator of its own: here what stores ciphertext fails for a certain byte.
  it("says as Lua does that there is no memory for what has come", function()
    local library = [[
#include <dlfcn.h>
int BIO_write(void *bio, const void *data, int length) {
    int (*real)(void *, const void *, int);
    void *openssl = dlopen("libcrypto.so.3", RTLD_LAZY); /* not among what is global */
    if (openssl == 0)
        openssl = dlopen("libcrypto.so.1.1", RTLD_LAZY);
    *(void **)&real = dlsym(openssl, "BIO_write");
    return length > 0 && *(const char *)data == '!' ? -1 : real(bio, data, length);
}
]]
    local client = [[
      local tide, net = require "moontide", require "moontide.net"
      local await = tide.await
      local server = await(net.listen { host = "127.0.0.1" })
      local connecting = net.connect {
        host = "127.0.0.1", port = server:address().port, tls = { verify = false },
      }
      local peer = await(server:accept())
      peer:write("!")
      print(pcall(await, connecting))
      peer:destroy()
      server:close()
    ]]
    child.with_file("", function(path)
      local built = child.with_file(library, function(source)
        local compile = "${CC:-cc} -shared -fPIC -x c -o %s - -ldl"
        return child.shell(compile:format(child.quote(path)), source)
      end)
      assert.equal(0, built.code, built.err)
      local result = child.with_file(client, function(script)
        return child.shell(('LD_PRELOAD="$LD_PRELOAD:%s" '):format(path) .. child.command(script))
      end)
      assert.same({ code = 0, out = "false\tnot enough memory\n", err = "" }, result)
    end)
  end)

  it("fails when the peer speaks something else", function()
    local a, b = sockets.pair()
    local server = tls.server(b, server_options())
    server:catch(nothing)
    await(a:write("GET / HTTP/1.0\r\n\r\n"))
    check_error(failure(server), "HTTP_REQUEST")
    sockets.close(a)
  end)

  it("does not wait for ever", function()
    local a, b = sockets.pair()
    local err = failure(tls.client(a, client_options({ timeout = 5 })))
    assert.equal("TimeoutError: no TLS handshake after 5 ms", tostring(err))
    assert.equal("EBADF", failure(a:read()).code)
    err = failure(tls.server(b, server_options()))
    assert.equal("UNEXPECTED_EOF_WHILE_READING", err.code)
  end)

  it("is aborted by a signal and by a group", function()
    for _, wait in ipairs({ 0, 1, 5 }) do
      local a, b = sockets.pair()
      local controller = tide.AbortController()
      local promise = tls.client(a, client_options({ signal = controller.signal }))
      for _ = 1, wait do
        tide.step(1)
      end
      controller:abort("stop")
      assert.equal("stop", failure(promise))
      assert.equal("EBADF", failure(a:read()).code)
      leak.run_dry()
      assert.equal("handles=1", leak.live())
      sockets.close(b)
      a, b = sockets.pair()
      assert.is_false(await(tide.move_on_after(wait, function()
        await(tls.server(b, server_options()))
      end)))
      assert.equal("EBADF", failure(b:read()).code)
      sockets.close(a)
      leak.run_dry()
      assert.equal("", leak.live())
    end
  end)

  it("is not begun when the signal has been aborted", function()
    local a, b = sockets.pair()
    local signal = tide.AbortSignal.abort("no")
    assert.equal("no", failure(tls.client(a, client_options({ signal = signal }))))
    assert.equal("EBADF", failure(a:read()).code)
    assert.is_nil((await(b:read())))
    sockets.close(b)
  end)

  it("reads certificates and keys from files, when they are named", function()
    local directory = files.directory()
    files.write(directory .. "/ca.pem", authority.cert)
    files.write(directory .. "/cert.pem", host.cert)
    files.write(directory .. "/key.pem", host.key)
    local client, _ = pair({ ca = directory .. "/ca.pem" },
      { cert = directory .. "/cert.pem", key = directory .. "/key.pem" })
    local _ <close> = closing(client, _)
    assert.equal("CN=localhost", client:tls_info().peer_subject)
    local a, b = sockets.pair()
    local err = failure(tls.client(a, client_options({ ca = directory .. "/none" })))
    assert.equal("ENOENT", err.code)
    assert.equal("EBADF", failure(a:read()).code)
    sockets.close(b)
  end)
end)

describe("tls.context", function()
  after_each(over)

  it("makes what many connections share", function()
    local client = await(tls.context({ ca = authority.cert }))
    local server = await(tls.context(server_options({ server = true })))
    for _ = 1, 3 do
      local a, b = sockets.pair()
      local one, other = tide.join(
        tls.client(a, { context = client, server_name = "localhost" }),
        tls.server(b, { context = server })
      )
      local _ <close> = closing(one, other)
      await(one:write("x"))
      assert.equal("x", await(other:read()))
    end
  end)

  it("rejects what OpenSSL refuses", function()
    check_error(failure(tls.context({ ca = "-----BEGIN NONSENSE-----" })), "BAD_END_LINE",
      "cannot use the certificates of authorities")
    check_error(failure(tls.context({ cert = host.cert, key = alone.key })), "KEY_VALUES_MISMATCH")
  end)

  it("is for one side", function()
    local context = await(tls.context({ ca = authority.cert }))
    local a, b = sockets.pair()
    assert.matches("a server's expected", raised(tls.server, a, { context = context }))
    assert.matches("'verify': the context says so",
      raised(tls.client, a, { context = context, verify = false }))
    assert.matches("'server_name' is needed", raised(tls.client, a, { context = context }))
    sockets.close(a, b)
  end)
end)

describe("tls", function()
  after_each(over)

  local function check_methods(theirs, ours)
    local methods = getmetatable(ours).__index
    for method in pairs(getmetatable(theirs).__index) do
      assert.is_function(methods[method], method)
    end
  end

  it("has streams and servers with every method of the others", function()
    local client, server, raw = pair()
    check_methods(raw, client)
    sockets.close(client, server)
    local below = core.net.tcp_listen("127.0.0.1", 0)
    local own <close> = await(tls.listen(below, server_options()))
    check_methods(below, own)
  end)

  it("raises for options that can never work, and leaves the stream alone", function()
    local a, b = sockets.pair()
    for text, options in pairs({
      ["'server_name' is needed"] = {},
      ["'verify': boolean expected, got string"] = { verify = "no" },
      ["'ca': string expected"] = { ca = {} },
      ["fields 'cert' and 'key' go together"] = client_options({ cert = host.cert }),
      ["'min_version': 'TLSv1.2' or 'TLSv1.3'"] = client_options({ min_version = "TLSv1" }),
      ["'signal': AbortSignal expected"] = client_options({ signal = 1 }),
      ["table expected, got number"] = 1,
    }) do
      local err = raised(function()
        local promise = tls.client(a, options)
        return promise
      end)
      assert.matches("tls_spec.lua:%d+: bad argument #2 to 'tls.client' %(.*" .. text, err)
    end
    assert.matches("a server needs them", raised(tls.server, a, {}))
    assert.matches("'verify_client': needs 'ca'",
      raised(tls.server, a, server_options({ verify_client = true })))
    assert.matches("stream expected, got nil", raised(tls.client))
    await(a:write("untouched"))
    assert.equal("untouched", await(b:read()))
    sockets.close(a, b)
  end)

  it("says so where moontide was built without OpenSSL", function()
    local directory = files.directory()
    local built = package.searchpath("moontide.core", package.cpath)
    assert(os.execute(("mkdir %s/moontide && ln -s %s %s/moontide/core.so"):format(directory,
      files.output("realpath " .. built), directory)))
    local result = child.lua_source(([[
      package.cpath = "%s/?.so"
      require "moontide"
      print(select(2, pcall(require, "moontide.tls")))
    ]]):format(directory))
    assert.matches("TLS is not available: moontide was built without OpenSSL", result.out)
  end)
end)

--- Serves the handler's streams on a port, and closes the server when f(port) has returned.
local function with_server(options, handler, f)
  local below = core.net.tcp_listen("127.0.0.1", 0)
  local server <close> = await(tls.listen(below, options))
  local accepting = tide.spawn(function()
    for stream in server do
      handler(stream)
    end
  end)
  local results = table.pack(f(below:address().port, server))
  server:close()
  await(accepting)
  return table.unpack(results, 1, results.n)
end

local function connect(port)
  local stream, connected = core.net.tcp_connect("127.0.0.1", port)
  await(connected)
  return stream
end

local function connect_tls(port)
  return await(tls.client(connect(port), client_options()))
end

local echo = tide.async(function(stream)
  local _ <close> = stream
  for chunk in stream:chunks() do
    await(stream:write(chunk))
  end
  await(stream:shutdown())
end)

describe("a TLS server", function()
  after_each(over)

  it("accepts while others shake hands, or say nothing", function()
    with_server(server_options(), echo, function(port)
      local silent = {}
      for i = 1, 5 do
        silent[i] = connect(port)
      end
      await(silent[1]:write("\22\3\1"))
      local streams = {}
      for i = 1, 5 do
        streams[i] = connect_tls(port)
      end
      for i, stream in ipairs(streams) do
        await(stream:write("echo " .. i))
        assert.equal("echo " .. i, await(stream:read()))
        await(stream:close())
      end
      sockets.close(table.unpack(silent))
    end)
  end)

  --- A server that notes what handshakes fail with; its port; the notes.
  local function noting(more)
    local below, errors = core.net.tcp_listen("127.0.0.1", 0), {}
    local options = server_options(more)
    options.on_error = function(err)
      errors[#errors + 1] = err.code or err.name
    end
    return await(tls.listen(below, options)), below:address().port, errors
  end

  it("drops clients that speak something else, and tells why", function()
    local server, port, errors = noting()
    local _ <close> = server
    local promise = server:accept()
    local nonsense = connect(port)
    await(nonsense:write("GET / HTTP/1.0\r\n\r\n"))
    pcall(await, nonsense:read_all()) -- an alert, if the reset does not overtake it
    assert.same({ "HTTP_REQUEST" }, errors)
    assert.equal("pending", promise:state())
    local client = connect_tls(port)
    sockets.close(nonsense, client, await(promise))
  end)

  it("drops clients that say nothing for too long", function()
    local server, port, errors = noting({ timeout = 5 })
    local promise = server:accept()
    local silent = connect(port)
    assert.is_nil((await(silent:read())))
    assert.same({ "TimeoutError" }, errors)
    assert.equal("pending", promise:state())
    sockets.close(silent)
    server:close()
    await(promise)
  end)

  it("is not there when its options are refused, nor is the one below", function()
    local below = core.net.tcp_listen("127.0.0.1", 0)
    check_error(failure(tls.listen(below, { cert = host.cert, key = alone.key })),
      "KEY_VALUES_MISMATCH")
    assert.is_nil(below:address())
    assert.matches("a server needs them", raised(tls.listen, below, {}))
    assert.matches("server expected, got nil", raised(tls.listen))
  end)

  it("gives nothing once it is closed, and leaves no handshake behind", function()
    local below = core.net.tcp_listen("127.0.0.1", 0)
    local server = await(tls.listen(below, server_options()))
    local one, two = server:accept(), server:accept()
    local silent = connect(below:address().port)
    await(sleep(5))
    await(server:close())
    assert.equal(0, select("#", await(one)))
    assert.equal(0, select("#", await(two)))
    assert.equal(0, select("#", await(server:accept())))
    assert.is_nil((await(silent:read())))
    await(silent:close())
    await(server:close())
  end)

  it("keeps the loop alive only while somebody waits, and loses no connection", function()
    local below = core.net.tcp_listen("127.0.0.1", 0)
    local port = below:address().port
    local server <close> = await(tls.listen(below, server_options()))
    for _, how in ipairs({ "signal", "group" }) do
      if how == "group" then
        assert.is_false(await(tide.move_on_after(2, function()
          await(server:accept())
        end)))
      else
        local controller = tide.AbortController()
        local promise = server:accept({ signal = controller.signal })
        controller:abort("enough")
        assert.equal("enough", failure(promise))
      end
      await(sleep(1))
      assert.is_false(tide.alive())
      local client = tide.spawn(connect_tls, port)
      local stream = await(server:accept())
      sockets.close(stream, (await(client)))
    end
  end)

  it("gives to the next what came when nobody waited any more", function()
    local below = core.net.tcp_listen("127.0.0.1", 0)
    local server <close> = await(tls.listen(below, server_options()))
    local controller = tide.AbortController()
    local promise = server:accept({ signal = controller.signal })
    local raw = connect(below:address().port)
    await(sleep(5))
    controller:abort("gone")
    assert.equal("gone", failure(promise))
    local client = await(tls.client(raw, client_options()))
    await(sleep(5))
    local stream = await(server:accept())
    sockets.close(client, stream)
  end)
end)

describe("TLS with others:", function()
  after_each(over)

  local function write_certificates()
    local directory = files.directory()
    files.write(directory .. "/ca.pem", authority.cert)
    files.write(directory .. "/cert.pem", host.cert)
    files.write(directory .. "/key.pem", host.key)
    return directory
  end

  it("openssl s_client", function()
    local directory = write_certificates()
    for _, version in ipairs({ "tls1_2", "tls1_3" }) do
      local options = server_options({ alpn = { "tide" } })
      local heard
      local result = with_server(options, tide.async(function(stream)
        local _ <close> = stream
        heard = await(stream:read_line())
        await(stream:write("high ", "tide\n"))
      end), function(port)
        local command = "sh -c 'echo low tide | openssl s_client -%s -connect 127.0.0.1:%d "
          .. "-CAfile %s/ca.pem -servername localhost -verify_return_error -quiet -alpn tide'"
        return peers.run(command:format(version, port, directory))
      end)
      assert.equal("low tide", heard, result.err)
      assert.matches("high tide\n", result.out)
      assert.equal(0, result.code, result.err)
    end
  end)

  it("openssl s_server", function()
    local directory = write_certificates()
    local port = peers.serve(function(port)
      local command = "openssl s_server -accept %d -cert %s/cert.pem -key %s/key.pem -rev -quiet "
        .. "-alpn tide"
      return command:format(port, directory, directory)
    end)
    local stream = await(tls.client(connect(port), client_options({ alpn = { "tide" } })))
    assert.equal("tide", stream:tls_info().alpn)
    for _, word in ipairs({ "live", "stressed", ("x"):rep(5000) }) do
      await(stream:write(word, "\n"))
      assert.equal(word:reverse(), await(stream:read_line()))
    end
    await(stream:close()) -- it serves one at a time
    check_error(failure(tls.client(connect(port), client_options({ server_name = "moon.test" }))),
      "HOSTNAME_MISMATCH")
  end)

  it("curl", function()
    local directory = write_certificates()
    local body = ("tide "):rep(200000)
    local function answer(stream)
      await(stream:read_until("\r\n\r\n"))
      await(stream:write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ", #body,
        "\r\n\r\n", body))
    end
    local errors = {}
    local service <close> = await(net.serve({
      host = "127.0.0.1",
      tls = server_options({ alpn = { "http/1.1" } }),
      on_error = function(err)
        errors[#errors + 1] = err.code
      end,
    }, answer))
    local url = "curl -sS --max-time 10 --resolve localhost:%d:127.0.0.1 https://localhost:%d/"
    local command = url:format(service:address().port, service:address().port)
    local result = peers.run(command .. " --cacert " .. directory .. "/ca.pem")
    assert.equal(0, result.code, result.err)
    assert.is_true(result.out == body)
    assert.equal(60, peers.run(command).code) -- it verifies, too, with the system's authorities
    await(service:close())
    assert.same({ "ALERT_UNKNOWN_CA" }, errors)
  end)

  local HTTPS = [[
  server {
    listen 127.0.0.1:%d ssl;
    ssl_certificate %s/cert.pem;
    ssl_certificate_key %s/key.pem;
    root %s;
  }
]]

  local function get(stream, path, connection)
    await(stream:write("GET ", path, " HTTP/1.1\r\nHost: localhost\r\nConnection: ", connection,
      "\r\n\r\n"))
    assert.equal("HTTP/1.1 200 OK", (await(stream:read_line()):gsub("\r$", "")))
    local length
    for header in stream:lines() do
      length = length or tonumber(header:lower():match("^content%-length: (%d+)"))
      if header == "\r" then
        return await(stream:read_exactly(length))
      end
    end
  end

  it("nginx", function()
    local directory = write_certificates()
    local body = ("high tide, low tide\n"):rep(scale(100000))
    files.write(directory .. "/tide", body)
    files.write(directory .. "/moon", "full\n")
    local port = nginx.start(directory, HTTPS)
    local function connect_with(options)
      return net.connect({ host = "localhost", port = port, tls = options })
    end

    local stream <close> = await(connect_with({ ca = authority.cert, alpn = { "http/1.1" } }))
    assert.equal("http/1.1", stream:tls_info().alpn)
    assert.equal("full\n", get(stream, "/moon", "keep-alive"))
    assert.is_true(get(stream, "/tide", "keep-alive") == body)
    assert.equal("full\n", get(stream, "/moon", "close"))
    assert.equal("", await(stream:read_all())) -- nginx says goodbye

    check_error(failure(connect_with({ ca = authority.cert, server_name = "moon.test" })),
      "HOSTNAME_MISMATCH")
    check_error(failure(connect_with(true)), "UNABLE_TO_GET_ISSUER_CERT_LOCALLY")
    check_error(failure(connect_with({ ca = authority.cert, alpn = { "tide" } })),
      "ALERT_NO_APPLICATION_PROTOCOL")
  end)
end)
