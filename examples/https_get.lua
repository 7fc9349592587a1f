-- Gets a page over TLS, and says what was agreed on.
--
--   moontide examples/https_get.lua https://example.org/
--   moontide examples/https_get.lua demo      is its own server, with a certificate made for that
local tide = require "moontide"
local fs = require "moontide.fs"
local net = require "moontide.net"
local process = require "moontide.process"
local system = require "moontide.os"
local await = tide.await

--- The body of the page; `ca` is trusted in place of the system's authorities, if it is given.
local function get(url, ca)
  local host, port, path = url:match("^https://([^:/]+):?(%d*)(.*)$")
  local stream <close> = await(net.connect {
    host = host, port = tonumber(port) or 443, timeout = 10000,
    tls = { ca = ca, alpn = { "http/1.1" } },
  })
  local info = stream:tls_info()
  print(("%s, with %s"):format(info.version, info.peer_subject))
  await(stream:write("GET ", path == "" and "/" or path, " HTTP/1.1\r\nHost: ", host,
    "\r\nConnection: close\r\n\r\n"))
  print((await(stream:read_until("\r\n\r\n")):match("[^\r\n]*")))
  return await(stream:read_all()) -- all of it: an end that the server has not announced is an error
end

--- Serves one text to everybody; the URL, and the service.
local function serve(text, certificate)
  local options = { host = "127.0.0.1", tls = certificate }
  function options.on_error(err)
    print("server: " .. err.code)
  end
  local service = await(net.serve(options, function(stream)
    await(stream:read_until("\r\n\r\n"))
    await(stream:write("HTTP/1.1 200 OK\r\nContent-Length: ", #text, "\r\n\r\n", text))
  end))
  return ("https://localhost:%d/"):format(service:address().port), service
end

--- A certificate of localhost that has signed itself, in files of a directory.
local function make_certificate(directory)
  local cert, key = directory .. "/cert.pem", directory .. "/key.pem"
  await(process.exec("openssl", { "req", "-x509", "-newkey", "ec", "-pkeyopt",
    "ec_paramgen_curve:prime256v1", "-nodes", "-days", 1, "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert }, { check = true }))
  return { cert = cert, key = key }
end

if arg[1] ~= "demo" then
  io.write(get(arg[1] or error("usage: https_get.lua https://HOST[:PORT][/PATH]", 0)))
  return
end

local directory = await(fs.mkdtemp(system.tmpdir() .. "/https-"))
local certificate = make_certificate(directory)
local url, service = serve("high tide\n", certificate)
io.write(get(url, certificate.cert))
print("client: " .. select(2, pcall(get, url)).code) -- no authority has signed that
await(service:close())
await(fs.rm(directory, { recursive = true }))
