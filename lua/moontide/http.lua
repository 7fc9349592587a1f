--- HTTP; the annotations are in meta/http.lua.
require "moontide.internal.version"()

---@class moontide.http
local client = require "moontide.http.client"

local M = {
  client = client.client,
  events = require("moontide.http.events").events,
  fetch = client.fetch,
  headers = require("moontide.http.headers").headers,
  redirect = require("moontide.http.redirect").redirect,
  serve = require("moontide.http.serve").serve,
  static = require("moontide.http.static").static,
  websocket = require("moontide.http.websocket_client").websocket,
}

return M
