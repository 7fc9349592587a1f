local date = require "moontide.http.date"

local TIME = 1e9
local DATE = "Sun, 09 Sep 2001 01:46:40 GMT"

describe("dates of headers", function()
  it("have the names of RFC 9110", function()
    assert.equal(DATE, date.format(TIME + 0.5))
    assert.equal("Thu, 01 Jan 1970 00:00:00 GMT", date.format(0))
  end)

  it("are read in three forms", function()
    assert.equal(TIME, date.parse(DATE))
    assert.equal(TIME, date.parse("Sunday, 09-Sep-01 01:46:40 GMT"))
    assert.equal(TIME, date.parse("Sun Sep  9 01:46:40 2001"))
    assert.equal(784111777, date.parse("Sun, 06 Nov 1994 08:49:37 GMT"))
    assert.equal(784111777, date.parse("Sunday, 06-Nov-94 08:49:37 GMT"))
    assert.equal(784111777, date.parse("Sun Nov  6 08:49:37 1994"))
  end)

  it("are read as they are written", function()
    for _ = 1, 1000 do
      local seconds = math.random(0, 4e9)
      assert.equal(seconds, date.parse(date.format(seconds)))
    end
  end)

  it("are nothing else", function()
    for _, text in ipairs({
      "", "0", "Sun, 09 Sep 2001", "Sun, 09 Sep 2001 01:46:40", "Sun, 09 Sep 2001 01:46:40 CET",
      "Sun, 09 Xxx 2001 01:46:40 GMT", "Sun, 9 Sep 2001 01:46:40 GMT", DATE .. " ", "1e9",
      "Sun, 00 Sep 2001 01:46:40 GMT", "Sun, 32 Sep 2001 01:46:40 GMT",
      "Sun, 09 Sep 2001 24:46:40 GMT", "Sun, 09 Sep 2001 01:60:40 GMT",
      "Sun, 09 Sep 2001 01:46:61 GMT",
    }) do
      assert.is_nil(date.parse(text), text)
    end
  end)
end)
