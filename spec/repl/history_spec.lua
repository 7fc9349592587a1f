local child = require "spec.support.child"
local files = require "spec.support.files"
local fs = require "moontide.fs"
local history = require "moontide.repl.history"
local leak = require "spec.support.leak"
local system = require "moontide.os"
local tide = require "moontide"

local await = tide.await

-- Calls f in an environment with these variables; false: without.
local function with(variables, f)
  local before = {}
  local _ <close> = setmetatable({}, {
    __close = function()
      for name in pairs(variables) do
        if before[name] then system.setenv(name, before[name]) else system.unsetenv(name) end
      end
    end,
  })
  for name, value in pairs(variables) do
    before[name] = os.getenv(name)
    if value then system.setenv(name, value) else system.unsetenv(name) end
  end
  return f()
end

-- The history that a session with the file begins with, and what it then tells of the lines.
local function session(path, ...)
  local h = with({ MOONTIDE_HISTORY = path }, function()
    return await(history.open())
  end)
  local before, told = table.move(h.lines, 1, #h.lines, 1, {}), {}
  for _, line in ipairs { ... } do
    h:add(line, function(part)
      told[#told + 1] = part
    end)
  end
  await(h.written)
  return before, told
end

describe("the REPL's history", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("is kept in a file, which is the user's alone", function()
    local path = files.directory() .. "/history"
    assert.same({}, (session(path, "1 + 1", "x = 2")))
    assert.equal("1 + 1\nx = 2\n", files.read(path))
    assert.equal(384, await(fs.stat(path)).mode & 511)
    assert.same({ "1 + 1", "x = 2" }, (session(path, "x")))
    assert.same({ "1 + 1", "x = 2", "x" }, (session(path)))
  end)

  it("keeps a last line that has no end apart from the next one", function()
    local path = files.directory() .. "/history"
    files.write(path, "1\n2")
    assert.same({ "1", "2" }, (session(path, "3")))
    assert.equal("1\n2\n3\n", files.read(path))
  end)

  it("has each of several lines; none that is empty, or the same as before", function()
    local path = files.directory() .. "/history"
    local _, told = session(path, "a\nb", "", "  ", "b", "a")
    assert.same({ "a", "b", "a" }, told)
    assert.equal("a\nb\na\n", files.read(path))
  end)

  it("has a thousand lines at most", function()
    local path = files.directory() .. "/history"
    local lines = {}
    for i = 1, 1200 do
      lines[i] = "line " .. i
    end
    files.write(path, table.concat(lines, "\n") .. "\n")
    local before = session(path)
    assert.equal(1000, #before)
    assert.equal("line 201", before[1])
    assert.matches("^line 201\n.*\nline 1200\n$", files.read(path))
  end)

  it("does without a file that cannot be written", function()
    local path = files.directory() .. "/none/history"
    local before, told = session(path, "a")
    assert.same({ {}, { "a" } }, { before, told })
  end)

  it("is in the home, unless another file is named, or none", function()
    local home = files.directory()
    for variables, expected in pairs {
      [{ HOME = home, MOONTIDE_HISTORY = false }] = home .. "/.moontide_history",
      [{ HOME = home, MOONTIDE_HISTORY = "/other" }] = "/other",
      [{ HOME = home, MOONTIDE_HISTORY = "" }] = false,
      [{ HOME = "", MOONTIDE_HISTORY = false }] = false,
      [{ HOME = false, MOONTIDE_HISTORY = false }] = false,
    } do
      local h = with(variables, function()
        return await(history.open())
      end)
      assert.equal(expected, h.path or false)
    end
  end)

  it("does not keep a session from starting that has no home", function()
    local command = "env -u HOME -u MOONTIDE_HISTORY " .. child.command("bin/moontide", "-i")
    local result = child.with_file("'at home'\n", function(path)
      return child.shell(command, path)
    end)
    assert.equal(0, result.code)
    assert.matches('"at home"', result.out)
  end)
end)
