-- Of: llhttp/head, llhttp/module, llhttp/parser
-- Raw requests, well-formed and not, and what becomes of them: fed at once, and byte by byte.
local has_parser, llhttp = pcall(require, "moontide.llhttp_core")

local LIMIT = 1000 -- bytes of a head

--- A request with a Host and these lines.
local function get(...)
  return table.concat({ "GET / HTTP/1.1", "Host: a", ... }, "\r\n") .. "\r\n\r\n"
end

local function post(lines, body)
  return "POST / HTTP/1.1\r\nHost: a\r\n" .. lines .. "\r\n\r\n" .. (body or "")
end

local function chunked(body)
  return post("Transfer-Encoding: chunked", body)
end

local function line(text)
  return text .. "\r\nHost: a\r\n\r\n"
end

--- Of each message is printed: the method, the target, then what is not usual; in quotes the body,
--- in brackets the trailers; three dots when it is not whole; the status when it is refused.
local ROWS = {
  -- the request line
  { line "GET / HTTP/1.1", "GET /" },
  { line "GET /a/b?c=d&e HTTP/1.1", "GET /a/b?c=d&e" },
  { line "GET /%41%20 HTTP/1.1", "GET /%41%20" },
  { line "GET //a HTTP/1.1", "GET //a" },
  { line "GET /a?b?c HTTP/1.1", "GET /a?b?c" },
  { line "GET http://a/ HTTP/1.1", "GET http://a/" },
  { line "GET http://a HTTP/1.1", "GET http://a" },
  { line "GET http://a:80/b?c HTTP/1.1", "GET http://a:80/b?c" },
  { line "GET HTTP://a/b HTTP/1.1", "GET HTTP://a/b" },
  { line "GET https://a/b HTTP/1.1", "GET https://a/b" },
  { line "GET http://[::1]/b HTTP/1.1", "GET http://[::1]/b" },
  { line "OPTIONS * HTTP/1.1", "OPTIONS *" },
  { line "OPTIONS /a HTTP/1.1", "OPTIONS /a" },
  { line "HEAD / HTTP/1.1", "HEAD /" },
  { line "PUT / HTTP/1.1", "PUT /" },
  { line "DELETE / HTTP/1.1", "DELETE /" },
  { line "PATCH / HTTP/1.1", "PATCH /" },
  { line "TRACE / HTTP/1.1", "TRACE /" },
  { line "PROPFIND / HTTP/1.1", "PROPFIND /" },
  { line "M-SEARCH / HTTP/1.1", "M-SEARCH /" },
  { line "BREW / HTTP/1.1", "501" },
  { line "get / HTTP/1.1", "501" },
  { line "GETT / HTTP/1.1", "501" },
  { line "GE / HTTP/1.1", "501" },
  { line "X / HTTP/1.1", "501" },
  { line "!#$%&'*+-.^_`|~ / HTTP/1.1", "501" },
  { line "CONNECT a:443 HTTP/1.1", "501" },
  { line "DESCRIBE / HTTP/1.1", "501" },
  { line "G\tT / HTTP/1.1", "400" },
  { line "G(T / HTTP/1.1", "400" },
  { line "G\0T / HTTP/1.1", "400" },
  { line "G\xc3\xa4T / HTTP/1.1", "400" },
  { line " GET / HTTP/1.1", "400" },
  { line "\tGET / HTTP/1.1", "400" },
  { line "GET  / HTTP/1.1", "400" },
  { line "GET /  HTTP/1.1", "400" },
  { line "GET / HTTP/1.1 ", "400" },
  { line "GET\t/ HTTP/1.1", "400" },
  { line "GET /\tHTTP/1.1", "400" },
  { line "GET / a HTTP/1.1", "400" },
  { line "GET /", "400" },
  { line "GET", "400" },
  { line "GET ", "400" },
  { line "GET  HTTP/1.1", "400" },
  { line "GET HTTP/1.1", "400" },
  { line "GET a HTTP/1.1", "400" },
  { line "GET * HTTP/1.1", "400" },
  { line "GET ?a HTTP/1.1", "400" },
  { line "GET ftp://a/ HTTP/1.1", "400" },
  { line "GET http:/// HTTP/1.1", "400" },
  { line "GET http://?a HTTP/1.1", "400" },
  { line "GET http://u:p@a/ HTTP/1.1", "400" },
  { line "GET /#a HTTP/1.1", "400" },
  { line "GET /\0 HTTP/1.1", "400" },
  { line "GET /\x7f HTTP/1.1", "400" },
  { line "GET /\xc3\xa4 HTTP/1.1", "400" },
  { line "GET / HTTP/1.0", "GET / 1.0 close" },
  { line "GET / HTTP/0.9", "505" },
  { line "GET / HTTP/1.2", "505" },
  { line "GET / HTTP/2.0", "505" },
  { line "PRI * HTTP/2.0", "505" },
  { line "GET / HTTP/9.9", "505" },
  { line "GET / HTTP/1.10", "400" },
  { line "GET / HTTP/1", "400" },
  { line "GET / HTTP/1.", "400" },
  { line "GET / HTTP/.1", "400" },
  { line "GET / HTTP/11", "400" },
  { line "GET / http/1.1", "400" },
  { line "GET / HTTPS/1.1", "400" },
  { line "GET / RTSP/1.0", "400" },
  { line "GET / HTTP/+1.1", "400" },
  { line "GET / HTTP/1.1\0", "400" },
  -- the ends of lines
  { "\r\n" .. line "GET / HTTP/1.1", "GET /" },
  { "\r\n\r\n" .. line "GET / HTTP/1.1", "400" },
  { "\n" .. line "GET / HTTP/1.1", "400" },
  { "GET / HTTP/1.1\nHost: a\n\n", "400" },
  { "GET / HTTP/1.1\r\nHost: a\n\r\n", "400" },
  { "GET / HTTP/1.1\r\nHost: a\r\n\n", "400" },
  { "GET / HTTP/1.1\rHost: a\r\r", "400" },
  { "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "400" },
  { "GET / HTTP/1.1\r\nHost: a\r\n\rX", "400" },
  { get("A: b\rc"), "400" },
  { get("A: b\nc"), "400" },
  { get("A: b\n C: d"), "400" },
  { "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400" },
  { "GET / HTTP/1.1\r\nHost: a", "..." },
  { "GET / HTTP/1.1\r\nHost: a\r\n\r", "..." },
  { "G", "..." },
  { "", "" },
  { "\r\n", "..." },
  { "\22\3\1\0\5hello", "..." },
  { "\22\3\1\0\5hello\r\n\r\n", "400" },
  -- fields
  { get("A: b"), "GET /" },
  { get("A:b"), "GET /" },
  { get("A:"), "GET /" },
  { get("A: \t b \t "), "GET /" },
  { get("A: b: c"), "GET /" },
  { get("A: \xc3\xa4"), "GET /" },
  { get("!#$%&'*+-.^_`|~1: b"), "GET /" },
  { get("A : b"), "400" },
  { get("A\t: b"), "400" },
  { get(" A: b"), "400" },
  { get("A: b", " c"), "400" },
  { get("A: b", "\tc"), "400" },
  { get(": b"), "400" },
  { get("A"), "400" },
  { get("A b"), "400" },
  { get("A b: c"), "400" },
  { get("A(: b"), "400" },
  { get("\xc3\xa4: b"), "400" },
  { get("A\0: b"), "400" },
  { get("A: b\0"), "400" },
  { get("A: b\x7f"), "400" },
  { get("A: b\x01"), "400" },
  -- the host
  { "GET / HTTP/1.1\r\n\r\n", "400" },
  { "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET /" },
  { "GET / HTTP/1.1\r\nHOST: a:80\r\n\r\n", "GET /" },
  { "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET /" },
  { "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400" },
  { "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close" },
  { "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400" },
  { get("Host: a"), "400" },
  { get("host: b"), "400" },
  { "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400" },
  { "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400" },
  { "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400" },
  { "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400" },
  -- connections
  { get("Connection: close"), "GET / close" },
  { get("Connection: Close"), "GET / close" },
  { get("Connection: keep-alive"), "GET /" },
  { get("Connection: a, close"), "GET / close" },
  { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / 1.0" },
  { get("Connection: Upgrade", "Upgrade: websocket"), "GET / upgrade" },
  { get("Connection: keep-alive, Upgrade", "Upgrade: websocket"), "GET / upgrade" },
  { get("Upgrade: websocket"), "GET /" },
  { get("Connection: Upgrade"), "GET /" },
  { get("Expect: 100-continue"), "GET / expects" },
  { get("Expect: 100-Continue"), "GET / expects" },
  { get("Expect: a"), "417" },
  { "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "GET / 1.0 close" },
  -- bodies with a length
  { post("Content-Length: 3", "abc"), 'POST / "abc"' },
  { post("Content-Length: 0"), "POST /" },
  { post("Content-Length: 003", "abc"), 'POST / "abc"' },
  { post("content-length:3", "abc"), 'POST / "abc"' },
  { post("Content-Length: 3", "ab"), 'POST / "ab"...' },
  { post("Content-Length: 3", "abcG"), 'POST / "abc", ...' },
  { post("Content-Length: 3", "\r\n\0"), 'POST / "\r\n\0"' },
  { post("Content-Length: 3\r\nExpect: 100-continue"), 'POST / expects...' },
  { post("A: b", "abc"), "POST /, ..." },
  { post("Content-Length: +3", "abc"), "400" },
  { post("Content-Length: -3", "abc"), "400" },
  { post("Content-Length: 0x3", "abc"), "400" },
  { post("Content-Length: 3 ", "abc"), 'POST / "abc"' },
  { post("Content-Length: 3 3", "abc"), "400" },
  { post("Content-Length: 3,3", "abc"), "400" },
  { post("Content-Length: 3;a", "abc"), "400" },
  { post("Content-Length: 3.0", "abc"), "400" },
  { post("Content-Length: a", "abc"), "400" },
  { post("Content-Length:", "abc"), "400" },
  { post("Content-Length: 99999999999999999999", "abc"), "400" },
  { post("Content-Length: 18446744073709551616", "abc"), "400" },
  { post("Content-Length: 18446744073709551615", "abc"), "413" },
  { post("Content-Length: 9223372036854775808", "abc"), "413" },
  { post("Content-Length: 9223372036854775807", "abc"), 'POST / "abc"...' },
  { post("Content-Length: 3\r\nContent-Length: 4", "abcd"), "400" },
  { post("Content-Length: 3\r\nContent-Length: 3", "abc"), "400" },
  { post("Content-Length : 3", "abc"), "400" },
  { post("Content-Length: 3\r\n\t4", "abc"), "400" },
  -- chunks
  { chunked "0\r\n\r\n", "POST /" },
  { chunked "3\r\nabc\r\n0\r\n\r\n", 'POST / "abc"' },
  { chunked "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 'POST / "abcde"' },
  { chunked "A\r\n0123456789\r\n0\r\n\r\n", 'POST / "0123456789"' },
  { chunked "a\r\n0123456789\r\n0\r\n\r\n", 'POST / "0123456789"' },
  { chunked "003\r\nabc\r\n000\r\n\r\n", 'POST / "abc"' },
  { chunked "3;a=b\r\nabc\r\n0;c\r\n\r\n", 'POST / "abc"' },
  { chunked '3;a="b"\r\nabc\r\n0\r\n\r\n', 'POST / "abc"' },
  { chunked "3\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n", 'POST / "abc" [A: b|C: d]' },
  { chunked "3\r\nabc\r\n0\r\n\r\nG", 'POST / "abc", ...' },
  { chunked "3\r\nab", 'POST / "ab"...' },
  { chunked "3\r\nabc\r\n0\r\n", 'POST / "abc"...' },
  { post("Transfer-Encoding: Chunked", "0\r\n\r\n"), "POST /" },
  { post("TRANSFER-ENCODING:chunked ", "0\r\n\r\n"), "POST /" },
  { chunked "\r\n\r\n", "POST / 400" },
  { chunked "g\r\n\r\n", "POST / 400" },
  { chunked "0x3\r\nabc\r\n0\r\n\r\n", "POST / 400" },
  { chunked "+3\r\nabc\r\n0\r\n\r\n", "POST / 400" },
  { chunked "-3\r\nabc\r\n0\r\n\r\n", "POST / 400" },
  { chunked " 3\r\nabc\r\n0\r\n\r\n", "POST / 400" },
  { chunked "3 \r\nabc\r\n0\r\n\r\n", "POST / 400" },
  { chunked "3\nabc\r\n0\r\n\r\n", "POST / 400" },
  { chunked "3\rabc\r\n0\r\n\r\n", "POST / 400" },
  { chunked "3\r\nabc0\r\n\r\n", 'POST / "abc" 400' },
  { chunked "3\r\nabc\n0\r\n\r\n", 'POST / "abc" 400' },
  { chunked "3\r\nabcd\r\n0\r\n\r\n", 'POST / "abc" 400' },
  { chunked "3\r\nabc\r\n0\r\n\n", 'POST / "abc" 400' },
  { chunked "3\r\nabc\r\n0\r\nA : b\r\n\r\n", 'POST / "abc" 400' },
  { chunked "3\r\nabc\r\n0\r\n A: b\r\n\r\n", 'POST / "abc" 400' },
  { chunked "3\r\nabc\r\n0\r\nA: b\n\r\n", 'POST / "abc" 400' },
  { chunked "3;a\nb\r\nabc\r\n0\r\n\r\n", "POST / 400" },
  { chunked "3;a\rb\r\nabc\r\n0\r\n\r\n", "POST / 400" },
  { chunked "3;a\0\r\nabc\r\n0\r\n\r\n", "POST / 400" },
  { chunked "ffffffffffffffffff\r\n", "POST / 400" },
  { chunked("3;" .. ("a"):rep(1100) .. "\r\nabc\r\n0\r\n\r\n"), "POST / 400" },
  { chunked("0\r\nA: " .. ("b"):rep(1100) .. "\r\n\r\n"), "POST / 431" },
  -- which of the two
  { post("Transfer-Encoding: chunked\r\nContent-Length: 3", "0\r\n\r\n"), "400" },
  { post("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), "400" },
  { post("Content-Length: 3\r\nTransfer-Encoding: identity", "abc"), "400" },
  { post("Transfer-Encoding: identity", "abc"), "400" },
  { post("Transfer-Encoding:", "abc"), "400" },
  { post("Transfer-Encoding: gzip", "abc"), "400" },
  { post("Transfer-Encoding: chunked, gzip", "0\r\n\r\n"), "400" },
  { post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"), "400" },
  { post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), "400" },
  { post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"), "400" },
  { post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), "501" },
  { post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), "501" },
  { post("Transfer-Encoding: xchunked", "0\r\n\r\n"), "400" },
  { post("Transfer-Encoding: chunked;a=b", "0\r\n\r\n"), "400" },
  { post('Transfer-Encoding: "chunked"', "0\r\n\r\n"), "400" },
  { post("Transfer-Encoding: chunked,", "0\r\n\r\n"), "400" },
  { post("Transfer-Encoding: \vchunked", "0\r\n\r\n"), "400" },
  { post("Transfer-Encoding\0: chunked", "0\r\n\r\n"), "400" },
  { post("Transfer-Encoding : chunked", "0\r\n\r\n"), "400" },
  { post("X: y\nTransfer-Encoding: chunked", "0\r\n\r\n"), "400" },
  { "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400" },
  { "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", 'POST / 1.0 close "abc"' },
  -- one after the other
  { get() .. get("Connection: close"), "GET /, GET / close" },
  { post("Content-Length: 3", "abc") .. get(), 'POST / "abc", GET /' },
  { post("Content-Length: 3", "abc\r\n") .. get(), 'POST / "abc", GET /' },
  { chunked "3\r\nabc\r\n0\r\n\r\n" .. get(), 'POST / "abc", GET /' },
  { get() .. "BREW", "GET /, ..." },
  { get() .. line "BREW / HTTP/1.1" .. get(), "GET /, 501" },
  -- limits
  { line("GET /" .. ("a"):rep(900) .. " HTTP/1.1"), "GET /" .. ("a"):rep(900) },
  { line("GET /" .. ("a"):rep(1000) .. " HTTP/1.1"), "414" },
  { "GET /" .. ("a"):rep(1000), "414" },
  { get("A: " .. ("b"):rep(1000)), "431" },
  { get(("A: b\r\n"):rep(200) .. "A: b"), "431" },
  { "GET / HTTP/1.1\r\nA: " .. ("b"):rep(1000), "431" },
}

local function told(head, body)
  local parts = { head[1], " ", head[2] }
  parts[#parts + 1] = head[4] == 0 and " 1.0" or nil
  parts[#parts + 1] = not head[6] and " close" or nil
  parts[#parts + 1] = head[7] and " expects" or nil
  parts[#parts + 1] = head[8] and " upgrade" or nil
  parts[#parts + 1] = body ~= "" and (' "%s"'):format(body) or nil
  return table.concat(parts)
end

--- Some of a body; how that ended; and what is told of it.
local function read_body(parser, next_piece)
  local pieces = {}
  while true do
    local data, status = parser:body()
    if type(data) == "string" then
      pieces[#pieces + 1] = data
    elseif data == true then
      local trailers = parser:trailers() or ""
      trailers = trailers:gsub("\r\n$", ""):gsub("\r\n", "|")
      return table.concat(pieces), trailers ~= "" and (" [%s]"):format(trailers) or ""
    elseif data == false then
      return table.concat(pieces), " " .. status, true
    elseif not next_piece() then
      return table.concat(pieces), "...", true
    end
  end
end

--- What is told of all messages in the pieces of a text.
local function parse(text, size)
  local parser, at, messages = llhttp.parser(LIMIT), 1, {}
  local function next_piece()
    if at > #text then
      return false
    end
    parser:feed(text:sub(at, at + size - 1))
    at = at + size
    return true
  end
  local is_over = false
  while not is_over and (parser:buffered() > 0 or at <= #text) do
    local head = table.pack(parser:head())
    if head[1] == false then
      messages[#messages + 1], is_over = tostring(head[2]), true
    elseif head[1] then
      local body, rest, ended = read_body(parser, next_piece)
      messages[#messages + 1], is_over = told(head, body) .. rest, ended
    elseif not next_piece() then
      messages[#messages + 1], is_over = "...", true
    end
  end
  if #messages == 0 and #text > 0 then
    messages[1] = "..."
  end
  return table.concat(messages, ", ")
end

local function shown(text)
  local short = #text > 100 and text:sub(1, 100) .. "..." or text
  return ("%q"):format(short):gsub("\\\n", "\\n"):gsub("\\13", "\\r")
end

describe("the parser", function()
  if not has_parser then
    return pending("built without llhttp")
  end

  for _, row in ipairs(ROWS) do
    local text, expected = row[1], row[2]
    it("reads " .. shown(text), function()
      assert.equal(expected, parse(text, #text + 1))
      assert.equal(expected, parse(text, 1), "byte by byte")
      assert.equal(expected, parse(text, 7), "seven bytes at a time")
    end)
  end

  it("gives the fields as they stand there", function()
    local parser = llhttp.parser(LIMIT)
    parser:feed(get("A:  b ", "a: c"))
    assert.equal("Host: a\r\nA:  b \r\na: c\r\n", (select(3, parser:head())))
  end)

  it("tells the length of a body, which is -1 in chunks", function()
    for text, length in pairs({
      [get()] = 0, [post("Content-Length: 5")] = 5, [chunked()] = -1,
      [post("Content-Length: 9223372036854775807")] = math.maxinteger,
    }) do
      local parser = llhttp.parser(LIMIT)
      parser:feed(text)
      assert.equal(length, (select(5, parser:head())))
    end
  end)

  it("gives what is not HTTP's", function()
    local parser = llhttp.parser(LIMIT)
    parser:feed(get("Connection: Upgrade", "Upgrade: websocket") .. "\129\0")
    assert.is_true((select(8, parser:head())))
    assert.is_true(parser:body())
    assert.equal(2, parser:buffered())
    assert.equal("\129\0", parser:take())
    assert.equal(0, parser:buffered())
  end)

  it("goes on saying why it has failed", function()
    local parser = llhttp.parser(LIMIT)
    parser:feed("G(T / HTTP/1.1\r\n\r\n" .. get())
    for _ = 1, 2 do
      assert.same({ false, 400, "malformed request line" }, { parser:head() })
    end
  end)

  it("forgets the trailers of the message before", function()
    local parser = llhttp.parser(LIMIT)
    parser:feed(chunked "0\r\nA: b\r\n\r\n" .. get())
    parser:head()
    assert.is_true(parser:body())
    assert.equal("A: b\r\n", parser:trailers())
    parser:head()
    assert.is_nil(parser:trailers())
  end)

  it("says whether a head, or what is wrong with it, can be asked for", function()
    local parser = llhttp.parser(LIMIT)
    assert.is_false(parser:has_head())
    parser:feed("GET / HTTP/1.1\r\nHost: a\r\n")
    assert.is_false(parser:has_head())
    parser:feed("\r\n")
    assert.is_true(parser:has_head())
    assert.is_true(parser:has_head())
    assert.equal("GET", (parser:head()))
    assert.is_false(parser:has_head())
    parser:feed("GET \n")
    assert.is_true(parser:has_head())
    assert.is_false((parser:head()))
  end)

  it("raises where it is misused", function()
    local parser = llhttp.parser(LIMIT)
    assert.has_error(function() llhttp.parser(0) end)
    assert.has_error(function() llhttp.parser("x") end)
    assert.has_error(function() parser:body() end)
    assert.has_error(function() parser:feed(1) end)
    assert.has_error(function() parser.feed({}, "") end)
    parser:feed(post("Content-Length: 5"))
    parser:head()
    assert.has_error(function() parser:head() end)
  end)

  it("reads mutated requests the same way in one piece and in many", function()
    local seeds = { get("A: b"), post("Content-Length: 3", "abc"),
      chunked "3;a\r\nabc\r\n0\r\nA: b\r\n\r\n" }
    local bytes = "\r\n \t:;,\0\x7f\xff019afGPHT/.?#"
    for i = 1, 3000 do
      local text = seeds[i % #seeds + 1]
      for _ = 1, math.random(3) do
        local at, by = math.random(#text), math.random(#bytes)
        local kept = math.random(3) -- replaced, removed, inserted
        text = text:sub(1, at - (kept == 3 and 0 or 1)) .. (kept == 2 and "" or bytes:sub(by, by))
          .. text:sub(at + 1)
      end
      assert.equal(parse(text, #text + 1), parse(text, math.random(20)), shown(text))
    end
  end)
end)
