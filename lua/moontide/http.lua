--- HTTP; the annotations are in meta/http.lua.
require "moontide.internal.version"()

---@class moontide.http
local M = {
  headers = require("moontide.http.headers").headers,
  serve = require("moontide.http.serve").serve,
}

return M
