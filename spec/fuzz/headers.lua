--- Names and values of headers: those that may be set are one field each for the parser. The values
--- with parameters are read without failing.
local headers = require "moontide.http.headers"
local llhttp = require "moontide.llhttp_core"
local parameters = require "moontide.http.parameters"

local FRAMING = {
  ["content-length"] = true, ["transfer-encoding"] = true, host = true, expect = true,
}

local function check_parameters(text)
  local kind, found = parameters.parse(text)
  assert((kind == nil) == (found == nil))
  for name, value in pairs(found or {}) do
    assert(name == name:lower() and type(value) == "string")
  end
end

return function(data)
  check_parameters(data)
  local name, value = data:match("^(.-):(.*)$")
  local ok, made = pcall(headers.headers, { [name or data] = value or "" })
  if not ok or FRAMING[(name or data):lower()] then
    return
  end
  local line
  for each, text in made:each() do
    assert(not line, "two fields")
    line = each .. ": " .. text
  end
  local parser = llhttp.parser(1 << 20)
  parser:feed("GET / HTTP/1.1\r\nHost: a\r\n" .. line .. "\r\n\r\n")
  local method, target, fields = parser:head()
  assert(method, target)
  assert(fields == "Host: a\r\n" .. line .. "\r\n", "several fields")
  assert(parser:body() == true and parser:buffered() == 0, "more than one request")
  local again = headers.of_lines(fields)
  assert(again:get(name or data) == made:get(name or data), "another value")
end
