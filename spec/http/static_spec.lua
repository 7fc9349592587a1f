-- Of: http/file, http/range, http/redirect, http/static
local tide = require "moontide"
local date = require "moontide.http.date"
local files = require "spec.support.files"
local fs = require "moontide.fs"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised

local await = tide.await

local TIME = 1e9
local DATE = "Sun, 09 Sep 2001 01:46:40 GMT"

--- What the handler has for a request of that path.
local function ask(handler, path, headers, method, prefix)
  local request = { method = method or "GET", path = path, headers = http.headers(headers) }
  return await(tide.spawn(handler, request, prefix))
end

local function text_of(reply)
  if type(reply.body) == "string" then
    return reply.body
  end
  local pieces = {}
  for piece in reply.body, nil, nil, reply.body do
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end

local function close(reply)
  if type(reply.body) ~= "string" then
    getmetatable(reply.body).__close(reply.body)
  end
  return reply
end

local function directory()
  local path = files.directory()
  await(fs.mkdir(path .. "/root"))
  await(fs.mkdir(path .. "/root/sub"))
  await(fs.mkdir(path .. "/root/.git"))
  files.write(path .. "/secret", "secret")
  files.write(path .. "/root/a b.txt", "0123456789")
  files.write(path .. "/root/empty", "")
  files.write(path .. "/root/.hidden", "secret")
  files.write(path .. "/root/.git/config", "secret")
  files.write(path .. "/root/sub/index.html", "<p>")
  await(fs.symlink(path .. "/secret", path .. "/root/out"))
  await(fs.symlink("a b.txt", path .. "/root/in"))
  await(fs.utime(path .. "/root/a b.txt", TIME, TIME))
  return path .. "/root"
end

describe("http.static", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("has the files of a directory, with their types", function()
    local handler = http.static(directory())
    local reply = ask(handler, "/a%20b.txt")
    assert.equal(200, reply.status)
    assert.equal("text/plain; charset=utf-8", reply.headers["Content-Type"])
    assert.equal(10, reply.headers["Content-Length"])
    assert.equal(DATE, reply.headers["Last-Modified"])
    assert.equal("0123456789", text_of(reply))
    assert.equal("0123456789", text_of(ask(handler, "/in")))
    assert.equal("", text_of(ask(handler, "/empty")))
    assert.equal("0123456789", text_of(ask(handler, "/x/a%20b.txt", nil, "GET", "/x/")))
  end)

  it("has the index of a directory, whose path ends with a slash", function()
    local handler = http.static(directory())
    local reply = ask(handler, "/sub/")
    assert.equal("text/html; charset=utf-8", reply.headers["Content-Type"])
    assert.equal("<p>", text_of(reply))
    assert.equal(301, ask(handler, "/sub").status)
    assert.equal("/sub/", ask(handler, "/sub").headers.Location)
    assert.equal("/sub/", ask(handler, "//sub").headers.Location)
    assert.equal(404, ask(handler, "/").status)
    assert.equal(404, ask(handler, "/a%20b.txt/").status)
  end)

  it("has nothing else", function()
    local handler = http.static(directory())
    for _, path in ipairs({
      "/none", "/../secret", "/sub/../../secret", "/%2e%2e/secret", "/..%2fsecret",
      "/%2e%2e%2fsecret",
      "/.hidden", "/%2ehidden", "/.git/config", "/sub/.", "/out", "/a%20b.txt%00", "/..\\secret",
      "/a%20b.txt/x", "*", "", "/" .. ("x"):rep(5000),
    }) do
      assert.equal(404, ask(handler, path).status, path)
    end
    assert.equal(404, ask(handler, "/y/a%20b.txt", nil, "GET", "/x/").status)
    local reply = ask(handler, "/a%20b.txt", nil, "POST")
    assert.equal(405, reply.status)
    assert.equal("GET, HEAD", reply.headers.Allow)
  end)

  it("does not send what the client has", function()
    local handler = http.static(directory())
    local tag = close(ask(handler, "/in")).headers.ETag
    for _, headers in ipairs({
      { ["If-None-Match"] = tag }, { ["If-None-Match"] = '"x", W/' .. tag },
      { ["If-None-Match"] = "*" },
      { ["If-Modified-Since"] = DATE },
      { ["If-Modified-Since"] = "Sun, 09 Sep 2001 01:46:41 GMT" },
    }) do
      local reply = ask(handler, "/in", headers)
      assert.equal(304, reply.status)
      assert.equal(tag, reply.headers.ETag)
    end
    for _, headers in ipairs({
      { ["If-None-Match"] = '"x"' }, { ["If-None-Match"] = '"x"', ["If-Modified-Since"] = DATE },
      { ["If-Modified-Since"] = "Sun, 09 Sep 2001 01:46:39 GMT" },
    }) do
      assert.equal(200, close(ask(handler, "/in", headers)).status)
    end
  end)

  it("refuses what is about another file", function()
    local handler = http.static(directory())
    local reply = ask(handler, "/in", { ["If-Match"] = '"x"' })
    assert.equal(412, reply.status)
    assert.equal("", reply.body)
  end)

  it("takes what has been changed in the future for changed now", function()
    local root = directory()
    await(fs.utime(root .. "/a b.txt", TIME * 3, TIME * 3))
    local reply = close(ask(http.static(root), "/in"))
    assert.is_true(date.parse(reply.headers["Last-Modified"]) <= os.time())
  end)

  it("has other indexes, ages and dot files where that is wanted", function()
    local root = directory()
    files.write(root .. "/sub/start.txt", "start")
    local handler = http.static(root, { index = "start.txt", max_age = 60, dot_files = true })
    local reply = ask(handler, "/sub/")
    assert.equal("start", text_of(reply))
    assert.equal("max-age=60", reply.headers["Cache-Control"])
    assert.equal("secret", text_of(ask(handler, "/.hidden")))
    assert.equal("secret", text_of(ask(handler, "/.git/config")))
    assert.equal(304, ask(handler, "/in", { ["If-None-Match"] = "*" }).status)
    for _, path in ipairs({ "/../secret", "/.", "/..", "/sub/.", "/out" }) do
      assert.equal(404, ask(handler, path).status, path)
    end
    assert.matches("#2 to 'http.static' %(field 'max_age'",
      raised(http.static, root, { max_age = -1 }))
    assert.matches("#2 to 'http.static' %(field 'index'", raised(http.static, root, { index = 1 }))
  end)

  it("sends the range that is asked for", function()
    local handler = http.static(directory())
    for range, expected in pairs({
      ["bytes=0-0"] = "0", ["bytes=2-4"] = "234", ["bytes=7-"] = "789", ["bytes=7-100"] = "789",
      ["bytes=-3"] = "789", ["Bytes= 0-1 "] = "01", ["bytes=-100"] = "0123456789",
    }) do
      local reply = ask(handler, "/in", { Range = range })
      assert.equal(206, reply.status)
      assert.equal(#expected, reply.headers["Content-Length"])
      assert.matches("^bytes %d+%-%d+/10$", reply.headers["Content-Range"])
      assert.equal(expected, text_of(reply))
    end
    for _, range in ipairs({ "bytes=10-", "bytes=-0", "bytes=10-11" }) do
      local reply = ask(handler, "/in", { Range = range })
      assert.equal(416, reply.status)
      assert.equal("bytes */10", reply.headers["Content-Range"])
    end
    for _, range in ipairs({ "bytes=4-2", "bytes=0-1,3-4", "bytes=-", "bytes= 0 -1",
      "bytes=0-99999999999999999999", "bytes", "bytes=", "lines=1-2", "bytes=a-b" }) do
      assert.equal(200, close(ask(handler, "/in", { Range = range })).status)
    end
  end)

  it("sends a range only of what the client has the rest of", function()
    local handler = http.static(directory())
    local tag = close(ask(handler, "/in")).headers.ETag
    local function status(condition)
      local headers = { Range = "bytes=0-1", ["If-Range"] = condition }
      return close(ask(handler, "/in", headers)).status
    end
    assert.equal(206, status(tag))
    assert.equal(206, status(DATE))
    assert.equal(200, status('"x"'))
    assert.equal(200, status("Sun, 09 Sep 2001 01:46:39 GMT"))
  end)
end)

describe("http.redirect", function()
  it("is a reply", function()
    local reply = http.redirect("/a")
    assert.same({ status = 302, headers = { Location = "/a" }, body = "" }, reply)
    assert.equal(308, http.redirect("/a", 308).status)
  end)

  it("refuses what could split a reply, and other statuses", function()
    assert.matches("#1 to 'http.redirect'", raised(http.redirect, "/a\r\nb: c"))
    assert.matches("#1 to 'http.redirect'", raised(http.redirect, 1))
    assert.matches("#2 to 'http.redirect'", raised(http.redirect, "/", 200))
  end)
end)
