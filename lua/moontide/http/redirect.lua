--- Replies that send a client elsewhere.
local argument = require "moontide.internal.argument"
local headers = require "moontide.http.headers"

local M = {}

local STATUSES = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

function M.redirect(location, status)
  argument.check("string", location, 1, "http.redirect")
  local problem = headers.value_problem(location)
  if problem then
    argument.fail(problem, 1, "http.redirect")
  end
  argument.check("integer?", status, 2, "http.redirect")
  if status and not STATUSES[status] then
    argument.fail("301, 302, 303, 307 or 308 expected, got " .. status, 2, "http.redirect")
  end
  return { status = status or 302, headers = { Location = location }, body = "" }
end

return M
