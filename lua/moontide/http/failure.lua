--- What a fetch fails with.
local core = require "moontide.core"

local M = {}

local new_error = core.new_error

-- What libcurl says better for a program than for a person, or does not know.
local MESSAGES = {
  BODY_TOO_LARGE = "the body is longer than 'max_body'",
  ENOMEM = "not enough memory",
}

--- The reason of TLS in a text of libcurl's, as `moontide.tls` has it: "wrong version number" is
--- WRONG_VERSION_NUMBER.
local function code_of_handshake(message)
  local reason = message:match("SSL routines:[^:]*:([^:]+)$")
  if not reason then
    return "SSL_CONNECT_ERROR"
  end
  local alert = reason:match(" alert (.+)$")
  local words = (alert or reason):upper():gsub("[^%w]", "_")
  return (alert and "ALERT_" or "") .. words
end

--- An error of the code, about a URL.
---@return moontide.http.Error
function M.new(url, code, message, is_of_tls)
  if code == "ETIMEDOUT" then
    return new_error("TimeoutError", ("%s, fetch '%s'"):format(message, url))
  elseif code == "ECANCELED" then
    return new_error("TypeError", "the client has been closed")
  end
  message = MESSAGES[code] or message
  code = code == "SSL_CONNECT_ERROR" and code_of_handshake(message) or code
  local err = new_error("HTTPError", ("%s: %s, fetch '%s'"):format(code, message, url))
  err.code, err.url = code, url
  if is_of_tls then
    err.cause = new_error("TLSError", message)
    err.cause.code = code
  end
  return err
end

--- The same of what another operation has failed with.
---@return moontide.http.Error
function M.of(url, cause)
  local err = M.new(url, type(cause) == "table" and cause.code or "FAILED", tostring(cause))
  err.cause = cause
  return err
end

return M
