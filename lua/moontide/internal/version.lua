--- A function that raises where Lua is too old, before something fails that tells nobody why: the
--- module of C does not load there. What users can require begins with it; such a file, and this
--- one, must compile in Lua 5.1.
local jit = rawget(_G, "jit")

local major, minor = _VERSION:match("^Lua (%d+)%.(%d+)$")
local is_old = tonumber(major) * 100 + tonumber(minor) < 504

return function()
  if is_old then
    error("moontide needs Lua 5.4.3 or later, and this is " .. (jit and jit.version or _VERSION), 0)
  end
end
