---@meta _
--- Streams. What holds everywhere is said in moontide.lua.

---@class moontide.Reading: moontide.Options
---@field limit? number bytes, those of the end of a line included, else rejects LimitError; default 1 MiB
---for lines and delimiters, 64 MiB for read_all

---@class moontide.ReadingLines: moontide.Reading
---@field crlf? boolean lines end with "\r\n": a "\r" before the "\n" goes as well

--- Where one end of a socket is: address, family and port, or the path of a unix domain socket.
---@class moontide.SocketAddress
---@field address? string
---@field family? integer 4 or 6
---@field port? integer
---@field path? string

--- A connection, a pipe or a terminal. One read at a time: another one raises. A read that is
--- aborted, or that rejects with LimitError or IncompleteReadError, takes nothing: its bytes are there
--- for the next. Errors of the system reject with a moontide.SystemError, after what has come before;
--- the methods reject with EBADF when the stream has been closed. As a `<close>` variable's value it
--- is closed at the end of the scope, and destroyed if an error or a cancellation ends that.
--- Source: libuv, uv_stream_t.
---@class moontide.Stream
local Stream = {}

--- Fulfilled with 1 to n bytes as soon as there are some, with nothing at the end.
---@param n? integer default: what is there
---@param options? moontide.Options
---@return moontide.Promise<string?>
---@nodiscard
function Stream:read(n, options) end

--- Fulfilled with n bytes; rejects with IncompleteReadError (`received`: bytes) when the end comes
--- first.
---@param n integer 0 or more
---@param options? moontide.Options
---@return moontide.Promise<string>
---@nodiscard
function Stream:read_exactly(n, options) end

--- Fulfilled with what comes up to the delimiter and the delimiter itself; with nothing at the end,
--- unless something stands before that: IncompleteReadError.
---@param delimiter string
---@param options? moontide.Reading
---@return moontide.Promise<string?>
---@nodiscard
function Stream:read_until(delimiter, options) end

--- Fulfilled with the next line without its "\n", the last one need not have one; with nothing at the
--- end.
---@param options? moontide.ReadingLines
---@return moontide.Promise<string?>
---@nodiscard
function Stream:read_line(options) end

--- Fulfilled with all that comes up to the end.
---@param options? moontide.Reading
---@return moontide.Promise<string>
---@nodiscard
function Stream:read_all(options) end

--- `for chunk in stream:chunks() do` awaits each, up to the end.
---@param n? integer bytes at most
---@param options? moontide.Options
---@return moontide.Callable
function Stream:chunks(n, options) end

--- `for line in stream:lines() do` awaits each, as `read_line`.
---@param options? moontide.ReadingLines
---@return moontide.Callable
function Stream:lines(options) end

--- Writes strings, in this order and after what was written before. Fulfilled as soon as no more than
--- 64 KiB are queued: whoever awaits it does not outrun the peer. What is queued is sent even if the
--- write is aborted. After a failure every later write rejects, too. The last argument may be
--- moontide.Options.
---@param data string|number
---@param ... string|number|moontide.Options
---@return moontide.Promise
function Stream:write(data, ...) end

--- How many bytes have been written that the system has not taken: a TLS stream's are encrypted.
---@return integer
function Stream:queued() end

--- Ends what is sent, after all that is queued; reading goes on. Source: shutdown(2), SHUT_WR.
---@param options? moontide.Options
---@return moontide.Promise
function Stream:shutdown(options) end

--- Closes the stream: reading ends at once, what is queued is still sent. Fulfilled when it is closed;
--- waiting for that is not needed.
---@return moontide.Promise
function Stream:close() end

--- Closes the stream at once; what is queued is lost.
---@return moontide.Promise
function Stream:destroy() end

---@return moontide.SocketAddress? # nothing where there is none
function Stream:local_address() end

---@return moontide.SocketAddress? # nothing where there is none
function Stream:peer_address() end

--- Whether small writes are sent at once, which is the default. Only for tcp. Source: tcp(7),
--- TCP_NODELAY.
---@param on boolean
---@return moontide.Stream self
function Stream:set_nodelay(on) end

--- Has the system look whether a silent peer is still there. Only for tcp. Source: tcp(7),
--- TCP_KEEPIDLE.
---@param seconds integer|false of silence before that, 1 to 32767
---@return moontide.Stream self
function Stream:set_keepalive(seconds) end

--- What a terminal shows; nothing where it is none. Source: uv_tty_get_winsize.
---@return integer? columns
---@return integer? rows
function Stream:size() end

--- Whether the terminal gives each key as it is typed, shows nothing by itself and sends no signals.
--- The mode it had before is restored when the stream or the state is closed, and at exit. Raises if it
--- is no terminal. Source: uv_tty_set_mode.
---@param on boolean
---@return moontide.Stream self
function Stream:set_raw(on) end

--- What listens. `for stream in server do` awaits each connection, until the server is closed.
---@class moontide.Server
---@overload fun(): moontide.Stream?
local Server = {}

--- Fulfilled with the next connection, with nothing once the server is closed. An aborted one loses
--- none. A lack of descriptors is waited out.
---@param options? moontide.Options
---@return moontide.Promise<moontide.Stream?>
---@nodiscard
function Server:accept(options) end

---@return moontide.SocketAddress? # nothing once it is closed
function Server:address() end

--- Takes no more connections. Also what a `<close>` variable does. Fulfilled when it is closed.
---@return moontide.Promise
function Server:close() end
