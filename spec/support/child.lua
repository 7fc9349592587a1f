--- Runs commands and Lua scripts in processes of their own.
local M = {}

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

--- A word that the shell takes literally.
---@param word string
---@return string
function M.quote(word)
  return "'" .. word:gsub("'", [['\'']]) .. "'"
end

--- The interpreter that runs this suite, under whatever tool it was started with.
M.lua = arg and arg[-1] and arg[-1]:find("lua", 1, true) and arg[-1] or "lua5.4"

--- Calls `f` with the path of a file that holds `text`, and removes the file afterwards.
---@param text string
---@param f fun(path: string): ...
---@return ...
function M.with_file(text, f)
  local path = os.tmpname()
  local _ <close> = setmetatable({}, {
    __close = function()
      os.remove(path)
    end,
  })
  write(path, text)
  return f(path)
end

---@class spec.Result
---@field code integer exit status; 128 + number for a signal
---@field out string
---@field err string

--- Runs a shell command.
---@param command string
---@param input? string path of the file that it reads; it reads nothing without
---@return spec.Result
function M.shell(command, input)
  local out, err = os.tmpname(), os.tmpname()
  local _ <close> = setmetatable({}, {
    __close = function()
      os.remove(out)
      os.remove(err)
    end,
  })
  local full = ("%s >%s 2>%s <%s"):format(
    command,
    M.quote(out),
    M.quote(err),
    M.quote(input or "/dev/null")
  )
  local _, kind, code = os.execute(full)
  if kind == "signal" then
    code = code + 128
  end
  return { code = code, out = read(out), err = read(err) }
end

-- What the names of environment variables end with that are for this version of Lua.
local VERSION = "_" .. _VERSION:sub(5):gsub("%.", "_")

-- MOONTIDE_CHILD is a command to run them under: valgrind with its options, say.
local under = os.getenv("MOONTIDE_CHILD") or ""

--- The command that runs `script` with the module paths of this process.
---@param script string path
---@param ... string arguments
---@return string
function M.command(script, ...)
  local words = {
    "LUA_INIT" .. VERSION .. "= LUA_INIT=",
    "LUA_PATH" .. VERSION .. "=" .. M.quote(package.path),
    "LUA_CPATH" .. VERSION .. "=" .. M.quote(package.cpath),
    under,
    M.quote(M.lua),
    M.quote(script),
  }
  for _, word in ipairs({ ... }) do
    words[#words + 1] = M.quote(word)
  end
  return table.concat(words, " ")
end

--- Runs Lua source in a fresh interpreter.
---@param source string
---@param ... string arguments
---@return spec.Result
function M.lua_source(source, ...)
  local args = table.pack(...)
  return M.with_file(source, function(path)
    return M.shell(M.command(path, table.unpack(args, 1, args.n)))
  end)
end

return M
