--- How much work a spec about large numbers does: all of it, or less under a slow build.
---
--- A full collection before every job makes N suspended functions cost N * N.
local divisors = { asan = 10, gcstress = 1000 }

---@param n integer
---@return integer
return function(n)
  return n // (divisors[os.getenv "MOONTIDE_BUILD"] or 1)
end
