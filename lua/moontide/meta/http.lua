---@meta _
--- `require "moontide.http"`. What holds everywhere is said in moontide.lua.

--- HTTP: a client for 1.1 and 2, a server for 1.1. See docs/http.md.
---@class moontide.http
local http = {}

--- A table of names and values, a list of pairs, or other headers. What has several values of a name
--- has a list of them, or several pairs.
---@alias moontide.http.HeadersInit
---| moontide.http.Headers
---| table<string, string|number|string[]>
---| { [1]: string, [2]: string|number }[]

--- New headers, a copy of others. Raises for a name that is no token, and for a value with a line end
--- or another control character.
---@param init? moontide.http.HeadersInit
---@return moontide.http.Headers
function http.headers(init) end

--- Names are case-insensitive. Source: RFC 9110, 5; the Fetch standard, Headers.
---@class moontide.http.Headers
local Headers = {}

--- All values of the name, joined by ", ".
---@param name string
---@return string?
function Headers:get(name) end

---@param name string
---@return string[]
function Headers:get_all(name) end

---@param name string
---@return boolean
function Headers:has(name) end

--- In place of what was there. Raises as `http.headers`.
---@param name string
---@param value string|number blanks around it are dropped
function Headers:set(name, value) end

--- Besides what was there. Raises as `http.headers`.
---@param name string
---@param value string|number
function Headers:append(name, value) end

---@param name string
function Headers:delete(name) end

--- `for name, value in headers:each() do`: the names sorted and in lower case, their values joined,
--- but those of set-cookie one by one.
---@return fun(): string?, string?
function Headers:each() end

--- What fetches and clients have.
---@class moontide.http.CommonOptions
---@field headers? moontide.http.HeadersInit `content-length` only for a body in pieces; `connection`,
---`expect`, `keep-alive`, `te`, `trailer`, `transfer-encoding` and `upgrade` raise
---@field redirect? "follow"|"error"|"manual" default "follow"
---@field max_redirects? integer default 20
---@field timeout? number ms for all of it, the body too
---@field connect_timeout? number ms for a connection
---@field decompress? boolean default true: gzip, deflate, br and zstd, as libcurl has them
---@field max_body? number bytes, after decoding; beyond it BODY_TOO_LARGE
---@field auth? { [1]: string, [2]: string } name and password, sent by Basic authentication
---@field proxy? string|false its URL; default: what the environment says (http_proxy, https_proxy,
---all_proxy, no_proxy)
---@field tls? moontide.tls.Options `ca`, `cert`, `key`, `passphrase`, `min_version`, `max_version`,
---`verify`
---@field version? "1.1"|"2" at most; default "2" where TLS is
---@field path? string of a unix domain socket

---@class moontide.http.FetchOptions: moontide.http.CommonOptions, moontide.Options
---@field method? string default "GET"; delete, get, head, options, post, put are put into capitals;
---CONNECT, TRACE and TRACK raise
---@field body? moontide.http.Body not for GET and HEAD; a string has a length and no type, anything
---else is sent in chunks, unless the headers have its length; one of body, json, form, multipart
---@field json? any encoded by lua-cjson
---@field form? table<string, string|number|string[]>
---@field multipart? moontide.http.FormPart[]

---@class moontide.http.FormPart
---@field name string
---@field value? string this or `path`
---@field path? string of a file, which is sent as it is read
---@field filename? string default: that of the path
---@field type? string default: what the name of the path says

--- Fetches what is at a URL: fulfilled as soon as the head of the reply is there; 404 and 500 are
--- responses. Redirects are followed. Rejects with a moontide.http.Error, a TimeoutError, or the
--- signal's reason; what the body of the request fails with. Raises for what is no URL of http or https,
--- for credentials in it, and where moontide was built without libcurl. All fetches share connections.
--- Source: the Fetch standard.
---@param url string
---@param options? moontide.http.FetchOptions
---@return moontide.Promise<moontide.http.Response>
---@nodiscard
function http.fetch(url, options) end

--- Defaults for the options of its fetches, and what is its own.
---@class moontide.http.ClientOptions: moontide.http.CommonOptions
---@field base_url? string to which URLs are relative
---@field cookies? boolean whether cookies are kept and sent; default false
---@field max_connections? integer default 256; further fetches wait
---@field max_per_host? integer default 64

--- A client with connections of its own. Raises as `fetch`.
---@param defaults? moontide.http.ClientOptions
---@return moontide.http.Client
function http.client(defaults) end

---@class moontide.http.Client
local Client = {}

--- As `http.fetch`. Headers are added to those of the defaults.
---@param url string
---@param options? moontide.http.FetchOptions
---@return moontide.Promise<moontide.http.Response>
---@nodiscard
function Client:fetch(url, options) end

--- Closes its connections; what is under way is rejected. Also `<close>`.
function Client:close() end

--- How long the last transfer took, in ms from its start.
---@class moontide.http.Timings
---@field lookup number the address is known
---@field connect number the connection is there; 0: it was there before
---@field tls number the handshake is done
---@field first_byte number of the reply
---@field total number up to its end, or up to now

--- A response, whose body may still be on its way. Whoever has no use for that closes it, by `close`
--- or `<close>`: then the connection is given up; so it is when nobody has the response any more.
---@class moontide.http.Response
---@field ok boolean status from 200 to 299
---@field status integer
---@field status_text string
---@field url string of the last redirect, without fragment
---@field redirected boolean
---@field headers moontide.http.Headers
---@field version string "1.1", "2"
---@field body_used boolean
---@field timings moontide.http.Timings
local Response = {}

--- The body, its bytes as they are. Rejects with a TypeError when it has been used, with a
--- moontide.http.Error, a TimeoutError, or the reason of this signal or the fetch's.
---@param options? moontide.http.ReadingBody
---@return moontide.Promise<string>
---@nodiscard
function Response:text(options) end

--- The body, decoded by lua-cjson. Rejects as `text`, and with a SyntaxError.
---@param options? moontide.http.ReadingBody
---@return moontide.Promise<any>
---@nodiscard
function Response:json(options) end

--- `for piece in response:chunks() do` awaits each. The server is held back by who is slow; leaving the
--- loop gives up what is left.
---@param options? moontide.http.ReadingBody
---@return moontide.Callable
function Response:chunks(options) end

--- Writes it to a file beside the path, syncs and renames that: whoever opens the path finds what was
--- there before, or all of it. Rejects as `text`, and as writing does.
---@param path string
---@param options? moontide.http.ReadingBody
---@return moontide.Promise
---@nodiscard
function Response:save(path, options) end

--- An event that a server has sent.
---@class moontide.http.Event
---@field event string its type, "message" if the server has said none
---@field data string
---@field id string of the last event that had one; to be sent as `Last-Event-ID` by who comes again
---@field retry? integer ms to wait until then, as the server wants it

--- `for event in response:events() do` awaits each of the server-sent events that the body consists of.
--- Leaving the loop gives up what is left. Source: the HTML standard, 9.2.
---@param options? moontide.Options
---@return moontide.Callable
function Response:events(options) end

--- Gives up what is left of the body. Also `<close>`.
function Response:close() end

---@class moontide.http.ServeOptions: moontide.net.ListenOptions
---@field max_connections? integer at the same time; further ones wait in the system's queue
---@field max_header_size? integer bytes of a request's head, default 16384; beyond it 431, 414 for the
---first line
---@field max_body? number bytes that text, json and form take, default 1 MiB; beyond it 413
---@field header_timeout? number ms for a head from its first byte on, default 30000; then 408
---@field body_timeout? number ms without a byte of a body that is waited for, default 60000; then 408
---@field idle_timeout? number ms between requests, default 60000; then the connection is closed
---@field handler_timeout? number ms for the handler, anew behind each wait for the request's body,
---default none; then 503, and it is cancelled
---@field write_timeout? number ms in which a client takes nothing of a reply, default 60000; then the
---connection is closed
---@field on_error? fun(reason: any, request?: moontide.http.Request) is told what a handler or the
---body of its reply fails with, and without a request what a connection does; default: stderr is,
---with the trace
---@field on_request? fun(request: moontide.http.Request, status: integer, bytes: integer, ms: number)
---is called when a reply is out, or its client has gone; `bytes` are those of the body

--- What a handler returns, beside a string, which is a reply of status 200 and type text/plain. One of
--- body, json, html and file. `transfer-encoding`, `keep-alive`, `upgrade` and `trailer` cannot be
--- set; `connection` can be "close"; `content-length` has to be the body's.
---@class moontide.http.Reply
---@field status? integer 200 to 599, default 200
---@field headers? moontide.http.HeadersInit
---@field body? moontide.http.Body a string has no type unless `headers` says so
---@field json? any encoded by lua-cjson
---@field html? string
---@field file? string path; 404 where there is no such file. What a GET or HEAD asks for of it: ETag and
---Last-Modified, 304, 412, one range

--- What gives pieces is awaited piece by piece, no faster than the client takes them, and closed when
--- it is over or the client has gone. It is sent in chunks, unless the headers have its length.
---@alias moontide.http.Body string|number|moontide.AsyncCallable|moontide.Stream|moontide.fs.File

--- Listens, and calls handler(request, group) for each request, where `group` is that of its
--- connection. What the handler fails with, or returns that is no reply, answers 500. Rejects as
--- `net.serve`; the service is like one of that, but `close` waits for no idle connection. Raises where
--- moontide was built without llhttp. Source: RFC 9110, RFC 9112.
---@param options moontide.http.ServeOptions
---@param handler async fun(request: moontide.http.Request, group: moontide.Group): string|moontide.http.Reply
---@return moontide.Promise<moontide.net.Service> # as soon as it listens
function http.serve(options, handler) end

--- A handler, for `http.serve` or called by another one, that replies with the files of a directory:
--- handler(request, prefix), where the prefix is what of the path does not belong to the file, default
--- "/". Of a directory, its index. No file or directory whose name begins with a dot, and nothing that a
--- link has outside. Types by name, ETag and Last-Modified, 304, 412, one range. Source: RFC 9110, 13
--- and 14.
---@param directory string
---@param options? moontide.http.StaticOptions
---@return async fun(request: moontide.http.Request, prefix?: string): moontide.http.Reply
function http.static(directory, options) end

---@class moontide.http.StaticOptions
---@field index? string name of the file that a directory has for itself, default "index.html"
---@field max_age? integer seconds for which clients may keep what they have, told by Cache-Control;
---default: that is left to them
---@field dot_files? boolean serves names that begin with a dot, too; default false

--- A reply that sends the client elsewhere. Raises for a location that could not be a header.
---@param location string as it is sent
---@param status? 301|302|303|307|308 default 302
---@return moontide.http.Reply
function http.redirect(location, status) end

---@class moontide.http.EventsOptions
---@field heartbeat? number ms without an event after which a comment is sent, default 15000

--- A reply that sends events as long as f(events) runs, in a group of its own. When the client leaves,
--- that is cancelled. Headers may be added to those that the reply has. Source: the HTML standard, 9.2.
---@param f async fun(events: moontide.http.Events)
---@param options? moontide.http.EventsOptions
---@return moontide.http.Reply
function http.events(f, options) end

--- What sends events.
---@class moontide.http.Events
---@field last_id string? that of the last event which a client that comes back has seen
local Events = {}

---@class moontide.http.OutgoingEvent
---@field data? string|number may have lines
---@field event? string its name, without line ends; clients take "message" where there is none
---@field id? string|number without line ends
---@field retry? integer ms that the client is to wait before it comes back

--- Sends an event. Fulfilled when the client has taken it, but for 64 KiB. Rejects as `Stream:write`, and
--- with ClosedError when the function is over.
---@param event moontide.http.OutgoingEvent
---@param options? moontide.Options
---@return moontide.Promise
function Events:send(event, options) end

---@class moontide.http.ReadingBody: moontide.Options
---@field limit? number bytes; default: a server's `max_body`; for `chunks`, and of responses, none

--- A request. Its body can be read once, until the reply is out; what it is refused for answers 400,
--- 408, 413 or 415 if the handler does not catch it.
---@class moontide.http.Request
---@field method string "GET"
---@field target string as it was sent
---@field version "1.0"|"1.1"
---@field path string that of the target, without the query, not decoded
---@field query moontide.http.Form that of the target
---@field headers moontide.http.Headers
---@field url string the whole: scheme, host, target
---@field peer moontide.SocketAddress?
---@field signal moontide.AbortSignal is aborted when the client leaves before the reply is out, or when
---the handler takes too long
---@field body_used boolean
---@field trailers moontide.http.Headers? those behind a body in chunks, nil until it has been read
local Request = {}

--- The body. Rejects with a TypeError when it has been used, with a moontide.http.Error
--- (BODY_TOO_LARGE, or it is malformed or not whole), a TimeoutError, the signal's reason.
---@param options? moontide.http.ReadingBody
---@return moontide.Promise<string>
---@nodiscard
function Request:text(options) end

--- The body, decoded by lua-cjson. Rejects as `text`, and with a SyntaxError.
---@param options? moontide.http.ReadingBody
---@return moontide.Promise<any>
---@nodiscard
function Request:json(options) end

--- The body, which is a form. Rejects as `text`, and with a TypeError where its type is another one
--- than application/x-www-form-urlencoded.
---@param options? moontide.http.ReadingBody
---@return moontide.Promise<moontide.http.Form>
---@nodiscard
function Request:form(options) end

--- `for piece in request:chunks() do` awaits each; the client sends no faster than they are taken.
---@param options? moontide.http.ReadingBody
---@return moontide.Callable
function Request:chunks(options) end

---@class moontide.http.ReadingParts: moontide.http.ReadingBody
---@field max_parts? integer default 1000; beyond it 413
---@field max_header_size? integer bytes of a part's head, default 16384; beyond it 413

--- `for part in request:multipart() do` awaits each part of a multipart/form-data body. What of a part
--- has not been read is skipped when the next one is asked for. Raises in the loop as `text` rejects,
--- for a malformed body a moontide.http.Error; a TypeError where a part is being looked for already.
--- Source: RFC 7578.
---@param options? moontide.http.ReadingParts
---@return moontide.Callable
function Request:multipart(options) end

--- A part of a body; it can be read once, until the next one is asked for.
---@class moontide.http.Part
---@field name string
---@field filename string? as the client says: no path to be used without a look at it
---@field type string that of the header Content-Type, or text/plain
---@field headers moontide.http.Headers
---@field is_used boolean
local Part = {}

--- All of it. The texts of a request's parts have `max_body` together, or each the limit that is given;
--- beyond that 413. Rejects as `Request:text`.
---@param options? moontide.http.ReadingBody
---@return moontide.Promise<string>
---@nodiscard
function Part:text(options) end

--- `for piece in part:chunks() do` awaits each.
---@param options? moontide.http.ReadingBody
---@return moontide.Callable
function Part:chunks(options) end

--- Writes it to a file beside the path, syncs and renames that: whoever opens the path finds what was
--- there before, or all of it. Rejects as `Request:text`, and as writing does.
---@param path string
---@param options? moontide.http.ReadingBody
---@return moontide.Promise
---@nodiscard
function Part:save(path, options) end

---@class moontide.http.UpgradeOptions
---@field protocols? string[] that the server speaks, the best first
---@field max_message? number bytes of a message, default 1 MiB; beyond it the connection is closed, 1009
---@field close_timeout? number ms for the peer's answer to a close frame, default 5000

--- A reply that makes a WebSocket of the request's connection; f(ws) uses it, and it is closed when that
--- is over. What is no handshake is answered with 426, a malformed one with 400. Anybody's page may
--- connect: look at the header `origin` where that matters. Source: RFC 6455.
---@param f async fun(ws: moontide.http.WebSocket)
---@param options? moontide.http.UpgradeOptions
---@return moontide.http.Reply
function Request:websocket(f, options) end

---@class moontide.http.WebSocketOptions: moontide.Options
---@field protocols? string[] that are offered
---@field headers? moontide.http.HeadersInit further ones of the handshake
---@field tls? moontide.tls.Options for wss:
---@field path? string of a unix domain socket, in place of the URL's host and port
---@field timeout? number ms for connecting and the handshake, default none
---@field max_message? number bytes of a message, default 1 MiB; beyond it the connection is closed, 1009
---@field close_timeout? number ms for the peer's answer to a close frame, default 5000

--- Connects to a server. Rejects as `net.connect`, and with a moontide.http.WebSocketError where the
--- server does something else. Raises for a URL that is none with ws: or wss:, for which http: and
--- https: may stand, or has a fragment or credentials. Source: RFC 6455; the WebSockets standard.
---@param url string
---@param options? moontide.http.WebSocketOptions
---@return moontide.Promise<moontide.http.WebSocket>
---@nodiscard
function http.websocket(url, options) end

--- One end of a WebSocket. `for message, kind in ws do` awaits each, up to the end. Pings are answered
--- while nobody receives, and no more is read while 64 KiB have not been received. It keeps the loop
--- alive until it is closed; a `<close>` variable does that, at once if an error or a cancellation ends the
--- scope. Source: RFC 6455.
---@class moontide.http.WebSocket
---@field protocol string? that both have agreed on
---@field code integer? once it is over: that of the peer's close frame, 1005 where it has none; 1006
---when the connection was lost; else what the peer has done wrong
---@field reason string? that goes with it
---@overload fun(): string?, "text"|"binary"|nil
local WebSocket = {}

--- Fulfilled with the next message and its kind, with nothing once it is closed. Rejects with a
--- WebSocketError when the connection is lost, or the peer breaks the protocol.
---@param options? moontide.Options
---@return moontide.Promise<string?, "text"|"binary"|nil>
---@nodiscard
function WebSocket:receive(options) end

---@class moontide.http.Sending: moontide.Options
---@field binary? boolean else it is text

--- Sends a message. Fulfilled as soon as the peer has taken it, but for 64 KiB. Rejects with ClosedError
--- after `close` and when the peer has closed. Raises for a text that is no UTF-8.
---@param data string|number
---@param options? moontide.http.Sending
---@return moontide.Promise
function WebSocket:send(data, options) end

--- Fulfilled when the peer has answered this ping or a later one.
---@param data? string|number at most 125 bytes; default: a number that is not used twice
---@param options? moontide.Options
---@return moontide.Promise
function WebSocket:ping(data, options) end

--- Sends a close frame. What the peer has sent meanwhile is dropped. Fulfilled when the peer has
--- answered and the connection is closed, or after `close_timeout`.
---@param code? integer default 1000; 1000 to 1003, 1007 to 1014 or 3000 to 4999
---@param reason? string at most 123 bytes of UTF-8
---@return moontide.Promise
function WebSocket:close(code, reason) end

---@class moontide.http.WebSocketError: moontide.Error
---@field name "WebSocketError"
---@field code integer 1002, 1006, 1007 or 1009
---@field status? integer of a reply that is no handshake
---@field cause? any what the connection has failed with

--- `code` is that of the cause ("ECONNREFUSED", "EAI_NONAME", a reason of TLS), or BAD_RESPONSE,
--- INCOMPLETE_BODY, BAD_ENCODING, TOO_MANY_REDIRECTS, REDIRECT, BODY_TOO_LARGE.
---@class moontide.http.Error: moontide.Error
---@field name "HTTPError"
---@field code? string
---@field url? string of a fetch
---@field cause? any

--- The names and values of a query or a form, decoded, in their order; names are case-sensitive.
--- Source: the URL standard, application/x-www-form-urlencoded parsing.
---@class moontide.http.Form
local Form = {}

--- The first value of the name.
---@param name string
---@return string?
function Form:get(name) end

---@param name string
---@return string[]
function Form:get_all(name) end

---@param name string
---@return boolean
function Form:has(name) end

--- `for name, value in form:each() do`
---@return fun(): string?, string?
function Form:each() end
