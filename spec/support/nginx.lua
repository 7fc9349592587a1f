--- nginx, where it is installed.
local child = require "spec.support.child"
local files = require "spec.support.files"
local peers = require "spec.support.peers"

local M = {}

M.available = child.shell("PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx").code == 0

-- %s is its directory.
local CONFIG = [[
daemon off;
master_process off;
pid %s/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path %s/body;
  proxy_temp_path %s/proxy;
  fastcgi_temp_path %s/fastcgi;
  uwsgi_temp_path %s/uwsgi;
  scgi_temp_path %s/scgi;
]]

--- Starts it, until `peers.stop`; what is configured may have %d for its port.
---@param directory string
---@param servers string what stands in `http`
---@return integer port
function M.start(directory, servers)
  return peers.serve(function(port)
    local config = (CONFIG .. servers:gsub("%%d", port) .. "}\n"):gsub("%%s", directory)
    files.write(directory .. "/nginx.conf", config)
    return ("nginx -e stderr -p %s -c %s/nginx.conf"):format(directory, directory)
  end)
end

return M
