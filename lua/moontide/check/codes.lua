--- What can be found, by code: T0 and T1 are errors, T2 are hints.
local M = {}

---@type string[][] code and what it means
M.LIST = {
  { "T001", "the syntax is wrong" },
  { "T002", "a comment ignores what is no code" },
  { "T101", "a promise is dropped" },
  { "T102", "a promise as a condition" },
  { "T103", "a promise as an operand, or as an argument that cannot be one" },
  { "T104", "a promise as a key" },
  { "T105", "a field of a promise that it has not, a call of it, a loop over it" },
  { "T106", "pcall of a function whose errors are its promise's" },
  { "T107", "await, or run, where it is not possible" },
  { "T108", "a handler that does not return the promise of what it starts" },
  { "T109", "an async function for one who ignores its promises" },
  { "T110", "an empty handler of errors" },
  { "T111", "what is awaited is no promise, or an async function that is not called" },
  { "T112", "an argument or an option that there is not" },
  { "T113", "a closed object is returned" },
  { "T114", "a permit that nobody releases, or not on every way out" },
  { "T115", "a permit that is released twice" },
  { "T201", "calls one after the other that do not need one another" },
  { "T202", "calls one after the other, for each item of a list" },
}

local names = {}
for _, entry in ipairs(M.LIST) do
  names[entry[1]] = true
end

---@param code string
---@return boolean
function M.exists(code)
  return names[code] or false
end

---@param code string
---@return boolean
function M.is_hint(code)
  return code:find("^T2") ~= nil
end

return M
