local finally = require "moontide.internal.finally"

describe("finally", function()
  it("returns what the function does, after the clean-up", function()
    local seen = {}
    local results = table.pack(finally(function(err)
      seen[#seen + 1] = tostring(err)
    end, function(...)
      seen[#seen + 1] = "function"
      return ...
    end, 1, nil, nil))
    assert.same({ 1, nil, nil, n = 3 }, results)
    assert.same({ "function", "nil" }, seen)
  end)

  it("hands the error to the clean-up, and on", function()
    local seen
    local ok, err = pcall(finally, function(e)
      seen = e
    end, error, "broken", 0)
    assert.same({ false, "broken", "broken" }, { ok, err, seen })
  end)

  it("cleans up in a coroutine that is closed", function()
    local cleaned = false
    local co = coroutine.create(finally)
    coroutine.resume(co, function()
      cleaned = true
    end, coroutine.yield)
    assert.is_true(coroutine.close(co))
    assert.is_true(cleaned)
  end)
end)
