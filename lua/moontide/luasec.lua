--- LuaSec's `ssl` module for async functions: what waits, awaits.
---
--- TLS is that of csrc/tls, on sockets of moontide.luasocket. The annotations are in
--- meta/luasec.lua.
require "moontide.internal.version"()
require "moontide.tls" -- tells where there is none
local connection = require "moontide.luasec.connection"
local context = require "moontide.luasec.context"
local luasocket = require "moontide.luasocket"

---@class moontide.luasec
local M = {
  config = context.config,
  loadcertificate = connection.load_certificate,
  newcontext = context.new,
  _VERSION = "1.2.0",
}

function M.wrap(socket, params)
  local made = params
  if type(params) == "table" and getmetatable(params) ~= context.Context then
    local err
    made, err = context.new(params)
    if not made then
      return nil, err
    end
  end
  return connection.new(socket, made)
end

---- installation ----

function M.install()
  local loaded = package.loaded
  local restore = luasocket.install()
  local ssl, https = loaded.ssl, loaded["ssl.https"]
  if ssl ~= M then
    loaded.ssl, loaded["ssl.https"] = M, nil
  end
  return function()
    loaded.ssl, loaded["ssl.https"] = ssl, https
    restore()
  end
end

return M
