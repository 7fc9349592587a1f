-- Of: http/multipart, http/part, http/save
local tide = require "moontide"
local files = require "spec.support.files"
local fs = require "moontide.fs"
local headers = require "moontide.http.headers"
local leak = require "spec.support.leak"
local multipart = require "moontide.http.multipart"
local raised = require("spec.support.raised").raised

local await = tide.await

--- A part with these lines for a head.
local function part(lines, text)
  return "--B\r\n" .. lines .. "\r\n\r\n" .. text .. "\r\n"
end

local function field(name, text)
  return part(('Content-Disposition: form-data; name="%s"'):format(name), text)
end

local END = "--B--\r\n"

--- What is found in a text that comes in pieces of that size: "name=text" of each part, and what is
--- refused.
local function read(text, size, max_header_size)
  local at, found = 1, {}
  local function next_piece()
    local piece = text:sub(at, at + size - 1)
    at = at + size
    return piece ~= "" and piece or nil
  end
  local function fail(status, why)
    error({ status = status, why = why }, 0)
  end
  local reader = multipart.new("B", next_piece, fail, max_header_size or 200)
  local ok, err = pcall(function()
    for head in function() return reader:head() end do
      local pieces = {}
      for piece in function() return reader:piece() end do
        pieces[#pieces + 1] = piece
      end
      local name = (head:get("content-disposition") or "?"):match('name="(.-)"') or "?"
      found[#found + 1] = name .. "=" .. table.concat(pieces)
    end
  end)
  if not ok then
    found[#found + 1] = type(err) == "table" and tostring(err.status) or err
  elseif at <= #text then
    found[#found + 1] = "not read to the end"
  end
  return table.concat(found, "|")
end

local ROWS = {
  { field("a", "1") .. END, "a=1" },
  { field("a", "") .. END, "a=" },
  { field("a", "1") .. field("b", "2") .. END, "a=1|b=2" },
  { END, "" },
  { "--B--", "" },
  { field("a", "1") .. "--B--", "a=1" },
  { field("a", "1") .. END .. "epilogue\r\n--B\r\n", "a=1" },
  { "preamble\r\n" .. field("a", "1") .. END, "a=1" },
  { "\r\n" .. field("a", "1") .. END, "a=1" },
  { "--B \t\r\n" .. field("a", "1"):sub(6) .. "--B-- \r\n", "a=1" },
  { field("a", "\r\n") .. END, "a=\r\n" },
  { field("a", "\r\n\r\n--\r\n--C\r\n\r") .. END, "a=\r\n\r\n--\r\n--C\r\n\r" },
  { field("a", "--B") .. END, "a=--B" },
  { field("a", "x--B--") .. END, "a=x--B--" },
  { field("a", "\n--B\n") .. END, "a=\n--B\n" },
  { field("a", "\r--B\r") .. END, "a=\r--B\r" },
  { field("a", "\0\255") .. END, "a=\0\255" },
  { "--B\r\n\r\ntext\r\n" .. END, "?=text" },
  { part("a: b\r\nc: d", "text") .. END, "?=text" },
  -- malformed
  { "", "400" },
  { "--B", "400" },
  { "--B\r\n", "400" },
  { "text", "400" },
  { "--B\r\nA: b\r\n", "400" },
  { field("a", "1"), "400" },
  { field("a", "1") .. "--B\r\n", "a=1|400" },
  { field("a", "1") .. "--B-", "a=1|400" },
  { field("a", "1") .. "--BC\r\n", "a=1|400" },
  { "--B\n" .. field("a", "1"):sub(6) .. END, "400" },
  { "--B" .. (" "):rep(100) .. "\r\n" .. field("a", "1"):sub(6) .. END, "400" },
  { part("A", "1") .. END, "400" },
  { part("A : b", "1") .. END, "400" },
  { part("A: b\r\n c", "1") .. END, "400" },
  { part("A: b\nc: d", "1") .. END, "400" },
  { part("A: \0", "1") .. END, "400" },
  { part(": b", "1") .. END, "400" },
  { ("x"):rep(300) .. "\r\n" .. field("a", "1") .. END, "400" },
  { part("A: " .. ("b"):rep(300), "1") .. END, "413" },
  { "--B\r\n" .. ("x"):rep(300), "413" },
}

describe("the reader of parts", function()
  for _, row in ipairs(ROWS) do
    local text, expected = row[1], row[2]
    it(("reads %q"):format(text:sub(1, 80)), function()
      for size = 1, math.min(#text, 70) + 1 do
        local found = read(text, size)
        -- how much of a part comes before it turns out not to be whole depends on the pieces
        assert.equal(expected, found, "in pieces of " .. size)
      end
    end)
  end

  it("finds the same in any pieces of random texts", function()
    local bits = { "\r\n", "--B", "--", "-", "\r", "\n", "a", "B", "A: b", "\r\n\r\n", " " }
    for _ = 1, 2000 do
      local text = { "--B\r\n" }
      for i = 2, math.random(20) do
        text[i] = bits[math.random(#bits)]
      end
      text = table.concat(text) .. (math.random(2) == 1 and "\r\n--B--" or "")
      assert.equal(read(text, #text + 1), read(text, math.random(5)), ("%q"):format(text))
    end
  end)

  it("knows boundaries", function()
    for _, text in ipairs({
      "a", "----WebKitFormBoundaryA1", "'()+_,-./:=?", "a b", ("a"):rep(70),
    }) do
      assert.is_true(multipart.is_boundary(text))
    end
    for _, text in ipairs({ "", " ", "a ", "a\r", "a\"", "\195\164", ("a"):rep(71) }) do
      assert.is_false(multipart.is_boundary(text))
    end
    assert.is_false(multipart.is_boundary(nil))
  end)
end)

--- The parts of a body, as a handler sees them: f(request).
local function with_request(body, f, options)
  local has_parser = pcall(require, "moontide.llhttp_core")
  if not has_parser then
    return pending("built without llhttp")
  end
  local http, net = require "moontide.http", require "moontide.net"
  options = options or {}
  local outcome
  local service <close> = await(http.serve({ host = "127.0.0.1", max_body = options.max_body,
    on_error = function(reason) outcome = reason end }, function(request)
    outcome = f(request)
    return "done"
  end))
  local address = service:address()
  local stream <close> = await(net.connect({ host = "127.0.0.1", port = address.port }))
  await(stream:write("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: ",
    options.type or "multipart/form-data; boundary=B", "\r\nContent-Length: " .. #body, "\r\n\r\n",
    body))
  local reply = await(stream:read_all())
  return outcome, reply:match("^HTTP/1.1 (%d+)")
end

--- The same, where f does not fail.
local function in_request(body, f)
  assert.is_nil((with_request(body, f)))
end

local function file(text)
  return part('Content-Disposition: form-data; name="f"; filename="a%22b.txt"\r\n'
    .. "Content-Type: text/x", text)
end

describe("request:multipart", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("gives the parts one after the other", function()
    local seen = {}
    local _, status = with_request(field("a", "1") .. file("2") .. END, function(request)
      for each in request:multipart() do
        local text = await(each:text())
        seen[#seen + 1] = { each.name, each.filename or "-", each.type, text }
        assert.equal("form-data", each.headers:get("content-disposition"):match("^[^;]*"))
      end
    end)
    assert.equal("200", status)
    assert.same({ { "a", "-", "text/plain", "1" }, { "f", 'a"b.txt', "text/x", "2" } }, seen)
  end)

  it("skips what is not read", function()
    local names = {}
    in_request(field("a", ("x"):rep(300000)) .. field("b", "2") .. END, function(request)
      for each in request:multipart() do
        names[#names + 1] = each.name
      end
    end)
    assert.same({ "a", "b" }, names)
  end)

  it("gives a part in pieces, and saves one", function()
    local path, length = files.directory() .. "/file", 0
    in_request(field("a", ("x"):rep(300000)) .. field("b", ("y"):rep(300000)) .. END,
      function(request)
        local next_part = request:multipart()
        for piece in next_part():chunks() do
          length = length + #piece
        end
        await(next_part():save(path))
      end)
    assert.equal(300000, length)
    assert.equal(("y"):rep(300000), files.read(path))
  end)

  it("waits for who reads a part still", function()
    local texts = {}
    in_request(field("a", ("x"):rep(300000)) .. field("b", "2") .. END, function(request)
      for each in request:multipart() do
        texts[#texts + 1] = each:text()
      end
      texts = await(tide.Promise.all(texts))
    end)
    assert.equal(300000, #texts[1])
    assert.equal("2", texts[2])
  end)

  it("leaves nothing of a file that is not whole", function()
    local directory = files.directory()
    local outcome, status = with_request(field("a", "1"), function(request)
      await(request:multipart()():save(directory .. "/file"))
    end)
    leak.run_dry()
    assert.equal("400", status)
    assert.is_nil(outcome)
    assert.same({}, await(fs.scandir(directory)))
  end)

  it("answers what it refuses", function()
    local function all(options)
      return function(request)
        for each in request:multipart(options) do
          await(each:text())
        end
      end
    end
    local two = field("a", "12") .. field("b", "34") .. END
    for _, row in ipairs({
      { "200", two, all() },
      { "200", two, all({ max_parts = 2, limit = #two, max_header_size = 60 }) },
      { "413", two, all({ max_parts = 1 }) },
      { "413", two, all({ limit = #two - 1 }) },
      { "413", two, all({ max_header_size = 20 }) },
      { "413", two, all(), { max_body = 3 } },
      { "200", two, function(request)
        for each in request:multipart() do
          await(each:text({ limit = 2 }))
        end
      end, { max_body = 3 } },
      { "413", two, function(request)
        for each in request:multipart() do
          for _ in each:chunks({ limit = 1 }) do
          end
        end
      end },
      { "400", part("Content-Disposition: form-data", "x") .. END, all() },
      { "400", part('Content-Disposition: attachment; name="a"', "x") .. END, all() },
      { "400", part('Content-Disposition: form-data; name="a"; name="b"', "x") .. END, all() },
      { "400", part("A: b", "x") .. END, all() },
      { "400", two, all(), { type = "multipart/form-data" } },
      { "400", two, all(), { type = 'multipart/form-data; boundary=""' } },
      { "415", two, all(), { type = "multipart/mixed; boundary=B" } },
      { "415", two, all(), { type = "multipart/form-data; boundary=B; boundary=C" } },
    }) do
      local outcome, status = with_request(row[2], row[3], row[4])
      assert.equal(row[1], status)
      assert.is_nil(outcome)
    end
  end)

  it("takes the body and each part once, and no part that is gone", function()
    in_request(field("a", "1") .. field("b", "2") .. END, function(request)
      local next_part = request:multipart()
      assert.is_true(request.body_used)
      assert.equal("TypeError", select(2, pcall(request:multipart())).name)
      local a = next_part()
      assert.is_false(a.is_used)
      await(a:text())
      assert.is_true(a.is_used)
      assert.equal("TypeError", select(2, pcall(await, a:text())).name)
      local b = next_part()
      local chunks = b:chunks()
      assert.is_nil(next_part())
      assert.equal("TypeError", select(2, pcall(chunks)).name)
      assert.equal("TypeError", select(2, pcall(await, a:save("/"))).name)
      assert.is_nil(next_part())
    end)
  end)

  it("looks for one part at a time", function()
    in_request(field("a", ("x"):rep(300000)) .. field("b", "2") .. END, function(request)
      local next_part = request:multipart()
      assert.equal("a", next_part().name)
      local second = tide.spawn(next_part)
      local _, reason = pcall(next_part)
      assert.equal("TypeError", reason.name)
      assert.equal("b", await(second).name)
      assert.is_nil(next_part())
    end)
  end)

  it("raises where it is misused", function()
    in_request(field("a", "1") .. END, function(request)
      assert.matches("#1 to 'request:multipart' %(field 'max_parts'",
        raised(request.multipart, request, { max_parts = 0 }))
      local a = request:multipart()()
      assert.matches("#1 to 'part:save'", raised(a.save, a, true))
      assert.matches("#2 to 'part:save' %(field 'limit'", raised(a.save, a, "x", { limit = "x" }))
      assert.matches("'part:text'", raised(a.text, {}))
      assert.matches("'part:chunks'", raised(a.chunks, headers.headers()))
      assert.is_false(a.is_used)
    end)
  end)
end)
