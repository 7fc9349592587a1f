-- Of: http/reply, http/failure
-- What fetch makes of replies: well-formed ones, and all kinds of others.
local tide = require "moontide"
local http = require "moontide.http"
local leak = require "spec.support.leak"
local net = require "moontide.net"

local await = tide.await

if not pcall(require, "moontide.http_core") then
  return
end

local OK = "HTTP/1.1 200 OK\r\n"
local HEAD = OK .. "Content-Length: 5\r\n\r\n"
local CHUNKED = OK .. "Transfer-Encoding: chunked\r\n\r\n"
local GZIP = "\31\139\8\0\0\0\0\0\0\3\203\72\205\201\201\7\0\134\166\16\54\5\0\0\0" -- "hello"

--- {what the server says before it closes, what fetch gives: "status body", or the code}
local ROWS = {
  -- well-formed
  { HEAD .. "hello", "200 hello" },
  { CHUNKED .. "5\r\nhello\r\n0\r\n\r\n", "200 hello" },
  { CHUNKED .. "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "200 hello" },
  { CHUNKED .. "5;a=b\r\nhello\r\n0\r\n\r\n", "200 hello" },
  { CHUNKED .. "0005\r\nhello\r\n000\r\n\r\n", "200 hello" },
  { CHUNKED .. "5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", "200 hello" },
  { CHUNKED .. "A\r\nhellohello\r\n0\r\n\r\n", "200 hellohello" },
  { CHUNKED .. "a\r\nhellohello\r\n0\r\n\r\n", "200 hellohello" },
  { CHUNKED .. "0\r\n\r\n", "200 " },
  { OK .. "Content-Length: 0\r\n\r\n", "200 " },
  { OK .. "\r\nhello", "200 hello" },
  { OK .. "Connection: close\r\n\r\n", "200 " },
  { "HTTP/1.0 200 OK\r\n\r\nhello", "200 hello" },
  { "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 hello" },
  { "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", "200 hello" },
  { "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", "200 hello" },
  { "HTTP/1.1 200 A long phrase, \255\r\nContent-Length: 5\r\n\r\nhello", "200 hello" },
  { "HTTP/1.1 302 Location:/x\r\nContent-Length: 0\r\n\r\n", "302 " },
  { "HTTP/1.1 599 ?\r\nContent-Length: 0\r\n\r\n", "599 " },
  { "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "404 no" },
  { "HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n", "999 " },
  { "HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx", "206 x" },
  { OK .. "content-length:5\r\n\r\nhello", "200 hello" },
  { OK .. "CONTENT-LENGTH: \t5 \t\r\n\r\nhello", "200 hello" },
  { OK .. "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "200 hello" },
  { OK .. "Content-Length: 005\r\n\r\nhello", "200 hello" },
  { OK .. "A:\r\nContent-Length: 5\r\n\r\nhello", "200 hello" },
  { OK .. "A: \195\164\r\nContent-Length: 5\r\n\r\nhello", "200 hello" },
  { OK .. "A: " .. ("x"):rep(60000) .. "\r\nContent-Length: 5\r\n\r\nhello", "200 hello" },
  { OK .. ("A: x\r\n"):rep(5000) .. "Content-Length: 5\r\n\r\nhello", "200 hello" },
  { OK .. "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "200 hello" },
  { HEAD .. "hello, and more", "200 hello" },
  { CHUNKED .. "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "200 hello" },
  -- no bodies
  { "HTTP/1.1 204 No Content\r\n\r\n", "204 " },
  { "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "204 " },
  { "HTTP/1.1 304 Not Modified\r\n\r\n", "304 " },
  { "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 " },
  { "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "304 " },
  -- interim replies
  { "HTTP/1.1 100 Continue\r\n\r\n" .. HEAD .. "hello", "200 hello" },
  { "HTTP/1.1 102 Processing\r\n\r\n" .. HEAD .. "hello", "200 hello" },
  { "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" .. HEAD .. "hello", "200 hello" },
  { ("HTTP/1.1 100 Continue\r\n\r\n"):rep(5) .. HEAD .. "hello", "200 hello" },
  { "HTTP/1.1 100 Continue\r\n\r\n", "BAD_RESPONSE" },
  { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "BAD_RESPONSE" },
  { "HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n" .. HEAD .. "hello", "200 hello" },
  -- codings
  { OK .. "Content-Encoding: gzip\r\nContent-Length: " .. #GZIP .. "\r\n\r\n" .. GZIP,
    "200 hello" },
  { OK .. "Content-Encoding: x-gzip\r\nContent-Length: " .. #GZIP .. "\r\n\r\n" .. GZIP,
    "200 hello" },
  { OK .. "Content-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", "200 hello" },
  { OK .. "Content-Encoding: \r\nContent-Length: 5\r\n\r\nhello", "200 hello" },
  { OK .. "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "BAD_ENCODING" },
  -- a coding that is cut off in a message that is whole: no client that we know of tells
  { OK .. "Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n" .. GZIP:sub(1, 12), "200 h" },
  { OK .. "Content-Encoding: nonsense\r\nContent-Length: 5\r\n\r\nhello", "BAD_ENCODING" },
  { OK .. "Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip\r\nContent-Length: 1\r\n\r\nx",
    "BAD_ENCODING" },
  { OK .. "Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", "200 " },
  { OK .. "Content-Encoding: gzip\r\n\r\n" .. GZIP, "200 hello" },
  -- cut off
  { "", "BAD_RESPONSE" },
  { "H", "BAD_RESPONSE" },
  { "HTTP/1.1", "BAD_RESPONSE" },
  { "HTTP/1.1 200 OK", "BAD_RESPONSE" },
  { OK, "BAD_RESPONSE" },
  { OK .. "Content-Length: 5\r\n", "BAD_RESPONSE" },
  { OK .. "Content-Le", "BAD_RESPONSE" },
  { HEAD, "INCOMPLETE_BODY" },
  { HEAD .. "hell", "INCOMPLETE_BODY" },
  { CHUNKED, "INCOMPLETE_BODY" },
  { CHUNKED .. "5", "INCOMPLETE_BODY" },
  { CHUNKED .. "5\r\n", "INCOMPLETE_BODY" },
  { CHUNKED .. "5\r\nhel", "INCOMPLETE_BODY" },
  { CHUNKED .. "5\r\nhello", "INCOMPLETE_BODY" },
  { CHUNKED .. "5\r\nhello\r\n", "INCOMPLETE_BODY" },
  { CHUNKED .. "5\r\nhello\r\n0", "INCOMPLETE_BODY" },
  { CHUNKED .. "5\r\nhello\r\n0\r\n", "INCOMPLETE_BODY" },
  { CHUNKED .. "5\r\nhello\r\n0\r\nA: b", "INCOMPLETE_BODY" },
  { OK .. "Content-Length: 999999999999\r\n\r\nhello", "INCOMPLETE_BODY" },
  -- no reply at all
  { "hello", "BAD_RESPONSE" },
  { "\r\n\r\n", "BAD_RESPONSE" },
  { "<html></html>\r\n", "BAD_RESPONSE" },
  { "SSH-2.0-OpenSSH_9.2\r\n", "BAD_RESPONSE" },
  { "220 mail.example ESMTP\r\n", "BAD_RESPONSE" },
  { "ICY 200 OK\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { "RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { "\0\0\0\0\0\0", "BAD_RESPONSE" },
  { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "BAD_RESPONSE" },
  -- status lines
  { "HTTP/0.9 200 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.2 200 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/2 200 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/2.0 200 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/3 200 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/11 200 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1  200 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1\t200 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1 20 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1 2000 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1 099 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1 2x0 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1 -20 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1 200OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "http/1.1 200 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { " HTTP/1.1 200 OK\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1 200 O\0K\r\n\r\nhello", "BAD_RESPONSE" },
  { "HTTP/1.1 200 " .. ("x"):rep(200000) .. "\r\n\r\nhello", "BAD_RESPONSE" },
  -- headers
  { OK .. "A : b\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. " A: b\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "A\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. ": b\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "A B: b\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "A(: b\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "\195\164: b\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "A: b\0c\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "A: b\1c\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "A: b\rc\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "A: b\127c\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "A: " .. ("x"):rep(200000) .. "\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. ("A: " .. ("x"):rep(1000) .. "\r\n"):rep(400) .. "\r\nhello", "BAD_RESPONSE" },
  { OK .. "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "BAD_RESPONSE" },
  -- lengths: RFC 9112, 6.3
  { OK .. "Content-Length: -5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length: +5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length: 5x\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length: 0x5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length: 5.0\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length: five\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length:\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length: 5, 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length: 5 5\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "BAD_RESPONSE" },
  { OK .. "Content-Length: 99999999999999999999\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length: 18446744073709551621\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "BAD_RESPONSE" },
  { OK .. "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "BAD_RESPONSE" },
  { OK .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "BAD_RESPONSE" },
  { OK .. "Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "BAD_RESPONSE" },
  { OK .. "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "BAD_RESPONSE" },
  { OK .. "Transfer-Encoding: chunked, identity\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Transfer-Encoding: identity\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Transfer-Encoding: xchunked\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Transfer-Encoding: \11chunked\r\n\r\nhello", "BAD_RESPONSE" },
  { OK .. "Transfer-Encoding:\r\n\r\nhello", "BAD_RESPONSE" },
  -- chunks
  { CHUNKED .. "x\r\nhello\r\n0\r\n\r\n", "BAD_RESPONSE" },
  { CHUNKED .. "\r\nhello\r\n0\r\n\r\n", "BAD_RESPONSE" },
  { CHUNKED .. "-5\r\nhello\r\n0\r\n\r\n", "BAD_RESPONSE" },
  { CHUNKED .. "0x5\r\nhello\r\n0\r\n\r\n", "BAD_RESPONSE" },
  { CHUNKED .. "5\r\nhelloo\r\n0\r\n\r\n", "BAD_RESPONSE" },
  { CHUNKED .. "5\r\nhello0\r\n\r\n", "BAD_RESPONSE" },
  { CHUNKED .. "FFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", "BAD_RESPONSE" },
  { CHUNKED .. "7fffffffffffffff\r\nhello", "INCOMPLETE_BODY" },
  { CHUNKED .. ";\r\nhello\r\n0\r\n\r\n", "BAD_RESPONSE" },
  { CHUNKED .. "0\r\n" .. ("A: b\r\n"):rep(60000) .. "\r\n", "200 " },
  { CHUNKED .. "0\r\n" .. ("A: b\r\n"):rep(70000) .. "\r\n", "BAD_RESPONSE" },
}

--- Calls f(url) while a server says the texts, the n-th at the path "/n".
local function with_server(f)
  local service = await(net.serve({ host = "127.0.0.1", on_error = function() end },
    function(stream)
      local path = await(stream:read_until("\r\n\r\n")):match("^%u+ /(%d+)")
      await(stream:write(ROWS[math.tointeger(tonumber(path))][1]))
      await(stream:shutdown())
    end))
  local ok, err = pcall(f, "http://127.0.0.1:" .. service:address().port .. "/")
  await(service:close({ grace = 0 }))
  assert(ok, err)
end

local function outcome_of(client, url)
  local ok, result = pcall(function()
    local response = await(client:fetch(url, { timeout = 20000 }))
    return response.status .. " " .. await(response:text())
  end)
  return ok and result or result.code or tostring(result)
end

describe("raw replies", function()
  after_each(leak.check)

  it("are at least a hundred", function()
    assert.is_true(#ROWS >= 100)
  end)

  it("give what they should", function()
    with_server(function(base)
      local client <close> = http.client()
      local wrong = {}
      for i, row in ipairs(ROWS) do
        local outcome = outcome_of(client, base .. i)
        if outcome ~= row[2] then
          wrong[#wrong + 1] = ("%d: %q gives %q, not %q"):format(i, row[1]:sub(1, 120),
            outcome:sub(1, 60), row[2])
        end
      end
      assert.same({}, wrong)
    end)
  end)
end)
