--- Names and addresses of hosts; the annotations are in meta/dns.lua.
---@type moontide.dns
require "moontide.internal.version"()
local M = require("moontide.core").dns

return M
