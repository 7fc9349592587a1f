-- Of: luasocket, luasocket/connect, luasocket/names, luasocket/object, luasocket/tcp,
--   luasocket/udp
-- Each case below runs on LuaSocket's socket and on ours, against the same peer, and what the calls
-- return has to be the same.
local background = require "spec.support.background"
local leak = require "spec.support.leak"
local luasocket = require "spec.support.luasocket"
local ours = require "moontide.luasocket"
local plain = require "socket"
local tide = require "moontide"

local await, spawn = tide.await, tide.spawn

--- A value as a line shows it; what differs from run to run is left out.
local function show(value)
  if type(value) == "table" and not getmetatable(value) then
    local fields = {}
    for k, v in pairs(value) do
      fields[#fields + 1] = show(k) .. "=" .. show(v)
    end
    table.sort(fields)
    return "{" .. table.concat(fields, ",") .. "}"
  end
  return (tostring(value):gsub("0x%x+", "ADDRESS"):gsub("port %d+", "PORT"))
end

--- What a case notes with that socket module: a line for each call.
local function notes_of(socket, case)
  local lines = {}
  local function note(...)
    local values = table.pack(...)
    for i = 1, values.n do
      values[i] = show(values[i])
    end
    lines[#lines + 1] = values.n .. ": " .. table.concat(values, " ")
  end
  local c <close> = setmetatable({ c = case.peer and luasocket.open(socket, case.peer) }, {
    __close = function(self)
      if self.c then
        self.c:close()
      end
    end,
  })
  case.run(c.c or socket, note, socket)
  return lines
end

local function raises(note, f, ...)
  local ok, err = pcall(f, ...)
  note(ok, err)
end

-- name, what the peer does, what we do
local CASES = {}
local function case(name, peer, run)
  CASES[#CASES + 1] = { name = name, peer = peer, run = run }
end

---- classes ----

case("what they can do, by name", nil, function(socket, note)
  local function show_class(s)
    local meta = getmetatable(s)
    note(s.class, meta.__index.class, meta.__name, (tostring(s):gsub("0x%x+$", "ADDRESS")))
  end
  for _, name in ipairs({ "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6" }) do
    local s = socket[name]()
    show_class(s)
    s:close()
    show_class(s)
  end
  local server = socket.bind("127.0.0.1", 0)
  show_class(server)
  local host, port = server:getsockname()
  local client = socket.connect(host, port)
  show_class(client)
  local accepted = server:accept()
  show_class(accepted)
  local udp = socket.udp4()
  udp:setpeername("127.0.0.1", 9)
  show_class(udp)
  udp:setpeername("*")
  show_class(udp)
  local master = socket.tcp4()
  show_class(master)
  master:connect(host, port)
  show_class(master)
  for _, s in ipairs({ server, client, accepted, udp, master }) do
    s:close()
  end
end)

---- receive ----

case("lines", [[c:send("one\ntwo\r\n\nth\rree\nrest")]], function(c, note)
  note(c:receive())
  note(c:receive("*l"))
  note(c:receive("*line"))
  note(c:receive(nil))
  note(c:receive())
  note(c:receive())
end)

case("a line in pieces", [[c:send("on") sleep(.03) c:send("e\r") sleep(.03) c:send("\nrest")]],
  function(c, note)
    note(c:receive())
    note(c:receive())
  end)

case("a line that is long", [[
  for i = 1, 100 do c:send(("x"):rep(5000)) end
  c:send("\nmore\n")
]], function(c, note)
  local line = c:receive()
  note(#line, line == ("x"):rep(500000))
  note(c:receive())
end)

case("a prefix", [[c:send("one\n2345all")]], function(c, note)
  note(c:receive("*l", "pre"))
  note(c:receive(6, "pre"))
  note(c:receive(1, "longer"))
  note(c:receive(3, "who"))
  note(c:receive(3, 45))
  note(c:receive("*a", "pre"))
  note(c:receive("*a", "pre"))
end)

case("numbers", [[c:send("0123456789")]], function(c, note)
  note(c:receive(3))
  note(c:receive(0))
  note(c:receive("2"))
  note(c:receive(2.9))
  note(c:receive(0, "prefix"))
  note(c:receive(5))
  note(c:receive(0))
  note(c:receive(1))
end)

case("a number in pieces", [[
  c:send("01") sleep(.03) c:send("23") sleep(.03) c:send("456")
]], function(c, note)
  note(c:receive(5))
  note(c:receive(4, "p"))
end)

case("a number that is large", [[
  for i = 1, 600 do c:send((("%04d"):format(i)):rep(1250)) end
]], function(c, note)
  local data = c:receive(2500000)
  note(#data, data:sub(1, 4), data:sub(-4))
  local _, err, partial = c:receive(2500000)
  note(err, #partial, partial:sub(1, 4), partial:sub(-4))
end)

case("a large number with a prefix", [[c:send(("x"):rep(2000000))]], function(c, note)
  local data = c:receive(2000003, "pre")
  note(#data, data:sub(1, 4), data:sub(-1))
end)

case("everything", [[c:send("one\n") sleep(.03) c:send("two")]], function(c, note)
  note(c:receive("*a"))
  note(c:receive("*a"))
end)

case("everything, when that is much", [[
  for i = 1, 150 do c:send(("x"):rep(20000)) end
]], function(c, note)
  local data = c:receive("*a")
  note(#data, data == ("x"):rep(3000000))
end)

case("everything, after a part", [[c:send("one\ntwo\nthree")]], function(c, note)
  note(c:receive())
  note(c:receive("*a", "<"))
end)

case("everything, which is nothing", "sleep(.03)", function(c, note)
  note(c:receive("*a"))
  note(c:receive("*a", "pre"))
end)

---- timeouts ----

case("a timeout with a part of a line", [[c:send("par") c:receive()]], function(c, note)
  note(c:settimeout(0.02))
  note(c:receive())
  note(c:receive(5, "par"))
  c:send("\n")
end)

case("a timeout with a part of a number", [[c:send("par") c:receive()]], function(c, note)
  c:settimeout(0.02)
  note(c:receive(10))
  note(c:receive(10, "par"))
  c:send("\n")
end)

case("a timeout with a part of everything", [[c:send("par") c:receive() c:send("t")]],
  function(c, note)
    c:settimeout(0.02)
    note(c:receive("*a"))
    note(c:receive("*a", "par"))
    c:settimeout(nil)
    c:send("\n")
    note(c:receive("*a", "par"))
  end)

case("no time at all", [[c:receive() c:send("some") c:receive()]], function(c, note, socket)
  note(c:settimeout(0))
  note(c:receive())
  note(c:receive(3))
  note(c:receive("*a"))
  c:send("\n")
  note(#socket.select({ c }, nil))
  note(c:receive())
  note(c:receive(2, "some"))
  note(c:receive("*a"))
  note(c:receive(100000))
  c:send("\n")
end)

case("a total of no time", "c:receive()", function(c, note)
  c:settimeout(0, "t")
  note(c:receive())
  c:send("\n")
end)

-- A byte comes every 20 ms, twelve in all.
local TRICKLE = [[for i = 1, 12 do if not c:send("x") then break end sleep(.02) end]]

--- Whether it is some, but not all.
local function is_part(err, partial)
  return err, #partial > 0 and #partial < 12
end

case("a block timeout, which is one of the call", TRICKLE, function(c, note)
  c:settimeout(0.12)
  note(is_part(select(2, c:receive(12))))
end)

case("a total timeout", TRICKLE, function(c, note)
  note(c:settimeout(0.12, "t"))
  note(is_part(select(2, c:receive("*a"))))
end)

case("both timeouts, of which the block one begins anew", TRICKLE, function(c, note)
  c:settimeout(0.12, "b")
  c:settimeout(60, "total")
  note(c:receive(12))
end)

case("both timeouts, of which the total one ends", TRICKLE, function(c, note)
  c:settimeout(60)
  c:settimeout(0.12, "r")
  note(is_part(select(2, c:receive())))
end)

case("what the timeouts are", nil, function(socket, note)
  local c = socket.tcp()
  note(c:gettimeout())
  note(c:settimeout(1), c:settimeout("2.5", "t"))
  note(c:gettimeout())
  note(c:settimeout(), c:settimeout(-3, "t"))
  note(c:gettimeout())
  c:close()
end)

---- the end ----

case("a peer that closes", [[c:send("abc")]], function(c, note, socket)
  note(c:receive(5))
  note(c:receive(5))
  note(c:receive())
  socket.sleep(0.2) -- until its refusal is there
  note(c:send("x"))
  socket.sleep(0.2) -- until its refusal is there
  note(c:send("y"))
  note(c:send("yyy", 2, 3))
end)

local RESET = [[c:setoption("linger", { on = true, timeout = 0 }) c:send("abc") sleep(.03)]]

for _, pattern in ipairs({ "*l", "*a", 10 }) do
  case("a peer that resets: " .. pattern, RESET, function(c, note)
    note(c:receive(pattern))
    note(c:receive(pattern))
  end)
end

case("a peer that resets when all is there", [[
  c:setoption("linger", { on = true, timeout = 0 }) c:send("abc")
]], function(c, note, socket)
  socket.sleep(0.05)
  note(c:receive("*a"))
end)

case("a peer that resets at once", [[
  c:setoption("linger", { on = true, timeout = 0 })
]], function(c, note)
  note(c:receive("*a"))
  note(c:send("x"))
end)

case("half-closed here", [[c:send(#c:receive("*a") .. " bytes")]], function(c, note)
  note(c:send("12345"))
  note(c:shutdown("send"))
  note(c:send("6"))
  note(c:receive("*a"))
  note(c:shutdown())
end)

case("half-closed there", [[
  c:send("abc") c:shutdown("send") c:receive() sleep(.03)
]], function(c, note)
  note(c:receive("*a"))
  note(c:send("still here\n"))
  note(c:receive("*a"))
end)

case("closed here", [[c:receive()]], function(c, note)
  note(c:getfd() >= 0)
  note(c:close())
  note(c:close())
  note(c:getfd())
  note(c:receive())
  note(c:receive(3, "pre"))
  note(c:receive("*a"))
  note(c:send("x"))
  note(c:getpeername())
  note(c:getsockname())
  note(c:settimeout(1))
  note(c:shutdown())
end)

---- send ----

case("parts of a string", [[c:send(c:receive("*a"))]], function(c, note)
  note(c:send("abc"))
  note(c:send("abcdef", 2, 4))
  note(c:send("abcdef", -3))
  note(c:send("abcdef", -3, -2))
  note(c:send("abcdef", 3, 2))
  note(c:send("abc", 5))
  note(c:send("abc", 0, 99))
  note(c:send("abc", -9, 1))
  note(c:send("abc", 1, -9))
  note(c:send("abc", "2"))
  note(c:send("abc", 1.9, 2.9))
  note(c:send(""))
  note(c:send(123))
  note(c:send(1.5))
  c:shutdown("send")
  note(c:receive("*a"))
end)

case("more than the system takes at once", [[
  sleep(.05) local data = c:receive(4000000) c:send(#data .. data:sub(1, 3) .. data:sub(-3) .. "\n")
]], function(c, note)
  note(c:send("abc" .. ("x"):rep(3999994) .. "def"))
  note(c:receive())
end)

case("a part of what the system does not take at once", [[
  sleep(.05) local data = c:receive(3000000) c:send(#data .. data:sub(1, 3) .. data:sub(-3) .. "\n")
]], function(c, note)
  note(c:send(("x"):rep(1000000) .. "abc" .. ("y"):rep(2999994) .. "def", 1000001, -1))
  note(c:receive())
end)

for _, seconds in ipairs({ 0, 0.02 }) do
  case("a peer that does not read, for " .. seconds .. " s", luasocket.HOLD, function(c, note)
    c:settimeout(seconds)
    local ok, err, last = c:send(("x"):rep(20000000))
    note(ok, err, math.type(last), last > 0 and last < 20000000)
    local other
    ok, err, other = c:send(("x"):rep(20000000), last + 1)
    note(ok, err, other >= last)
    luasocket.release()
  end)
end

---- connections ----

--- A port that refuses.
local function refusing()
  return background.free_port()
end

case("refused", nil, function(socket, note)
  local port = refusing()
  note(socket.connect("127.0.0.1", port))
  note(socket.connect("localhost", port))
  note(socket.connect4("localhost", port))
  local c = socket.tcp()
  note(c:connect("127.0.0.1", port))
  note(c)
  note(c:connect("127.0.0.1", port))
  note(c:connect("127.0.0.1", tostring(port)))
  c:close()
end)

case("a name", nil, function(socket, note)
  local c = socket.tcp()
  note(c:connect("localhost", luasocket.port))
  note(c:getpeername())
  note(c:getfamily())
  note(c)
  c:close()
end)

case("a name that nobody has", nil, function(socket, note)
  note(socket.connect("no name", 80))
  note(socket.connect("", 80))
  local c = socket.tcp()
  note(c:connect("no name", 80))
  note(c:settimeout(0))
  note(c:connect("no name", 80))
  note(c)
  c:close()
  note(socket.bind("no name", 0))
  note(socket.tcp():bind("no name", 0))
  note(socket.udp():setpeername("no name", 80))
  note(socket.udp():setsockname("no name", 80))
end)

case("a service that nobody has", nil, function(socket, note)
  note(socket.connect("127.0.0.1", "no service"))
end)

case("an address of the other family", nil, function(socket, note)
  note(socket.tcp6():connect("127.0.0.1", 80))
  note(socket.tcp4():connect("::1", 80))
end)

case("connected twice", nil, function(socket, note)
  local c = socket.tcp()
  note(c:connect("127.0.0.1", luasocket.port))
  note(c:connect("127.0.0.1", luasocket.port))
  c:close()
end)

case("without waiting", nil, function(socket, note)
  local c = socket.tcp()
  c:settimeout(0)
  note(c:connect("127.0.0.1", luasocket.port))
  local _, writers, err = socket.select(nil, { c }, 10)
  note(#writers, writers[1] == c, writers[c], err)
  note(c:getoption("error"))
  note(c:send([[c:send("x")]] .. "\n"))
  note(#socket.select({ c }))
  note(c:receive(1))
  c:close()
end)

case("a connection that is not accepted in time", nil, function(socket, note)
  local _, port, stop = luasocket.full_server(socket)
  local c = socket.tcp()
  note(c:settimeout(0.02))
  note(c:connect("127.0.0.1", port))
  note(c)
  note(c:connect("127.0.0.1", port))
  note(c:connect("localhost", luasocket.port))
  note(c:close())
  stop()
end)

case("an address of one's own", nil, function(socket, note)
  local c = assert(socket.connect("127.0.0.1", luasocket.port, "127.0.0.1", 0))
  note((c:getsockname()))
  c:close()
  note(socket.connect("127.0.0.1", luasocket.port, "192.0.2.1"))
  c = socket.tcp()
  note(c:bind("localhost", 0))
  note(c)
  note(c:connect("127.0.0.1", luasocket.port))
  note(c)
  c:close()
end)

case("servers", nil, function(socket, note)
  local server = assert(socket.bind("localhost", 0))
  note(server)
  local address, port, family = server:getsockname()
  note(address, family)
  note(socket.bind("127.0.0.1", port))
  local other = socket.tcp()
  note(other:bind("127.0.0.1", port))
  note(other:bind("*", 0))
  note(other:listen())
  note(other)
  other:close()
  server:settimeout(0.02)
  note(server:accept())
  server:settimeout(0)
  note(server:accept())
  server:settimeout(nil)
  local client = socket.connect("127.0.0.1", port)
  local accepted = server:accept()
  note(accepted)
  note(accepted:gettimeout())
  note(client:send("hello\n"))
  note(accepted:receive())
  client:close()
  note(accepted:receive())
  note(accepted:close())
  note(server:close())
  note(server:accept())
end)

case("options, statistics, state", [[c:send("12345") c:receive()]], function(c, note)
  note(c:receive(2))
  note(c:dirty())
  note(c:receive(3))
  note(c:dirty())
  local received, _, age = c:getstats()
  note(received, age >= 0)
  note(c:setstats(10, 20))
  note((select(2, c:getstats())))
  note(c:setoption("tcp-nodelay", true))
  note(c:getoption("tcp-nodelay"))
  note(c:setoption("keepalive", true))
  note(c:getoption("keepalive"))
  note(c:getpeername() == "127.0.0.1")
  note(c:getfamily())
  c:send("\n")
end)

---- wrong arguments ----

case("wrong arguments of a client", [[c:receive()]], function(c, note)
  raises(note, function() c:receive("l") end)
  raises(note, function() c:receive("*x") end)
  raises(note, function() c:receive({}) end)
  raises(note, function() c:receive(-1) end)
  raises(note, function() c:receive("*l", {}) end)
  raises(note, function() c:send() end)
  raises(note, function() c:send({}) end)
  raises(note, function() c:send("x", "y") end)
  raises(note, function() c:send("x", 1, {}) end)
  raises(note, function() c:settimeout("x") end)
  raises(note, function() c:settimeout(1, "z") end)
  raises(note, function() c:settimeout(1, {}) end)
  raises(note, function() c:accept() end)
  raises(note, function() c:bind("127.0.0.1", 0) end)
  raises(note, function() c:listen() end)
  c:send("\n")
end)

case("wrong arguments of sockets", nil, function(socket, note)
  local c = socket.tcp()
  raises(note, function() c:accept() end)
  raises(note, function() c:receive() end)
  raises(note, function() c:send("x") end)
  raises(note, function() c:connect() end)
  raises(note, function() c:connect("127.0.0.1", {}) end)
  raises(note, function() c:bind("127.0.0.1") end)
  note(c:bind("127.0.0.1", 0))
  raises(note, function() c:listen("x") end)
  c:listen()
  raises(note, function() c:bind("127.0.0.1", 0) end)
  c:close()
  local u = socket.udp()
  raises(note, function() u:send("x") end)
  raises(note, function() u:sendto("x") end)
  raises(note, function() u:sendto({}, "127.0.0.1", 9) end)
  raises(note, function() u:receive({}) end)
  raises(note, function() u:receivefrom("x") end)
  raises(note, function() u:setpeername() end)
  raises(note, function() u:setsockname("*") end)
  u:setpeername("127.0.0.1", 9)
  raises(note, function() u:sendto("x", "127.0.0.1", 9) end)
  raises(note, function() u:receivefrom() end)
  raises(note, function() u:setsockname("*", 0) end)
  u:close()
end)

---- udp ----

--- A socket of that module, bound, and its port.
local function bound(socket)
  local u = assert(socket.udp())
  assert(u:setsockname("127.0.0.1", 0))
  return u, (select(2, u:getsockname()))
end

case("datagrams", nil, function(socket, note)
  local a, port = bound(socket)
  local b, other = bound(socket)
  note(a)
  note(b:sendto("to a", "127.0.0.1", port))
  local data, address, from = a:receivefrom()
  note(data, address, from == other)
  note(b:setpeername("127.0.0.1", port))
  note(b)
  note(b:send("one"))
  note(b:send(""))
  note(b:send("three"))
  note(a:receive())
  note(a:receive())
  note(a:receive(3))
  note(b:getpeername() == "127.0.0.1")
  note(b:setpeername("*"))
  note(b)
  note(b:setpeername("localhost", port))
  note(a:sendto("back", b:getsockname()))
  note(b:receive())
  note(a:sendto("x", "localhost", other))
  note(b:dirty(), b:getfd() >= 0, b:getfamily())
  note(b:setoption("broadcast", true))
  note(a:close(), b:close())
  note(a:receive())
end)

case("datagrams that do not come", nil, function(socket, note)
  local u = bound(socket)
  note(u:settimeout(0.02))
  note(u:receive())
  note(u:receivefrom())
  u:settimeout(0)
  note(u:receive())
  note(u:receivefrom(10))
  u:close()
end)

case("datagrams that come later", nil, function(socket, note)
  local u, port = bound(socket)
  local c = luasocket.open(socket, ([[
    local u = socket.udp() sleep(.03) u:sendto("late", "127.0.0.1", %d)
    sleep(.03) u:sendto("later", "127.0.0.1", %d)
  ]]):format(port, port))
  note(u:receive())
  note((u:receivefrom()))
  c:close()
  u:close()
end)

case("datagrams that are refused", nil, function(socket, note)
  local u = socket.udp()
  note(u:setpeername("127.0.0.1", refusing()))
  note(u:send("x"))
  socket.sleep(0.02)
  note(u:receive())
  u:close()
end)

---- names, select, exceptions, ltn12 ----

case("names", nil, function(socket, note)
  note(socket.dns.getaddrinfo("localhost"))
  note(socket.dns.getaddrinfo("127.0.0.1"))
  note(socket.dns.getaddrinfo("::1"))
  note(socket.dns.getaddrinfo("no name"))
  note(socket.dns.toip("localhost"))
  note(socket.dns.toip("127.0.0.1"))
  note(socket.dns.tohostname("localhost"))
  note(socket.dns.tohostname("127.0.0.1"))
  note(socket.dns.getnameinfo("127.0.0.1"))
  note(socket.dns.getnameinfo("127.0.0.1", "80"))
  note(socket.dns.getnameinfo(nil, "80"))
  note(socket.dns.getnameinfo("no name"))
  note(socket.dns.gethostname())
end)

case("select", [[c:receive() c:send("ab") c:receive()]], function(c, note, socket)
  local function noted(...)
    local readers, writers, err = socket.select(...)
    note(#readers, readers[1] == c, #writers, writers[1] == c, writers[c], err)
  end
  noted({ c }, {}, 0)
  noted({ c }, {}, 0.02)
  noted({ c }, { c }, 5)
  noted(nil, { c })
  noted({}, nil, 0.01)
  c:send("\n")
  noted({ c })
  note(c:receive(1))
  noted({ c }, {}, 0)
  noted({ c })
  note(c:receive(1))
  noted({ c }, nil, 0)
  raises(note, function() socket.select({ 5 }, nil, 0) end)
  c:send("\n")
end)

case("exceptions", nil, function(socket, note)
  local calls = {}
  local try = socket.newtry(function() calls[#calls + 1] = "finalizer" end)
  note(try(1, nil, 3))
  note(socket.try("a"))
  note(socket.protect(function(...) return ... end)(1, nil, nil))
  note(socket.protect(function() try(nil, "message", "more") end)())
  note(socket.protect(function() socket.try(false, "of the module") end)())
  note(socket.protect(function() socket.try(nil) end)())
  note(#calls)
  raises(note, socket.protect(function() error("another", 0) end))
  raises(note, socket.protect(function() error({}, 0) end))
  raises(note, socket.newtry(function() error("the finalizer's", 0) end), nil, "message")
  note(pcall(socket.protect(function() socket.protect(error)("inside", 0) end)))
  note(socket.skip(2, 1, 2, 3))
end)

case("sources and sinks", [[
  c:send(c:receive(6) .. "0123456789") c:receive()
]], function(c, note, socket)
  local sink = socket.sink("keep-open", c)
  note(sink("abc"))
  note(sink("def"))
  note(sink(nil))
  local source = socket.source("by-length", c, 8)
  note(source())
  note(source())
  note(socket.sink("close-when-done", c)("\n"))
  source = socket.source("until-closed", c)
  note(source())
  note(source())
  note(socket.BLOCKSIZE, socket._VERSION)
end)

describe("luasocket", function()
  setup(luasocket.start)

  teardown(background.stop)

  after_each(leak.check)

  it("has all names of LuaSocket's module", function()
    local missing = {}
    for name, value in pairs(plain) do
      if type(ours[name]) ~= type(value) and name ~= "__unload" then
        missing[#missing + 1] = name
      end
    end
    assert.same({}, missing)
  end)

  it("has all methods of LuaSocket's objects", function()
    for _, name in ipairs({ "tcp", "udp" }) do
      local theirs, mine = plain[name](), ours[name]()
      for method, value in pairs(getmetatable(theirs).__index) do
        if type(value) == "function" then
          assert.is_function(mine[method], name .. ":" .. method)
        end
      end
      theirs:close()
      mine:close()
    end
  end)

  for _, each in ipairs(CASES) do
    it("is equal to LuaSocket, in an async function and at top level: " .. each.name, function()
      local expected = notes_of(plain, each)
      assert.is_true(#expected > 0)
      assert.same(expected, await(spawn(notes_of, ours, each)))
      assert.same(expected, notes_of(ours, each))
    end)
  end
end)
