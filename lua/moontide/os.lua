--- Facts about the system and the process; the annotations are in meta/os.lua.
---@type moontide.os
require "moontide.internal.version"()
local M = require("moontide.core").os

return M
