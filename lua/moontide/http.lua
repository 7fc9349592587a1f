--- HTTP; the annotations are in meta/http.lua.
require "moontide.internal.version"()

---@class moontide.http
local client = require "moontide.http.client"

local M = {
  client = client.client,
  fetch = client.fetch,
  headers = require("moontide.http.headers").headers,
  redirect = require("moontide.http.redirect").redirect,
  serve = require("moontide.http.serve").serve,
  static = require("moontide.http.static").static,
}

return M
