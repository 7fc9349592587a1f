--- Names of hosts for moontide.luasocket: LuaSocket's functions, by moontide.dns.
local core = require "moontide.core"
local dns = require "moontide.dns"
local object = require "moontide.luasocket.object"
local real = require("socket.core").dns

local await, check_string = core.await, object.check_string

local M = {}

local FAMILIES = { [4] = "inet", [6] = "inet6" }

local UNKNOWN = "host or service not provided, or not known"
local MESSAGES = {
  EAI_ADDRFAMILY = "Address family for hostname not supported",
  EAI_AGAIN = "temporary failure in name resolution",
  EAI_BADFLAGS = "invalid value for ai_flags",
  EAI_FAIL = "non-recoverable failure in name resolution",
  EAI_FAMILY = "ai_family not supported",
  EAI_MEMORY = "memory allocation failure",
  EAI_NODATA = "No address associated with hostname",
  EAI_NONAME = UNKNOWN,
  EAI_SOCKTYPE = "ai_socktype not supported",
  EINVAL = UNKNOWN,
  ENAMETOOLONG = UNKNOWN,
}

--- What a lookup was rejected with, in LuaSocket's words; raises what is not about the name.
local function message(err)
  if type(err) ~= "table" or err.name ~= "SystemError" then
    error(err, 0)
  end
  return MESSAGES[err.code] or err.message
end

--- The addresses of a host, as getaddrinfo gives them. An address needs no await.
---@param host string
---@param family? 4|6
---@return { family: "inet"|"inet6", addr: string }[]|nil
---@return string? error
function M.resolve(host, family)
  local promise = dns.lookup(host, { all = true, family = family })
  if promise:state() == "fulfilled" then
    return { { family = host:find(":", 1, true) and "inet6" or "inet", addr = host } }
  end
  local ok, entries = pcall(await, promise)
  if not ok then
    return nil, message(entries)
  end
  local list = {}
  for i, entry in ipairs(entries) do
    list[i] = { family = FAMILIES[entry.family], addr = entry.address }
  end
  return list
end

---- socket.dns ----

function M.getaddrinfo(host)
  return M.resolve(check_string(host, 1, "getaddrinfo"))
end

--- The name of an address, or nil where it has none.
local function name_of(address)
  local ok, name = pcall(await, dns.reverse(address))
  if ok then
    return name
  end
  message(name)
end

function M.getnameinfo(host, service)
  if host == nil then
    return real.getnameinfo(host, service) -- of services, there is a file
  end
  local list, err = M.resolve(check_string(host, 1, "getnameinfo"))
  if not list then
    return nil, err
  end
  local names = {}
  for i, entry in ipairs(list) do
    names[i] = name_of(entry.addr) or entry.addr
  end
  if service == nil then
    return names
  end
  local found, text = real.getnameinfo(nil, service)
  return found and names, text
end

--- What is known about a host that has IPv4 addresses: the first of them, the name, unless it is an
--- address without one, and LuaSocket's table; or nothing.
local function find_host(host)
  local list = M.resolve(host, 4)
  if not list then
    return nil
  end
  local addresses = {}
  for i, entry in ipairs(list) do
    addresses[i] = entry.addr
  end
  local name = host
  if addresses[1] == host then
    name = name_of(host)
  end
  return addresses[1], name, { name = name or host, alias = {}, ip = addresses }
end

function M.toip(host)
  local address, _, resolved = find_host(check_string(host, 1, "toip"))
  if not address then
    return nil, "host not found"
  end
  return address, resolved
end

function M.tohostname(host)
  local _, name, resolved = find_host(check_string(host, 1, "tohostname"))
  if not name then
    return nil, "host not found"
  end
  return name, resolved
end

M.gethostname = real.gethostname

return M
