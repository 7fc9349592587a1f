---@meta _
--- `require "moontide.luasec"`. What holds everywhere is said in moontide.lua.

--- The part of LuaSec's `ssl` module that clients use, where what would block awaits. What is not
--- said here is as in LuaSec: arguments, results, timeouts, errors. A cancellation is raised, and
--- leaves the connection usable. Needs LuaSocket, and moontide built with OpenSSL. Source: LuaSec 1.2.
---@class moontide.luasec
---@field config table<string, table> what is supported: `protocols`, `options`, `capabilities`
local luasec = {}

--- What is not here is refused: `capath`, `ciphers`, `ciphersuites`, `curve`, `curveslist`, `dane`,
--- `depth`, `dhparam`, `verifyext`, more than one of `certificates`.
---@class moontide.luasec.Params
---@field mode "client"|"server"
---@field protocol "any"|"tlsv1_2"|"tlsv1_3"|"sslv23"
---@field verify? string|string[] "none", "peer", "client_once", "fail_if_no_peer_cert"; default "none".
---With "peer", a host given to `sni` is checked, and a client has to have a certificate
---@field options? string|string[] of config.options
---@field cafile? string path; default: the system's authorities
---@field certificate? string path
---@field key? string path
---@field password? string|fun(): string of the key
---@field certificates? table[] one table with `certificate`, `key`, `password`
---@field alpn? string|string[]

---@class moontide.luasec.Context

--- Puts this module in the place of `ssl`, and moontide.luasocket in that of `socket`. `ssl.https`
--- will be loaded anew.
---@return fun() undo puts back what was there before
function luasec.install() end

---@param params moontide.luasec.Params
---@return moontide.luasec.Context|nil
---@return string? error
function luasec.newcontext(params) end

--- Takes the connection out of a socket of moontide.luasocket, which is as good as closed then.
---@param socket moontide.luasocket.Tcp connected
---@param params moontide.luasec.Params|moontide.luasec.Context
---@return moontide.luasec.Connection|nil
---@return string? error
function luasec.wrap(socket, params) end

--- Needs LuaSec's C module.
---@param pem string
---@return userdata|nil certificate LuaSec's own
---@return string? error
function luasec.loadcertificate(pem) end

--- `dohandshake`, `send`, `receive` and `shutdown` wait.
---@class moontide.luasec.Connection
local LuaSecConnection = {}

---@param host string sent to the server; checked, where the context has `verify = "peer"`
function LuaSecConnection:sni(host) end

---@return boolean done
---@return string? error
function LuaSecConnection:dohandshake() end

--- What has been encrypted counts as sent: after a timeout the rest goes with the next call.
---@param data string
---@param i? integer
---@param j? integer
---@return integer|nil last the index of the last byte that was sent
---@return string? error
---@return integer? last the same, with an error
function LuaSecConnection:send(data, i, j) end

---@param pattern? "*l"|"*a"|integer
---@param prefix? string
---@return string|nil
---@return string? error
---@return string? partial
function LuaSecConnection:receive(pattern, prefix) end

---@param seconds? number nil or negative: no limit
---@param mode? "b"|"t"
---@return 1
function LuaSecConnection:settimeout(seconds, mode) end

---@return boolean
function LuaSecConnection:dirty() end

---@return "nothing"|"read"|"write" what the last call could not wait for
function LuaSecConnection:want() end

--- Says that no more will come, and shuts the socket down. LuaSec has none.
---@param mode? "both"|"send"|"receive"
---@return 1|nil
---@return string? error
function LuaSecConnection:shutdown(mode) end

--- Says goodbye as far as that goes without waiting.
function LuaSecConnection:close() end

---@return integer
function LuaSecConnection:getfd() end

---@return integer received of ciphertext
---@return integer sent
---@return number age seconds
function LuaSecConnection:getstats() end

---@param received? integer
---@param sent? integer
---@param age? number
---@return 1
function LuaSecConnection:setstats(received, sent, age) end

--- Needs LuaSec's C module.
---@param n? 1
---@return userdata|nil certificate LuaSec's own
---@return string? error
function LuaSecConnection:getpeercertificate(n) end

---@return boolean
---@return string|table? errors
function LuaSecConnection:getpeerverification() end

---@param field? "cipher"|"protocol"
---@return table|string|nil
---@return string? error
function LuaSecConnection:info(field) end

---@return string|nil protocol
function LuaSecConnection:getalpn() end

---@return string|nil
function LuaSecConnection:getsniname() end
