-- Of: repl/session, repl/console, repl/interruption, repl/plain, repl/reader, repl/readline,
-- Of: repl/waiting
local child = require "spec.support.child"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local terminal = require "spec.support.terminal"

local CTRL_A <const>, CTRL_C <const>, CTRL_D <const>, TAB <const> = "\1", "\3", "\4", "\t"

local NO_READLINE <const> = "package.preload.readline = function() error('none') end"

local has_readline = pcall(require, "readline")

--- Lines that come through a pipe.
local function typed(text, ...)
  local command = child.command("bin/moontide", "-i", ...)
  return child.with_file(text, function(path)
    return child.shell(("(cat %s | %s)"):format(child.quote(path), command))
  end)
end

--- What is printed, without the prompts; and on stderr.
local function answers(text, ...)
  local result = typed(text, ...)
  assert.equal(0, result.code)
  local out = ("\n" .. result.out):gsub("\n[> ]+", "\n")
  return out:match("^\n*(.-)\n*$"), result.err
end

describe("the REPL", function()
  after_each(leak.check)

  it("prints the values of expressions, and runs statements", function()
    assert.equal('3\n"a"\tnil\t{ 1 }\nprinted\n5',
      answers('1 + 2\n"a", nil, {1}\nprint("printed")\nx = 5\nx\n'))
  end)

  it("awaits at top level", function()
    assert.equal('"slept"', answers('tide.await(tide.sleep(1)) return "slept"\n'))
    assert.equal('{ 1, 2, n = 2 }\n"late"', answers(
      'tide.map({1, 2}, async(function(x) await(tide.sleep(1)) return x end)):await()\n'
        .. 'await(tide.sleep(1):next(function() return "late" end))\n'))
  end)

  it("has the last result in _", function()
    assert.equal('42\n43\n43\n"b"\t1', answers('42\n_ + 1\nprint(_)\n({ "b", 1 })[1], 1\nx = _\n'))
  end)

  it("goes on reading where a chunk is not complete", function()
    assert.equal("1\n2\n{ 1, 2 }\n7\n\"a\\nb\"",
      answers("for i = 1, 2 do\n  print(i)\nend\n{ 1,\n2 }\n3 +\n4\n[[a\nb]]\n"))
  end)

  it("says what is wrong with a chunk, and goes on", function()
    local out, err = answers("x = = 1\n1\nf(")
    assert.equal("1", out)
    assert.equal([[
stdin:1: unexpected symbol near '='
stdin:1: unexpected symbol near <eof>
]], err)
  end)

  it("takes `=` before an expression, as lua does, and tells of a string without an end", function()
    local out, err = answers("=1 + 2\n = 3, 4\n'abc\n'ab\\\nc'\n7\n")
    assert.equal('3\n3\t4\n"ab\\nc"\n7', out)
    assert.equal("stdin:1: unfinished string near ''abc'\n", err)
  end)

  it("tells errors with a trace, and goes on", function()
    local out, err = answers("error('bad')\nerror({})\n1\n")
    assert.equal("1", out)
    assert.matches("^stdin:1: bad\nstack traceback:\n.*error object is a table", err)
    assert.is_nil(err:find("repl", 1, true), err)
  end)

  it("tells rejections that nothing handles, and goes on", function()
    local out, err = answers("tide.Promise.reject('r')\n1\n")
    assert.equal('Promise { <rejected> "r" }\n1', out)
    assert.matches("^unhandled rejection: r\n", err)
  end)

  it("tells of a deadlock, and goes on", function()
    local out, err = answers("await(tide.queue():pop())\n1\n")
    assert.equal("1", out)
    assert.matches("^DeadlockError: ", err)
  end)

  it("comes after the script, with what that has begun, even if that has failed", function()
    local out, err = child.with_file([[
      local tide = require "moontide"
      x, help = ..., "help"
      tide.set_timeout(function() y = 1 end, 1)
      error("failed")
    ]], function(path)
      return answers("x, help\nawait(tide.sleep(10))\ny\n", path, "arg")
    end)
    assert.equal('"arg"\t"help"\n1', out)
    assert.matches("failed", err)
  end)

  it("is as its page shows it", function()
    local shown = files.read("docs/command.md"):match("\n    %$ moontide\n(.-\n)\n")
    local lines, printed = {}, {}
    for line in shown:gmatch("    ([^\n]*)\n") do
      local input = line:match("^>+ (.*)")
      table.insert(input and lines or printed, input or line)
    end
    assert.equal(table.concat(printed, "\n"), (answers(table.concat(lines, "\n") .. "\n")))
  end)

  it("is left by os.exit with its code", function()
    assert.equal(7, typed("os.exit(7)\n").code)
  end)

  it("ends with the reports of debug mode", function()
    local result = typed("do async(function() end)() end\n", "--debug=error")
    assert.matches("nobody awaits this call", result.err)
    assert.equal(1, result.code)
  end)

  it("is not where nobody types", function()
    local result = child.shell(child.command("bin/moontide"))
    assert.equal(64, result.code)
  end)
end)

if not terminal.is_there() then
  return pending("util-linux' script, which makes terminals, is not installed")
end

--- Types at a session; f is given the terminal.
local function with_terminal(variables, arguments, f)
  local t <close> = terminal.open(variables, table.unpack(arguments))
  f(t)
end

for _, kind in ipairs { "lua-readline", "plain lines" } do
  local is_plain = kind == "plain lines"

  local function session(f)
    with_terminal({ MOONTIDE_HISTORY = "" }, is_plain and { "-i", "-e", NO_READLINE } or {}, f)
  end

  describe("the REPL at a terminal, with " .. kind .. ",", function()
    after_each(leak.check)

    if not is_plain and not has_readline then
      pending("lua-readline is not installed")
      return
    end

    it("is left with Ctrl-D, and 0", function()
      session(function(t)
        t:enter("6 * 7")
        t:expect("42")
        t:expect("> ")
        t:type(CTRL_D)
        local _, code = t:finish()
        assert.equal(0, code)
      end)
    end)

    it("goes on with other things while somebody types", function()
      session(function(t)
        t:enter("n = 0; tide.set_interval(function() n = n + 1; "
          .. "if n == 5 then print(n, 'times') end end, 1)")
        t:expect("5\ttimes")
      end)
    end)

    it("drops the line at Ctrl-C", function()
      session(function(t)
        t:expect("> ")
        t:type("error('not this')")
        t:expect("this')")
        t:type(CTRL_C)
        t:enter("'dropped'")
        t:expect('"dropped"')
        t:enter("if x then")
        t:expect(">> ")
        t:type(CTRL_C)
        t:enter("'dropped again'")
        t:expect('"dropped again"')
      end)
    end)

    local count = "tide.set_interval(function() background = background + 1 end, 1)"
    local spin = "while true do end"

    for what, line in pairs {
      ["an await"] = "print 'ready'; await(tide.sleep(1e8))",
      ["the await of a call"] = "print 'ready'; "
        .. "await(async(function() await(tide.sleep(1e8)) end)())",
      ["the await of what ignores it"] = "print 'ready'; "
        .. "await(async(function() while true do pcall(await, tide.sleep(1e3)) end end)())",
      ["the await of a list"] = "print 'ready'; await(tide.Promise.all { tide.sleep(1e8) })",
      ["the await of a group"] = "print 'ready'; "
        .. "await(tide.group(function(g) g:spawn(tide.sleep, 1e8) end))",
      ["a loop over a generator"] = "print 'ready'; await(async(function() "
        .. "for _ in numbers() do end end)())",
      ["the await of a generator"] = "print 'ready'; await(async(function() "
        .. "local g = numbers(); await(g:next()); await(g:next()) end)())",
      ["an endless loop"] = "print 'ready'; " .. spin,
      ["an endless loop of awaits"] = "print 'ready'; while true do await(nil) end",
      ["an endless loop in an async function"] = "print 'ready'; "
        .. "await(async(function() while true do end end)())",
      ["one that is not awaited"] = "print 'ready'; async(function() while true do end end)(); "
        .. "await(tide.sleep(1e8))",
      ["one in the child of a group"] = "print 'ready'; await(tide.group(function(g) "
        .. "g:spawn(function() await(tide.sleep(1)); while true do end end) end))",
      ["one in a callback"] = "tide.set_timeout(function() print 'ready'; " .. spin .. " end, 1); "
        .. "await(tide.sleep(1e8))",
    } do
      it("ends " .. what .. " at Ctrl-C, and has a prompt again", function()
        session(function(t)
          t:enter("background = 0; " .. count)
          t:enter("numbers = tide.generator(function(yield) "
            .. "await(tide.sleep(1)); yield(1); await(tide.sleep(1e8)) end)")
          for i = 1, 2 do
            t:enter(line)
            t:expect("ready\r\n")
            t:type(CTRL_C)
            t:expect("AbortError: interrupted by SIGINT")
            t:enter(i .. " + 40")
            t:expect(40 + i .. "\r\n")
          end
          t:enter("before = background; await(tide.sleep(50)) return background > before")
          t:expect("true\r\n")
        end)
      end)
    end

    it("takes a Ctrl-C that is held down for one", function()
      session(function(t)
        t:enter("print('rea', 'dy'); while true do end")
        t:expect("rea\tdy\r\n")
        t:type(CTRL_C .. CTRL_C .. CTRL_C)
        t:expect("AbortError")
        t:enter("'back'")
        t:expect('"back"')
      end)
    end)

    it("ends what is caught before, at the next Ctrl-C", function()
      session(function(t)
        t:enter("spin = async(function() "
          .. "for i = 1, 2 do pcall(function() print 'ready'; while true do end end) end end)")
        t:enter("await(spin())")
        t:expect("ready\r\n")
        t:type(CTRL_C)
        t:expect("ready\r\n")
        t:type(CTRL_C)
        t:enter("'back'")
        t:expect('"back"')
      end)
    end)

    for what, line in pairs {
      ["calls"] = "again(spin)",
      ["calls in an async function"] = "await(async(again)(spin))",
      ["awaits"] = "again(await, tide.sleep(1e8))",
      ["calls in a callback"] = "tide.set_timeout(again, 1, spin); await(tide.sleep(1e8))",
      ["calls in a function that is not awaited"] = "tide.set_immediate(async(again), spin)",
    } do
      it("ends what catches all errors of its " .. what .. ", at the second Ctrl-C", function()
        session(function(t)
          t:enter("spin = function() while true do end end")
          t:enter("again = function(f, ...) print('be', 'gun'); "
            .. "while true do pcall(f, ...); print('cau', 'ght') end end")
          t:enter(line)
          t:expect("be\tgun\r\n")
          t:type(CTRL_C)
          t:expect("cau\tght\r\n")
          t:type(CTRL_C)
          t:enter("'back'")
          t:expect('"back"')
        end)
      end)
    end

    it("leaves other functions alone at Ctrl-C", function()
      session(function(t)
        t:enter("go = tide.event()")
        t:enter("async(function() go:wait():await(); print('still', 'there') end)()")
        t:enter("print('ready'); await(tide.sleep(1e8))")
        t:expect("ready\r\n")
        t:type(CTRL_C)
        t:enter("go:set()")
        t:expect("still\tthere")
      end)
    end)

    it("ends a callback that does not come back", function()
      session(function(t)
        t:enter("tide.set_timeout(function() print 'ready'; while true do end end, 1)")
        t:expect("ready\r\n")
        t:type(CTRL_C)
        t:enter("'back'")
        t:expect('"back"')
      end)
    end)

    it("lets a call clean up that was awaited", function()
      session(function(t)
        t:enter("f = async(function() local ok, err = pcall(await, tide.sleep(1e8)) "
          .. "print(err.name); await(tide.sleep(10)); print('cleaned up', 'well') end)")
        t:enter("print('ready'); await(f())")
        t:expect("ready\r\n")
        t:type(CTRL_C)
        t:expect("cleaned up\twell")
      end)
    end)

    it("is ended by SIGTERM, with 143", function()
      session(function(t)
        t:enter("pid = require('moontide.os').pid()")
        t:enter("os.execute('(sleep 0.1; kill ' .. pid .. ') &'); await(tide.sleep(1e8))")
        local _, code = t:finish()
        assert.equal(143, code)
      end)
    end)
  end)
end

-- Runs the source when the file is there.
local MEANWHILE <const> = "async(function() repeat await(tide.sleep(1)) until io.open(%q); "
  .. "%s end)()"

describe("the line that is being typed", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  local function session(f)
    with_terminal({ MOONTIDE_HISTORY = "" }, { "-i" }, f)
  end

  if not has_readline then
    pending("lua-readline is not installed")
    return
  end

  --- Runs the source while `half` stands behind the prompt.
  local function meanwhile(t, source, half)
    local path = files.directory() .. "/go"
    t:enter(MEANWHILE:format(path, source))
    t:expect("> ")
    t:type(half)
    t:expect((half:gsub("%c", "")))
    files.write(path, "")
  end

  for what, source in pairs {
    ["print"] = "print 'above'",
    ["io.write"] = "io.write('ab', 'ove', '\\n')",
    ["io.write without an end of the line"] = "io.write('ab'); io.write('ove', '')",
    ["io.stdout"] = "io.stdout:write('above\\n')",
    ["io.stderr"] = "io.stderr:write('above\\n')",
    ["moontide.stdio"] = "require('moontide.stdio').stdout:write('above\\n')",
    ["errors of callbacks"] = "tide.set_immediate(error, 'above')",
    ["rejections"] = "error('above', 0)",
  } do
    it("stays below what is printed with " .. what, function()
      session(function(t)
        meanwhile(t, source, "'typed ' .. ")
        t:expect("above")
        t:expect("'typed ' .. ")
        t:type("'on'\r")
        t:expect('"typed on"')
        t:expect("> ")
        t:type(CTRL_D)
        local shown = t:finish()
        assert.matches("\n[^\n>]*above\n.*> 'typed ' %.%. 'on'\n\"typed on\"\n>", shown)
        assert.is_nil(shown:find("'typed ' .. \n", 1, true), shown)
      end)
    end)
  end

  it("stays where one types on before it is shown again", function()
    session(function(t)
      t:enter("busy = function() local t = os.clock() repeat until os.clock() - t >= 0.3 end")
      meanwhile(t, "print 'above'; busy()", "'typed ' .. ")
      t:expect("above")
      t:type("'on'\r")
      t:expect('"typed on"')
      local shown = t:screen()
      assert.is_truthy(shown:find("\nabove\n> 'typed ' .. 'on'\n\"typed on\"", 1, true), shown)
    end)
  end)

  it("stays where it takes several rows, with the cursor inside", function()
    local long = ("x"):rep(200)
    session(function(t)
      meanwhile(t, "print 'above'", "#'" .. long .. "'" .. CTRL_A)
      t:expect("above")
      t:expect("> #'" .. long)
      t:type("1 + \r")
      t:expect("201")
      t:expect("> ")
      t:type(CTRL_D)
      local shown = t:finish()
      local rows = ("> 1 + #'" .. long .. "'"):gsub(("."):rep(80), "%0\n")
      assert.is_truthy(shown:find("\nabove\n" .. rows .. "\n201\n", 1, true), shown)
    end)
  end)

  for what, source in pairs {
    ["os.exit"] = "os.exit(143)",
    ["os.exit, and the state,"] = "tide.set_immediate(os.exit, 143, true)",
    ["SIGTERM"] = "os.execute('kill ' .. require('moontide.os').pid())",
  } do
    it("is gone when " .. what .. " ends the program, and the terminal is as before", function()
      session(function(t)
        meanwhile(t, source, "half a line")
        local shown, code = t:finish()
        assert.equal(143, code)
        assert.is_nil(shown:find("half", 1, true), shown)
        assert.matches("\27%[%?2004l$", t.received)
      end)
    end)
  end

  it("is as wide as the terminal is now", function()
    session(function(t)
      meanwhile(t, "os.execute 'stty cols 40 </dev/tty'; print 'above'", "1 + 1")
      t:expect("above")
      t:expect("> 1 + 1")
      t:type(" --" .. ("x"):rep(40) .. CTRL_A)
      t:expect("\27[A") -- the cursor is a row higher
      t:type("\r")
      t:expect("2\r\n")
    end)
  end)

  it("leaves no descriptor open when it is dropped", function()
    local function descriptors(t)
      t:enter("#require('moontide.fs').scandir('/proc/self/fd'):await()")
      t:expect("%d+\r\n", true)
      return tonumber(t.received:match("(%d+)\r\n[^\n]*$"))
    end
    session(function(t)
      t:enter("1")
      local before = descriptors(t)
      for _ = 1, 3 do
        t:enter("if x then")
        t:expect(">> ")
        t:type(CTRL_C)
      end
      assert.equal(before, descriptors(t))
    end)
  end)

  it("may be several that are pasted", function()
    session(function(t)
      t:expect("> ")
      t:type("\27[200~for i = 1, 2 do\rprint(i * 11)\rend\27[201~\r")
      t:expect("11\r\n22\r\n")
      t:expect("> ")
      t:type("1 * 3\r2 * 3\r3 * 3\r") -- the same in a terminal that does not tell of pasting
      t:expect("3\r\n")
      t:expect("6\r\n")
      t:expect("9\r\n")
    end)
  end)

  it("is completed", function()
    session(function(t)
      t:enter("tide.set_time" .. TAB .. "(print, 1, 'a' .. 'b')")
      t:expect("ab\r\n")
      t:enter("q = tide.queue()")
      t:enter("q:pu" .. TAB .. "('item')")
      t:enter("q:try_po" .. TAB .. "()")
      t:expect('"item"')
      t:enter('require "moontide.dn' .. TAB .. ".lookup ~= nil")
      t:expect("true\r\n")
    end)
  end)

  it("can be one of an earlier session", function()
    local path = files.directory() .. "/history"
    for _, line in ipairs { "'first ' .. 'session'", "\27[A" } do -- the second time: up
      with_terminal({ MOONTIDE_HISTORY = path }, {}, function(t)
        t:enter(line)
        t:expect('"first session"')
        t:expect("> ")
        t:type(CTRL_D)
        t:finish()
      end)
    end
  end)
end)
