--- One fetch: its request, and those that redirects lead to. Source: the Fetch standard,
--- HTTP-redirect fetch.
local core = require "moontide.core"
local exchange_of = require "moontide.http.exchange"
local failure = require "moontide.http.failure"
local finally = require "moontide.internal.finally"
local outgoing = require "moontide.http.outgoing"
local pieces = require "moontide.http.pieces"
local pool = require "moontide.http.pool"
local proxy_of = require "moontide.http.proxy"
local response_of = require "moontide.http.response"
local tls_options = require "moontide.http.tls_options"

local M = {}

local new_error = core.new_error

local MAX_REDIRECTS = 20

---- names ----

--- The host's addresses, as libcurl wants to be told them, in the list.
local function add_addresses(exchange, client, list, host, port, url)
  local promise = client.names:find(host)
  if not promise then
    return
  end
  local ok, addresses = pcall(exchange.await, exchange, promise)
  if ok then
    list[#list + 1] = ("%s:%s:%s"):format(host, port, addresses)
  elseif exchange:is_stopped() or type(addresses) ~= "table" or not addresses.host then
    error(addresses, 0)
  else
    error(failure.of(url, addresses), 0)
  end
end

--- The proxy's URL, or nil.
local function choose_proxy(url, options)
  if options.path or options.proxy == false then
    return nil
  end
  return options.proxy or proxy_of.find(url)
end

local SOCKS_HERE = { socks4 = true, socks5 = true } -- which have the host's address, not its name

--- What libcurl must know of names; nil if that is nothing. Awaits.
local function resolve(exchange, client, url, proxy)
  local list = {}
  local by = proxy and pool.url(proxy:find("://", 1, true) and proxy or "http://" .. proxy)
  if by then
    add_addresses(exchange, client, list, by.host, by.port or "1080", url.href)
  end
  if not by or SOCKS_HERE[by.scheme] then
    add_addresses(exchange, client, list, url.host, url.port, url.href)
  end
  return list[1] and list
end

---- sending ----

local function send_pieces(exchange, source, length)
  local sent, transfer = 0, exchange.transfer
  for piece in pieces.of(source) do
    if type(piece) ~= "string" then
      error(new_error("TypeError", "a body gives strings, not " .. type(piece)), 0)
    end
    sent = sent + #piece
    if length and sent > length then
      error(new_error("TypeError", "the body is longer than the header 'content-length'"), 0)
    end
    transfer:send(piece)
    exchange.pool:settle()
    while transfer:outcome() == nil and not transfer:has_room() do
      exchange:wait()
    end
    if transfer:outcome() ~= nil then
      return
    end
  end
  if length and sent < length then
    error(new_error("TypeError", "the body is shorter than the header 'content-length'"), 0)
  end
  transfer:send(nil)
  exchange.pool:settle()
end

--- Sends a body in pieces, while the reply may come already. It ends with the transfer.
local function send(exchange, out, source, length)
  local transfer = exchange.transfer
  core.group(function(group)
    out.is_begun = true
    exchange:set_upload(group)
    send_pieces(exchange, source, length)
  end):catch(function(reason)
    exchange:fail_upload(transfer, reason)
  end)
end

---- one request ----

--- Starts a transfer, and awaits the head of its reply: status, version, lines.
local function request(exchange, client, url, out, options)
  local source, length = out.source, out.length
  if out.make then
    source, length = out.make()
  end
  local proxy = choose_proxy(url, options)
  local asked = {
    url = url.href,
    method = out.method,
    headers = outgoing.lines(out),
    body = outgoing.text(out),
    sends = source ~= nil,
    length = length,
    proxy = proxy,
    path = options.path,
    resolve = not options.path and resolve(exchange, client, url, proxy) or nil,
    is_secure = url.scheme == "https",
    is_1_1 = options.version == "1.1",
    decompress = options.decompress ~= false,
    max_body = options.max_body,
    connect_timeout = options.connect_timeout,
  }
  tls_options.set(asked, options.tls)
  exchange:start(asked)
  if source then
    send(exchange, out, source, length)
  end
  local transfer = exchange.transfer
  local status, version, lines = transfer:head()
  while not status do
    if exchange:check_outcome() then
      error(failure.new(url.href, "BAD_RESPONSE", "no reply"), 0)
    end
    exchange:wait()
    status, version, lines = transfer:head()
  end
  return status, version, lines
end

---- redirects ----

local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

local function location_of(lines)
  for name, value in lines:gmatch("\n([^:\r\n]+):([^\r]*)") do
    if name:lower() == "location" then
      return value
    end
  end
end

--- Where a redirect leads to.
local function next_url(url, location)
  if location == "" or location:find("^#") then
    return url -- libcurl resolves these otherwise
  end
  local to = pool.url(location, url.href)
  if not to or to.scheme ~= "http" and to.scheme ~= "https" then
    error(failure.new(url.href, "REDIRECT", "redirected to what cannot be fetched"), 0)
  elseif to.user or to.password then
    error(failure.new(url.href, "REDIRECT", "redirected to a URL with credentials"), 0)
  end
  return to
end

local function is_same_origin(a, b)
  return a.scheme == b.scheme and a.host == b.host and a.port == b.port
end

--- Makes of the request what is asked for next.
local function turn(out, url, to, status)
  local is_get = out.method == "GET" or out.method == "HEAD"
  if status == 303 and not is_get or status < 303 and out.method == "POST" then
    out.method = "GET"
    outgoing.drop_body(out)
  elseif out.source then
    error(failure.new(url.href, "REDIRECT", "a body in pieces cannot be sent again"), 0)
  end
  if not is_same_origin(url, to) then
    outgoing.drop_credentials(out)
  end
end

--- Follows redirects to the response.
local function follow(exchange, client, url, out, options)
  local most = options.max_redirects or MAX_REDIRECTS
  local mode = options.redirect or "follow"
  for count = 0, math.huge do
    local status, version, lines = request(exchange, client, url, out, options)
    local location = REDIRECTS[status] and mode ~= "manual" and location_of(lines)
    if not location then
      exchange:settle_on()
      return response_of.new(exchange, status, version, lines, count > 0)
    elseif mode == "error" then
      error(failure.new(url.href, "REDIRECT", "redirected to " .. location), 0)
    elseif count >= most then
      error(failure.new(url.href, "TOO_MANY_REDIRECTS", ("more than %d"):format(most)), 0)
    end
    local to = next_url(url, location)
    exchange:leave_transfer()
    turn(out, url, to, status)
    url = to
  end
end

--- The function whose promise a fetch is: no tail call takes its place in what is told of tasks.
local fetch = core.async(function(client, url, out, options, signal)
  local exchange = exchange_of.new(client._pool, signal, options.timeout)
  local response
  finally(function(err)
    if not response then
      exchange:stop(err == nil and new_error("AbortError", "the fetch was given up") or err)
      outgoing.give_up(out)
    end
  end, function()
    response = follow(exchange, client, url, out, options)
  end)
  return response
end)

M.fetch = fetch

return M
