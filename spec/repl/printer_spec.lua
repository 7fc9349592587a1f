local leak = require "spec.support.leak"
local printer = require "moontide.repl.printer"
local tide = require "moontide"

local text = printer.text

describe("the REPL's printer", function()
  after_each(leak.check)

  it("quotes strings, so that one could type them", function()
    for _, s in ipairs { "plain", "two\nlines", 'a "quote" \\', "\0\1\127", "\200", "tide ~ é" } do
      assert.equal(s, load("return " .. text(s))())
    end
    assert.equal('"a\\tb\\n\\000\\200"', text("a\tb\n\0\200"))
    assert.equal('"é"', text("é"))
  end)

  it("prints other plain values as Lua does", function()
    assert.equal("nil", text(nil))
    assert.equal("true", text(true))
    assert.equal("1.0", text(1.0))
    assert.equal(tostring(print), text(print))
  end)

  describe("prints tables", function()
    it("one level deep", function()
      assert.equal("{}", text({}))
      assert.equal('{ 1, "b", {}, {...} }', text({ 1, "b", {}, { 1 } }))
    end)

    it("with their keys in order: places, numbers, names, others", function()
      assert.equal('{ 1, 2, [0] = 0, [2.5] = "x", ["a b"] = 1, b = true, z = 3, [true] = 1 }',
        text({ 1, 2, z = 3, b = true, ["a b"] = 1, [0] = 0, [2.5] = "x", [true] = 1 }))
    end)

    it("that contain themselves", function()
      local t = {}
      t.t = t
      assert.equal("{ t = {...} }", text(t))
    end)

    it("a line for each entry where they are wide", function()
      local wide = ("x"):rep(50)
      assert.equal(('{\n  "%s",\n  "%s"\n}'):format(wide, wide), text({ wide, wide }))
    end)

    it("with their first hundred entries", function()
      local long = {}
      for i = 1, 250 do
        long[i] = i
      end
      local shown = text(long)
      assert.matches("\n  100,\n  %.%.%. 150 more\n}$", shown)
    end)

    it("with long strings cut between characters", function()
      assert.equal('{ "' .. ("x"):rep(60) .. '"... }', text({ ("x"):rep(61) }))
      assert.equal('{ "' .. "x" .. ("é"):rep(29) .. '"... }', text({ "x" .. ("é"):rep(40) }))
    end)

    it("that have a text of their own with that", function()
      local named = setmetatable({ 1 }, { __tostring = function() return "named" end })
      assert.equal("named", text(named))
      assert.equal("{ named }", text({ named }))
      local broken = setmetatable({}, { __tostring = function() error("no", 0) end })
      assert.equal("<table: no>", text(broken))
    end)

    it("without calling what they index with", function()
      local strange = setmetatable({ 1 }, {
        __index = error,
        __len = error,
        __pairs = error,
        __metatable = "hidden",
      })
      assert.equal("{ 1 }", text(strange))
    end)
  end)

  describe("prints promises", function()
    it("with their state and values", function()
      local pending = tide.Promise.with_resolvers()
      assert.equal("Promise { <pending> }", text(pending))
      assert.equal("Promise { <fulfilled> }", text(tide.Promise.resolve()))
      local several = tide.Promise.resolve(1, "b", { 1 })
      assert.equal('Promise { <fulfilled> 1, "b", {...} }', text(several))
      local rejected = tide.Promise.reject("why")
      assert.equal('Promise { <rejected> "why" }', text(rejected))
      rejected:catch(function() end)
    end)

    it("of calls and groups alike", function()
      assert.equal("Promise { <fulfilled> 7 }", text(tide.spawn(function() return 7 end)))
      local group = tide.group(function() end)
      tide.await(group)
      assert.matches("^Promise { <fulfilled>", text(group))
    end)
  end)
end)
