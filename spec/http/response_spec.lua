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
