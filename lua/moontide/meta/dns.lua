---@meta _
--- `require "moontide.dns"`. What holds everywhere is said in moontide.lua.

--- Names and addresses of hosts, through the system's resolver. All functions reject with a
--- moontide.SystemError that has the `host`; a failure of the resolver has a code like
--- "EAI_NONAME". Under an abort the promise is rejected at once; a group does not wait for the
--- thread.
---@class moontide.dns
local dns = {}

---@class moontide.dns.Options: moontide.Options
---@field family? 4|6 default: either
---@field all? boolean all addresses, not only the first

---@class moontide.dns.Address
---@field address string
---@field family 4|6

--- The addresses of a host, in the system's order, each once. Of an address, that itself, at once.
--- Raises for a host with a NUL in it and for another family. Source: Node, dns.lookup.
---@param host string a name, or an address: "127.0.0.1", "::1", "fe80::1%eth0"
---@param options? moontide.dns.Options
---@return moontide.Promise # the first address and its family, or a moontide.dns.Address[]
---@nodiscard
function dns.lookup(host, options) end

--- The name of an address. Raises for what is no address.
---@param address string
---@param options? moontide.Options
---@return moontide.Promise<string>
---@nodiscard
function dns.reverse(address, options) end
