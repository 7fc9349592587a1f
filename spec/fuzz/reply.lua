--- Replies: whatever a handler returns is refused, or is one reply, with the headers that it has
--- set and the server's own, and no more. The lines of the input are names and values of headers;
--- the rest, behind an empty one, is the body.
local http = require "moontide.http"
local reply = require "moontide.http.reply"

local OWN = { ["content-length"] = true, ["content-type"] = true, date = true, connection = true,
  ["transfer-encoding"] = true }

local function result_of(data)
  local head, body = data:match("^(.-)\n\n(.*)$")
  local headers = {}
  for line in ((head or data) .. "\n"):gmatch("(.-)\n") do
    local name, value = line:match("^(.-)=(.*)$")
    value = (value or ""):gsub("\\n", "\n"):gsub("\\r", "\r")
    headers[#headers + 1] = { name or line, value }
  end
  return {
    status = 200 + (data:byte(1) or 0) * 2, headers = headers,
    [(data:byte(2) or 0) % 2 == 0 and "html" or "body"] = body or "",
  }
end

--- Checks the text of a head against what has been set.
local function check(head, result, out)
  assert(head:find("\r\n\r\n", 1, true) == #head - 3, "the head ends early")
  local status, lines = head:match("^HTTP/1%.1 (%d%d%d) [%w%- ]+\r\n(.*)\r\n$")
  assert(status == tostring(result.status), "another status")
  local set = {}
  for _, pair in ipairs(result.headers) do
    set[pair[1]:lower()] = true
  end
  for line in lines:gmatch("(.-)\r\n") do
    local name = line:match("^([^%s:]+): ?[^%z\1-\8\10-\31\127]*$")
    assert(name, "no field: " .. line)
    assert(OWN[name:lower()] or set[name:lower()], "nobody has set " .. name)
  end
  assert(type(out.body) ~= "string" or out.length == #out.body)
end

return function(data)
  local result = result_of(data)
  local ok, out = pcall(reply.of, result)
  if not ok then
    assert(type(out) == "table" and out.name == "TypeError", out)
    return
  end
  for _, how in ipairs({ false, "chunked" }) do
    check(reply.head(out, how or nil, "Connection: close\r\n", "Date: x\r\n"), result, out)
  end
  pcall(http.redirect, data)
end
