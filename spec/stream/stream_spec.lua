local tide = require "moontide"
local core = require "moontide.core"
local eventually = require("spec.support.files").eventually
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised
local sockets = require "spec.support.sockets"

local await, sleep = tide.await, tide.sleep

local function code_of(promise)
  return failure(promise).code
end

for _, kind in ipairs({ "tcp", "pipe", "tls" }) do
  describe("stream (" .. kind .. ")", function()
    local a, b

    before_each(function()
      a, b = sockets.pair(kind)
    end)

    after_each(function()
      sockets.close(a, b)
      a, b = nil, nil
      leak.check()
    end)

    it("gives what has been written", function()
      await(a:write("hello"))
      assert.equal("hello", await(b:read()))
    end)

    it("writes several strings and numbers as one", function()
      await(a:write("a", 1, "", "b", 2.5, nil))
      assert.equal("a1b2.5", await(b:read_exactly(6)))
    end)

    it("says how many bytes are queued", function()
      assert.equal(0, a:queued())
      local much = ("x"):rep(8 << 20)
      local written = a:write(much)
      local queued = a:queued()
      assert.is_true(queued > 1 << 20)
      await(b:read_exactly(1 << 20))
      eventually(function() return a:queued() < queued end)
      await(b:read_exactly(#much - (1 << 20)))
      await(written)
      eventually(function() return a:queued() == 0 end)
      await(a:destroy())
      assert.equal(0, a:queued())
    end)

    it("writes more strings than the system takes at once", function()
      local pieces = {}
      for i = 1, 100 do
        pieces[i] = i .. ","
      end
      await(a:write(table.unpack(pieces)))
      assert.equal(table.concat(pieces), await(b:read_exactly(#table.concat(pieces))))
    end)

    it("reads no more than it was asked for, and keeps the rest", function()
      await(a:write("abcdef"))
      assert.equal("ab", await(b:read(2)))
      assert.equal("c", await(b:read_exactly(1)))
      assert.equal("def", await(b:read(100)))
    end)

    it("reads nothing at the end, however often", function()
      await(a:shutdown())
      assert.equal(0, select("#", await(b:read())))
      assert.equal(0, select("#", await(b:read_line())))
      assert.equal("", await(b:read_all()))
    end)

    it("reads exactly what comes in pieces", function()
      local promise = b:read_exactly(6)
      await(a:write("abc"))
      await(sleep(5))
      assert.equal("pending", promise:state())
      await(a:write("defgh"))
      assert.equal("abcdef", await(promise))
      assert.equal("gh", await(b:read()))
    end)

    it("says how much there was when the end came too early, and keeps it", function()
      await(a:write("abc"))
      await(a:shutdown())
      local err = failure(b:read_exactly(5))
      assert.equal("IncompleteReadError", err.name)
      assert.equal(3, err.received)
      assert.equal("the stream ended after 3 of 5 bytes", err.message)
      err = failure(b:read_until(";"))
      assert.equal("IncompleteReadError", err.name)
      assert.equal("abc", await(b:read_all()))
    end)

    it("reads up to a delimiter, also one that comes in pieces", function()
      local promise = b:read_until("\r\n\r\n")
      for piece in ("one\r\n|two\r|\n\r|\nrest"):gmatch("[^|]+") do
        await(a:write(piece))
        await(sleep(2))
      end
      assert.equal("one\r\ntwo\r\n\r\n", await(promise))
      assert.equal("rest", await(b:read()))
    end)

    it("finds a delimiter that begins like what stands before it", function()
      await(a:write("aaab-aab"))
      assert.equal("aaab", await(b:read_until("aab")))
      assert.equal("-aab", await(b:read_until("aab")))
    end)

    it("reads lines, the last one without an end", function()
      await(a:write("one\n\ntwo\r\nthree"))
      await(a:shutdown())
      local lines = {}
      for line in b:lines() do
        lines[#lines + 1] = line
      end
      assert.same({ "one", "", "two\r", "three" }, lines)
    end)

    it("refuses a line beyond the limit, and keeps it", function()
      await(a:write("0123456789"))
      local err = failure(b:read_line({ limit = 8 }))
      assert.equal("LimitError", err.name)
      assert.equal("more than 8 bytes: what is read is limited by option 'limit'", err.message)
      assert.equal("LimitError", failure(b:read_until("9", { limit = 9 })).name)
      assert.equal("0123456789", await(b:read_until("9", { limit = 10 })))
    end)

    it("refuses to read all beyond the limit", function()
      await(a:write("0123456789"))
      await(a:shutdown())
      assert.equal("LimitError", failure(b:read_all({ limit = 9 })).name)
      assert.equal("0123456789", await(b:read_all({ limit = 10 })))
    end)

    it("gives chunks until the end", function()
      tide.spawn(function()
        for i = 1, 3 do
          await(a:write(("x"):rep(i)))
          await(sleep(2))
        end
        await(a:shutdown())
      end)
      local all = ""
      for chunk in b:chunks() do
        all = all .. chunk
      end
      assert.equal("xxxxxx", all)
    end)

    it("passes an error on to the loop over its chunks, after what came before", function()
      local seen = {}
      local promise = tide.spawn(function()
        for chunk in b:chunks() do
          seen[#seen + 1] = chunk
        end
      end)
      await(a:write("x"))
      await(sleep(5))
      b:close()
      local err = failure(promise)
      assert.equal("ECANCELED", err.code)
      assert.same({ "x" }, seen)
      assert.matches("stream_spec.lua", tide.traceback(err, promise))
    end)

    it("gives what is awaited by a loop in the order of promises", function()
      local log = {}
      tide.spawn(function()
        for chunk in b:chunks() do
          log[#log + 1] = chunk
          tide.queue_microtask(function() log[#log + 1] = "after " .. chunk end)
        end
      end)
      local done = tide.spawn(function()
        await(a:write("one"))
        await(sleep(5))
        await(a:write("two"))
        await(a:shutdown())
        await(sleep(5))
      end)
      await(done)
      assert.same({ "one", "after one", "two", "after two" }, log)
    end)

    it("rejects the function that somebody else resumes in a loop over chunks", function()
      local co
      local promise = tide.spawn(function()
        co = coroutine.running()
        for _ in b:chunks() do end
      end)
      coroutine.resume(co)
      a:write("x")
      assert.matches("resumed or closed by somebody else", failure(promise))
    end)

    it("gives chunks no larger than asked for", function()
      await(a:write("abcde"))
      await(a:shutdown())
      local chunks = {}
      for chunk in b:chunks(2) do
        chunks[#chunks + 1] = chunk
      end
      assert.same({ "ab", "cd", "e" }, chunks)
    end)

    it("carries megabytes both ways at once", function()
      local text = ("0123456789abcdef"):rep(1 << 17)
      local function send(stream)
        for from = 1, #text, 100000 do
          await(stream:write(text:sub(from, from + 99999)))
        end
        await(stream:shutdown())
      end
      local x, y = tide.spawn(send, a), tide.spawn(send, b)
      local got_a, got_b = tide.join(a:read_all(), b:read_all())
      await(x)
      await(y)
      assert.is_true(got_a == text)
      assert.is_true(got_b == text)
    end)

    it("goes on reading after the other direction has ended", function()
      await(a:shutdown())
      assert.is_nil(await(b:read()))
      await(b:write("still"))
      assert.equal("still", await(a:read()))
    end)

    it("lets a write wait while too much is queued", function()
      local written = 0
      local writer = tide.spawn(function()
        for _ = 1, 400 do
          await(a:write(("x"):rep(100000)))
          written = written + 1
        end
      end)
      await(sleep(50))
      local before = written
      await(sleep(20))
      assert.equal(before, written)
      assert.is_true(before < 400)
      local n = 0
      while n < 400 * 100000 do
        n = n + #await(b:read())
      end
      await(writer)
      assert.equal(400, written)
    end)

    it("does not receive without end while nobody reads", function()
      await(b:write("go"))
      await(a:read())
      local writer = tide.spawn(function()
        for _ = 1, 200 do
          await(a:write(("x"):rep(100000)))
        end
      end)
      await(b:read(1))
      await(sleep(50))
      assert.equal("pending", writer:state())
      local n = 1
      while n < 200 * 100000 do
        n = n + #await(b:read())
      end
      await(writer)
    end)

    it("lets others have their turn, though a write is never held up", function()
      local ticks, done = 0, false
      tide.spawn(function()
        while not done do
          await(sleep(1))
          ticks = ticks + 1
        end
      end)
      tide.spawn(function()
        for _ in b:chunks() do
          await(nil)
        end
      end)
      for _ = 1, 3000 do
        await(a:write("x"))
      end
      done = true
      assert.is_true(ticks > 0)
      await(a:shutdown())
      await(sleep(3))
    end)

    it("loses no byte when a read is aborted", function()
      local controller = tide.AbortController()
      local promise = b:read_exactly(4, { signal = controller.signal })
      await(a:write("ab"))
      await(sleep(5))
      controller:abort("enough")
      assert.equal("enough", failure(promise))
      await(a:write("cd"))
      assert.equal("abcd", await(b:read_exactly(4)))
    end)

    it("loses no byte when a group with a read is cancelled", function()
      local read
      local promise = tide.group(function(g)
        read = g:spawn(function()
          return await(b:read_line())
        end)
        await(a:write("begun "))
        await(sleep(5))
        g:cancel("stop")
      end)
      assert.equal("stop", failure(promise))
      assert.equal("stop", failure(read))
      await(a:write("and ended\n"))
      assert.equal("begun and ended", await(b:read_line()))
    end)

    it("loses no byte when a group with loops over chunks and lines is cancelled", function()
      for _, loop in ipairs({ "chunks", "lines" }) do
        local seen, loser = {}, nil
        failure(tide.group(function(g)
          loser = g:spawn(function()
            for text in b[loop](b) do
              seen[#seen + 1] = text
            end
          end)
          await(a:write("one\ntw"))
          await(sleep(5))
          g:cancel("stop")
        end))
        assert.equal("stop", failure(loser))
        await(a:write("o\n"))
        assert.equal(loop == "lines" and "two" or "o", await(b:read_line()))
        assert.equal(loop == "lines" and "one" or "one\ntw", seen[1])
      end
    end)

    it("reaches a loop over chunks with the timeouts around it, and lets it clean up", function()
      local log = {}
      local ok = await(tide.move_on_after(5, function()
        local _ <close> = setmetatable({}, { __close = function() log[#log + 1] = "closed" end })
        local _, err = pcall(function()
          for _ in b:chunks() do end
        end)
        log[#log + 1] = err.name
        await(sleep(1))
        log[#log + 1] = "clean"
        error(err, 0)
      end))
      assert.is_false(ok)
      assert.same({ "TimeoutError", "clean", "closed" }, log)
      await(a:write("x"))
      assert.equal("x", await(b:read()))
    end)

    it("follows a context through a loop over chunks", function()
      local var, seen = tide.ContextVar("var", "none"), {}
      await(a:write("x"))
      local promise = var:run("inside", tide.spawn, function()
        for _ in b:chunks() do
          seen[#seen + 1] = var:get()
        end
        seen[#seen + 1] = var:get()
      end)
      await(sleep(5))
      await(a:write("x"))
      await(a:shutdown())
      await(promise)
      assert.same({ "inside", "inside", "inside" }, seen)
    end)

    it("ends a read by a timeout", function()
      local err = failure(tide.timeout(5, function()
        return await(b:read())
      end))
      assert.equal("TimeoutError", err.name)
      await(a:write("x"))
      assert.equal("x", await(b:read()))
    end)

    it("takes a signal that is aborted already, and reads and writes nothing", function()
      await(a:write("x"))
      await(sleep(5))
      local signal = tide.AbortSignal.abort("no")
      assert.equal("no", failure(b:read(1, { signal = signal })))
      assert.equal("no", failure(b:write("y", { signal = signal })))
      assert.equal("no", failure(b:shutdown({ signal = signal })))
      assert.equal("x", await(b:read()))
    end)

    it("gives up waiting for the queue when that is aborted", function()
      local controller = tide.AbortController()
      local text = ("x"):rep(8000000)
      local promise = a:write(text, { signal = controller.signal })
      assert.equal("pending", promise:state())
      controller:abort("enough")
      assert.equal("enough", failure(promise))
      assert.equal(#text, #await(b:read_exactly(#text)))
    end)

    it("has one read at a time", function()
      local promise = b:read()
      assert.matches("another read of this stream is pending", raised(b.read, b))
      assert.matches("another read of this stream is pending", raised(b.chunks(b)))
      await(a:write("x"))
      assert.equal("x", await(promise))
    end)

    it("rejects a read that waits when it is closed, and later ones", function()
      local promise = b:read()
      local closed = b:close()
      assert.equal("ECANCELED", code_of(promise))
      assert.equal("EBADF", code_of(b:read()))
      assert.equal("EBADF", code_of(b:read_all()))
      assert.equal("EBADF", code_of(b:write("x")))
      assert.equal("EBADF", code_of(b:shutdown()))
      await(closed)
      await(b:close())
      await(b:destroy())
    end)

    it("still writes what is queued when it is closed", function()
      local text = ("0123456789"):rep(500000)
      a:write(text):catch(function() end)
      local closed = a:close()
      assert.equal("pending", closed:state())
      assert.is_true(await(b:read_all()) == text)
      await(closed)
    end)

    it("drops what is queued when it is destroyed, and says so", function()
      local promise = a:write(("x"):rep(8000000))
      local closed = a:destroy()
      assert.equal("ECANCELED", code_of(promise))
      await(closed)
    end)

    it("is closed with its variable, gently unless an error leaves the block", function()
      local text = ("x"):rep(3000000)
      do
        local stream <close> = a
        stream:write(text):catch(function() end)
      end
      assert.equal(#text, #await(b:read_all()))
    end)

    it("is destroyed when an error leaves its block", function()
      local promise
      pcall(function()
        local stream <close> = a
        promise = stream:write(("x"):rep(8000000))
        error("out")
      end)
      assert.equal("ECANCELED", code_of(promise))
    end)

    it("takes the carriage return off lines too, if it is asked to", function()
      await(a:write("one\r\n\r\ntwo\n\r\rthree\r\nfour\rfour\n\n"))
      await(a:shutdown())
      local crlf = { crlf = true }
      assert.equal("one", await(b:read_line(crlf)))
      assert.equal("", await(b:read_line(crlf)))
      assert.equal("two", await(b:read_line(crlf)))
      local lines = {}
      for line in b:lines(crlf) do
        lines[#lines + 1] = line
      end
      assert.same({ "\r\rthree", "four\rfour", "" }, lines)
    end)

    it("keeps the carriage return otherwise, and at the end of the stream", function()
      await(a:write("one\r\ntwo\r\nthree\r"))
      await(a:shutdown())
      assert.equal("one\r", await(b:read_line()))
      assert.equal("two", await(b:read_line({ crlf = true })))
      assert.equal("three\r", await(b:read_line({ crlf = true })))
    end)

    it("takes an end of line that comes in two pieces", function()
      local line = b:read_line({ crlf = true })
      await(a:write("one\r"))
      await(sleep(5))
      await(a:write("\ntwo\r\n"))
      assert.equal("one", await(line))
      assert.equal("two", await(b:read_line({ crlf = true })))
    end)

    it("rejects a shutdown behind a write that fails", function()
      local promises = { a:write(("x"):rep(8000000)), a:shutdown(), b:destroy() }
      local outcomes = await(tide.Promise.all_settled(promises))
      local codes = { EPIPE = true, ECONNRESET = true }
      assert.is_true(codes[outcomes[1].reason.code])
      assert.is_true(codes[outcomes[2].reason.code])
    end)

    it("rejects writes after the end", function()
      await(a:shutdown())
      assert.equal("EPIPE", code_of(a:write("x")))
      assert.equal("EPIPE", code_of(a:shutdown()))
    end)

    it("tells a writer that its peer is gone, and each one after that", function()
      await(b:destroy())
      local err
      for _ = 1, 100 do
        local ok, reason = pcall(await, a:write("x"))
        if not ok then
          err = reason
          break
        end
        await(sleep(1))
      end
      assert.is_truthy(err.code == "EPIPE" or err.code == "ECONNRESET", err.code)
      assert.equal("write", err.syscall)
      assert.equal(err.code, code_of(a:write("x")))
    end)

    it("keeps the loop alive only while somebody waits", function()
      assert.is_false(core.alive())
      local promise = b:read()
      assert.is_true(core.alive())
      await(a:write("x"))
      await(promise)
      await(nil)
      assert.is_false(core.alive())
    end)

    it("takes nothing in a loop that cannot await", function()
      local log = {}
      tide.queue_microtask(function()
        log[1] = raised(b.chunks(b))
        log[2] = raised(coroutine.wrap(function() b.lines(b)() end))
      end)
      await(a:write("one\n"))
      await(sleep(5))
      assert.matches("await outside an async function", log[1])
      assert.matches("await", log[2])
      assert.equal("one", await(b:read_line()))
    end)

    it("keeps what is asked for apart from what its options do", function()
      local inner
      local options = setmetatable({}, { __index = function()
        inner = inner or b:read(1)
      end })
      await(a:write("0abcdef"))
      assert.equal("0", await(b:read(1)))
      assert.equal("bcd", await(b:read_exactly(3, options)))
      assert.equal("a", await(inner))
    end)

    it("reads no bytes at once", function()
      assert.equal("", await(b:read_exactly(0)))
    end)

    it("raises what is wrong with its arguments, before anything happens", function()
      assert.matches("#1 to 'stream:read' %(positive integer expected, got 0%)",
        raised(b.read, b, 0))
      assert.matches("positive integer expected, got string", raised(b.read, b, "x"))
      assert.matches("non%-negative integer expected, got nil", raised(b.read_exactly, b))
      assert.matches("empty delimiter", raised(b.read_until, b, ""))
      assert.matches("field 'limit': number from 1 on expected",
        raised(b.read_line, b, { limit = 0 }))
      assert.matches("table expected, got number", raised(b.read_line, b, 5))
      assert.matches("field 'signal': AbortSignal expected", raised(b.read, b, 1, { signal = 1 }))
      assert.matches("string expected, got nil", raised(b.write, b))
      assert.matches("string expected, got boolean", raised(b.write, b, "x", true))
      assert.matches("string expected, got table", raised(b.write, b, "x", {}, "y"))
      assert.matches("stream expected, got table", raised(b.read, {}))
      assert.matches("stream expected, got FILE%*", raised(b.write, io.stdout, "x"))
    end)
  end)
end

describe("stream", function()
  after_each(leak.check)

  it("is collected when nobody has it, with what it has received", function()
    local a, b = sockets.pair()
    await(a:write(("x"):rep(1000)))
    await(b:read(1))
    await(sleep(2))
    leak.track(a)
    leak.track(b)
    a, b = nil, nil -- luacheck: ignore 311
    eventually(function()
      leak.collect()
      return core.stats().handles == 0
    end)
  end)

  it("is not collected while a read waits", function()
    local a, b = sockets.pair()
    local promise = b:read()
    b = nil -- luacheck: ignore 311
    leak.collect()
    await(a:write("x"))
    assert.equal("x", await(promise))
    promise = nil -- luacheck: ignore 311
    await(sleep(1))
    leak.collect()
    assert.is_nil(await(a:read()))
    await(a:close())
  end)

  it("knows its addresses", function()
    local a, b = sockets.pair()
    assert.same(a:local_address(), b:peer_address())
    assert.same(b:local_address(), a:peer_address())
    assert.equal("127.0.0.1", a:peer_address().address)
    assert.equal(4, a:peer_address().family)
    sockets.close(a, b)
    assert.is_nil(a:peer_address())
  end)

  it("sets options of its socket", function()
    local a, b = sockets.pair()
    assert.equal(a, a:set_nodelay(false))
    assert.equal(a, a:set_nodelay(true))
    assert.equal(a, a:set_keepalive(60))
    assert.equal(a, a:set_keepalive(false))
    assert.matches("boolean expected", raised(a.set_nodelay, a))
    assert.matches("integer from 1 to 32767 expected, got 0", raised(a.set_keepalive, a, 0))
    sockets.close(a, b)
    assert.matches("'stream:set_nodelay' on bad self %(it is closed%)",
      raised(a.set_nodelay, a, true))
    local c, d = sockets.pair("pipe")
    assert.matches("tcp stream expected", raised(c.set_nodelay, c, true))
    sockets.close(c, d)
  end)
end)
