local tide = require "moontide"
local files = require "spec.support.files"
local fs = require "moontide.fs"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local net = require "moontide.net"

local await = tide.await

if not pcall(require, "moontide.http_core") then
  return
end

--- Calls f with the response to what a server says.
local function with_response(text, f)
  local service = await(net.serve({ host = "127.0.0.1" }, function(stream)
    await(stream:read_until("\r\n\r\n"))
    await(stream:write(text))
    await(stream:shutdown())
  end))
  local ok, err = pcall(function()
    f(await(http.fetch("http://127.0.0.1:" .. service:address().port)))
  end)
  await(service:close({ grace = 0 }))
  assert(ok, err)
end

describe("response:events", function()
  after_each(leak.check)

  it("gives one after the other, in whatever pieces they come", function()
    local text = "id: 1\nevent: tide\ndata: high\ndata: 2 m\n\nretry: 5\ndata: low\n\ndata: cut"
    with_response("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" .. text,
      function(response)
        local seen = {}
        for event in response:events() do
          seen[#seen + 1] = event
        end
        assert.same({
          { event = "tide", data = "high\n2 m", id = "1" },
          { event = "message", data = "low", id = "1", retry = 5 },
        }, seen)
        assert.is_true(response.body_used)
      end)
  end)

  it("gives the rest up when the loop is left, or an event is too long", function()
    with_response("HTTP/1.1 200 OK\r\n\r\ndata: 1\n\ndata: 2\n\n", function(response)
      for event in response:events() do -- luacheck: ignore 512
        assert.equal("1", event.data)
        break
      end
      assert.equal("TypeError", select(2, pcall(await, response:text())).name)
    end)
    with_response("HTTP/1.1 200 OK\r\n\r\ndata: " .. ("x"):rep(2000000), function(response)
      local ok, reason = pcall(response:events())
      assert.is_false(ok)
      assert.equal("LimitError", reason.name)
    end)
  end)
end)

describe("response:save", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("replaces a file by the body", function()
    local directory = files.directory()
    files.write(directory .. "/file", "old")
    with_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew", function(response)
      await(response:save(directory .. "/file"))
      assert.is_true(response.body_used)
    end)
    assert.equal("new", files.read(directory .. "/file"))
    assert.equal(1, #await(fs.scandir(directory)))
  end)

  it("leaves it alone when the body is not whole", function()
    local directory = files.directory()
    files.write(directory .. "/file", "old")
    with_response("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnew", function(response)
      local ok, reason = pcall(await, response:save(directory .. "/file"))
      assert.is_false(ok)
      assert.equal("INCOMPLETE_BODY", reason.code)
    end)
    leak.run_dry()
    assert.equal("old", files.read(directory .. "/file"))
    assert.equal(1, #await(fs.scandir(directory)))
  end)

  it("fails where no file can be", function()
    with_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew", function(response)
      local ok, reason = pcall(await, response:save("no such directory/file"))
      assert.is_false(ok)
      assert.equal("ENOENT", reason.code)
    end)
  end)
end)
