local http = require "moontide.http"
local raised = require("spec.support.raised").raised

local function all(headers)
  local list = {}
  for name, value in headers:each() do
    list[#list + 1] = name .. ": " .. value
  end
  return list
end

describe("http.headers", function()
  it("knows names in any case", function()
    local headers = http.headers({ ["Content-Type"] = "text/plain" })
    assert.equal("text/plain", headers:get("content-type"))
    assert.equal("text/plain", headers:get("CONTENT-TYPE"))
    assert.is_true(headers:has("Content-type"))
    headers:delete("CONTENT-type")
    assert.is_false(headers:has("content-type"))
    assert.is_nil(headers:get("content-type"))
    assert.same({}, headers:get_all("content-type"))
  end)

  it("has several values of a name", function()
    local headers = http.headers()
    headers:append("A", "1")
    headers:append("a", 2)
    assert.equal("1, 2", headers:get("a"))
    assert.same({ "1", "2" }, headers:get_all("A"))
    headers:set("a", 3)
    assert.same({ "3" }, headers:get_all("a"))
  end)

  it("is made of a table, of pairs, of lists of values, and copied", function()
    local expected = { "a: 1", "b: 2, 3", "set-cookie: x", "set-cookie: y" }
    local headers = http.headers({ A = 1, b = { "2", "3" }, ["Set-Cookie"] = { "x", "y" } })
    assert.same(expected, all(headers))
    assert.same(expected, all(http.headers(headers)))
    assert.same(expected, all(http.headers({
      { "B", "2" }, { "b", "3" }, { "A", 1 }, { "set-cookie", "x" }, { "set-cookie", "y" },
    })))
    local copy = http.headers(headers)
    copy:set("a", "other")
    assert.equal("1", headers:get("a"))
  end)

  it("may be changed in a loop", function()
    local headers = http.headers({ a = 1, b = 2, c = 3 })
    for name in headers:each() do
      headers:delete(name)
    end
    assert.same({}, all(headers))
  end)

  it("strips the blanks around a value", function()
    assert.equal("b c", http.headers({ a = " \t b c \t" }):get("a"))
  end)

  for _, name in ipairs({ "", " a", "a ", "a:", "a\r\nb", "a\0", "\xc3\xa4", "a(b", "a b" }) do
    it("refuses the name " .. ("%q"):format(name), function()
      assert.matches("#1 to 'headers:set' %(.* is no name of a header%)",
        raised(http.headers().set, http.headers(), name, "x"))
      assert.matches("#1 to 'headers:append'",
        raised(http.headers().append, http.headers(), name, "x"))
      assert.matches("#1 to 'http.headers'", raised(http.headers, { [name] = "x" }))
      assert.matches("#1 to 'http.headers'", raised(http.headers, { { name, "x" } }))
    end)
  end

  for _, value in ipairs({ "a\r\nb", "a\nb", "a\rb", "a\0b", "\127", "\1", "a\r\n b", "\n" }) do
    it("refuses the value " .. ("%q"):format(value), function()
      local problem = "a header's value cannot have control characters"
      assert.matches("#2 to 'headers:set' %(" .. problem,
        raised(http.headers().set, http.headers(), "a", value))
      assert.matches("#2 to 'headers:append'",
        raised(http.headers().append, http.headers(), "a", value))
      assert.matches("#1 to 'http.headers' %(" .. problem, raised(http.headers, { a = value }))
      assert.matches("#1 to 'http.headers'", raised(http.headers, { a = { "x", value } }))
      assert.matches("#1 to 'http.headers'", raised(http.headers, { { "a", value } }))
    end)
  end

  it("takes tabs and what is not ASCII in values", function()
    assert.equal("a\tb\xc3\xa4", http.headers({ a = "a\tb\xc3\xa4" }):get("a"))
  end)

  it("refuses what cannot be a header", function()
    for _, init in ipairs({ { 1 }, { {} }, { { "a" } }, { a = true }, { a = { {} } } }) do
      assert.matches("bad argument #1 to 'http.headers'", raised(http.headers, init))
    end
    assert.matches("table expected, got number", raised(http.headers, 1))
    assert.matches("#2 to 'headers:set'", raised(http.headers().set, http.headers(), "a"))
    assert.matches("bad self", raised(http.headers().get, {}, "a"))
  end)
end)
