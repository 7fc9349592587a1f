--- Sockets; the annotations are in meta/net.lua.
require "moontide.internal.version"()
local core = require "moontide.core"
local serve = require "moontide.net.serve"

---@class moontide.net
local M = {
  connect = require("moontide.net.connect").connect,
  listen = serve.listen,
  serve = serve.serve,
  udp = core.net.udp,
}

return M
