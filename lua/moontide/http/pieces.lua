--- Bodies that are sent piece by piece: functions, generators, streams and files.
local core = require "moontide.core"

local M = {}

--- Whether it gives pieces: when it is called, or asked for its chunks.
function M.gives(body)
  return core.callable(body)
    or (type(body) == "table" or type(body) == "userdata") and core.callable(body.chunks)
end

--- What a `for` closes: generators, streams and files.
function M.closing(body)
  local meta = getmetatable(body)
  return meta and meta.__close and body or nil
end

--- What a `for` goes through: the pieces of a body, which is closed at the end.
function M.of(body)
  return core.callable(body) and body or body:chunks(), nil, nil, M.closing(body)
end

--- Closes a body that is not sent.
function M.drop(body)
  if type(body) ~= "string" and M.closing(body) then
    getmetatable(body).__close(body)
  end
end

return M
