--- finally(cleanup, f, ...): what f(...) returns or raises, after cleanup(nil or the error). It is
--- `<close>` for files that must compile in Lua 5.1, see version.lua; a coroutine that is closed
--- runs it as well.
local Cleanup = {
  __close = function(self, err)
    self.cleanup(err)
  end,
}

return function(cleanup, f, ...)
  local _ <close> = setmetatable({ cleanup = cleanup }, Cleanup)
  return f(...)
end
