--- Targets that the parser takes: what is made of them for a handler.
local llhttp = require "moontide.llhttp_core"
local request = require "moontide.http.request"

local CONNECTION = { server = { is_secure = false } }

local function check_query(query)
  for name, value in query:each() do
    assert(query:has(name) and query:get(name))
    local found = false
    for _, each in ipairs(query:get_all(name)) do
      found = found or each == value
    end
    assert(found, "a value is not among those of its name")
  end
end

return function(data)
  local parser = llhttp.parser(16384)
  parser:feed("GET " .. data .. " HTTP/1.1\r\nHost: a.test\r\n\r\n")
  local method, target, fields, minor, length, kept, expects = parser:head()
  if not method or not parser:body() or parser:buffered() > 0 then
    return
  end
  local made = request.new(CONNECTION, method, target, fields, minor, length, kept, expects)
  assert(made.target == target)
  assert(made.path:find("^/[^?]*$") or made.path == "*", "path: " .. made.path)
  assert(made.url:find("^[hH][tT][tT][pP][sS]?://[^/?]"), "url: " .. made.url)
  assert(not made.url:find("[%s%c]"), "url: " .. made.url)
  check_query(made.query)
end
