local findings = require("spec.support.check").findings
local leak = require "spec.support.leak"

local SLEEP = 'local sleep = require("moontide").sleep\n'

local function found(text)
  return findings { ["a.lua"] = text }
end

describe("a comment `moontide: ignore`", function()
  after_each(leak.check)

  it("silences a code in its own line", function()
    local text = SLEEP .. "sleep(1) -- moontide: ignore T101\nsleep(2)\n"
    assert.same({ "a.lua:3 T101" }, found(text))
  end)

  it("on a line of its own, in the next line of code", function()
    local text = SLEEP .. "-- moontide: ignore T101\n\n-- a word\nsleep(1)\nsleep(2)\n"
    assert.same({ "a.lua:6 T101" }, found(text))
  end)

  it("before any code, in the whole file", function()
    local comments = "#!/usr/bin/env moontide\n-- A program.\n-- moontide: ignore T101\n"
    assert.same({}, found(comments .. SLEEP .. "sleep(1)\nsleep(2)\n"))
  end)

  it("names several codes, and may say why", function()
    local text = 'print("a" .. sleep(1)) sleep(1) -- moontide: ignore T101, T103 - to see it\n'
    assert.same({}, found(SLEEP .. text))
  end)

  it("leaves other codes alone", function()
    assert.same({ "a.lua:2 T101" }, found(SLEEP .. "sleep(1) -- moontide: ignore T102\n"))
  end)

  it("is an error without a code, and with one that there is not", function()
    for _, codes in ipairs { "", "T999", "T101 T999" } do
      local text = SLEEP .. "print() -- moontide: ignore " .. codes .. "\n"
      assert.same({ "a.lua:2 T002" }, found(text))
    end
  end)

  it("is about nothing where no code follows", function()
    assert.same({ "a.lua:2 T101" }, found(SLEEP .. "sleep(1)\n-- moontide: ignore T101\n"))
    assert.same({}, found("-- moontide: ignore T101"))
  end)

  it("is none in a text", function()
    assert.same({ "a.lua:2 T101" }, found(SLEEP .. 'sleep(1) print("-- moontide: ignore T101")\n'))
  end)
end)
