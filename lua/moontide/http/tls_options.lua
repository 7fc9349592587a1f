--- The options of TLS, as far as they are a fetch's: the name of the server is the URL's, and the
--- protocols are those of HTTP.
local core = require "moontide.core"
local fs = require "moontide.fs"
local options_of = require "moontide.tls.options"

local M = {}

local NOT_HERE = { "alpn", "context", "server", "server_name", "timeout", "on_error",
  "verify_client" }

--- What is wrong with the options, or nil.
function M.mistake(options)
  for _, name in ipairs(NOT_HERE) do
    if options[name] ~= nil then
      return ("field 'tls': field '%s' cannot be set here"):format(name)
    end
  end
  local all = { server_name = "any" }
  for name, value in pairs(options) do
    all[name] = value
  end
  local problem = options_of.mistake(all, false)
  return problem and "field 'tls': " .. problem
end

local function text_of(value)
  if value == nil or value:find("-----BEGIN", 1, true) then
    return value
  end
  return core.await(fs.read_file(value))
end

--- Sets what libcurl is to know in a request. Awaits files.
function M.set(request, options)
  request.verify = not options or options.verify ~= false
  if options then
    request.has_tls = true
    request.ca = text_of(options.ca)
    request.cert, request.key = text_of(options.cert), text_of(options.key)
    request.passphrase = options.passphrase
    request.from_tls_13 = options.min_version == "TLSv1.3"
    request.to_tls_12 = options.max_version == "TLSv1.2"
  end
end

return M
