local tide = require "moontide"
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised

local await = tide.await

describe("a reader fed from Lua", function()
  after_each(leak.check)

  it("gives what it was fed, and the end", function()
    local r = core.reader()
    r:feed("ab")
    r:feed("cd\nrest")
    assert.equal("abcd", await(r:read_line()))
    r:finish()
    assert.equal("rest", await(r:read_all()))
    assert.is_nil(await(r:read()))
  end)

  it("settles a read that waits", function()
    local r = core.reader()
    local promise = r:read_exactly(3)
    r:feed("ab")
    assert.equal("pending", promise:state())
    r:feed("cd")
    assert.equal("abc", await(promise))
  end)

  it("asks for more only while a read waits, and once for each time it is fed", function()
    local asked = 0
    local r
    r = core.reader(function()
      asked = asked + 1
      tide.queue_microtask(function()
        r:feed("x")
      end)
    end)
    assert.equal(0, asked)
    assert.equal("x", await(r:read()))
    assert.equal(1, asked)
    assert.equal("xxx", await(r:read_exactly(3)))
    assert.equal(4, asked)
  end)

  it("may be fed while it asks", function()
    local left = 100000
    local r
    r = core.reader(function()
      left = left - 1
      if left > 0 then
        r:feed("x")
      else
        r:finish()
      end
    end)
    assert.equal(99999, #await(r:read_all()))
  end)

  it("gives chunks and lines of what it is fed while it asks, or later", function()
    for _, later in ipairs({ false, true }) do
      local left, seen = 5, {}
      local r
      local function feed()
        left = left - 1
        if left > 0 then
          r:feed(left .. "\n")
        else
          r:finish("broken")
        end
      end
      r = core.reader(function()
        if later then
          tide.set_immediate(feed)
        else
          feed()
        end
      end)
      local promise = tide.spawn(function()
        for chunk in r:chunks(1) do
          seen[#seen + 1] = chunk
          if #seen == 4 then
            break
          end
        end
        for line in r:lines() do
          seen[#seen + 1] = line
        end
      end)
      assert.equal("broken", failure(promise))
      assert.same({ "4", "\n", "3", "\n", "2", "1" }, seen)
    end
  end)

  it("passes the reason on with which it is finished", function()
    local r = core.reader()
    r:feed("ab")
    local reason = {}
    r:finish(reason)
    r:feed("ignored")
    assert.equal("ab", await(r:read()))
    assert.equal(reason, failure(r:read()))
    assert.equal(reason, failure(r:read_all()))
  end)

  it("fails with what asking raises", function()
    local r = core.reader(function()
      error("no more", 0)
    end)
    assert.equal("no more", failure(r:read()))
    assert.equal("no more", failure(r:read_line()))
    assert.is_nil(failure(core.reader(error):read()))
  end)

  it("rejects what waits when it is closed", function()
    local r = core.reader()
    r:feed("ab")
    local promise = r:read_exactly(3)
    r:close()
    assert.equal("ECANCELED", failure(promise).code)
    assert.equal("EBADF", failure(r:read()).code)
  end)

  it("finds delimiters across any division into pieces", function()
    local text = "aab-ab-aaab--aab"
    for size = 1, #text do
      local r = core.reader()
      for from = 1, #text, size do
        r:feed(text:sub(from, from + size - 1))
      end
      r:finish()
      assert.equal("aab", await(r:read_until("aab")))
      assert.equal("-ab-aaab", await(r:read_until("aab")))
      assert.equal("--aab", await(r:read_until("aab")))
      assert.is_nil(await(r:read_until("aab")))
    end
  end)

  it("is garbage when nobody can feed it", function()
    leak.track(core.reader():read())
  end)

  it("raises what is wrong with its arguments", function()
    local r = core.reader()
    assert.matches("function expected, got number", raised(core.reader, 1))
    assert.matches("string expected, got nil", raised(r.feed, r))
    assert.matches("moontide.Reader expected", raised(r.feed, {}))
  end)
end)
