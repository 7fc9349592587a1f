--- Certificates for specs, made by the openssl command when they are asked for: no key is stored,
--- and nothing expires.
local assert = require "luassert"
local child = require "spec.support.child"
local files = require "spec.support.files"

local M = {}

local KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

---@class spec.Certificate
---@field cert string PEM
---@field key string PEM, of its private key
---@field issuer? string PEM

--- Runs openssl in a directory; its words are not to need quoting.
local function openssl(directory, command, ...)
  local result = child.shell(("cd %s && openssl "):format(directory) .. command:format(...))
  assert(result.code == 0, result.err)
end

local function result_of(directory, issuer)
  return {
    cert = files.read(directory .. "/cert.pem"),
    key = files.read(directory .. "/key.pem"),
    issuer = issuer,
  }
end

--- One that has signed itself: an authority, or a host with these names.
---@param subject string
---@param names? string subjectAltName: "DNS:localhost,IP:127.0.0.1"
---@return spec.Certificate
function M.self_signed(subject, names)
  local directory = files.directory()
  local extension = names and "-addext subjectAltName=" .. names or ""
  openssl(directory, "req -x509 %s -keyout key.pem -out cert.pem -subj '/CN=%s' -days 2 %s", KEY,
    subject, extension)
  return result_of(directory)
end

--- One that an authority has signed.
---@param authority spec.Certificate
---@param subject string
---@param names string
---@param days? integer default 2; negative: it has expired
---@param is_authority? boolean whether it may sign others
---@return spec.Certificate
function M.signed(authority, subject, names, days, is_authority)
  local directory = files.directory()
  files.write(directory .. "/ca.pem", authority.cert)
  files.write(directory .. "/ca.key", authority.key)
  files.write(directory .. "/extensions", ("subjectAltName=%s\nbasicConstraints=CA:%s\n"):format(
    names, is_authority and "TRUE" or "FALSE"))
  openssl(directory, "req %s -keyout key.pem -out request.pem -subj '/CN=%s'", KEY, subject)
  openssl(directory, "x509 -req -in request.pem -out cert.pem -CA ca.pem -CAkey ca.key "
    .. "-set_serial 2 -days %d -extfile extensions", days or 2)
  return result_of(directory, authority.cert)
end

--- The same private key, to be had with a passphrase only.
---@param key string PEM
---@param passphrase string
---@return string PEM
function M.encrypted(key, passphrase)
  local directory = files.directory()
  files.write(directory .. "/key.pem", key)
  openssl(directory, "pkey -in key.pem -out locked.pem -aes128 -passout pass:%s", passphrase)
  return files.read(directory .. "/locked.pem")
end

return M
