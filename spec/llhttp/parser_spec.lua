-- Of: llhttp/head, llhttp/module, llhttp/parser
-- Raw requests, well-formed and not, and what becomes of them: fed at once, and byte by byte.
local has_parser, llhttp = pcall(require, "moontide.llhttp_core")

local messages = require "spec.support.messages"
local requests = require "spec.support.requests"

local LIMIT = requests.LIMIT
local get, post, chunked = requests.get, requests.post, requests.chunked

local function parse(text, size)
  return table.concat(messages.read(llhttp.parser(LIMIT), text, size), ", ")
end

local function shown(text)
  local short = #text > 100 and text:sub(1, 100) .. "..." or text
  return ("%q"):format(short):gsub("\\\n", "\\n"):gsub("\\13", "\\r")
end

describe("the parser", function()
  if not has_parser then
    return pending("built without llhttp")
  end

  for _, row in ipairs(requests.ROWS) do
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
