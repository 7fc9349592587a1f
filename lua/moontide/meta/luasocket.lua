---@meta _
--- `require "moontide.luasocket"`. What holds everywhere is said in moontide.lua.

--- LuaSocket's `socket` module, where what would block awaits: inside async functions, and at top
--- level. What is not said here is as in LuaSocket: arguments, results, timeouts, errors. A
--- cancellation is raised, and leaves the socket usable; what had been received by then is given to
--- the next `receive`. Needs LuaSocket. Source: LuaSocket 3.1.
---@class moontide.luasocket
---@field BLOCKSIZE integer of the sources that read
---@field dns moontide.luasocket.Dns
---@field sinkt table<string, fun(socket: moontide.luasocket.Tcp): function>
---@field sourcet table<string, fun(socket: moontide.luasocket.Tcp, length?: integer): function>
---@field try fun(...): ... newtry() without a finalizer
local luasocket = {}

---@class moontide.luasocket.Dns by moontide.dns: no canonical names, no aliases
---@field getaddrinfo fun(host: string): { family: "inet"|"inet6", addr: string }[]|nil, string?
---@field gethostname fun(): string
---@field getnameinfo fun(host?: string, service?: string): string[]|nil, string?
---@field tohostname fun(host: string): string|nil, table|string
---@field toip fun(host: string): string|nil, table|string

--- Puts this module in the place of `socket` and `socket.core`, so that what is required from here on
--- uses it. `socket.http`, `socket.ftp`, `socket.smtp` and `socket.tp` will be loaded anew.
---@return fun() undo puts back what was there before
function luasocket.install() end

--- A connection. A name is looked up by moontide.dns, and no timeout limits that.
---@param host string
---@param port integer|string
---@param local_host? string
---@param local_port? integer|string
---@param family? "inet"|"inet6"|"unspec"
---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.connect(host, port, local_host, local_port, family) end

---@param host string
---@param port integer|string
---@param local_host? string
---@param local_port? integer|string
---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.connect4(host, port, local_host, local_port) end

---@param host string
---@param port integer|string
---@param local_host? string
---@param local_port? integer|string
---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.connect6(host, port, local_host, local_port) end

---@param host string "*" for all addresses
---@param port integer|string 0: the system chooses
---@param backlog? integer
---@return moontide.luasocket.Tcp|nil server
---@return string? error
function luasocket.bind(host, port, backlog) end

---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.tcp() end

---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.tcp4() end

---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.tcp6() end

---@return moontide.luasocket.Udp|nil
---@return string? error
function luasocket.udp() end

---@return moontide.luasocket.Udp|nil
---@return string? error
function luasocket.udp4() end

---@return moontide.luasocket.Udp|nil
---@return string? error
function luasocket.udp6() end

--- Waits for sockets of ours, of LuaSocket's, or anything with `getfd` and `dirty`.
---@param readers? table[]
---@param writers? table[]
---@param timeout? number seconds
---@return table readable
---@return table writable
---@return "timeout"|nil
function luasocket.select(readers, writers, timeout) end

---@param seconds number
function luasocket.sleep(seconds) end

---@return number seconds since 1970
function luasocket.gettime() end

---@param n integer
---@param ... any
---@return any ... without the first n
function luasocket.skip(n, ...) end

---@param finalizer? function called before the error is raised
---@return fun(...): ... try its arguments; raises, for `protect`, the second if the first is false or nil
function luasocket.newtry(finalizer) end

--- Unlike LuaSocket's, it catches only what ours `try` raises.
---@param f function
---@return function # returns nil and the message where a `try` in it raises
function luasocket.protect(f) end

---@param mode? string "close-when-done", "keep-open"
---@param socket moontide.luasocket.Tcp
---@return fun(chunk?: string, err?: string): 1|nil, string?
function luasocket.sink(mode, socket) end

---@param mode? string "by-length", "until-closed"
---@param socket moontide.luasocket.Tcp
---@param length? integer
---@return fun(): string|nil, string?
function luasocket.source(mode, socket, length) end

---@param table table<string, function>
---@return function # calls the function that its first argument names
function luasocket.choose(table) end

--- A TCP socket. `connect`, `send`, `receive`, `accept` and, for a name, `bind` wait. Several may
--- wait for one socket; who waits for one that is closed gets "closed".
---@class moontide.luasocket.Tcp
---@field class "tcp{master}"|"tcp{client}"|"tcp{server}" what it can do; tostring begins with it
local LuaSocketTcp = {}

---@param host string
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketTcp:connect(host, port) end

---@param host string
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketTcp:setpeername(host, port) end

---@param host string
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketTcp:bind(host, port) end

---@param host string
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketTcp:setsockname(host, port) end

---@param backlog? integer default 32
---@return 1|nil
---@return string? error
function LuaSocketTcp:listen(backlog) end

---@return moontide.luasocket.Tcp|nil
---@return string? error
function LuaSocketTcp:accept() end

---@param data string
---@param i? integer
---@param j? integer
---@return integer|nil last the index of the last byte that was sent
---@return string? error
---@return integer? last the same, with an error
function LuaSocketTcp:send(data, i, j) end

---@param pattern? "*l"|"*a"|integer
---@param prefix? string
---@return string|nil
---@return string? error
---@return string? partial
function LuaSocketTcp:receive(pattern, prefix) end

---@param seconds? number nil or negative: no limit
---@param mode? "b"|"t"
---@return 1
function LuaSocketTcp:settimeout(seconds, mode) end

---@return number block
---@return number total
function LuaSocketTcp:gettimeout() end

---@return boolean
function LuaSocketTcp:dirty() end

---@return 1
function LuaSocketTcp:close() end

---@param mode? "both"|"send"|"receive"
---@return 1|nil
---@return string? error
function LuaSocketTcp:shutdown(mode) end

---@return string
function LuaSocketTcp:getfamily() end

---@return integer
function LuaSocketTcp:getfd() end

---@param fd integer
function LuaSocketTcp:setfd(fd) end

---@param name string
---@return any
---@return string? error
function LuaSocketTcp:getoption(name) end

---@param name string
---@param value any
---@return 1|nil
---@return string? error
function LuaSocketTcp:setoption(name, value) end

---@return string|nil address
---@return string port or the error
---@return string family
function LuaSocketTcp:getpeername() end

---@return string|nil address
---@return string port or the error
---@return string family
function LuaSocketTcp:getsockname() end

---@return integer received
---@return integer sent
---@return number age seconds
function LuaSocketTcp:getstats() end

---@param received? integer
---@param sent? integer
---@param age? number
---@return 1
function LuaSocketTcp:setstats(received, sent, age) end

--- A UDP socket. `send`, `sendto`, `receive`, `receivefrom` and, for a name, `setpeername` and
--- `setsockname` wait.
---@class moontide.luasocket.Udp
---@field class "udp{unconnected}"|"udp{connected}" what it can do; tostring begins with it
local LuaSocketUdp = {}

---@param host string "*": no longer connected
---@param port? integer|string
---@return 1|nil
---@return string? error
function LuaSocketUdp:setpeername(host, port) end

---@param host string
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketUdp:setsockname(host, port) end

---@param datagram string
---@return 1|nil
---@return string? error
function LuaSocketUdp:send(datagram) end

---@param datagram string
---@param address string no name
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketUdp:sendto(datagram, address, port) end

---@param size? integer
---@return string|nil
---@return string? error
function LuaSocketUdp:receive(size) end

---@param size? integer
---@return string|nil
---@return string address or the error
---@return integer port
function LuaSocketUdp:receivefrom(size) end

---@param seconds? number
---@param mode? "b"|"t"
---@return 1
function LuaSocketUdp:settimeout(seconds, mode) end

---@return number block
---@return number total
function LuaSocketUdp:gettimeout() end

---@return boolean
function LuaSocketUdp:dirty() end

---@return 1
function LuaSocketUdp:close() end

---@return string
function LuaSocketUdp:getfamily() end

---@return integer
function LuaSocketUdp:getfd() end

---@param fd integer
function LuaSocketUdp:setfd(fd) end

---@param name string
---@return any
---@return string? error
function LuaSocketUdp:getoption(name) end

---@param name string
---@param value any
---@return 1|nil
---@return string? error
function LuaSocketUdp:setoption(name, value) end

---@return string|nil address
---@return string port or the error
---@return string family
function LuaSocketUdp:getpeername() end

---@return string|nil address
---@return string port or the error
---@return string family
function LuaSocketUdp:getsockname() end
