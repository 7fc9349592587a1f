-- What a call raises, and what a promise is rejected with; both fail where there is no error.
local await = require("moontide").await

local M = {}

function M.raised(...)
  local ok, err = pcall(...)
  assert(not ok, "no error was raised")
  return err
end

function M.failure(p)
  return M.raised(await, p)
end

return M
