--- Random numbers that a seed decides, apart from math.random, whose state is busted's.

---@param seed integer
---@return fun(m: integer, n?: integer): integer random like math.random with integers
return function(seed)
  local state = seed * 2654435761 % 2147483647 + 1
  return function(m, n)
    if n == nil then
      m, n = 1, m
    end
    state = state * 48271 % 2147483647
    return m + state // 8 % (n - m + 1)
  end
end
