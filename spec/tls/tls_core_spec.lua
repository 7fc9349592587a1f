-- The engine of TLS: two sessions in memory, each fed with what the other one has to send.
local certificates = require "spec.support.certificates"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised
local tls_core = require "moontide.tls_core"

local NAMES = "DNS:localhost,DNS:*.moon.test,IP:127.0.0.1,IP:::1"

-- Made once: each takes a few processes.
local authority = certificates.self_signed("Test CA")
local host = certificates.signed(authority, "localhost", NAMES)
local expired = certificates.signed(authority, "localhost", NAMES, -1)
local alone = certificates.self_signed("localhost", NAMES)
local visitor = certificates.signed(authority, "visitor", "DNS:visitor.test")
local locked = certificates.encrypted(host.key, "tide")
files.remove()

local function with(options, more)
  for name, value in pairs(more or {}) do
    options[name] = value
  end
  return options
end

local function client_context(more)
  return assert(tls_core.context(with({ verify = true, ca = authority.cert }, more)))
end

local function server_context(more)
  return assert(tls_core.context(with({ server = true, cert = host.cert, key = host.key }, more)))
end

--- Hands what `from` has to send to `to`; whether there was anything.
local function deliver(from, to)
  local data = from:take()
  if data then
    to:feed(data)
  end
  return data ~= nil
end

--- Shakes hands until both are done, one has failed, or nothing moves. Gives what the last call of
--- each has returned.
local function shake(client, server)
  local from_client, from_server, moved
  repeat
    from_client = table.pack(client:handshake())
    moved = deliver(client, server)
    from_server = table.pack(server:handshake())
    moved = deliver(server, client) or moved
  until not moved
  return from_client, from_server
end

local function pair(client_options, server_options, name)
  return client_context(client_options):session(name or "localhost"),
    server_context(server_options):session()
end

local function connected(...)
  local client, server = pair(...)
  local from_client, from_server = shake(client, server)
  assert.is_true(from_client[1], from_client[2])
  assert.is_true(from_server[1], from_server[2])
  return client, server
end

--- What the client's handshake fails with: message and code.
local function refusal(client_options, server_options, name)
  local client, server = pair(client_options, server_options, name)
  local from_client = shake(client, server)
  assert.is_nil(from_client[1])
  return from_client[2], from_client[3]
end

--- Everything that can be read now, and what the read after that gave.
local function drain(session)
  local pieces = {}
  local result = table.pack(session:read())
  while type(result[1]) == "string" do
    pieces[#pieces + 1] = result[1]
    result = table.pack(session:read())
  end
  return table.concat(pieces), result
end

local function write_all(session, data)
  local from = 1
  while from <= #data do
    from = from + assert(session:write(data, from))
  end
end

describe("a TLS session", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("shakes hands and tells what was agreed on", function()
    local client, server = connected()
    local facts = client:facts()
    assert.equal("TLSv1.3", facts.version)
    assert.matches("^TLS_", facts.cipher)
    assert.equal("localhost", facts.server_name)
    assert.equal("CN=localhost", facts.peer_subject)
    assert.is_nil(facts.verify_error)
    assert.is_nil(facts.alpn)
    assert.equal("localhost", server:facts().server_name)
    assert.is_nil(server:facts().peer_subject)
    assert.equal(facts.cipher, server:facts().cipher)
  end)

  it("gives the peer's certificate", function()
    local client, server = connected()
    local der = client:certificate()
    assert.equal(0x30, der:byte())
    local pem = host.cert:match("BEGIN CERTIFICATE%-%-%-%-%-(.-)%-%-%-%-%-END"):gsub("%s", "")
    assert.equal(pem, (require("mime").b64(der)))
    assert.is_nil(server:certificate())
    assert.is_nil(client_context():session("localhost"):certificate())
  end)

  it("takes a certificate of any host, if that is asked for and none is named", function()
    local client = client_context({ any_host = true }):session()
    assert.is_true(shake(client, server_context():session())[1])
    client = client_context({ any_host = true, ca = alone.cert }):session()
    assert.is_nil(shake(client, server_context():session())[1])
    client = client_context({ any_host = true }):session("example.org")
    local outcome = shake(client, server_context():session())
    assert.equal("HOSTNAME_MISMATCH", outcome[3])
  end)

  it("says nothing in clear", function()
    local client, server = connected()
    assert.equal(14, client:write("secret of moon"))
    local wire = client:take()
    assert.is_nil(wire:find("secret", 1, true))
    server:feed(wire)
    assert.equal("secret of moon", (server:read()))
  end)

  it("carries data both ways", function()
    local client, server = connected()
    local text = ("high tide, low tide\n"):rep(20000)
    write_all(client, text)
    write_all(server, text:reverse())
    deliver(client, server)
    deliver(server, client)
    assert.equal(text, (drain(server)))
    assert.equal(text:reverse(), (drain(client)))
  end)

  it("takes a part of a long string, from a place on", function()
    local client, server = connected()
    local text = ("x"):rep(1 << 20) .. "end"
    local taken = client:write(text)
    assert.is_true(taken > 0 and taken < #text)
    assert.equal(3, client:write(text, #text - 2))
    assert.equal(0, client:write(text, #text + 1))
    assert.equal(0, client:write(""))
    deliver(client, server)
    assert.equal(text:sub(1, taken) .. "end", (drain(server)))
  end)

  it("takes ciphertext in pieces of any length", function()
    local client, server = connected()
    client:write("byte by byte")
    local wire = client:take()
    for i = 1, #wire do
      assert.is_false((server:read()))
      server:feed(wire:sub(i, i))
    end
    assert.equal("byte by byte", (server:read()))
    assert.is_nil(client:take())
  end)

  it("reads no more than it was asked for, and loses nothing", function()
    local client, server = connected()
    client:write("one two")
    deliver(client, server)
    assert.equal("one", (server:read(3)))
    assert.equal(" two", (server:read(100)))
    assert.is_false((server:read()))
  end)

  it("tells a clean end, each way by itself", function()
    local client, server = connected()
    client:write("last words")
    assert.is_true((client:close_notify()))
    deliver(client, server)
    local text, after = drain(server)
    assert.equal("last words", text)
    assert.same({ n = 0 }, after)
    server:write("and the answer")
    server:close_notify()
    deliver(server, client)
    assert.equal("and the answer", (client:read()))
    assert.same({ n = 0 }, table.pack(client:read()))
  end)

  it("takes the end of the transport without a close_notify for a truncation", function()
    local client, server = connected()
    client:write("all that")
    deliver(client, server)
    server:finish()
    local text, after = drain(server)
    assert.equal("all that", text)
    assert.is_nil(after[1])
    assert.equal("UNEXPECTED_EOF_WHILE_READING", after[3])
    assert.matches("without a close_notify", after[2])
    assert.equal("UNEXPECTED_EOF_WHILE_READING", select(3, server:read()))
  end)

  it("takes the end of the transport after a close_notify for an end", function()
    local client, server = connected()
    client:close_notify()
    deliver(client, server)
    server:finish()
    assert.same({ n = 0 }, table.pack(server:read()))
  end)

  it("fails when the transport ends in the handshake", function()
    local client, server = pair()
    client:handshake()
    deliver(client, server)
    server:finish()
    server:handshake()
    local ok, message, code = server:handshake()
    assert.is_nil(ok)
    assert.equal("UNEXPECTED_EOF_WHILE_READING", code)
    assert.matches("during the handshake", message)
  end)

  it("notices a byte that was changed on the way", function()
    local client, server = connected()
    client:write("unharmed")
    local wire = client:take()
    local last = wire:byte(-1)
    server:feed(wire:sub(1, -2) .. string.char(last ~ 1))
    local data, message, code = server:read()
    assert.is_nil(data)
    assert.equal("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", code)
    assert.matches("bad record mac", message)
    assert.equal(code, select(3, server:write("more")))
    -- The peer is told so.
    deliver(server, client)
    assert.equal("ALERT_BAD_RECORD_MAC", select(3, client:read()))
  end)

  it("says so when the peer speaks something else", function()
    local client = client_context():session("localhost")
    client:handshake()
    client:feed("HTTP/1.1 400 Bad Request\r\n\r\n")
    local ok, message, code = client:handshake()
    assert.is_nil(ok)
    assert.equal("WRONG_VERSION_NUMBER", code)
    assert.matches("wrong version number", message)
  end)

  it("can be closed at any time, twice, and is of no use after that", function()
    for _, shaken in ipairs({ true, false }) do
      local client, server = pair()
      if shaken then
        shake(client, server)
      end
      client:close()
      client:close()
      for _, name in ipairs({ "handshake", "read", "take", "finish", "close_notify", "facts" }) do
        assert.matches("the session is closed", raised(client[name], client))
      end
      assert.matches("the session is closed", raised(client.feed, client, "x"))
      assert.matches("the session is closed", raised(client.write, client, "x"))
    end
  end)

  it("outlives the variable of its context", function()
    local client = client_context({ alpn = { "tide" } }):session("localhost")
    local server = server_context({ alpn = { "tide" } }):session()
    leak.collect()
    local from_client, from_server = shake(client, server)
    assert.is_true(from_client[1] and from_server[1])
    assert.equal("tide", server:facts().alpn)
  end)

  it("is collected, wherever it was left", function()
    for _ = 1, 50 do
      local client, server = pair()
      client:handshake()
      deliver(client, server)
      leak.track(client)
      leak.track(server)
    end
  end)

  it("raises for wrong arguments", function()
    local client = client_context():session("localhost")
    assert.matches("bad argument", raised(client.feed, client))
    assert.matches("bad argument", raised(client.write, client, {}))
    assert.matches("bad argument", raised(client.write, client, "x", 0))
    assert.matches("bad argument", raised(client.write, client, "x", 3))
    assert.matches("bad argument", raised(client.read, client, 0))
    assert.matches("bad argument", raised(client.read, io.stdout))
  end)
end)

describe("the verification of a certificate", function()
  after_each(leak.check)

  it("checks the name that is asked for", function()
    connected(nil, nil, "tide.moon.test")
    connected(nil, nil, "127.0.0.1")
    connected(nil, nil, "::1")
    connected(nil, nil, "localhost.")
    local message, code = refusal(nil, nil, "other.test")
    assert.equal("HOSTNAME_MISMATCH", code)
    assert.matches("^certificate verify failed: [Hh]ostname mismatch, 'other.test'$", message)
    assert.equal("HOSTNAME_MISMATCH", select(2, refusal(nil, nil, "a.b.moon.test")))
    assert.equal("IP_ADDRESS_MISMATCH", select(2, refusal(nil, nil, "127.0.0.2")))
  end)

  it("refuses what an unknown authority has signed", function()
    local other = certificates.self_signed("Other CA")
    files.remove()
    local message, code = refusal({ ca = other.cert })
    assert.equal("UNABLE_TO_GET_ISSUER_CERT_LOCALLY", code)
    assert.matches("^certificate verify failed: unable to get local issuer", message)
  end)

  it("refuses one that has signed itself, unless that one is trusted", function()
    local served = { cert = alone.cert, key = alone.key }
    local message, code = refusal(nil, served)
    assert.equal("DEPTH_ZERO_SELF_SIGNED_CERT", code)
    assert.matches("certificate verify failed: self.signed certificate", message)
    connected({ ca = alone.cert }, served)
  end)

  it("refuses one that has expired", function()
    local message, code = refusal(nil, { cert = expired.cert, key = expired.key })
    assert.equal("CERT_HAS_EXPIRED", code)
    assert.matches("certificate has expired", message)
  end)

  it("takes the system's authorities when none are given", function()
    local context = assert(tls_core.context({ verify = true }))
    local client, server = context:session("localhost"), server_context():session()
    local from_client = shake(client, server)
    assert.is_nil(from_client[1])
    assert.equal("UNABLE_TO_GET_ISSUER_CERT_LOCALLY", from_client[3])
  end)

  it("tells the other side why", function()
    local client, server = pair({}, { cert = expired.cert, key = expired.key })
    local _, from_server = shake(client, server)
    assert.is_nil(from_server[1])
    assert.equal("ALERT_CERTIFICATE_EXPIRED", from_server[3])
    assert.equal("the peer sent the alert 'certificate expired'", from_server[2])
  end)

  it("can be turned off, and then tells what would have been wrong", function()
    local client = connected({ verify = false }, nil, "other.test")
    assert.matches("^[Hh]ostname mismatch$", client:facts().verify_error)
    assert.equal("CN=localhost", client:facts().peer_subject)
    assert.is_nil(connected({ verify = false }):facts().verify_error)
  end)

  it("needs a name, unless it is turned off", function()
    local context = client_context()
    assert.matches("bad argument", raised(context.session, context))
    assert.matches("bad argument", raised(context.session, context, ""))
    assert.matches("bad argument", raised(context.session, context, "local\0host"))
    assert.is_truthy(client_context({ verify = false }):session())
  end)

  it("sends the name, but no address", function()
    local _, server = connected(nil, nil, "127.0.0.1")
    assert.is_nil(server:facts().server_name)
    _, server = connected(nil, nil, "localhost.")
    assert.equal("localhost", server:facts().server_name)
  end)

  it("is the server's too, when it wants one", function()
    local wanting = { verify = true, ca = authority.cert }
    local _, server = connected({ cert = visitor.cert, key = visitor.key }, wanting)
    assert.equal("CN=visitor", server:facts().peer_subject)

    local client
    client, server = pair(nil, wanting)
    local _, from_server = shake(client, server)
    assert.is_nil(from_server[1])
    assert.equal("PEER_DID_NOT_RETURN_A_CERTIFICATE", from_server[3])
    deliver(server, client)
    assert.equal("ALERT_CERTIFICATE_REQUIRED", select(3, client:read()))

    client, server = pair({ cert = alone.cert, key = alone.key }, wanting)
    from_server = select(2, shake(client, server))
    assert.equal("DEPTH_ZERO_SELF_SIGNED_CERT", from_server[3])
  end)
end)

describe("ALPN", function()
  after_each(leak.check)

  it("lets the server choose by its own preference", function()
    local client, server = connected(
      { alpn = { "http/1.1", "h2" } },
      { alpn = { "h2", "http/1.1" } }
    )
    assert.equal("h2", client:facts().alpn)
    assert.equal("h2", server:facts().alpn)
  end)

  it("that cannot be agreed on ends the handshake", function()
    local _, code = refusal({ alpn = { "h2" } }, { alpn = { "http/1.1" } })
    assert.equal("ALERT_NO_APPLICATION_PROTOCOL", code)
  end)

  it("is for those who both speak it", function()
    assert.is_nil(connected({ alpn = { "h2" } }):facts().alpn)
    assert.is_nil(connected(nil, { alpn = { "h2" } }):facts().alpn)
  end)

  it("takes names of 1 to 255 bytes", function()
    connected({ alpn = { ("x"):rep(255) } })
    for _, list in ipairs({ { "" }, { ("x"):rep(256) }, { 1.5 }, {}, "h2" }) do
      assert.matches("bad argument #1", raised(client_context, { alpn = list }))
    end
  end)
end)

describe("versions of TLS", function()
  after_each(leak.check)

  it("are those from min_version to max_version", function()
    assert.equal("TLSv1.2", connected({ max_version = "TLSv1.2" }):facts().version)
    assert.equal("TLSv1.3", connected(nil, { min_version = "TLSv1.3" }):facts().version)
    local _, code = refusal({ max_version = "TLSv1.2" }, { min_version = "TLSv1.3" })
    assert.equal("ALERT_PROTOCOL_VERSION", code)
  end)

  it("begin with 1.2", function()
    for _, version in ipairs({ "TLSv1", "TLSv1.1", "1.2", "SSLv3" }) do
      assert.matches("bad argument #1", raised(client_context, { min_version = version }))
    end
  end)

  it("differ in nothing that can be seen here", function()
    local client, server = connected({ max_version = "TLSv1.2" })
    client:write("ping")
    client:close_notify()
    deliver(client, server)
    assert.equal("ping", (server:read()))
    assert.same({ n = 0 }, table.pack(server:read()))
  end)
end)

describe("a TLS context", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  --- What context() says of options that OpenSSL refuses: message and code.
  local function refused(options)
    local context, message, code = tls_core.context(options)
    assert.is_nil(context)
    return message, code
  end

  it("says what it does not understand", function()
    local message, code = refused({ ca = "no PEM" })
    assert.matches("^cannot use the certificates of authorities: ", message)
    assert.equal("NO_START_LINE", code)
    message = refused({ server = true, cert = "no PEM", key = host.key })
    assert.matches("^cannot use the certificate: ", message)
    message = refused({ server = true, cert = host.cert, key = "no PEM" })
    assert.matches("^cannot use the private key: ", message)
    local half = host.cert:sub(1, #host.cert // 2)
    assert.matches("^cannot use the certificate: ", (refused({ cert = half, key = host.key })))
    assert.matches("^cannot use the certificate: ",
      (refused({ cert = host.cert .. half, key = host.key })))
  end)

  it("wants a key that belongs to its certificate", function()
    local _, code = refused({ cert = host.cert, key = alone.key })
    assert.equal("KEY_VALUES_MISMATCH", code)
  end)

  it("asks nobody for the passphrase of a key", function()
    local message = refused({ cert = host.cert, key = locked })
    assert.matches("^cannot use the private key: ", message)
    message = refused({ cert = host.cert, key = locked, passphrase = "ebb" })
    assert.matches("^cannot use the private key: ", message)
    connected(nil, { key = locked, passphrase = "tide" })
  end)

  it("sends the certificates that come after its own", function()
    local middle = certificates.signed(authority, "Middle", "DNS:middle.test", nil, true)
    local leaf = certificates.signed(middle, "leaf", NAMES)
    connected(nil, { cert = leaf.cert .. middle.cert, key = leaf.key })
    local _, code = refusal(nil, { cert = leaf.cert, key = leaf.key })
    assert.equal("UNABLE_TO_GET_ISSUER_CERT_LOCALLY", code)
  end)

  it("raises for wrong options", function()
    for _, options in ipairs({
      { cert = host.cert },
      { key = host.key },
      { server = true },
      { server = true, cert = host.cert, key = host.key, verify = true },
      { ca = {} },
      { min_version = "TLSv1.3", max_version = "TLSv1.2" },
    }) do
      assert.matches("bad argument #1", raised(tls_core.context, options))
    end
    assert.matches("bad argument #1", raised(tls_core.context))
  end)

  it("leaves nothing behind for the next operation when it fails", function()
    refused({ ca = "no PEM" })
    connected()
  end)
end)
