-- Of: loop/completion, loop/operation
--- Every operation that waits, cancelled in every way at every stage: its promise is rejected with
--- exactly the reason, and nothing is left. The last specs compare the table with the annotations,
--- so that no operation can be forgotten.
local annotations = require "spec.support.annotations"
local certificates = require "spec.support.certificates"
local core = require "moontide.core"
local dns = require "moontide.dns"
local files = require "spec.support.files"
local frames = require "spec.support.frames"
local fs = require "moontide.fs"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local luasocket = require "spec.support.luasocket"
local net = require "moontide.net"
local process = require "moontide.process"
local socket = require "socket"
local sockets = require "spec.support.sockets"
local system = require "moontide.os"
local tide = require "moontide"

local await = tide.await

local PATIENCE, NEVER = 20000, 1e6 -- ms
local TEMPORARY = system.tmpdir() .. "/moontide-"
local MUCH = ("x"):rep(8 << 20) -- more than a socket takes while nobody reads

---@class spec.Operation
---@field open? fun(): any what it is started on; made and closed without being cancelled
---@field start fun(state: any, options?: moontide.Options): moontide.Promise
---@field close? fun(state: any)
---@field endless? boolean it is never over by itself; others may be over before the cancellation
---@field at_once? boolean it may be over when it has been started
---@field is_function? boolean a group's cancellation comes at an await: there may be none any more
---@field check? fun(state: any) what must be so when it was cancelled

---@type table<string, spec.Operation>
local operations = {}

--- An async function that awaits all an iterator gives.
local function all_of(make)
  return tide.spawn(function()
    local count = 0
    for _ in make() do
      count = count + 1
    end
    return count
  end)
end

---- files ----

local function open_directory()
  local directory = await(fs.mkdtemp(TEMPORARY))
  await(fs.write_file(directory .. "/file", "one\ntwo\n"))
  await(fs.mkdir(directory .. "/sub"))
  await(fs.symlink("file", directory .. "/link"))
  return directory
end

local function remove_directory(directory)
  await(fs.rm(directory, { recursive = true }))
end

--- Nothing has come to the directory.
local function is_as_before(directory)
  local names = {}
  for _, entry in ipairs(await(fs.scandir(directory))) do
    names[#names + 1] = entry.name
  end
  assert.same({ "file", "link", "sub" }, names)
end

--- Functions of paths, each with what it is called with: names in the directory, other values.
local function path(name)
  return { path = name }
end

local PATHS = {
  access = { path "file", "r" },
  append_file = { path "file", "three\n" },
  chmod = { path "file", 384 },
  chown = { path "file", -1, -1 },
  copy_file = { path "file", path "copy" },
  lchown = { path "link", -1, -1 },
  link = { path "file", path "linked" },
  lstat = { path "link" },
  lutime = { path "link", 1, 1 },
  mkdir = { path "made" },
  mkdtemp = { path "made" },
  mkstemp = { path "made" },
  open = { path "file", "r" },
  opendir = { path "." },
  read_file = { path "file" },
  readlink = { path "link" },
  realpath = { path "link" },
  rename = { path "file", path "renamed" },
  rm = { path "file" },
  rmdir = { path "sub" },
  scandir = { path "." },
  stat = { path "file" },
  statfs = { path "." },
  symlink = { "file", path "linked" },
  truncate = { path "file", 1 },
  unlink = { path "file" },
  utime = { path "file", 1, 1 },
  write_file = { path "file", "text" },
}

for name, arguments in pairs(PATHS) do
  operations["fs." .. name] = {
    open = open_directory,
    start = function(directory, options)
      local values = {}
      for i, argument in ipairs(arguments) do
        values[i] = type(argument) == "table" and directory .. "/" .. argument.path or argument
      end
      values[#values + 1] = options
      return fs[name](table.unpack(values))
    end,
    close = remove_directory,
    check = name:find("^mk%w+temp$") and is_as_before or nil,
  }
end

operations["fs.write_file, atomic"] = {
  open = open_directory,
  start = function(directory, options)
    local all = { atomic = true, signal = options and options.signal }
    return fs.write_file(directory .. "/file", MUCH, all)
  end,
  close = remove_directory,
  check = is_as_before,
}

operations["fs.lines"] = {
  open = open_directory,
  start = function(directory, options)
    return all_of(function() return fs.lines(directory .. "/file", options) end)
  end,
  close = remove_directory,
}

operations["fs.watch"] = {
  open = open_directory,
  start = function(directory, options)
    return all_of(function() return fs.watch(directory, options) end)
  end,
  close = remove_directory,
  endless = true,
}

operations["Watch:next"] = {
  open = function() return (fs.watch "spec") end,
  start = function(watch, options) return watch:next(options) end,
  close = function(watch) watch:close() end,
  endless = true,
}

--- Methods, with what they are called with.
local function close_handle(handle)
  await(handle:close())
end

local function open_file()
  local file, name = await(fs.mkstemp(TEMPORARY))
  await(fs.unlink(name))
  await(file:write("one\ntwo\n", 0))
  return file
end

for name, arguments in pairs({
  chmod = { 384 },
  chown = { -1, -1 },
  datasync = {},
  read = { 3, 0 },
  stat = {},
  sync = {},
  truncate = { 1 },
  utime = { 1, 1 },
  write = { "text", 0 },
}) do
  operations["File:" .. name] = {
    open = open_file,
    start = function(file, options)
      local values = { table.unpack(arguments) }
      values[#values + 1] = options
      return file[name](file, table.unpack(values))
    end,
    close = close_handle,
  }
end

operations["File:lines"] = {
  open = open_file,
  start = function(file, options)
    return all_of(function() return file:lines(options) end)
  end,
  close = close_handle,
}

operations["File:chunks"] = {
  open = open_file,
  start = function(file, options)
    return all_of(function() return file:chunks(3, options) end)
  end,
  close = close_handle,
}

local function open_spec()
  return await(fs.opendir "spec")
end

operations["Directory:read"] = {
  open = open_spec,
  start = function(directory, options) return directory:read(options) end,
  close = close_handle,
}

operations["Directory:entries"] = {
  open = open_spec,
  start = function(directory, options)
    return all_of(function() return directory:entries(options) end)
  end,
  close = close_handle,
}

---- names, the system ----

operations["dns.lookup"] = {
  start = function(_, options) return dns.lookup("localhost", options) end,
}

operations["dns.reverse"] = {
  start = function(_, options) return dns.reverse("127.0.0.1", options) end,
}

operations["system.random_bytes"] = {
  start = function(_, options) return system.random_bytes(1000, options) end,
}

operations["Signals:next"] = {
  open = function() return (tide.signal "SIGUSR1") end,
  start = function(signals, options) return signals:next(options) end,
  close = function(signals) signals:close() end,
  endless = true,
}

operations["tide.poll"] = {
  open = function()
    local udp = socket.udp()
    assert(udp:setsockname("127.0.0.1", 0))
    return udp
  end,
  start = function(udp, options) return tide.poll(udp:getfd(), "r", options) end,
  close = function(udp) udp:close() end,
  endless = true,
}

---- time, other functions ----

operations["tide.sleep"] = {
  start = function(_, options) return tide.sleep(NEVER, options) end,
  endless = true,
}

-- The collector gives back a permit that nobody holds.
local permits = setmetatable({}, { __mode = "k" })

operations["Semaphore:acquire"] = {
  open = function()
    local mutex = tide.mutex()
    permits[mutex] = await(mutex:acquire())
    return mutex
  end,
  start = function(mutex, options) return mutex:acquire(options) end,
  endless = true,
}

operations["Event:wait"] = {
  open = tide.event,
  start = function(event, options) return event:wait(options) end,
  endless = true,
}

operations["Queue:push"] = {
  open = function() return tide.queue(0) end,
  start = function(queue, options) return queue:push(1, options) end,
  endless = true,
}

operations["Queue:pop"] = {
  open = tide.queue,
  start = function(queue, options) return queue:pop(options) end,
  endless = true,
}

---- children ----

operations["process.spawn"] = {
  start = function(_, options)
    return tide.spawn(function()
      local child = await(process.spawn("sleep", { "1000" }, options))
      await(child:wait(options))
    end)
  end,
  endless = true,
}

operations["process.exec"] = {
  start = function(_, options) return process.exec("sleep", { "1000" }, options) end,
  endless = true,
}

operations["Child:wait"] = {
  open = function() return await(process.spawn("sleep", { "1000" })) end,
  start = function(child, options) return child:wait(options) end,
  close = function(child)
    child:kill()
    await(child:wait())
  end,
  endless = true,
}

---- sockets ----

local has_tls, tls = pcall(require, "moontide.tls")

local function open_pair()
  return table.pack(sockets.pair "tcp")
end

local function close_pair(pair)
  sockets.close(table.unpack(pair))
end

--- What every stream does, of those that `open` gives.
local function add_stream(kind, open)
  local function add(name, start)
    operations["Stream:" .. name .. kind] = {
      open = open, start = start, close = close_pair, endless = true,
    }
  end

  add("read", function(pair, options) return pair[1]:read(10, options) end)
  add("read_exactly", function(pair, options) return pair[1]:read_exactly(10, options) end)
  add("read_until", function(pair, options) return pair[1]:read_until("\r\n", options) end)
  add("read_line", function(pair, options) return pair[1]:read_line(options) end)
  add("read_all", function(pair, options) return pair[1]:read_all(options) end)
  add("chunks", function(pair, options)
    return all_of(function() return pair[1]:chunks(10, options) end)
  end)
  add("lines", function(pair, options)
    return all_of(function() return pair[1]:lines(options) end)
  end)
  add("write", function(pair, ...) return pair[1]:write(MUCH, ...) end)
  add("shutdown", function(pair, options)
    pair[1]:write(MUCH):catch(function() end) -- with the stream it ends, too
    return pair[1]:shutdown(options)
  end)
end

add_stream("", open_pair)

if has_tls then
  local certificate = certificates.self_signed("localhost", "DNS:localhost")
  files.remove()
  local client_options = { verify = false, server_name = "localhost" }
  local server_options = { cert = certificate.cert, key = certificate.key }

  add_stream(", TLS", function()
    local client, server = sockets.pair "tcp"
    return table.pack(tide.join(tls.client(client, client_options),
      tls.server(server, server_options)))
  end)

  operations["Server:accept, TLS"] = {
    open = function()
      local server = core.net.tcp_listen("127.0.0.1", 0)
      local client, connected = core.net.tcp_connect("127.0.0.1", server:address().port)
      await(connected)
      return { server = await(tls.listen(server, server_options)), client = client }
    end,
    start = function(state, options) return state.server:accept(options) end,
    close = function(state)
      state.client:destroy()
      await(state.server:close())
    end,
    endless = true,
  }

  --- Nobody answers the handshake.
  operations["net.connect, TLS"] = {
    open = function() return core.net.tcp_listen("127.0.0.1", 0) end,
    start = function(server, options)
      return net.connect({
        host = "127.0.0.1",
        port = server:address().port,
        tls = { verify = false, timeout = NEVER },
        signal = options and options.signal,
      })
    end,
    close = function(server) server:close() end,
    endless = true,
  }

  for name, more in pairs({ client = client_options, server = server_options }) do
    operations["tls." .. name] = {
      open = open_pair,
      start = function(pair, options)
        local all = { signal = options and options.signal, timeout = NEVER }
        for key, value in pairs(more) do
          all[key] = value
        end
        return tls[name](pair[1], all)
      end,
      close = close_pair,
      endless = true,
    }
  end
end

--- A server that lets nobody in, at a port of this machine.
local function open_full()
  local _, port, stop = luasocket.full_server(socket)
  return { port = tonumber(port), stop = stop }
end

for kind, host in pairs({ [""] = "127.0.0.1", [", a name"] = "localhost" }) do
  operations["net.connect" .. kind] = {
    open = open_full,
    start = function(state, options)
      local signal = options and options.signal
      return net.connect({ host = host, port = state.port, family = 4, signal = signal })
    end,
    close = function(state) state.stop() end,
    endless = true,
  }

  operations["net.listen" .. kind] = {
    start = function(_, options)
      return net.listen({ host = host, signal = options and options.signal })
    end,
    is_function = true,
  }

  operations["net.serve" .. kind] = {
    start = function(_, options)
      return net.serve({ host = host, signal = options and options.signal }, error)
    end,
    is_function = true,
  }
end

operations["Server:accept"] = {
  open = function() return core.net.tcp_listen("127.0.0.1", 0) end,
  start = function(server, options) return server:accept(options) end,
  close = function(server) server:close() end,
  endless = true,
}

local function open_udp()
  return net.udp({ host = "127.0.0.1" })
end

local function close_udp(udp)
  udp:close()
end

operations["UDP:receive"] = {
  open = open_udp,
  start = function(udp, options) return udp:receive(options) end,
  close = close_udp,
  endless = true,
}

operations["UDP:send"] = {
  open = open_udp,
  start = function(udp, options) return udp:send("data", "127.0.0.1", 9, options) end,
  close = close_udp,
  at_once = true,
}

--- Closes what an operation has come to after all.
local function closed(promise)
  return promise:next(function(object) return object:close() end)
end

operations["net.connect"] = {
  open = function() return core.net.tcp_listen("127.0.0.1", 0) end,
  start = function(server, options)
    return closed(net.connect({
      host = "127.0.0.1",
      port = server:address().port,
      signal = options and options.signal,
    }))
  end,
  close = function(server) server:close() end,
}

--- The queue of the server is full, and it accepts nobody: nothing answers.
operations["net.connect, without an answer"] = {
  open = function()
    local server = assert(socket.tcp4())
    assert(server:bind("127.0.0.1", 0))
    assert(server:listen(0))
    local _, port = server:getsockname()
    local state = { server, port = tonumber(port) }
    for i = 1, 4 do
      state[i + 1] = assert(socket.tcp4())
      state[i + 1]:settimeout(0)
      state[i + 1]:connect("127.0.0.1", port)
    end
    return state
  end,
  start = function(state, options)
    local signal = options and options.signal
    return net.connect({ host = "127.0.0.1", port = state.port, signal = signal })
  end,
  close = function(state)
    for _, each in ipairs(state) do
      each:close()
    end
  end,
  endless = true,
}

operations["net.listen"] = {
  start = function(_, options)
    return closed(net.listen({ host = "127.0.0.1", signal = options and options.signal }))
  end,
  at_once = true,
}

operations["net.serve"] = {
  start = function(_, options)
    local all = { host = "127.0.0.1", signal = options and options.signal }
    return closed(net.serve(all, function() end))
  end,
  at_once = true,
}

---- HTTP ----

local has_parser = pcall(require, "moontide.llhttp_core")

--- A request whose body does not come, but for what is given.
local function open_request(fields, begun)
  local given, resolve = tide.Promise.with_resolvers()
  local done = tide.event()
  local service = await(http.serve({ host = "127.0.0.1" }, function(request)
    resolve(request)
    await(done:wait())
    return ""
  end))
  local client = await(net.connect({ host = "127.0.0.1", port = service:address().port }))
  await(client:write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n", fields or "", "\r\n",
    begun or ""))
  return { request = await(given), client = client, service = service, done = done }
end

local PARTS = "Content-Type: multipart/form-data; boundary=B\r\n"

--- The same; the first of its parts has begun.
local function open_part()
  local state = open_request(PARTS,
    '--B\r\nContent-Disposition: form-data; name="a"\r\n\r\ntext')
  state.part = state.request:multipart()()
  return state
end

local function close_request(state)
  state.done:set()
  state.client:destroy()
  await(state.service:close({ grace = 0 }))
end

--- A WebSocket whose peer accepts it, and says nothing more.
local function open_websocket()
  local state = { server = await(net.listen({ host = "127.0.0.1", port = 0 })) }
  local url = "ws://127.0.0.1:" .. state.server:address().port
  local opening = http.websocket(url, { close_timeout = 1 })
  state.peer = await(state.server:accept())
  await(state.peer:write(frames.answer(await(state.peer:read_until("\r\n\r\n")))))
  state.ws = await(opening)
  return state
end

local function close_websocket(state)
  await(state.ws:close())
  await(state.peer:destroy())
  await(state.server:close())
end

for name, arguments in pairs({ receive = {}, ping = { "x" }, send = { MUCH } }) do
  operations["WebSocket:" .. name] = {
    open = open_websocket,
    start = function(state, options)
      local values = { table.unpack(arguments) }
      values[#values + 1] = options
      return state.ws[name](state.ws, table.unpack(values))
    end,
    close = close_websocket,
    endless = true,
  }
end

operations["http.websocket"] = {
  open = function() return await(net.listen({ host = "127.0.0.1", port = 0 })) end,
  start = function(listening, options)
    return http.websocket("ws://127.0.0.1:" .. listening:address().port, options)
  end,
  close = close_handle,
  endless = true,
}

if has_parser then
  operations["http.serve"] = {
    start = function(_, options)
      local all = { host = "127.0.0.1", signal = options and options.signal }
      return closed(http.serve(all, function() end))
    end,
    at_once = true,
  }

  for _, name in ipairs({ "text", "json", "form" }) do
    operations["Request:" .. name] = {
      open = function() return open_request() end,
      start = function(state, options) return state.request[name](state.request, options) end,
      close = close_request,
      endless = true,
    }
  end

  operations["Events:send"] = {
    open = function()
      local state = { done = tide.event() }
      local given, resolve = tide.Promise.with_resolvers()
      state.service = await(http.serve({ host = "127.0.0.1" }, function()
        return http.events(function(events)
          resolve(events)
          await(state.done:wait())
        end)
      end))
      local port = state.service:address().port
      state.client = await(net.connect({ host = "127.0.0.1", port = port }))
      await(state.client:write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
      state.events = await(given)
      return state
    end,
    start = function(state, options) return state.events:send({ data = MUCH }, options) end,
    close = close_request,
    endless = true,
  }

  for _, name in ipairs({ "chunks", "multipart" }) do
    operations["Request:" .. name] = {
      open = function() return open_request(PARTS) end,
      start = function(state, options)
        return all_of(function() return state.request[name](state.request, options) end)
      end,
      close = close_request,
      endless = true,
    }
  end

  operations["Part:text"] = {
    open = open_part,
    start = function(state, options) return state.part:text(options) end,
    close = close_request,
    endless = true,
  }

  operations["Part:chunks"] = {
    open = open_part,
    start = function(state, options)
      return all_of(function() return state.part:chunks(options) end)
    end,
    close = close_request,
    endless = true,
  }

  operations["Part:save"] = {
    open = function()
      local state = open_part()
      state.directory = open_directory()
      return state
    end,
    start = function(state, options)
      return state.part:save(state.directory .. "/part", options)
    end,
    close = function(state)
      close_request(state)
      files.eventually(function()
        return #await(fs.scandir(state.directory)) == 3
      end)
      remove_directory(state.directory)
    end,
    endless = true,
  }
end

local has_client = pcall(require, "moontide.http_core")

--- A server that says nothing more than that.
local function open_reply(text)
  local service = await(net.serve({ host = "127.0.0.1" }, function(stream)
    await(stream:read_until("\r\n\r\n"))
    await(stream:write(text))
    await(stream:read())
  end))
  return {
    service = service,
    client = http.client(),
    url = "http://127.0.0.1:" .. service:address().port,
    directory = await(fs.mkdtemp(TEMPORARY)),
  }
end

local function close_reply(state)
  state.client:close()
  await(state.service:close({ grace = 0 }))
  files.eventually(function()
    return #await(fs.scandir(state.directory)) == 0
  end)
  remove_directory(state.directory)
end

--- A response whose body does not come.
local function open_response()
  local state = open_reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
  state.response = await(state.client:fetch(state.url))
  return state
end

if has_client then
  for _, kind in ipairs({ "", ", with a body" }) do
    operations["Client:fetch" .. kind] = {
      open = function() return open_reply("") end,
      start = function(state, options)
        return state.client:fetch(state.url, {
          signal = options and options.signal,
          method = kind ~= "" and "POST" or nil,
          body = kind ~= "" and function() return "piece" end or nil,
        })
      end,
      close = close_reply,
      endless = true,
    }
  end

  operations["http.fetch"] = {
    open = function() return open_reply("") end,
    start = function(state, options) return http.fetch(state.url, options) end,
    close = close_reply,
    endless = true,
  }

  for _, name in ipairs({ "text", "json" }) do
    operations["Response:" .. name] = {
      open = open_response,
      start = function(state, options) return state.response[name](state.response, options) end,
      close = close_reply,
      endless = true,
    }
  end

  operations["Response:save"] = {
    open = open_response,
    start = function(state, options)
      return state.response:save(state.directory .. "/file", options)
    end,
    close = close_reply,
    endless = true,
  }

  for _, name in ipairs({ "chunks", "events" }) do
    operations["Response:" .. name] = {
      open = open_response,
      start = function(state, options)
        return all_of(function() return state.response[name](state.response, options) end)
      end,
      close = close_reply,
      endless = true,
    }
  end
end

---- ways to be cancelled ----

--- Whatever the operation came to: over by itself, if it may be, or rejected with the reason.
local function check_outcome(operation, promise, reason, may_be_over)
  local ok, err = pcall(await, promise)
  if ok or err ~= reason then
    assert(may_be_over and ok, ("rejected with %s"):format(err))
  elseif operation.check then
    return true
  end
end

local REASON = setmetatable({}, { __tostring = function() return "the reason" end })

--- Each returns whether the operation has been cancelled and there is more to check.
local WAYS = {}

WAYS["by a signal that is aborted already"] = function(operation, state)
  local promise = operation.start(state, { signal = tide.AbortSignal.abort(REASON) })
  return check_outcome(operation, promise, REASON)
end

WAYS["by a signal, as soon as it has been started"] = function(operation, state)
  local controller = tide.AbortController()
  local promise = operation.start(state, { signal = controller.signal })
  controller:abort(REASON)
  return check_outcome(operation, promise, REASON, operation.at_once)
end

WAYS["by a signal, later"] = function(operation, state)
  local controller = tide.AbortController()
  local promise = operation.start(state, { signal = controller.signal })
  await(tide.yield())
  controller:abort(REASON)
  return check_outcome(operation, promise, REASON, not operation.endless)
end

WAYS["by a signal with a timeout"] = function(operation, state)
  local signal = tide.AbortSignal.timeout(1)
  local promise = operation.start(state, { signal = signal })
  pcall(await, promise)
  if operation.endless then
    assert.equal("TimeoutError", signal.reason.name)
  end
  return check_outcome(operation, promise, signal.reason, not operation.endless)
end

WAYS["with its group"] = function(operation, state)
  local promise
  local group = tide.group(function(group)
    group:spawn(function()
      promise = operation.start(state)
      await(promise)
    end)
    group:cancel(REASON)
  end)
  local ok, err = pcall(await, group)
  assert(ok or err == REASON, err)
  return check_outcome(operation, promise, REASON, operation.at_once or operation.is_function)
end

WAYS["with its group, later"] = function(operation, state)
  local promise
  local group = tide.group(function(group)
    group:spawn(function()
      promise = operation.start(state)
      await(promise)
    end)
    await(tide.yield())
    group:cancel(REASON)
  end)
  pcall(await, group)
  return check_outcome(operation, promise, REASON, not operation.endless)
end

WAYS["by a timeout"] = function(operation, state)
  local promise
  local ok, err = pcall(await, tide.timeout(1, function()
    promise = operation.start(state)
    await(promise)
  end))
  assert(ok and not operation.endless or err.name == "TimeoutError", err)
  return check_outcome(operation, promise, err, not operation.endless)
end

---- nothing is left ----

--- How many descriptors are open, the one that looks included; 0 where the system does not tell.
local function descriptors()
  local ok, entries = pcall(await, fs.scandir "/proc/self/fd")
  return ok and #entries or 0
end

local function children()
  local file = io.open(("/proc/self/task/%d/children"):format(system.pid()))
  local list = file and file:read("a") or ""
  if file then
    file:close()
  end
  return list
end

--- Runs the operation and cancels it that way. The timer keeps the loop alive, which signals with a
--- timeout do not.
local function cancel(operation, way)
  local late <close> = tide.set_timeout(error, PATIENCE, "this was not cancelled", 0)
  local state = operation.open and operation.open()
  if way(operation, state) then
    late:close()
    leak.run_dry() -- what works on it still may have made something
    operation.check(state)
  end
  if operation.close then
    operation.close(state)
  end
  late:close()
  leak.check()
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

local ways = sorted_keys(WAYS)

describe("every operation that waits", function()
  after_each(leak.check)

  for _, name in ipairs(sorted_keys(operations)) do
    it("can be cancelled and leaves nothing: " .. name, function()
      local operation = operations[name]
      -- What the process keeps from then on, threads say, is no leak.
      cancel(operation, WAYS["by a signal, later"])
      local before = descriptors()
      for _, way in ipairs(ways) do
        local ok, err = pcall(cancel, operation, WAYS[way])
        assert(ok, ("%s: %s"):format(way, err))
        assert.equal(before, descriptors(), "descriptors, " .. way)
        assert.equal("", children(), "children, " .. way)
      end
    end)
  end
end)

---- all of them ----

-- What gives a promise or takes options, but is no operation that is cancelled, and why.
local IS_NONE = {
  ["Clock:advance"] = "spec/testing_spec.lua",
  ["Directory:close"] = "clean-up",
  ["File:close"] = "clean-up",
  ["Generator:close"] = "clean-up",
  ["Generator:next"] = "its function is cancelled: spec/async/generator_spec.lua",
  ["Generator:throw"] = "its function is cancelled: spec/async/generator_spec.lua",
  ["Group:spawn"] = "its function is cancelled: spec/async/group_spec.lua",
  ["Server:close"] = "clean-up",
  ["Service:close"] = "clean-up",
  ["Stream:close"] = "clean-up",
  ["Stream:destroy"] = "clean-up",
  ["Part:chunks"] = not has_parser and "not built" or nil,
  ["Part:save"] = not has_parser and "not built" or nil,
  ["Part:text"] = not has_parser and "not built" or nil,
  ["WebSocket:close"] = "clean-up",
  ["Events:send"] = not has_parser and "not built" or nil,
  ["Request:chunks"] = not has_parser and "not built" or nil,
  ["Request:form"] = not has_parser and "not built" or nil,
  ["Request:json"] = not has_parser and "not built" or nil,
  ["Request:multipart"] = not has_parser and "not built" or nil,
  ["Request:text"] = not has_parser and "not built" or nil,
  ["Request:websocket"] = "waits for nothing",
  ["http.events"] = "waits for nothing",
  ["http.serve"] = not has_parser and "not built" or nil,
  ["Client:fetch"] = not has_client and "not built" or nil,
  ["http.fetch"] = not has_client and "not built" or nil,
  ["Response:chunks"] = not has_client and "not built" or nil,
  ["Response:events"] = not has_client and "not built" or nil,
  ["Response:json"] = not has_client and "not built" or nil,
  ["Response:save"] = not has_client and "not built" or nil,
  ["Response:text"] = not has_client and "not built" or nil,
  ["http.static"] = "waits for nothing",
  ["net.udp"] = "waits for nothing",
  ["testing.clock"] = "waits for nothing",
  ["testing.wait_all_tasks_blocked"] = "spec/testing_spec.lua",
  ["tls.client"] = not has_tls and "not built" or nil,
  ["tls.context"] = "what it reads is cancelled: fs.read_file",
  ["tls.listen"] = "what it reads is cancelled: fs.read_file",
  ["tls.server"] = not has_tls and "not built" or nil,
  ["tide.collect"] = "its function is cancelled: spec/async/generator_spec.lua",
  ["tide.debug"] = "waits for nothing",
  ["tide.detach"] = "it is there not to be cancelled: spec/core/scope_spec.lua",
  ["tide.each"] = "its functions are cancelled: spec/async/group_spec.lua",
  ["tide.group"] = "its functions are cancelled: spec/async/group_spec.lua",
  ["tide.import"] = "what the module awaits is cancelled",
  ["tide.map"] = "its functions are cancelled: spec/async/group_spec.lua",
  ["tide.move_on_after"] = "its function is cancelled: spec/async/group_spec.lua",
  ["tide.shield"] = "it is there not to be cancelled: spec/async/group_spec.lua",
  ["tide.spawn"] = "its function is cancelled: spec/async/group_spec.lua",
  ["tide.timeout"] = "its function is cancelled: spec/async/group_spec.lua",
  ["tide.yield"] = "over after one turn",
}

--- The annotated functions that give promises or take options, but those of promises themselves.
local function annotated()
  local found, gives_promise = {}, false
  for line in annotations.text():gmatch "[^\n]*" do
    gives_promise = gives_promise or line:find("^%-%-%-@return moontide%.Promise") ~= nil
      or line:find("^%-%-%-@return moontide%.Callable") ~= nil
    local name, parameters = line:match("^function ([%w_.:]+)%(([^)]*)%)")
    if name then
      if (gives_promise or parameters:find "options$") and not name:find "^Promise" then
        found[name] = true
      end
      gives_promise = false
    elseif not line:find "^%-%-%-" then
      gives_promise = false
    end
  end
  return found
end

describe("the table of operations", function()
  local found = annotated()

  it("has all that are annotated", function()
    local missing = {}
    for name in pairs(found) do
      if not operations[name] and not IS_NONE[name] then
        missing[#missing + 1] = name
      end
    end
    table.sort(missing)
    assert.same({}, missing, "to be added to spec/cross/every_operation_spec.lua")
  end)

  it("has none that are not", function()
    for _, map in ipairs({ operations, IS_NONE }) do
      for name in pairs(map) do
        local known = found[name:match("^[^,]+")]
        assert.is_true(known, name)
      end
    end
  end)
end)
