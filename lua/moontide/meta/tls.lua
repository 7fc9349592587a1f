---@meta _
--- `require "moontide.tls"`. What holds everywhere is said in moontide.lua.

--- TLS over streams, where moontide was built with OpenSSL; requiring it raises elsewhere. Failures
--- reject with a moontide.TLSError.
---@class moontide.tls
local tls = {}

--- `code` is OpenSSL's reason or what is wrong with the certificate, without prefix:
--- "CERT_HAS_EXPIRED", "HOSTNAME_MISMATCH", "WRONG_VERSION_NUMBER"; of an alert from the peer,
--- "ALERT_UNKNOWN_CA" and so on.
---@class moontide.TLSError: moontide.Error
---@field code string

--- What many connections can share. `ca`, `cert` and `key` are text (PEM), or the path of a file
--- with it.
---@class moontide.tls.ContextOptions
---@field ca? string certificates of the authorities that are trusted; default: the system's
---@field cert? string one's own certificate, then those between it and the authority
---@field key? string its private key
---@field passphrase? string of the key
---@field alpn? string[] protocols, the preferred one first: a server chooses by its own preference
---@field min_version? "TLSv1.2"|"TLSv1.3" default: "TLSv1.2"
---@field max_version? "TLSv1.2"|"TLSv1.3"
---@field verify? boolean clients: whether the server's certificate and name are checked; default true
---@field verify_client? boolean servers: whether a client has to have a certificate that `ca` has
---signed; default false
---@field server? boolean for `context`: of servers

---@class moontide.tls.Options: moontide.tls.ContextOptions, moontide.Options
---@field context? moontide.tls.Context in place of the options that it was made of
---@field server_name? string clients: host name or address; sent (SNI), and checked
---@field timeout? number ms for the handshake; default 10000

--- Made by `context`; it has nothing for others.
---@class moontide.tls.Context

--- Makes what many connections share: reading certificates takes time, the system's most of all.
--- Without options it is a client's. Raises for what can never work; rejects with a
--- moontide.TLSError, or with a moontide.SystemError of a file.
---@param options? moontide.tls.ContextOptions
---@return moontide.Promise<moontide.tls.Context>
---@nodiscard
function tls.context(options) end

--- Speaks TLS over a stream, as a client: fulfilled when the handshake is done. From then on the
--- stream belongs to the TLS stream; it is destroyed when the handshake fails, is aborted or takes
--- too long (TimeoutError). Raises for options that can never work, `server_name` is one of them
--- unless `verify` is false.
---@param stream moontide.Stream any stream: tcp, a unix domain socket, TLS
---@param options? moontide.tls.Options
---@return moontide.Promise<moontide.tls.Stream>
---@nodiscard
function tls.client(stream, options) end

--- The same as a server: it needs `cert` and `key`, or a `context`.
---@param stream moontide.Stream
---@param options moontide.tls.Options
---@return moontide.Promise<moontide.tls.Stream>
---@nodiscard
function tls.server(stream, options) end

---@class moontide.tls.ServerOptions: moontide.tls.Options
---@field on_error? fun(reason: any) is told why a handshake has failed; else nobody is

--- A server in front of another one: what it accepts has shaken hands. Handshakes run side by side,
--- 256 at most; a client that says nothing keeps nobody else waiting. Closing it closes the other
--- one, which belongs to it. Rejects as `context` does, and closes the other one then.
---@param server moontide.Server
---@param options moontide.tls.ServerOptions
---@return moontide.Promise<moontide.Server>
---@nodiscard
function tls.listen(server, options) end

--- What a handshake has led to.
---@class moontide.tls.Info
---@field version string "TLSv1.3"
---@field cipher string
---@field alpn? string the protocol agreed on
---@field server_name? string that the client has asked for
---@field peer_subject? string of the peer's certificate, as RFC 2253 writes it: "CN=localhost"
---@field verify_error? string what `verify = false` has let pass

--- A stream like all others. `shutdown` and `close` tell the peer that no more will come
--- (close_notify). An end that the peer has not announced so is an error of reading,
--- UNEXPECTED_EOF_WHILE_READING: who can cut the connection must not be able to cut the text.
---@class moontide.tls.Stream: moontide.Stream
local TLSStream = {}

---@return moontide.tls.Info
function TLSStream:tls_info() end
