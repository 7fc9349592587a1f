-- Of: command
local child = require "spec.support.child"
local leak = require "spec.support.leak"

local function moontide(...)
  return child.shell(child.command("bin/moontide", ...))
end

-- The same, with a text as its standard input: a file, or a pipe.
local function moontide_with(text, how, ...)
  local args = table.pack(...)
  return child.with_file(text, function(path)
    local command = child.command("bin/moontide", table.unpack(args, 1, args.n))
    if how == "file" then return child.shell(command, path) end
    return child.shell(("(cat %s | %s)"):format(child.quote(path), command))
  end)
end

local function with_script(source, ...)
  local args = table.pack(...)
  return child.with_file(source, function(path)
    args[args.n + 1] = path
    return moontide(table.unpack(args, 1, args.n + 1))
  end)
end

describe("bin/moontide:", function()
  after_each(leak.check)

  describe("-e", function()
    it("runs code, which may await, and the loop", function()
      local result = moontide("-e", [[
        local tide = require "moontide"
        tide.set_timeout(print, 10, "timer")
        tide.await(tide.sleep(1))
        print("code", ...)
      ]])
      assert.same({ code = 0, out = "code\ntimer\n", err = "" }, result)
    end)

    it("is given several times, and before a script that has the arguments", function()
      local result = with_script("print(x, y, arg[0] ~= nil, ...)", "-e", "x = 1", "-ey = x + 1")
      assert.same({ code = 0, out = "1\t2\ttrue\n", err = "" }, result)
    end)

    it("has a name in errors", function()
      local result = moontide("-e", "x = 1", "-e", "\nerror('boom')")
      assert.equal(1, result.code)
      assert.matches("^moontide: %(command line%):2: boom\n", result.err)
      result = moontide("-e", "x =")
      assert.equal(1, result.code)
      assert.matches("^moontide: %(command line%):1: ", result.err)
    end)

    it("leaves arg as it is where there is no script", function()
      assert.equal("-e\n", moontide("-e", "print(arg[1])").out)
    end)
  end)

  describe("-l", function()
    it("requires a module into a global of its name, or of another", function()
      local code = "print(string == s, type(moontide.await), _G['moontide.fs'] ~= nil)"
      local result = moontide("-l", "moontide", "-lmoontide.fs", "-l", "s=string", "-e", code)
      assert.same({ code = 0, out = "true\tfunction\ttrue\n", err = "" }, result)
    end)

    it("says which module is not there", function()
      local result = moontide("-l", "no_such_module", "-e", "")
      assert.equal(1, result.code)
      assert.matches("module 'no_such_module' not found", result.err)
    end)
  end)

  describe("--debug", function()
    local FLOATING = [[
local tide = require "moontide"
local save = tide.async(function() tide.await(tide.sleep(1)) end)
save()
print("done")
]]
    local function report(result)
      return (result.err:gsub("[^ \n(]*lua_%w+:", "app.lua:"))
    end

    it("reports what nobody awaited, and leaves the exit code alone", function()
      local result = with_script(FLOATING, "--debug")
      assert.equal(0, result.code)
      assert.equal("done\n", result.out)
      assert.equal("moontide: app.lua:3: nobody awaits this call of async function 'save' "
        .. "(app.lua:2)\n", report(result))
    end)

    it("=error makes that exit code 1; without a report it is 0", function()
      assert.equal(1, with_script(FLOATING, "--debug=error").code)
      assert.same({ code = 0, out = "", err = "" }, with_script([[
        local tide = require "moontide"
        tide.await(tide.async(function() tide.await(nil) end)())
      ]], "--debug=error"))
    end)

    it("reports before os.exit, too, and where the environment asks for it", function()
      local source = FLOATING .. "tide.await(tide.sleep(5)) os.exit(7)"
      for _, case in ipairs({ { "", "--debug" }, { "MOONTIDE_DEBUG=1 " } }) do
        local result = child.with_file(source, function(path)
          return child.shell(case[1] .. child.command("bin/moontide", case[2] or path, path))
        end)
        assert.equal(7, result.code)
        assert.matches("app.lua:3: nobody awaits this call", report(result))
      end
    end)

    it("reports who is still suspended at the end", function()
      local result = with_script([[
        local tide = require "moontide"
        kept = tide.queue()
        tide.spawn(function() tide.await(kept:pop()) end)
      ]], "--debug")
      assert.equal(0, result.code)
      assert.matches("^moontide: still suspended at the end:\n.* waits for queue:pop", result.err)
    end)

    it("is off without it", function()
      assert.equal("", with_script(FLOATING).err)
      assert.equal(64, moontide("--debug=no").code)
    end)
  end)

  describe("--unhandled", function()
    local FLOATING = [[
      local tide = require "moontide"
      tide.spawn(function()
        tide.await(tide.sleep(1))
        error("floating")
      end)
      tide.await(tide.sleep(20))
      print("goes on")
    ]]

    it("warn prints a rejection with its trace, and the program goes on", function()
      for _, words in ipairs { { "--unhandled=warn" }, { "--unhandled", "warn" } } do
        local result = with_script(FLOATING, table.unpack(words))
        assert.equal(0, result.code)
        assert.equal("goes on\n", result.out)
        assert.matches("unhandled rejection: [^\n]*:4: floating\nstack traceback:\n", result.err)
        assert.matches(":4: in async function", result.err)
      end
    end)

    it("raise ends the program, as without it", function()
      local result = with_script(FLOATING, "--unhandled=raise")
      assert.equal(1, result.code)
      assert.equal("", result.out)
      assert.matches(":4: floating", result.err)
    end)
  end)

  it("-v and --version print one line", function()
    for _, option in ipairs { "-v", "--version" } do
      local result = moontide(option, "no such script")
      assert.equal(0, result.code)
      assert.matches("^moontide %S+, Lua 5%.%d\n$", result.out)
    end
  end)

  it("-h and --help name every option and exit code", function()
    for _, option in ipairs { "-h", "--help" } do
      local result = moontide(option)
      assert.same({ code = 0, err = "" }, { code = result.code, err = result.err })
      for _, word in ipairs {
        "moontide check",
        "-e CODE", "-l NAME", "--unhandled=raise|warn", "-v, --version", "-h, --help", "  --  ",
        " 0 ", " 1 ", " 13 ", " 64 ", " 130 ", " 143 ", "os.exit",
      } do
        assert.is_truthy(result.out:find(word, 1, true), word)
      end
    end
  end)

  it("-- ends the options", function()
    local result = with_script("print(...)", "--unhandled=warn", "--")
    assert.same({ code = 0, out = "\n", err = "" }, result)
  end)

  it("hands what follows the script to that, untouched", function()
    local result = child.with_file("print(...)", function(path)
      return moontide("-e", "x = 1", path, "-e", "--unknown", "--", "-")
    end)
    assert.same({ code = 0, out = "-e\t--unknown\t--\t-\n", err = "" }, result)
  end)

  it("wrong usage is told with how it is used, on stderr, and exits with 64", function()
    for _, case in ipairs {
      { "unknown option '--unknown'", "--unknown" },
      { "unknown option '-x'", "-x", "script" },
      { "unknown option '--help=1'", "--help=1" },
      { "option '-e': a value is missing", "-e" },
      { "option '-l': a value is missing", "-e", "", "-l" },
      { "option '--unhandled': a value is missing", "--unhandled" },
      { "option '--unhandled': 'raise' or 'warn' expected, got 'ask'", "--unhandled=ask" },
      { "option '--unhandled': 'raise' or 'warn' expected, got ''", "--unhandled=" },
      { "no script given" },
      { "no script given", "--unhandled=warn" },
    } do
      local result = moontide(table.unpack(case, 2))
      assert.equal(64, result.code, case[1])
      assert.equal("", result.out)
      assert.is_truthy(result.err:find("moontide: " .. case[1] .. "\nusage: ", 1, true), result.err)
    end
  end)

  describe("standard input", function()
    it("is the script for -, with its arguments", function()
      for _, how in ipairs { "file", "pipe" } do
        local result = moontide_with("print(arg[0], ...)", how, "-", "one", "-e")
        assert.same({ code = 0, out = "-\tone\t-e\n", err = "" }, result)
      end
    end)

    it("is the script where it is a pipe or a file and nothing else is", function()
      for _, how in ipairs { "file", "pipe" } do
        local result = moontide_with("print(require('moontide').await('ran'))", how)
        assert.same({ code = 0, out = "ran\n", err = "" }, result)
      end
    end)

    it("is left alone where there is code", function()
      local result = moontide_with("typed\n", "pipe", "-e", "print(io.read())")
      assert.equal("typed\n", result.out)
    end)

    it("is called stdin in errors, and may begin with #!", function()
      local result = moontide_with("#!/usr/bin/env moontide\nerror('boom')", "pipe", "-")
      assert.equal(1, result.code)
      assert.matches("^moontide: stdin:2: boom\n", result.err)
      result = moontide_with("\nx =", "pipe")
      assert.equal(1, result.code)
      assert.matches("^moontide: stdin:2: ", result.err)
    end)
  end)

  it("has no frame of its own in traces", function()
    local result = with_script("error('boom')")
    assert.equal(1, result.code)
    assert.not_matches("command", result.err)
    assert.not_matches("xpcall", result.err)
  end)
end)
