--- Files, through libuv's thread pool; the annotations are in meta.lua.
---@type moontide.fs
local M = require("moontide.core").fs

return M
