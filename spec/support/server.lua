--- A server for HTTP while a spec needs it.
local http = require "moontide.http"
local tide = require "moontide"

local await = tide.await

local M = {}

--- Calls f(port, service) while it runs, and closes it.
---@param options table for http.serve
---@param handler function
---@param f fun(port: integer, service: moontide.net.Service)
function M.run(options, handler, f)
  local all = { host = "127.0.0.1", port = 0 }
  for name, value in pairs(options) do
    all[name] = value
  end
  local service = await(http.serve(all, handler))
  local ok, err = pcall(f, service:address().port, service)
  await(service:close({ grace = 0 }))
  if not ok then
    error(err, 0)
  end
end

return M
