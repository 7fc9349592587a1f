-- Of: check/project, check/check, check/parser
local findings = require("spec.support.check").findings
local leak = require "spec.support.leak"

local STORE = [[
local tide = require "moontide"
local M = {}
M.save = tide.async(function() tide.await(tide.sleep(1)) end)
function M.size() return 1 end
return M
]]

describe("moontide check follows modules:", function()
  after_each(leak.check)

  it("what one returns that stands beside the file", function()
    assert.same({ "main.lua:2 T101" }, findings {
      ["store.lua"] = STORE,
      ["main.lua"] = 'local store = require "store"\nstore.save()\nstore.size()\n',
    })
  end)

  it("in a folder, in lua/ or src/ of a folder around the file, and init.lua", function()
    assert.same({ "bin/main.lua:2 T101", "bin/main.lua:3 T101", "bin/main.lua:4 T101" }, findings {
      ["app/store.lua"] = STORE,
      ["lua/second/init.lua"] = STORE,
      ["src/third.lua"] = STORE,
      ["bin/main.lua"] = 'local first, second, third = require "app.store", require "second", '
        .. 'require("third")\nfirst.save()\nsecond.save()\nthird.save()\n',
    })
  end)

  it("through others, with a field and a function of them", function()
    assert.same({ "main.lua:2 T101", "main.lua:3 T101" }, findings {
      ["store.lua"] = STORE,
      ["app.lua"] = 'local store = require "store"\nreturn { store = store, keep = function() '
        .. 'return store.save() end }\n',
      ["main.lua"] = 'local app = require "app"\napp.store.save()\napp.keep()\n',
    })
  end)

  it("unless the file puts something else there", function()
    assert.same({}, findings {
      ["store.lua"] = STORE,
      ["main.lua"] = 'local store = require "store"\nstore.save = print\nstore.save()\n',
    })
  end)

  it("that require each other", function()
    local text = 'local tide = require "moontide"\nlocal other = require "%s"\ntide.sleep(1)\n'
      .. "return { other = other }\n"
    local files = { ["a.lua"] = text:format("b"), ["b.lua"] = text:format("a") }
    assert.same({ "a.lua:3 T101", "b.lua:3 T101" }, findings(files))
  end)

  it("and is silent where one is not there, or not named", function()
    assert.same({}, findings { ["main.lua"] = [[
      local tide, name = require "moontide", ...
      local a, b = require "absent", require(name)
      a.save()
      b.save()
      print(tide)
    ]] })
  end)
end)

describe("moontide check", function()
  after_each(leak.check)

  it("T001 tells a wrong syntax, also of a file that has nothing to do with moontide", function()
    assert.same({ "a.lua:3 T001", "b.lua:1 T001" }, findings {
      ["a.lua"] = 'local tide = require "moontide"\nif tide then\n',
      ["b.lua"] = "x = = 1\n",
    })
  end)

  it("T001 tells what only Lua's compiler sees", function()
    for _, text in ipairs {
      "break", "goto away", "::here:: ::here::", "local x <const> = 1 x = 2",
      "local x <static> = 1", "function f() return ... end",
    } do
      local files = { ["a.lua"] = 'local tide = require "moontide"\n' .. text, ["b.lua"] = text }
      assert.same({ "a.lua:2 T001", "b.lua:1 T001" }, findings(files), text)
    end
  end)

  it("leaves out a byte order mark, as Lua does", function()
    local text = 'local tide = require "moontide"\ntide.sleep(1)\n'
    assert.same({ "a.lua:2 T101", "b.lua:3 T101", "c.lua:1 T001" }, findings {
      ["a.lua"] = "\u{FEFF}" .. text,
      ["b.lua"] = "\u{FEFF}#!/usr/bin/env moontide\n" .. text,
      ["c.lua"] = "\u{FEFF}x = = 1",
    })
  end)

  it("accepts all of Lua's syntax, a first line for the shell, and other encodings", function()
    local text = "#!/usr/bin/env moontide\nlocal tide <const> = require 'moontide'\n"
      .. "local f <close> = nil\nfor i = 1, 3 // 2 do goto next print(tide, i) ::next:: end\n"
      .. "print(1 << 2, ~3, 'h\xe4', '\u{2603}')\n"
    assert.same({}, findings { ["a.lua"] = text })
  end)

  it("says nothing of an empty file", function()
    assert.same({}, findings { ["a.lua"] = "", ["b.lua"] = "-- moontide\n" })
  end)
end)
