--- Sockets; the annotations are in meta.lua.
local core = require "moontide.core"

---@class moontide.net
local M = {
  udp = core.net.udp,
}

return M
