---@meta _
--- `require "moontide.net"`. What holds everywhere is said in moontide.lua.

--- Sockets. See docs/io.md.
---@class moontide.net
local net = {}

---@class moontide.net.ConnectOptions: moontide.Options
---@field host? string a name or an address; it or `path`
---@field port? integer
---@field path? string of a unix domain socket
---@field family? 4|6 default: either
---@field local_address? string what the stream is bound to
---@field local_port? integer
---@field nodelay? boolean default true
---@field keepalive? integer seconds, as `Stream:set_keepalive`
---@field timeout? number ms for all of it, else rejects with a TimeoutError
---@field attempt_delay? number ms before the next address is tried as well, default 250
---@field lookup? moontide.AsyncCallable in place of `dns.lookup`: lookup(host, options), a promise of
---moontide.dns.Address[]; else rejects with a TypeError
---@field tls? boolean|moontide.tls.Options true for none; `server_name` is `host` by default

--- Connects. Of a name, all addresses are tried: families in turn, the next one as soon as one has
--- failed, or does not answer within `attempt_delay`; the first stream wins, the other ones are closed.
--- Rejects with the moontide.SystemError (`address`, `port`) of the only address, or a
--- moontide.AggregateError of all. Source: RFC 8305; Node, net.connect.
---@param options moontide.net.ConnectOptions
---@return moontide.Promise<moontide.Stream>
---@nodiscard
function net.connect(options) end

---@class moontide.net.ListenOptions: moontide.Options
---@field host? string a name, of which the first address is taken, or an address; default: any
---@field port? integer default 0: one that the system chooses
---@field path? string of a unix domain socket, in place of host and port
---@field family? 4|6 default: either
---@field ipv6_only? boolean an IPv6 address does not take IPv4
---@field reuse_port? boolean several servers share the port; ENOTSUP where there is no such thing
---@field backlog? integer connections that the system keeps until they are accepted, default 511
---@field tls? moontide.tls.Options what is accepted is a stream of `moontide.tls`; of failed
---handshakes, on_error(reason) is told

--- Listens. The file of a unix domain socket is removed when the server is closed; one that is there
--- already, and that nobody listens at, is replaced. Rejects with a moontide.SystemError.
--- Source: POSIX, bind and listen.
---@param options moontide.net.ListenOptions
---@return moontide.Promise<moontide.Server>
---@nodiscard
function net.listen(options) end

---@class moontide.net.ServeOptions: moontide.net.ListenOptions
---@field max_connections? integer at the same time; further ones wait in the system's queue
---@field on_error? fun(reason: any, stream: moontide.Stream) is told what a handler fails with;
---default: stderr is

--- Listens, and calls handler(stream, group) for each connection, in a group of its own. The
--- connection is closed when the group is over; what has been written is still sent. A failure of the
--- group, or of a TLS handshake, is reported and ends nothing else. The service belongs to the group
--- in which it was begun: that is not over before it, and cancels it. An abort cancels it, too.
---@param options moontide.net.ServeOptions
---@param handler async fun(stream: moontide.Stream, group: moontide.Group)
---@return moontide.Promise<moontide.net.Service> # as soon as it listens
function net.serve(options, handler) end

--- As a `<close>` variable's value it is closed with a grace of 0.
---@class moontide.net.Service
local Service = {}

---@return moontide.SocketAddress? # nothing once it is closed
function Service:address() end

--- How many connections are not over.
---@return integer
function Service:connections() end

--- Accepts no more but who has connected already, and waits for the handlers. Those that still run
--- after the grace are cancelled, and what they have written is not waited for any more. Can be called
--- again, with less grace.
---@param options? { grace?: number } ms; default: no limit
---@return moontide.Promise # when all connections are over; it rejects if accepting had failed
function Service:close(options) end

--- One end of a socket.
---@class moontide.net.Address
---@field address string "127.0.0.1", "::1", "fe80::1%eth0"
---@field port integer
---@field family 4|6

---@class moontide.net.UDPOptions
---@field host? string the address to be bound to; default: any
---@field port? integer default 0: one that the system chooses
---@field family? 4|6 default: the host's, or 4
---@field reuse_address? boolean others may be bound to the port, who say so as well
---@field reuse_port? boolean the same, and they share what comes; ENOTSUP where there is no such thing
---@field ipv6_only? boolean a socket of family 6 does not hear IPv4
---@field broadcast? boolean as `set_broadcast`
---@field max_length? integer bytes of the longest datagram that is received whole, default 65536

--- A socket for datagrams, bound. Raises a moontide.SystemError where the system refuses.
--- Source: POSIX, socket and bind; libuv, uv_udp_t.
---@param options? moontide.net.UDPOptions
---@return moontide.net.UDP
function net.udp(options) end

--- Where a datagram came from.
---@class moontide.net.Peer: moontide.net.Address
---@field truncated? true the datagram was longer than `max_length`; the rest is lost

--- A socket for datagrams; closed by `<close>`, by the collector, and with its loop. `for data, peer
--- in socket do` awaits each, until the socket is closed. What is no operation that waits raises its
--- moontide.SystemError; once it is closed, everything but `receive` and `close` fails with EBADF.
---@class moontide.net.UDP
---@overload fun(): string?, moontide.net.Peer?
local UDP = {}

--- The next datagram, which may be empty, and its sender; nothing when the socket is closed. An
--- aborted one takes none. Rejects with ECONNREFUSED when a connected socket was told that nobody
--- is there; it can be used further. Source: POSIX, recvmsg.
---@param options? moontide.Options
---@return moontide.Promise<string?> # and a moontide.net.Peer
---@nodiscard
function UDP:receive(options) end

--- Sends one datagram: send(data, host, port, [options]), or send(data, [options]) where the socket
--- is connected. Fulfilled when the system has taken it, which says nothing of its arrival; an
--- aborted one may still be sent. Rejects with EMSGSIZE for one that is too long, and on a connected
--- socket with ECONNREFUSED when it was told that nobody is there. Source: POSIX, sendmsg.
---@param data string|number
---@param host string an address
---@param port integer
---@param options? moontide.Options
---@return moontide.Promise
---@overload fun(self: moontide.net.UDP, data: string, options?: moontide.Options): moontide.Promise
function UDP:send(data, host, port, options) end

--- Sends to that address from now on, and receives from nowhere else; what had come before may still
--- be received. Raises EISCONN when it is connected. Source: POSIX, connect.
---@param host string an address
---@param port integer
function UDP:connect(host, port) end

--- Raises ENOTCONN when it is not connected.
function UDP:disconnect() end

--- What the socket is bound to. Source: POSIX, getsockname.
---@return moontide.net.Address
function UDP:address() end

--- What the socket is connected to. Source: POSIX, getpeername.
---@return moontide.net.Address|nil
function UDP:peer_address() end

--- Receives what is sent to a multicast group as well. Source: RFC 3678.
---@param group string an address
---@param interface? string an address of this machine; "::1%eth0" names an interface for IPv6;
---default: the system chooses
---@param source? string only what that address sends
function UDP:join_group(group, interface, source) end

--- Undoes `join_group` with the same arguments.
---@param group string
---@param interface? string
---@param source? string
function UDP:leave_group(group, interface, source) end

--- Through which interface datagrams to groups leave.
---@param interface? string as for `join_group`
function UDP:set_multicast_interface(interface) end

--- Whether members on this machine receive what the socket sends to groups; they do by default.
---@param on boolean
function UDP:set_multicast_loop(on) end

--- How many hops datagrams to groups may take, 1 by default; 0 keeps them on this machine.
---@param hops integer 0 to 255
function UDP:set_multicast_ttl(hops) end

--- Allows datagrams to broadcast addresses; without it they are refused with EACCES.
---@param on boolean
function UDP:set_broadcast(on) end

---@param hops integer 1 to 255
function UDP:set_ttl(hops) end

--- Ends all receives with nothing, and drops what had come; a send that still waits for the system
--- is rejected with ECANCELED. Does nothing the second time.
function UDP:close() end
