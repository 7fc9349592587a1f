local event_stream = require "moontide.http.event_stream"

--- The events of a text that comes in these pieces, each as "event|data|id|retry".
local function read(...)
  local parser, list = event_stream.parser(), {}
  for _, piece in ipairs({ ... }) do
    for _, e in ipairs(parser:feed(piece)) do
      list[#list + 1] = table.concat({ e.event, e.data, e.id, tostring(e.retry) }, "|")
    end
  end
  return list
end

local function letters(text)
  local list = {}
  for letter in text:gmatch(".") do
    list[#list + 1] = letter
  end
  return table.unpack(list)
end

-- { what, text, event... }
local ROWS = {
  { "an event", "data: a\n\n", "message|a||nil" },
  { "all fields", "event: tide\nid: 7\nretry: 20\ndata: a\n\n", "tide|a|7|20" },
  { "lines of data", "data: YHOO\ndata: +2\ndata: 10\n\n", "message|YHOO\n+2\n10||nil" },
  { "comments", ": test\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
    "message|first|1|nil", "message|second||nil", "message| third||nil" },
  { "data without a value, and an event that is not whole", "data\n\ndata\ndata\n\ndata:",
    "message|||nil", "message|\n||nil" },
  { "one blank after the colon", "data:test\n\ndata: test\n\n", "message|test||nil",
    "message|test||nil" },
  { "LF", "data: a\ndata: b\n\ndata: c\n\n", "message|a\nb||nil", "message|c||nil" },
  { "CR", "data: a\rdata: b\r\rdata: c\r\r", "message|a\nb||nil", "message|c||nil" },
  { "CR LF", "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", "message|a\nb||nil",
    "message|c||nil" },
  { "line ends mixed", "data: a\rdata: b\n\r\ndata: c\r\r\n", "message|a\nb||nil",
    "message|c||nil" },
  { "LF CR, two line ends", "data: a\n\rdata: b\n\r", "message|a||nil", "message|b||nil" },
  { "a byte order mark", "\xef\xbb\xbfdata: a\n\n", "message|a||nil" },
  { "one byte order mark only", "\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n",
    "message|b||nil" },
  { "half of a byte order mark", "\xef\xbb\n\ndata: a\n\n", "message|a||nil" },
  { "colons in the data", "data: a: b:\n\n", "message|a: b:||nil" },
  { "an event's name without data", "event: tide\n\ndata: a\n\n", "message|a||nil" },
  { "an empty name", "event: tide\nevent:\ndata: a\n\n", "message|a||nil" },
  { "the last name", "event: tide\nevent: moon\ndata: a\n\n", "moon|a||nil" },
  { "an id that stays", "id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\n", "message|a|1|nil",
    "message|b|1|nil", "message|c|2|nil" },
  { "an id with NUL", "id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", "message|a|1|nil",
    "message|b|1|nil" },
  { "an id that is taken away", "id: 1\ndata: a\n\nid\ndata: b\n\n", "message|a|1|nil",
    "message|b||nil" },
  { "retry with other things than digits",
    "retry: 5s\nretry: -1\nretry: 1.5\nretry: 0x1\nretry:\nretry: 99999999999999999999\n"
      .. "data: a\n\n", "message|a||nil" },
  { "a retry that stays", "retry: 007\n\ndata: a\n\n", "message|a||7" },
  { "unknown fields", "Data: a\ndata : b\n data: c\nfoo\ndata: d\n\n", "message|d||nil" },
  { "NUL and bytes that are no UTF-8", "data: \0\xff\n\n", "message|\0\xff||nil" },
  { "empty lines", "\n\n\r\n\r\ndata: a\n\n\n\n", "message|a||nil" },
}

describe("an event stream", function()
  for _, row in ipairs(ROWS) do
    it("has " .. row[1], function()
      local expected = { table.unpack(row, 3) }
      assert.same(expected, read(row[2]))
      assert.same(expected, read(letters(row[2])))
    end)
  end

  it("gives an event as soon as its last line ends", function()
    local parser = event_stream.parser()
    assert.equal(0, #parser:feed("data: a\r"))
    assert.equal(1, #parser:feed("\r"))
    assert.equal(0, #parser:feed(""))
    assert.equal(0, #parser:feed("\ndata: b\r\n"))
    assert.equal(1, #parser:feed("\r\n"))
  end)

  it("is refused where an event is too long, after those before", function()
    local events, problem = event_stream.parser(10):feed("data: a\n\ndata: 0123456789\n\n")
    assert.equal(1, #events)
    assert.equal("LimitError", problem.name)
    assert.equal("LimitError: the event is longer than 10 bytes", tostring(problem))
  end)

  it("counts lines that are not whole, and the data of many lines", function()
    local parser = event_stream.parser(10)
    local _, problem = parser:feed("data: 0123")
    assert.is_nil(problem)
    _, problem = parser:feed("4")
    assert.equal("LimitError", problem.name)
    _, problem = event_stream.parser(10):feed(("data: 1\n"):rep(6))
    assert.equal("LimitError", problem.name)
    _, problem = event_stream.parser(10):feed((": a comment\n"):rep(1000))
    assert.is_nil(problem)
    _, problem = event_stream.parser(10):feed((":" .. "x"):rep(6))
    assert.equal("LimitError", problem.name)
  end)

  it("takes a long line in small pieces without copying it each time", function()
    local parser, count = event_stream.parser(), 0
    parser:feed("data: ")
    for _ = 1, 100000 do
      parser:feed("0123456789")
    end
    for _, e in ipairs(parser:feed("\n\n")) do
      count = #e.data
    end
    assert.equal(1000000, count)
  end)
end)
