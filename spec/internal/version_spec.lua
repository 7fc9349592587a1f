-- Older interpreters, where there are any: each module that users can require says what is wrong.
local child = require "spec.support.child"

local function modules()
  local names = {}
  for path in child.shell("ls lua/moontide/*.lua").out:gmatch("moontide/([%w_]+)%.lua") do
    names[#names + 1] = path == "init" and "moontide" or "moontide." .. path
  end
  return names
end

local function is_there(interpreter)
  return child.shell("command -v " .. interpreter).code == 0
end

describe("an older Lua", function()
  for _, interpreter in ipairs { "lua5.1", "lua5.2", "lua5.3", "luajit" } do
    it("is refused in one line by every module: " .. interpreter, function()
      if not is_there(interpreter) then
        pending(interpreter .. " is not there")
      end
      local names = modules()
      assert.is_true(#names > 5)
      local source = ("package.path = %q\n"):format(package.path)
        .. "for i = 1, #arg do print(arg[i], select(2, pcall(require, arg[i]))) end\n"
        .. "print(type(jit) == 'table' and jit.version or _VERSION)"
      local result = child.with_file(source, function(path)
        return child.shell(
          "LUA_INIT= " .. interpreter .. " " .. path .. " " .. table.concat(names, " ")
        )
      end)
      assert.equal("", result.err)
      local found = result.out:match("([^\n]+)\n$")
      local message = "moontide needs Lua 5.4.3 or later, and this is " .. found
      local expected = {}
      for i, name in ipairs(names) do
        expected[i] = name .. "\t" .. message .. "\n"
      end
      assert.equal(table.concat(expected) .. found .. "\n", result.out)
    end)
  end
end)
