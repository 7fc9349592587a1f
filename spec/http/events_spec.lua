-- Replies that are server-sent events, by raw sockets and by Chromium.
local browser = require "spec.support.browser"
local event_stream = require "moontide.http.event_stream"
local files = require "spec.support.files"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local peers = require "spec.support.peers"
local raised = require("spec.support.raised").raised
local server = require "spec.support.server"
local tide = require "moontide"

local await = tide.await

local has_parser = pcall(require, "moontide.llhttp_core")

local LONG = 20000 -- ms

local function connect(port, ...)
  local stream = await(net.connect({ host = "127.0.0.1", port = port }))
  local lines = { "GET / HTTP/1.1", "Host: a", ... }
  await(stream:write(table.concat(lines, "\r\n") .. "\r\n\r\n"))
  return stream
end

--- The head and the body of the reply that a function makes.
local function reply_of(f, ...)
  local head, body
  local lines = { "Connection: close", ... }
  server.run({}, function() return http.events(f) end, function(port)
    local stream <close> = connect(port, table.unpack(lines))
    head, body = await(stream:read_all()):match("^(.-\r\n\r\n)(.*)$")
  end)
  local pieces = {}
  local rest = body:gsub("(%x+)\r\n(.-)\r\n", function(size, piece)
    assert.equal(tonumber(size, 16), #piece)
    pieces[#pieces + 1] = piece
    return ""
  end)
  assert.equal("", rest)
  return head, table.concat(pieces)
end

--- What is raised by a call of send with that.
local function refusal_of(event)
  local text
  reply_of(function(events) text = raised(events.send, events, event) end)
  return text
end

describe("http.events", function()
  if not has_parser then
    it("needs llhttp", function() pending("it is not built") end)
    return
  end

  after_each(function()
    peers.stop()
    files.remove()
    leak.check()
  end)

  it("checks its arguments", function()
    assert.matches("bad argument #1 to 'http.events' %(function expected, got nil%)",
      raised(http.events))
    assert.matches("field 'heartbeat'", raised(http.events, print, { heartbeat = "x" }))
  end)

  it("sends each event as it stands in the standard", function()
    local head, body = reply_of(function(events)
      await(events:send({ data = "one" }))
      local data = "two\nlines\r\nand\ra third"
      await(events:send({ data = data, event = "tide", id = "7", retry = 5 }))
      await(events:send({ data = "" }))
      await(events:send({ data = 7 }))
      await(events:send({ retry = 10 }))
    end)
    assert.matches("^HTTP/1.1 200 OK\r\n", head)
    assert.matches("\r\nContent%-Type: text/event%-stream\r\n", head)
    assert.matches("\r\nCache%-Control: no%-store\r\n", head)
    assert.matches("\r\nX%-Accel%-Buffering: no\r\n", head)
    assert.matches("\r\nTransfer%-Encoding: chunked\r\n", head)
    assert.equal("data: one\n\n"
      .. "event: tide\nid: 7\nretry: 5\ndata: two\ndata: lines\ndata: and\ndata: a third\n\n"
      .. "data: \n\ndata: 7\n\nretry: 10\n\n", body)
    assert.equal(4, #event_stream.parser():feed(body))
  end)

  it("has more headers when they are set, and none for HEAD", function()
    local called = false
    server.run({}, function(request)
      local reply = http.events(function() called = true end)
      reply.headers["Access-Control-Allow-Origin"] = "*"
      assert(request.method == "HEAD")
      return reply
    end, function(port)
      local stream <close> = await(net.connect({ host = "127.0.0.1", port = port }))
      await(stream:write("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
      local text = await(stream:read_all())
      assert.matches("\r\nAccess%-Control%-Allow%-Origin: %*\r\n", text)
      assert.matches("\r\n\r\n$", text)
    end)
    assert.is_false(called)
  end)

  it("refuses what would be another event", function()
    assert.matches("bad argument #1 to 'events:send' %(table expected, got string%)",
      refusal_of("text"))
    assert.matches("field 'event': no line ends", refusal_of({ event = "a\ndata: b" }))
    assert.matches("field 'id': no line ends", refusal_of({ id = "a\rb" }))
    assert.matches("field 'id': no NUL", refusal_of({ id = "a\0b" }))
    assert.matches("field 'retry': negative", refusal_of({ retry = -1 }))
    assert.matches("field 'retry': integer expected", refusal_of({ retry = 1.5 }))
    assert.matches("field 'data': string expected, got table", refusal_of({ data = {} }))
    assert.matches("an event has a field", refusal_of({}))
  end)

  it("knows the last event of a client that comes back", function()
    local seen = {}
    reply_of(function(events) seen[1] = events.last_id end, "Last-Event-ID: 41")
    reply_of(function(events) seen[2] = events.last_id == nil end)
    assert.same({ "41", true }, seen)
  end)

  it("leaves the connection for the next request", function()
    server.run({}, function()
      return http.events(function(events) await(events:send({ data = "x" })) end)
    end, function(port)
      local stream <close> = connect(port)
      local ending = "data: x\n\n\r\n0\r\n\r\n"
      assert.matches("^HTTP/1.1 200 ", await(stream:read_until(ending)))
      await(stream:write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
      assert.matches("^HTTP/1.1 200 ", await(stream:read_until(ending)))
    end)
  end)

  it("cancels the function when its client leaves, in the midst of what it waits for", function()
    local failures, cancelled, reached = {}, tide.event(), tide.event()
    local options = { on_error = function(reason) failures[#failures + 1] = reason end }
    server.run(options, function()
      return http.events(function(events)
        local _ <close> = setmetatable({}, { __close = function() cancelled:set() end })
        await(events:send({ data = "x" }))
        reached:set()
        await(tide.sleep(1e6))
      end)
    end, function(port)
      local stream = connect(port)
      await(reached:wait())
      await(stream:close())
      await(tide.timeout(LONG, function() await(cancelled:wait()) end))
    end)
    assert.same({}, failures)
  end)

  it("cancels it when the client is reset, and when the server closes", function()
    for _, how in ipairs({ "destroy", "grace" }) do
      local cancelled = tide.event()
      server.run({}, function()
        return http.events(function(events)
          local _ <close> = setmetatable({}, { __close = function() cancelled:set() end })
          while true do
            await(events:send({ data = "x" }))
            await(tide.sleep(1))
          end
        end)
      end, function(port, service)
        local stream = connect(port)
        await(stream:read_until("data: x\n"))
        if how == "destroy" then
          await(stream:destroy())
        else
          await(service:close({ grace = 1 }))
          await(stream:destroy())
        end
        await(tide.timeout(LONG, function() await(cancelled:wait()) end))
      end)
    end
  end)

  it("is no faster than its client", function()
    local count, failure = 0, nil
    local data = ("x"):rep(64 * 1024)
    server.run({}, function()
      return http.events(function(events)
        for i = 1, 1000 do
          await(events:send({ data = data }))
          count = i
        end
      end)
    end, function(port)
      local stream = connect(port)
      local before
      repeat
        before = count
        await(tide.sleep(50))
      until count == before and count > 0
      assert.is_true(count < 500, count)
      await(stream:destroy())
    end)
    assert.is_nil(failure)
  end)

  it("sends comments while there is nothing else", function()
    server.run({}, function()
      return http.events(function() await(tide.sleep(1e6)) end, { heartbeat = 5 })
    end, function(port)
      local stream <close> = connect(port)
      for _ = 1, 3 do
        assert.matches(":\n\n\r\n$", await(stream:read_until(":\n\n\r\n")))
      end
    end)
  end)

  it("tells on_error what the function fails with, and the client nothing", function()
    local failures = {}
    local options = { on_error = function(reason) failures[#failures + 1] = reason end }
    server.run(options, function()
      return http.events(function(events)
        await(events:send({ data = "x" }))
        error("broken", 0)
      end)
    end, function(port)
      local stream <close> = connect(port)
      local ok, text = pcall(await, stream:read_all())
      assert.not_matches("\r\n0\r\n\r\n$", ok and text or "")
    end)
    assert.same({ "broken" }, failures)
  end)

  it("sends no more when it is over", function()
    local kept, reason
    server.run({}, function()
      return http.events(function(events) kept = events end)
    end, function(port)
      local stream <close> = connect(port, "Connection: close")
      await(stream:read_all())
      reason = select(2, pcall(await, kept:send({ data = "x" })))
    end)
    assert.equal("ClosedError", reason.name)
  end)

  it("is what a page's EventSource reads, which comes back with the last id", function()
    if not browser.path then
      pending "there is no browser"
      return
    end
    local page = [[<!doctype html><pre id="log"></pre><script>
      const lines = [];
      const source = new EventSource("/events");
      const note = e => {
        lines.push([e.type, e.lastEventId, JSON.stringify(e.data)].join(" "));
        if (lines.length < 4) return;
        source.close();
        document.getElementById("log").textContent = lines.join("\n");
        fetch("/done");
      };
      source.onmessage = note;
      source.addEventListener("tide", note);
    </script><script src="/wait"></script>]]
    local done, replies = tide.event(), {}
    replies["/"] = function() return { html = page } end
    replies["/events"] = function()
      return http.events(function(events)
        local last = tonumber(events.last_id or 0)
        await(events:send({ data = "first\nlines " .. last, id = last + 1, retry = 1 }))
        await(events:send({ event = "tide", data = "é", id = tostring(last + 2) }))
      end)
    end
    replies["/done"] = function()
      done:set()
      return ""
    end
    replies["/wait"] = function()
      await(done:wait())
      return { body = "", headers = { ["Content-Type"] = "text/javascript" } }
    end
    server.run({}, function(request)
      local reply = replies[request.path]
      return reply and reply() or { status = 404 }
    end, function(port)
      local url = ("http://127.0.0.1:%d/"):format(port)
      local result = peers.run(browser.command(files.directory(), "--dump-dom", url))
      local log = assert(result.out:match('<pre id="log">(.-)</pre>'), result.err)
      assert.equal('message 1 "first\\nlines 0"\ntide 2 "é"\n'
        .. 'message 3 "first\\nlines 2"\ntide 4 "é"', log)
    end)
  end)
end)
