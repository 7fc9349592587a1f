-- Of: http/client
-- The client, and servers and proxies that many use.
local tide = require "moontide"
local certificates = require "spec.support.certificates"
local files = require "spec.support.files"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local nginx = require "spec.support.nginx"
local peers = require "spec.support.peers"
local reason_of = require("spec.support.raised").failure

local await = tide.await

if not pcall(require, "moontide.http_core") then
  return
end

local function over()
  peers.stop()
  files.remove()
  leak.check()
end

--- Starts nginx with a server of these lines.
local function serve(lines, certificate)
  local directory = files.directory()
  files.write(directory .. "/hello.txt", "hello\n")
  files.write(directory .. "/large.txt", ("tide\n"):rep(100000))
  files.write(directory .. "/cert.pem", certificate and certificate.cert or "")
  files.write(directory .. "/key.pem", certificate and certificate.key or "")
  return nginx.start(directory, ("server { listen 127.0.0.1:%%d%s; root %%s; %s }\n"):format(
    certificate and " ssl http2" or "", lines))
end

local TLS_LINES = "ssl_certificate %s/cert.pem; ssl_certificate_key %s/key.pem;"

describe("http.fetch from nginx", function()
  after_each(over)

  it("gets files, compressed ones too", function()
    local port = serve("gzip on; gzip_types text/plain; gzip_min_length 1;")
    local base = "http://127.0.0.1:" .. port
    local response = await(http.fetch(base .. "/large.txt"))
    assert.equal("gzip", response.headers:get("content-encoding"))
    assert.equal(("tide\n"):rep(100000), await(response:text()))
    response = await(http.fetch(base .. "/large.txt", { decompress = false }))
    assert.is_nil(response.headers:get("content-encoding"))
    assert.equal(500000, #await(response:text()))
    local ok, reason = pcall(function()
      await(await(http.fetch(base .. "/large.txt", { max_body = 499999 })):text())
    end)
    assert.is_false(ok)
    assert.equal("BODY_TOO_LARGE", reason.code)
    assert.equal(404, await(http.fetch(base .. "/none")).status)
    response = await(http.fetch(base .. "/hello.txt", { headers = { Range = "bytes=1-2" } }))
    assert.equal("206 el", response.status .. " " .. await(response:text()))
  end)

  it("follows its redirects", function()
    local port = serve("rewrite ^/old$ /hello.txt permanent; rewrite ^/loop$ /loop redirect;")
    local base = "http://127.0.0.1:" .. port
    assert.equal("hello\n", await(await(http.fetch(base .. "/old")):text()))
    assert.equal("TOO_MANY_REDIRECTS", reason_of(http.fetch(base .. "/loop")).code)
  end)

  it("waits for slow replies", function()
    local port = serve("location /large.txt { limit_rate 400k; limit_rate_after 300k; }")
    local url = ("http://127.0.0.1:%d/large.txt"):format(port)
    assert.equal(500000, #await(await(http.fetch(url)):text()))
    local response = await(http.fetch(url, { timeout = 100 }))
    assert.equal("TimeoutError", reason_of(response:text()).name)
  end)

  it("trusts whom it is told to, and speaks HTTP/2", function()
    local authority = certificates.self_signed("Authority")
    local certificate = certificates.signed(authority, "localhost", "DNS:localhost")
    local port = serve(TLS_LINES, certificate)
    local url = ("https://localhost:%d/hello.txt"):format(port)
    local response = await(http.fetch(url, { tls = { ca = authority.cert } }))
    assert.equal("2", response.version)
    assert.equal("hello\n", await(response:text()))
    assert.is_true(response.timings.tls > 0)
    response = await(http.fetch(url, { tls = { ca = authority.cert }, version = "1.1" }))
    assert.equal("1.1", response.version)
    await(response:text())
    response = await(http.fetch(url, { tls = { verify = false, max_version = "TLSv1.2" } }))
    assert.equal("hello\n", await(response:text()))
    local path = files.directory() .. "/ca.pem"
    files.write(path, authority.cert)
    assert.is_true(await(http.fetch(url, { tls = { ca = path } })).ok)

    local reason = reason_of(http.fetch(url))
    assert.equal("HTTPError", reason.name)
    assert.matches("^UNABLE_TO_GET_ISSUER_CERT", reason.code)
    assert.equal("TLSError", reason.cause.name)
    assert.equal(reason.code, reason.cause.code)
    reason = reason_of(http.fetch(("https://127.0.0.1:%d/"):format(port),
      { tls = { ca = authority.cert } }))
    assert.equal("HOSTNAME_MISMATCH", reason.code)
    reason = reason_of(http.fetch(url, { tls = { verify = false, min_version = "TLSv1.3" } }))
    assert.equal("ALERT_PROTOCOL_VERSION", reason.code) -- nginx has 1.2 unless it is told
    reason = reason_of(http.fetch(url, { tls = { ca = "no such file" } }))
    assert.equal("ENOENT", reason.code)
  end)

  it("has many fetches on one connection of HTTP/2", function()
    local certificate = certificates.self_signed("localhost", "DNS:localhost")
    local port = serve(TLS_LINES .. "location = /n { return 200 $connection; }", certificate)
    local client <close> = http.client({ tls = { verify = false } })
    local base = "https://localhost:" .. port
    local list = {}
    for i = 1, 100 do
      list[i] = client:fetch(base .. (i % 2 == 0 and "/large.txt" or "/n"))
    end
    local connections = {}
    for i, response in ipairs(await(tide.Promise.all(list))) do
      local text = await(response:text())
      if i % 2 == 0 then
        assert.equal(500000, #text)
      else
        connections[text] = true
      end
    end
    assert.is_not_nil(next(connections))
    assert.is_nil(next(connections, (next(connections))))
  end)

  it("ends streams of HTTP/2 one by one", function()
    local certificate = certificates.self_signed("localhost", "DNS:localhost")
    local port = serve(TLS_LINES .. "location /large.txt { limit_rate 100k; }", certificate)
    local client <close> = http.client({ tls = { verify = false } })
    local base = "https://localhost:" .. port
    local slow = await(client:fetch(base .. "/large.txt"))
    assert.equal("hello\n", await(await(client:fetch(base .. "/hello.txt")):text()))
    slow:close()
    assert.equal("hello\n", await(await(client:fetch(base .. "/hello.txt")):text()))
    assert.equal(0, client._pool._multi:count())
  end)
end)

describe("http.fetch through tinyproxy", function()
  after_each(over)

  --- Starts a proxy, which may ask for a name and a password.
  local function proxy(lines)
    local directory = files.directory()
    return peers.serve(function(port)
      files.write(directory .. "/conf", ("Port %d\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\n"
        .. "LogLevel Error\n%s\n"):format(port, lines or ""))
      return ("tinyproxy -d -c %s/conf"):format(directory)
    end)
  end

  it("gets what it would without", function()
    local certificate = certificates.self_signed("localhost", "DNS:localhost")
    local tls = serve(TLS_LINES .. "location = /n { return 200 $remote_addr; }", certificate)
    local plain = serve("location = /via { return 200 $http_via; }")
    local by = "http://localhost:" .. proxy("")
    local response = await(http.fetch(("http://localhost:%d/via"):format(plain), { proxy = by }))
    assert.matches("tinyproxy", await(response:text()))
    local client <close> = http.client({ proxy = by, tls = { verify = false } })
    response = await(client:fetch(("https://localhost:%d/hello.txt"):format(tls)))
    assert.equal("hello\n", await(response:text()))
    assert.equal("2", response.version)
    response = await(client:fetch(("http://localhost:%d/via"):format(plain), { proxy = false }))
    assert.equal("", await(response:text()))
  end)

  it("tells what the proxy refuses", function()
    local port = serve("")
    local by = proxy("BasicAuth me secret")
    local url = ("http://localhost:%d/hello.txt"):format(port)
    local function fetch(user, secure)
      return http.fetch(secure and url:gsub("^http", "https") or url,
        { proxy = ("http://%s127.0.0.1:%d"):format(user, by) })
    end
    assert.equal(407, await(fetch("")).status)
    assert.equal("hello\n", await(await(fetch("me:secret@")):text()))
    assert.equal("BAD_RESPONSE", reason_of(fetch("", true)).code)
    local reason = reason_of(http.fetch(url, { proxy = "http://127.0.0.1:1" }))
    assert.equal("ECONNREFUSED", reason.code)
  end)
end)

describe("http.fetch from node", function()
  after_each(over)

  it("speaks all that it speaks", function()
    if not files.output("command -v node"):find("node") then
      return pending("node is not there")
    end
    local directory = files.directory()
    files.write(directory .. "/server.mjs", [[
import http from "node:http";
http.createServer(async (request, response) => {
  let length = 0;
  for await (const piece of request) length += piece.length;
  response.setHeader("X-Method", request.method);
  if (request.url === "/early") return response.writeHead(413).end("no");
  response.write("a".repeat(70000));
  setTimeout(() => {
    if (request.url === "/reset") return request.socket.resetAndDestroy();
    response.end(String(length));
  }, 5);
}).listen(Number(process.argv[2]), "127.0.0.1");
]])
    local port = peers.serve(function(port)
      return ("node %s/server.mjs %d"):format(directory, port)
    end)
    local base = "http://127.0.0.1:" .. port
    local n = 0
    local response = await(http.fetch(base, { method = "PATCH", body = function()
      n = n + 1
      return n <= 10 and ("x"):rep(100000) or nil
    end }))
    assert.equal("PATCH", response.headers:get("x-method"))
    assert.equal(("a"):rep(70000) .. "1000000", await(response:text()))
    assert.equal(413, await(http.fetch(base .. "/early", { method = "PUT", body = "x" })).status)
    response = await(http.fetch(base .. "/reset"))
    assert.matches("^E?[CI]", reason_of(response:text()).code) -- ECONNRESET, INCOMPLETE_BODY
  end)
end)
