local tide = require "moontide"
local child = require "spec.support.child"
local leak = require "spec.support.leak"

local await, Promise = tide.await, tide.Promise

describe("S80 a promise that is used as a value", function()
  after_each(leak.check)

  local p = Promise.resolve(1)

  local function check(text, f)
    local line = debug.getinfo(f, "S").linedefined + 1
    local ok, err = pcall(f)
    assert.is_false(ok)
    local place, rest = err:match("^(.-:%d+): (.*)$")
    assert.matches(("forgotten_spec.lua:%d$"):format(line), place)
    assert.equal(text .. " (did you forget await?)", rest)
  end

  it("raises where a field is read or set", function()
    check("a promise has no field 'name'", function()
      return p.name
    end)
    check("a promise has no field '1'", function()
      return p[1]
    end)
    check("a promise has no field 'table'", function()
      return p[{}]
    end)
    check("a promise has no field 'read'", function()
      return p:read()
    end)
    check("a promise takes no field 'name'", function()
      p.name = 1
    end)
  end)

  it("raises in arithmetic, whichever side it is on", function()
    check("arithmetic on a promise", function()
      return p + 1
    end)
    for _, operator in ipairs({ "-", "*", "/", "%", "^", "//", "&", "|", "~", "<<", ">>" }) do
      for _, source in ipairs({ "p %s 1", "1 %s p", "p %s p" }) do
        local f = load("local p = ... return " .. source:format(operator))
        assert.error_matches(function()
          f(p)
        end, "arithmetic on a promise %(did you forget await%?%)")
      end
    end
    check("arithmetic on a promise", function()
      return -p
    end)
    check("arithmetic on a promise", function()
      return ~p
    end)
  end)

  it("raises in other operators", function()
    check("concatenation of a promise", function()
      return "user " .. p
    end)
    check("length of a promise", function()
      return #p
    end)
    check("comparison of a promise", function()
      return p < 1
    end)
    check("comparison of a promise", function()
      return 1 >= p
    end)
    check("call of a promise", function()
      return p()
    end)
  end)

  it("raises in loops and as a <close> variable", function()
    check("iteration over a promise", function()
      for _ in pairs(p) do error("reached") end
    end)
    check("a promise has no field '1'", function()
      for _ in ipairs(p) do error("reached") end
    end)
    check("call of a promise", function()
      for _ in p do error("reached") end
    end)
    check("a promise as the value of a <close> variable", function()
      local _ <close> = p end)
    local ok, err = pcall(function()
      local _ <close> = p
      error("the first error stays", 0)
    end)
    assert.is_false(ok)
    assert.equal("the first error stays", err)
  end)

  it("may be compared for equality, printed, kept, and has its methods", function()
    assert.is_false(p == 1)
    assert.is_true(p == p) -- luacheck: ignore 571
    assert.matches("Promise", tostring(p))
    assert.equal("function", type(p.next))
    assert.equal(p.next, p["then"])
    assert.equal(1, ({ [p] = 1 })[p])
    assert.equal(1, await(p))
  end)

  it("is none of a function", function()
    assert.error_matches(function()
      tide.spawn(p)
    end, "function expected, got ")
    local thenable = { ["then"] = p }
    assert.equal(thenable, (await(thenable)))
  end)

  it("raises when an async function is awaited that was not called, and names it", function()
    -- the helper for busted has functions of its own around those of tide.async
    local result = child.lua_source([[
      local tide = require "moontide"
      local await = tide.await
      local load_user = tide.async(function() end)
      print(pcall(function() await(load_user) end))
      print(pcall(await, tide.spawn(function() await(load_user) end)))
      print(pcall(await, tide.async(load_user)))
      print(await(print) == print)
    ]])
    local text = "FILE:%d: await of an async function that was not called: function <FILE:3>"
    local out = result.out:gsub("[^ \t<]+:(%d+)", "FILE:%1")
    assert.equal(table.concat({
      "false\t" .. text:format(4),
      "false\t" .. text:format(5),
      "false\tawait of an async function that was not called",
      "true",
    }, "\n") .. "\n", out)
  end)
end)
