--- Compiles C for a spec, with the compiler and the Lua of the build.
local child = require "spec.support.child"

local M = {}

local function output_of(command)
  local result = child.shell(command)
  assert(result.code == 0, result.err)
  return (result.out:gsub("%s+$", ""))
end

--- Runs the compiler; raises what it says.
---@param source string path
---@param output string path
---@param ... string arguments of the compiler
local function compile(source, output, ...)
  local words = { os.getenv("CC") or "cc", "-std=gnu99", "-Wall", "-Wextra", "-Werror", "-o" }
  words[#words + 1] = child.quote(output)
  words[#words + 1] = child.quote(source)
  table.move({ ... }, 1, select("#", ...), #words + 1, words)
  output_of(table.concat(words, " "))
end

local function lua_flags(kind)
  return output_of("pkg-config " .. kind .. " $(sh tools/find.sh lua-pc)")
end

--- A module of Lua.
---@param source string path
---@param output string path of the library
---@param ... string arguments of the compiler
function M.module(source, output, ...)
  local bundle = output_of("uname -s") == "Darwin" and "-bundle -undefined dynamic_lookup"
  compile(source, output, bundle or "-shared", "-fPIC", lua_flags("--cflags"), ...)
end

--- A module of Lua that has llhttp in it, strict as the one that moontide is built with.
---@param source string path
---@param output string path of the library
function M.llhttp_module(source, output)
  local library = output_of("pkg-config --libs --cflags libllhttp 2>/dev/null "
    .. "|| echo -w -DLLHTTP_STRICT_MODE -I/usr/share/include/llhttp /usr/share/llhttp/*.c")
  M.module(source, output, library)
end

--- A program that has Lua in it.
---@param source string path
---@param output string path of the program
function M.program(source, output)
  compile(source, output, lua_flags("--cflags"), "-Wl,-export-dynamic", lua_flags("--libs"))
end

return M
