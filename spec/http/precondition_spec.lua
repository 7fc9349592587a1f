local date = require "moontide.http.date"
local headers = require "moontide.http.headers"
local precondition = require "moontide.http.precondition"

local TIME = 1000000000
local BEFORE, NOW, AFTER = date.format(TIME - 1), date.format(TIME), date.format(TIME + 1)
local FILE = { tag = '"a,b"', modified = TIME }

-- What a client says, each of it or not, and what that comes to.
local MATCH = {
  { nil, true }, { '"a,b"', true }, { "*", true }, { '"x", "a,b"', true }, { 'W/"a,b"', false },
  { '"x"', false }, { "a,b", false }, { "", false }, { '"a', false },
}
local UNMODIFIED = {
  { nil, true }, { NOW, true }, { AFTER, true }, { BEFORE, false }, { "x", true },
}
local NONE_MATCH = {
  { nil, true }, { '"a,b"', false }, { 'W/"a,b"', false }, { "*", false }, { '"x" , "a,b"', false },
  { '"x"', true }, { "a,b", true }, { "", true },
}
local MODIFIED = {
  { nil, true }, { NOW, false }, { AFTER, false }, { BEFORE, true }, { "x", true },
}

--- RFC 9110, 13.2.2, step by step.
local function expected(match, unmodified, none_match, modified)
  if match[1] and not match[2] then
    return 412
  elseif not match[1] and not unmodified[2] then
    return 412
  elseif none_match[1] and not none_match[2] then
    return 304
  elseif not none_match[1] and not modified[2] then
    return 304
  end
end

describe("preconditions", function()
  it("are looked at in their order, all combinations", function()
    for _, match in ipairs(MATCH) do
      for _, unmodified in ipairs(UNMODIFIED) do
        for _, none_match in ipairs(NONE_MATCH) do
          for _, modified in ipairs(MODIFIED) do
            local given = headers.headers({
              ["If-Match"] = match[1], ["If-Unmodified-Since"] = unmodified[1],
              ["If-None-Match"] = none_match[1], ["If-Modified-Since"] = modified[1],
            })
            local told = {}
            for name, value in given:each() do
              told[#told + 1] = name .. ": " .. value
            end
            assert.equal(expected(match, unmodified, none_match, modified),
              precondition.status(given, FILE), table.concat(told, ", "))
          end
        end
      end
    end
  end)

  it("allow a range of just what the client has", function()
    local function allows(value, file)
      return precondition.allows_range(headers.headers({ ["If-Range"] = value }), file or FILE)
    end
    assert.is_true(allows(nil))
    assert.is_true(allows('"a,b"'))
    assert.is_true(allows(NOW))
    for _, value in ipairs({ 'W/"a,b"', '"x"', "*", BEFORE, AFTER, "x", '"a,b", "x"' }) do
      assert.is_false(allows(value), value)
    end
    local now = os.time()
    assert.is_false(allows(date.format(now), { tag = '"a"', modified = now }))
  end)
end)
