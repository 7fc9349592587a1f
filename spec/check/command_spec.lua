-- Of: check/command, check/files, check/report, check/codes
local child = require "spec.support.child"
local codes = require "moontide.check.codes"
local fs = require "moontide.fs"
local json = require "dkjson"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local programs = dofile "tools/programs.lua"
local report = require "moontide.check.report"
local await = require("moontide").await
local with_files = require("spec.support.check").with_files

local FAULTY = 'local tide = require "moontide"\n\ntide.sleep(1)\n'
local MESSAGE = "the promise of 'tide.sleep' is dropped: await it, keep it, or spawn the call"

local HINT = [[
local tide = require "moontide"
local load = tide.async(function(name) tide.await(tide.sleep(1)) return name end)
local one = tide.await(load("a"))
local other = tide.await(load("b"))
print(one, other)
]]

local function check(...)
  return child.shell(child.command("bin/moontide", "check", ...))
end

describe("moontide check", function()
  after_each(leak.check)

  it("prints what it finds in lines, and exits with 1", function()
    with_files({ ["a.lua"] = FAULTY }, function(folder)
      local path = folder .. "/a.lua"
      local out = path .. ":3:1: (T101) " .. MESSAGE .. "\n"
      assert.same({ code = 1, out = out, err = "" }, check(path))
    end)
  end)

  it("exits with 0 when there are only hints, or nothing", function()
    with_files({ ["a.lua"] = HINT, ["b.lua"] = "print(1)" }, function(folder)
      local result = check(folder .. "/a.lua")
      assert.equal(0, result.code)
      assert.matches("/a.lua:4:26: %(T201%) ", result.out)
      assert.same({ code = 0, out = "", err = "" }, check(folder .. "/b.lua"))
    end)
  end)

  it("looks for .lua files in folders, but for hidden ones, and sorts", function()
    local files = { ["b.lua"] = FAULTY, ["a/z.lua"] = FAULTY, ["a/y.lua"] = FAULTY,
      [".git/a.lua"] = FAULTY, ["a/text.txt"] = FAULTY }
    with_files(files, function(folder)
      local names = {}
      for name in check(folder).out:gmatch("([%w/]+%.lua):3:1: ") do
        names[#names + 1] = name:sub(-5)
      end
      assert.same({ "y.lua", "z.lua", "b.lua" }, { names[1], names[2], names[3] })
      assert.equal(3, #names)
    end)
  end)

  it("checks a file that is named, whatever it is called, and each once", function()
    with_files({ script = "#!/usr/bin/env moontide\n" .. FAULTY }, function(folder)
      local path = folder .. "/script"
      assert.equal(1, select(2, check(path, path, folder).out:gsub(":4:1: ", "")))
    end)
  end)

  it("--format=json prints a list", function()
    with_files({ ['a"b.lua'] = FAULTY, ["c.lua"] = "" }, function(folder)
      local result = check("--format=json", folder .. '/a"b.lua')
      assert.equal(1, result.code)
      local place = ('{"file": "%s", "line": 3, "column": 1'):format(folder .. '/a\\"b.lua')
      local what = (', "code": "T101", "message": "%s"}'):format(MESSAGE)
      assert.equal("[\n  " .. place .. what .. "\n]\n", result.out)
      assert.equal("[]\n", check("--format=json", folder .. "/c.lua").out)
    end)
  end)

  it("--format=json is JSON where a name is no UTF-8", function()
    local list = {}
    for i, name in ipairs { "\u{e4}.lua", "\xe4.lua" } do
      list[i] = { path = name, line = 1, column = 1, code = "T101", message = "" }
    end
    local text = report.FORMATS.json(list)
    assert.is_truthy(utf8.len(text))
    local decoded = json.decode(text)
    assert.same({ "\u{e4}.lua", "\u{fffd}.lua" }, { decoded[1].file, decoded[2].file })
  end)

  it("--help names every code", function()
    local result = check("--help")
    assert.same({ code = 0, err = "" }, { code = result.code, err = result.err })
    for _, entry in ipairs(codes.LIST) do
      assert.is_truthy(result.out:find(entry[1] .. "  " .. entry[2], 1, true))
    end
  end)

  it("has every code in docs/debugging.md", function()
    local rows = {}
    for code, meaning in programs.read("docs/debugging.md"):gmatch("\n| (T%d+) | ([^|]*) |") do
      rows[#rows + 1] = { code, meaning }
    end
    assert.same(codes.LIST, rows)
  end)

  it("exits with 64 for wrong usage, with 1 for a file that is not there", function()
    for problem, argument in pairs {
      ["unknown option '--frmat=json'"] = "--frmat=json",
      ["option '--format': 'plain' or 'json' expected, got 'xml'"] = "--format=xml",
    } do
      local result = check(argument, "lua")
      assert.equal(64, result.code)
      assert.is_truthy(result.err:find("moontide: " .. problem .. "\nusage: ", 1, true), result.err)
    end
    assert.equal(64, check().code)
    local result = check("no such file")
    assert.equal(1, result.code)
    assert.matches("^moontide: SystemError: ENOENT: [^\n]*'no such file'\n$", result.err)
  end)

  it("exits with 1 for a file that cannot be read, and checks nothing", function()
    with_files({ ["a.lua"] = FAULTY }, function(folder)
      local _ <close> = await(net.listen { path = folder .. "/socket" })
      local result = check(folder .. "/a.lua", folder .. "/socket")
      assert.same({ code = 1, out = "" }, { code = result.code, out = result.out })
      assert.matches("^moontide: SystemError: [^\n]*/socket'\n$", result.err)
    end)
  end)

  it("follows links to files in folders, and none to folders", function()
    with_files({ ["a/b.lua"] = FAULTY, text = FAULTY }, function(folder)
      await(fs.symlink("../text", folder .. "/a/c.lua"))
      await(fs.symlink("..", folder .. "/a/around"))
      await(fs.symlink("nowhere", folder .. "/a/d.lua"))
      assert.equal(2, select(2, check(folder).out:gsub(":3:1: ", "")))
    end)
  end)

  it("says in one line that luacheck is missing", function()
    local command = child.command("bin/moontide", "check", "lua")
    local alone = command:gsub("(LUA_PATH_5_%d=)'[^']*'", "%1'./lua/?.lua'")
    local result = child.shell(alone)
    assert.same({ code = 1, out = "" }, { code = result.code, out = result.out })
    assert.matches("^moontide: check needs luacheck[^\n]*lua%-check[^\n]*\n$", result.err)
  end)
end)
