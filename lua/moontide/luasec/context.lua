--- What many connections of moontide.luasec share: LuaSec's parameters, made into a context of the
--- engine. What the engine cannot do is refused, rather than left out.
local argument = require "moontide.internal.argument"
local tls = require "moontide.tls_core"

local M = {}

local VERSIONS = { tlsv1_2 = "TLSv1.2", tlsv1_3 = "TLSv1.3" }

M.config = {
  algorithms = {},
  capabilities = { alpn = true },
  curves = {},
  options = {},
  protocols = { any = true, tlsv1_2 = true, tlsv1_3 = true },
}

-- Those that are so here anyway, or change nothing.
local OPTIONS = [[all cipher_server_preference ignore_unexpected_eof no_compression
  no_renegotiation no_session_resumption_on_renegotiation no_sslv2 no_sslv3 no_ticket no_tlsv1
  no_tlsv1_1 no_tlsv1_2 no_tlsv1_3 single_dh_use single_ecdh_use]]
for name in OPTIONS:gmatch("%S+") do
  M.config.options[name] = true
end

local UNSUPPORTED = { "capath", "ciphers", "ciphersuites", "curve", "curveslist", "dane", "depth",
  "dhparam", "verifyext" }

-- Fields: _engine, the engine's context; _server: it is one of servers.
local Context = { __name = "SSL:Context" }
M.Context = Context

function Context:__tostring()
  return ("SSL context: %p"):format(self)
end

--- What a parameter has, be it one or a list of them, as a set.
local function set_of(value)
  local set = {}
  for _, name in ipairs(type(value) == "table" and value or { value }) do
    set[name] = true
  end
  return set
end

local function read(path, what)
  local file, err = io.open(path, "rb")
  local text = file and file:read("a")
  if file then
    file:close()
  end
  if not text then
    return nil, ("error loading %s (%s)"):format(what, err or path)
  end
  return text
end

--- The versions of the protocol, the lowest and the highest.
local function versions(protocol, options)
  local low, high = "TLSv1.2", "TLSv1.3"
  if VERSIONS[protocol] then
    low, high = VERSIONS[protocol], VERSIONS[protocol]
  elseif protocol ~= "any" and protocol ~= "sslv23" then
    return nil, ("invalid protocol (%s)"):format(protocol)
  end
  if options.no_tlsv1_2 then
    low = "TLSv1.3"
  end
  if options.no_tlsv1_3 then
    high = "TLSv1.2"
  end
  if low > high then
    return nil, "no protocol is left"
  end
  return low, high
end

--- The one certificate, and its key, of the parameters.
local function identity(params)
  local list = params.certificates or { params }
  if #list > 1 then
    return nil, "certificates: more than one is not supported"
  end
  local one = list[1] or {}
  local password = one.password
  if type(password) == "function" then
    password = password()
  end
  if password ~= nil and type(password) ~= "string" then
    return nil, "invalid password type"
  elseif (one.key == nil) ~= (one.certificate == nil) then
    return nil, "key and certificate go together"
  end
  local key, cert, err
  if one.key then
    key, err = read(one.key, "private key")
    if not key then
      return nil, err
    end
    cert, err = read(one.certificate, "certificate")
    if not cert then
      return nil, err
    end
  end
  return { key = key, cert = cert, passphrase = password }
end

--- The names of protocols to agree on, or nil.
local function protocols(alpn)
  local list = type(alpn) == "string" and { alpn } or alpn
  if list ~= nil and type(list) ~= "table" then
    return nil, "invalid ALPN parameter"
  end
  for _, name in ipairs(list or {}) do
    if type(name) ~= "string" or #name < 1 or #name > 255 then
      return nil, "invalid ALPN name"
    end
  end
  return list and list[1] and list
end

--- What is wrong with the parameters as such, or nil.
local function mistake(params)
  for _, name in ipairs(UNSUPPORTED) do
    if params[name] ~= nil then
      return name .. ": not supported"
    end
  end
  if params.mode ~= "client" and params.mode ~= "server" then
    return ("invalid mode (%s)"):format(params.mode)
  end
  for name in pairs(set_of(params.options)) do
    if not M.config.options[name] then
      return ("invalid option (%s)"):format(name)
    end
  end
  for name in pairs(set_of(params.verify)) do
    if name ~= "none" and name ~= "peer" and name ~= "client_once"
      and name ~= "fail_if_no_peer_cert" then
      return ("invalid verify option (%s)"):format(name)
    end
  end
  if params.mode == "server" and not (params.key or params.certificates) then
    return "a server needs key and certificate"
  end
end

--- The parameters as the engine's options.
local function translate(params)
  local options, err = identity(params)
  if not options then
    return nil, err
  end
  options.server = params.mode == "server"
  options.verify = set_of(params.verify).peer or false
  options.any_host = true
  options.min_version, options.max_version = versions(params.protocol, set_of(params.options))
  if not options.min_version then
    return nil, options.max_version
  end
  options.alpn, err = protocols(params.alpn)
  if err then
    return nil, err
  end
  if params.cafile then
    options.ca, err = read(params.cafile, "CA locations")
  elseif options.server and options.verify then
    err = "a server that verifies its clients needs cafile"
  end
  if err then
    return nil, err
  end
  return options
end

function M.new(params)
  argument.check("table", params, 1, "newcontext")
  local problem = mistake(params)
  if problem then
    return nil, problem
  end
  local options, err = translate(params)
  if not options then
    return nil, err
  end
  local engine, message = tls.context(options)
  if not engine then
    return nil, message
  end
  return setmetatable({ _engine = engine, _server = options.server }, Context)
end

return M
