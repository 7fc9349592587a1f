local form = require "moontide.http.form"

local function all(text)
  local list = {}
  for name, value in form.parse(text):each() do
    list[#list + 1] = name .. "=" .. value
  end
  return list
end

describe("a form", function()
  it("has names and values, decoded, in their order", function()
    assert.same({ "b=1", "a=two words", "b=3", "=x", "c=", "d=" },
      all("b=1&a=two+words&b=%33&=x&c&d="))
    assert.same({ "a b=+&=" }, all("a%20b=%2B%26%3D"))
    assert.same({ "a=b=c" }, all("a=b=c"))
  end)

  it("takes what is malformed as it is", function()
    assert.same({ "a=%", "b=%4", "c=%zz", "d=%\0" }, all("a=%&b=%4&c=%zz&d=%25%00"))
    assert.same({}, all(""))
    assert.same({}, all("&&"))
  end)

  it("is asked by name, which is case-sensitive", function()
    local f = form.parse("a=1&a=2&A=3")
    assert.equal("1", f:get("a"))
    assert.equal("3", f:get("A"))
    assert.same({ "1", "2" }, f:get_all("a"))
    assert.is_true(f:has("a"))
    assert.is_false(f:has("b"))
    assert.is_nil(f:get("b"))
    assert.same({}, f:get_all("b"))
  end)
end)
