-- Clients that were written for LuaSocket, unchanged, on ours: lua-redis with a real redis-server,
-- and LuaSocket's own http module with a real nginx.
local background = require "spec.support.background"
local core = require "moontide.core"
local coroutines = require "moontide.coroutine"
local files = require "spec.support.files"
local find_redis = require "spec.support.find_redis"
local leak = require "spec.support.leak"
local luasocket = require "spec.support.luasocket"
local plain = require "socket"
local plain_http = require "socket.http"
local raised = require("spec.support.raised").raised
local socket = require "moontide.luasocket"
local tide = require "moontide"

local await, spawn = tide.await, tide.spawn

--- Nothing waits, and nothing is polled.
local function check_idle()
  files.eventually(function()
    local stats = core.stats()
    return stats.operations == 0 and stats.handles == 0
  end)
end

describe("a client on luasocket", function()
  local restore

  setup(function()
    restore = socket.install()
  end)

  teardown(function()
    restore()
    background.stop()
    files.remove()
  end)

  after_each(leak.check)

  describe("lua-redis", function()
    local redis, port

    setup(function()
      local directory = files.directory()
      redis = dofile(find_redis())
      port = background.serve(function(free)
        local options = "--bind 127.0.0.1 --port %d --save '' --appendonly no --dir %s"
        return ("$(command -v redis-server || command -v valkey-server) %s >/dev/null 2>&1"):format(
          options:format(free, directory)
        )
      end)
    end)

    local function connect()
      return redis.connect("127.0.0.1", port)
    end

    it("gets what it sets", function()
      local client = connect()
      assert.is_true(client:ping())
      assert.is_true(client:set("key", "one\r\ntwo"))
      assert.equal("one\r\ntwo", client:get("key"))
      assert.is_nil(client:get("no key"))
      assert.equal(3, client:rpush("list", "a", "b", "c"))
      assert.same({ "a", "b", "c" }, client:lrange("list", 0, -1))
      assert.matches("WRONGTYPE", raised(client.incr, client, "list"))
      local large = ("0123456789"):rep(50000)
      client:set("large", large)
      assert.equal(large, client:get("large"))
      client:quit()
    end)

    it("waits twenty times at once, while the loop ticks", function()
      local N = 20
      local log, ticks = {}, 0
      local waiting = {}
      for i = 1, N do
        waiting[i] = spawn(function()
          local client = connect()
          local reply = client:blpop("queue" .. i, 30)
          log[#log + 1] = i .. " " .. reply[2]
          client:quit()
        end)
      end
      local other = connect()
      local function blocked()
        return tonumber(other:info().clients.blocked_clients)
      end
      -- All of them wait in the server at the same time: its own count.
      files.eventually(function()
        return blocked() == N
      end)
      local ticker <close> = tide.set_interval(function()
        ticks = ticks + 1
      end, 1)
      files.eventually(function()
        return ticks >= 5
      end)
      assert.equal(N, blocked())
      assert.same({}, log)
      -- They go on in the order in which the server answers them.
      local expected = {}
      for i = N, 1, -1 do
        other:rpush("queue" .. i, "item")
        await(waiting[i])
        expected[#expected + 1] = i .. " item"
      end
      assert.same(expected, log)
      other:quit()
      ticker:close()
    end)

    it("counts right, whoever interleaves", function()
      local N, TIMES = 20, 25
      await(tide.group(function(g)
        for _ = 1, N do
          g:spawn(function()
            local client = connect()
            for _ = 1, TIMES do
              client:incr("counter")
            end
            client:quit()
          end)
        end
      end))
      local client = connect()
      assert.equal(tostring(N * TIMES), client:get("counter"))
      client:quit()
    end)

    it("is cancelled while it waits, and the server sees it go", function()
      local other = connect()
      local client
      assert.is_false(await(tide.move_on_after(20, function()
        client = connect()
        client:blpop("nothing", 60)
      end)))
      check_idle()
      assert.equal(1, tonumber(other:info().clients.blocked_clients))
      client.network.socket:close()
      files.eventually(function()
        return other:info().clients.blocked_clients == "0"
      end)
      other:quit()
    end)

    it("heeds the timeout of its own", function()
      local client = redis.connect({ host = "127.0.0.1", port = port, timeout = 0.02 })
      assert.matches("timeout", raised(client.blpop, client, "nothing", 60))
      client.network.socket:close()
    end)

    it("says what would help where it awaits in a coroutine of its own", function()
      local client = connect()
      local message = await(spawn(raised, function()
        local next_message = client:pubsub({ subscribe = { "channel" } })
        next_message() -- "subscribe", which may be there
        next_message()
      end))
      assert.matches("await inside a coroutine that is not an async function", message)
      assert.matches("moontide.coroutine", message, 1, true)
      client.network.socket:close()
    end)

    describe("with coroutines of its own that await", function()
      local undo

      before_each(function()
        undo = coroutines.install()
      end)

      after_each(function()
        undo()
      end)

      it("subscribes, while others publish", function()
        local log = {}
        local function subscribe(name, n)
          local client = connect()
          for message, abort in client:pubsub({ subscribe = { name, "all" } }) do
            log[#log + 1] = ("%s %s %s"):format(name, message.kind, message.payload)
            n = n - (message.kind == "message" and 1 or 0)
            if n == 0 then
              abort()
            end
          end
          client:quit()
        end
        local other = connect()
        local function subscribers(channel)
          local reply = other:raw_cmd("PUBSUB NUMSUB " .. channel .. "\r\n")
          return tonumber(reply[2])
        end
        local subscribed = { spawn(subscribe, "one", 2), spawn(subscribe, "two", 1) }
        files.eventually(function()
          return subscribers("all") == 2
        end)
        other:publish("one", "a")
        other:publish("all", "b")
        await(tide.Promise.all(subscribed))
        table.sort(log)
        assert.same({
          "one message a", "one message b", "one subscribe 1", "one subscribe 2",
          "one unsubscribe 1", "two message b", "two subscribe 1", "two subscribe 2",
          "two unsubscribe 1",
        }, log)
        other:quit()
      end)

      it("is cancelled while it is subscribed", function()
        local client = connect()
        assert.is_false(await(tide.move_on_after(20, function()
          for _ in client:pubsub({ subscribe = { "channel" } }) do
            await(nil)
          end
        end)))
        client.network.socket:close()
        check_idle()
      end)

      it("has transactions, side by side", function()
        local N, TIMES = 5, 4
        local function add()
          local client = connect()
          for _ = 1, TIMES do
            client:transaction({ cas = true, watch = "sum", retry = 1000 }, function(t)
              local sum = tonumber(t:get("sum")) or 0
              t:multi()
              t:set("sum", sum + 1)
            end)
          end
          client:quit()
        end
        await(tide.group(function(g)
          for _ = 1, N do
            g:spawn(add)
          end
        end))
        local client = connect()
        assert.equal(tostring(N * TIMES), client:get("sum"))
        client:quit()
      end)
    end)
  end)

  describe("LuaSocket's http", function()
    local http, base

    local CONF = [[
      worker_processes 1; daemon off; master_process off; error_log /dev/null; pid %s/pid;
      events { worker_connections 256; }
      http {
        access_log off; client_body_temp_path %s/body; proxy_temp_path %s/proxy;
        fastcgi_temp_path %s/fastcgi; uwsgi_temp_path %s/uwsgi; scgi_temp_path %s/scgi;
        server { listen 127.0.0.1:%d; root %s; absolute_redirect on; }
      }
    ]]

    setup(function()
      luasocket.start()
      http = require "socket.http"
      assert.not_equal(plain_http, http)
      local d = files.directory()
      files.write(d .. "/small.txt", "small\n")
      files.write(d .. "/large.txt", ("0123456789"):rep(100000))
      files.write(d .. "/empty.txt", "")
      os.execute("mkdir " .. d .. "/directory && cp " .. d .. "/small.txt " .. d
        .. "/directory/index.html && chmod -R a+rX " .. d)
      local port = background.serve(function(free)
        files.write(d .. "/conf", CONF:format(d, d, d, d, d, d, free, d))
        return ("env PATH=$PATH:/usr/sbin:/usr/local/sbin nginx -p %s -c %s/conf 2>&1"):format(d, d)
      end)
      base = "http://127.0.0.1:" .. port
    end)

    --- What a request gives, but for the time of day.
    local function answer(module, ...)
      local body, code, headers, status = module.request(...)
      if headers then
        headers.date = nil
      end
      return { n = 4, body, code, headers, status }
    end

    for _, path in ipairs({ "small.txt", "large.txt", "empty.txt", "none.txt", "directory" }) do
      it("gets what it gets on LuaSocket: " .. path, function()
        local expected = answer(plain_http, base .. "/" .. path)
        assert.is_truthy(expected[1])
        assert.same(expected, await(spawn(answer, http, base .. "/" .. path)))
        assert.same(expected, answer(http, base .. "/" .. path))
      end)
    end

    local requests = { { method = "HEAD" }, { method = "DELETE" }, { redirect = false } }
    for _, request in ipairs(requests) do
      it("asks as on LuaSocket: " .. (request.method or "without redirection"), function()
        local function ask(module)
          local copy = { url = base .. "/directory" }
          for k, v in pairs(request) do
            copy[k] = v
          end
          return answer(module, copy)
        end
        local expected = ask(plain_http)
        assert.same(expected, await(spawn(ask, http)))
      end)
    end

    it("fails as on LuaSocket", function()
      local port = background.free_port()
      local urls = { "http://127.0.0.1:" .. port, "http://no name/", "http:///", "ftp://x/" }
      for _, url in ipairs(urls) do
        local expected = table.pack(pcall(plain_http.request, url))
        local got = table.pack(await(spawn(pcall, http.request, url)))
        assert.same(tostring(expected[3]), tostring(got[3]))
        assert.same(expected[1], got[1])
      end
    end)

    -- The peer accepts `n` connections before it answers the last one first.
    local REVERSE = [[
      local n = %d c:send("\n") local all = {}
      for i = 1, n do
        local s = server:accept() local path = s:receive():match("GET (%%S+)")
        while s:receive() ~= "" do end
        all[i] = { s, path }
      end
      for i = n, 1, -1 do
        all[i][1]:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" ..
          ("%%x\r\n%%s\r\n0\r\n\r\n"):format(#all[i][2], all[i][2]))
        all[i][1]:close()
      end
    ]]

    it("waits for ten answers at once, chunked ones", function()
      local N = 10
      local control = luasocket.open(socket, REVERSE:format(N))
      assert.equal("", control:receive())
      local bodies = {}
      await(tide.group(function(g)
        for i = 1, N do
          g:spawn(function()
            local url = ("http://127.0.0.1:%d/%d"):format(luasocket.port, i)
            local body, code = http.request(url)
            assert.equal(200, code)
            bodies[#bodies + 1] = body
          end)
        end
      end))
      table.sort(bodies)
      local expected = {}
      for i = 1, N do
        expected[i] = "/" .. i
      end
      table.sort(expected)
      assert.same(expected, bodies)
      control:close()
    end)

    it("posts, chunked and in one piece", function()
      local ltn12 = require "ltn12"
      local echo = [[
        local function serve(s)
          local length = 0
          repeat
            local line = s:receive()
            length = tonumber(line:lower():match("^content%-length: (%d+)")) or length
          until line == ""
          local body = ""
          if length > 0 then
            body = s:receive(length)
          else
            repeat
              local size = tonumber(s:receive(), 16)
              body = body .. s:receive(size)
              s:receive()
            until size == 0
          end
          s:send("HTTP/1.0 200 OK\r\n\r\n" .. body) s:close()
        end
        serve(server:accept()) serve(server:accept()) c:send("done")
      ]]
      local control = luasocket.open(socket, echo)
      local url = "http://127.0.0.1:" .. luasocket.port .. "/"
      local body = ("x"):rep(300000)
      await(spawn(function()
        assert.equal(body, (http.request(url, body)))
        local parts = {}
        assert.equal(1, (http.request({
          url = url,
          method = "POST",
          source = ltn12.source.string("in chunks"),
          sink = ltn12.sink.table(parts),
        })))
        assert.equal("in chunks", table.concat(parts))
      end))
      assert.equal("done", control:receive(4))
      control:close()
    end)

    --- A server that never answers, and its URL.
    local function silent()
      local server = assert(plain.bind("127.0.0.1", 0))
      local _, port = server:getsockname()
      return server, "http://127.0.0.1:" .. port .. "/"
    end

    it("is cancelled while it waits", function()
      local server, url = silent()
      assert.is_false(await(tide.move_on_after(20, http.request, url)))
      check_idle()
      server:close()
    end)

    it("gives up after its own timeout", function()
      local server, url = silent()
      http.TIMEOUT, plain_http.TIMEOUT = 0.02, 0.02
      local expected = table.pack(plain_http.request(url))
      local got = table.pack(http.request(url))
      http.TIMEOUT, plain_http.TIMEOUT = 60, 60
      assert.same(expected, got)
      server:close()
    end)
  end)
end)
