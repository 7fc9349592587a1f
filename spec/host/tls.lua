-- What spec/host/oom.c runs of TLS; as sockets.lua. The certificate is made once, by the openssl
-- command, when nothing fails yet.
local mode, directory = ...
local core = require "moontide.core"
local engine = require "moontide.tls_core"
local tide = require "moontide"
local tls = require "moontide.tls"

local await = tide.await

local function nothing() end

local function fails(...)
  assert(not pcall(...))
end

local function read(name)
  local file <close> = io.open(directory .. "/" .. name)
  return file and file:read("a")
end

local REQUEST = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
  .. "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout %s/key -out %s/cert 2>&-"

if not read("cert") then
  assert(os.execute(REQUEST:format(directory, directory)))
end
local cert, key = read("cert"), read("key")

local ALPN = { "tide", "moon" }

--- What the engine does without a handshake, each of which takes more time than all else here.
local function sessions()
  local trusting = assert(engine.context({ verify = true, ca = cert, alpn = ALPN }))
  local serving = assert(engine.context({ server = true, cert = cert, key = key }))
  local client, server = trusting:session("localhost"), serving:session()
  assert(client:handshake() == false)
  server:feed(client:take())
  assert(server:facts().peer_subject == nil and not server:certificate())
  server:feed(("x"):rep(100))
  server:close()
  client:feed("nonsense")
  assert(select(3, client:handshake()) == "WRONG_VERSION_NUMBER")
  assert(select(3, client:write("x")) == "WRONG_VERSION_NUMBER")
  client = trusting:session("localhost")
  client:finish()
  assert(select(3, client:handshake()) == "UNEXPECTED_EOF_WHILE_READING")
  assert(not engine.context({ ca = "nonsense" }))
  fails(engine.context, { alpn = { "" } })
  fails(trusting.session, trusting)
end

-- When a server has no memory for a connection, its client hears nothing.
local client_options = { ca = cert, server_name = "localhost", alpn = ALPN, timeout = 300 }

--- A stream without handshake, to where the server listens.
local function connect(server)
  local address = server:address()
  return core.net.tcp_connect(address.address, address.port)
end

--- A server that goes when it has no memory for a connection: or it would wait for another one.
local function listen()
  local below = core.net.tcp_listen("127.0.0.1", 0)
  local function on_error() below:close() end
  return await(tls.listen(below,
    { cert = cert, key = key, alpn = ALPN, timeout = 300, on_error = on_error }))
end

local function with_pair(f)
  local server <close> = listen()
  local raw, connected = connect(server)
  local _ <close> = raw
  await(connected)
  local accepted = server:accept()
  accepted:catch(nothing)
  local client = await(tls.client(raw, client_options))
  local stream <close> = await(accepted)
  f(client, stream)
  await(client:close())
end

local function streams(a, b)
  assert(a:tls_info().alpn == "tide" and b:tls_info().server_name == "localhost")
  assert(a._session:certificate())
  await(a:write("one\n", 2, "\n"))
  assert(await(b:read_line()) == "one")
  assert(not await(tide.move_on_after(1, function() await(a:read()) end)))
  await(b:write("answer"))
  assert(await(a:read_exactly(6)) == "answer")
  await(a:shutdown())
  assert(await(b:read_all()) == "2\n")
end

local function refused()
  local server <close> = listen()
  local raw, connected = connect(server)
  local _ <close> = raw
  await(connected)
  local accepted = server:accept()
  fails(await, tls.client(raw, { ca = cert, server_name = "other", timeout = 300 }))
  await(server:close())
  assert(await(accepted) == nil)
  fails(await, tls.context({ ca = directory .. "/absent" }))
end

local function flight()
  local arrived = 0
  local function arrive() arrived = arrived + 1 end
  for _ = 1, 6 do
    tide.sleep(1):next(arrive)
  end
  local below = core.net.tcp_listen("127.0.0.1", 0)
  local raw, connected = connect(below)
  connected:next(arrive, nothing)
  tls.client(raw, client_options):catch(nothing)
  tls.listen(below, { cert = cert, key = key }):next(function(server)
    server:accept():catch(nothing)
  end, nothing)
  return function() return arrived end
end

if mode == "whole" then
  await(tide.spawn(sessions))
  await(tide.spawn(with_pair, streams))
  await(tide.spawn(refused))
  flight()
  tide.step(1)
end
return flight()
