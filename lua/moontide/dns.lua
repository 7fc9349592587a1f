--- Names and addresses of hosts; the annotations are in meta/dns.lua.
---@type moontide.dns
local M = require("moontide.core").dns

return M
