--- What can be wrong with the options of TLS. The engine, which may be missing, is not needed.
local argument = require "moontide.internal.argument"

local M = {}

local FIELDS = {
  { "server_name", "text" },
  { "ca", "text" },
  { "cert", "text" },
  { "key", "text" },
  { "passphrase", "string" },
  { "alpn", "table" },
  { "min_version", "string" },
  { "max_version", "string" },
  { "verify", "boolean" },
  { "verify_client", "boolean" },
  { "server", "boolean" },
  { "timeout", "ms" },
  { "on_error", "callable" },
  { "signal", "signal" },
}

-- What contexts are about.
local OF_CONTEXTS = { "alpn", "ca", "cert", "key", "max_version", "min_version", "passphrase",
  "verify", "verify_client" }

local CONTEXT = "moontide.tls.Context" -- the class in C
local VERSIONS = { ["TLSv1.2"] = true, ["TLSv1.3"] = true }

local function is_context(value)
  local meta = getmetatable(value)
  return type(value) == "userdata" and type(meta) == "table" and meta.__name == CONTEXT
end

--- What is wrong with the names of protocols, or nil.
local function mistake_in_alpn(list)
  local size = 0
  for i = 1, #list do
    local name = list[i]
    if type(name) ~= "string" or #name < 1 or #name > 255 then
      return "field 'alpn': names of 1 to 255 bytes expected"
    end
    size = size + 1 + #name
  end
  if size == 0 or size > 65535 then
    return "field 'alpn': " .. (size == 0 and "empty" or "too long")
  end
end

--- What is wrong with the versions, or nil.
local function mistake_in_versions(options)
  for _, field in ipairs({ "min_version", "max_version" }) do
    if options[field] and not VERSIONS[options[field]] then
      return ("field '%s': 'TLSv1.2' or 'TLSv1.3' expected"):format(field)
    end
  end
  if (options.min_version or "TLSv1.2") > (options.max_version or "TLSv1.3") then
    return "field 'min_version': above 'max_version'"
  end
end

--- What is wrong with the name of a host, or nil. One that begins with a dot would be that of every
--- host below it.
local function mistake_in_name(name)
  if name == "" or #name > 255 then
    return "field 'server_name': name of 1 to 255 bytes expected"
  elseif name:sub(1, 1) == "." then
    return "field 'server_name': begins with a dot"
  end
end

--- What no context can be made of, or no use of it, or nil.
local function mistake_of_side(options, is_server)
  local problem = argument.problem(options, FIELDS)
  if problem then
    return problem
  elseif options.context ~= nil and not is_context(options.context) then
    return "field 'context': " .. CONTEXT .. " expected, got " .. type(options.context)
  end
  local field = options.context and M.has_context_fields(options)
  if field then
    return ("field '%s': the context says so"):format(field)
  end
  if (options.cert == nil) ~= (options.key == nil) then
    return "fields 'cert' and 'key' go together"
  elseif is_server and not options.cert and not options.context then
    return "fields 'cert' and 'key': a server needs them"
  elseif is_server and options.verify_client and not options.ca then
    return "field 'verify_client': needs 'ca'"
  end
  return mistake_in_versions(options) or options.alpn and mistake_in_alpn(options.alpn)
    or options.server_name and mistake_in_name(options.server_name)
end

--- The first of the fields that are about contexts, or nil.
function M.has_context_fields(options)
  for _, field in ipairs(OF_CONTEXTS) do
    if options[field] ~= nil then
      return field
    end
  end
end

--- What is wrong with the options of `context`, or nil.
function M.mistake_in_context(options)
  return mistake_of_side(options, options.server)
end

local kinds = setmetatable({}, { __mode = "k" }) -- context -> its is_server and verify

--- A context has been made, for that side.
function M.note_context(context, is_server, verify)
  kinds[context] = { is_server = is_server, verify = verify }
end

--- What is wrong with the options of a connection or a server, or nil.
function M.mistake(options, is_server)
  local problem = mistake_of_side(options, is_server)
  if problem then
    return problem
  end
  local kind = kinds[options.context] or { verify = options.verify ~= false }
  if options.context and kind.is_server ~= is_server then
    return ("field 'context': a %s's expected"):format(is_server and "server" or "client")
  elseif not is_server and kind.verify and not options.server_name then
    return "field 'server_name' is needed to verify the certificate"
  end
end

return M
