--- Clients: fetch, with a pool of connections and defaults for its options.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local fetching = require "moontide.http.fetching"
local line = require "moontide.async.line"
local names = require "moontide.http.names"
local outgoing = require "moontide.http.outgoing"
local pool = require "moontide.http.pool"
local tls_options = require "moontide.http.tls_options"

local M = {}

local FIELDS = {
  { "redirect", "string" },
  { "max_redirects", "integer" },
  { "timeout", "ms" },
  { "connect_timeout", "ms" },
  { "decompress", "boolean" },
  { "max_body", "limit" },
  { "auth", "table" },
  { "tls", "table" },
  { "version", "string" },
  { "path", "text" },
}

local FIELDS_OF_FETCHES = { { "method", "string" }, { "signal", "signal" } }

-- What defaults cannot say.
local OF_ONE_FETCH = { "body", "form", "json", "method", "multipart", "signal" }

local FIELDS_OF_CLIENTS = {
  { "base_url", "text" },
  { "cookies", "boolean" },
  { "max_connections", "count" },
  { "max_per_host", "count" },
}

local MAX_CONNECTIONS, MAX_PER_HOST = 256, 64
local URLS_MAX = 256 -- that are remembered

-- Fields: _pool; names; _defaults; _base, the URL's text or nil; _urls, parts of URLs by their
-- texts, _url_count of them.
local Client = { __name = "moontide.http.Client" }
local methods = {}
Client.__index = methods
M.methods = methods

---- options ----

local CHOICES = {
  redirect = { follow = true, error = true, manual = true },
  version = { ["1.1"] = true, ["2"] = true },
}

local function mistake_in_proxy(given)
  if given == nil or given == false then
    return nil
  elseif type(given) ~= "string" then
    return "field 'proxy': string or false expected, got " .. type(given)
  end
  local url = pool.url(given:find("://", 1, true) and given or "http://" .. given)
  return not url and ("field 'proxy': '%s' is no URL"):format(given) or nil
end

--- What is wrong with options, or nil.
local function mistake_in(options)
  local problem = argument.problem(options, FIELDS) or mistake_in_proxy(options.proxy)
  if problem then
    return problem
  end
  for name, choices in pairs(CHOICES) do
    if options[name] ~= nil and not choices[options[name]] then
      return ("field '%s': '%s' is not known"):format(name, options[name])
    end
  end
  return options.tls and tls_options.mistake(options.tls)
end

local NONE = {}

--- The options, and where they say nothing the defaults; headers are added to those.
local function merge(defaults, options)
  if not options or next(options) == nil then
    return defaults
  elseif next(defaults) == nil then
    return options
  end
  local all = {}
  for name, value in pairs(defaults) do
    all[name] = value
  end
  for name, value in pairs(options) do
    all[name] = value
  end
  return all
end

--- The headers of the options replace those of the defaults.
local function merge_headers(out, defaults)
  if not defaults.headers then
    return
  end
  local found = require("moontide.http.headers").headers(defaults.headers)
  for name, value in found:each() do
    if not out.headers:has(name) then
      out.headers:set(name, value)
    end
  end
end

---- URLs ----

--- The parts of a URL that can be fetched; or nil and what is wrong with it.
local function parse(text, base)
  local url = pool.url(text, base)
  if not url then
    return nil, ("'%s' is no URL"):format(text)
  elseif url.scheme ~= "http" and url.scheme ~= "https" then
    return nil, ("'%s': http or https expected"):format(text)
  elseif url.user or url.password then
    return nil, ("'%s' has credentials: option 'auth' is for these"):format(url.href)
  end
  return url
end

--- The same, remembered: many fetches are of few URLs.
local function url_of(self, text)
  local known = self._urls[text]
  if known then
    return known
  end
  local url, problem = parse(text, self._base)
  if url then
    self._url_count = self._url_count + 1
    if self._url_count > URLS_MAX then
      self._urls, self._url_count = {}, 1
    end
    self._urls[text] = url
  end
  return url, problem
end

---- fetch ----

--- What is to be sent, by options that are not none.
local function outgoing_of(self, options, name)
  argument.check_options(options, FIELDS_OF_FETCHES, 2, name)
  local problem = mistake_in(options)
  if problem then
    argument.fail(problem, 2, name)
  end
  local out, why = outgoing.of(options)
  if not out then
    argument.fail(why, 2, name)
  end
  merge_headers(out, self._defaults)
  return out
end

local function fetch(self, text, options, name)
  argument.check("text", text, 1, name)
  argument.check("table?", options, 2, name)
  local all = merge(self._defaults, options)
  local url, problem = url_of(self, text)
  if not url then
    argument.fail(problem, 1, name)
  end
  local out = next(all) == nil and outgoing.PLAIN or outgoing_of(self, all, name)
  local signal, refused = line.heed(options, 2, name)
  if not refused and self._pool:is_closed() then
    refused = core.Promise.reject(core.new_error("TypeError", "the client has been closed"))
  end
  if refused then
    outgoing.give_up(out)
    return refused
  end
  return fetching.fetch(self, url, out, all, signal)
end

function methods:fetch(url, options)
  argument.check_self(self, Client, "client:fetch")
  return fetch(self, url, options, "client:fetch")
end

function methods:close()
  argument.check_self(self, Client, "client:close")
  self._pool:close()
end

function Client:__close()
  methods.close(self)
end

---- making ----

--- A copy of the defaults for fetches.
local function defaults_of(options)
  local kept = {}
  for name, value in pairs(options) do
    kept[name] = value
  end
  for _, field in ipairs(FIELDS_OF_CLIENTS) do
    kept[field[1]] = nil
  end
  for _, name in ipairs(OF_ONE_FETCH) do
    kept[name] = nil
  end
  return kept
end

--- What is wrong with the options of a client, or nil.
local function mistake_of_client(options)
  local problem = argument.problem(options, FIELDS_OF_CLIENTS) or mistake_in(options)
  if not problem then
    problem = select(2, outgoing.of(defaults_of(options)))
  end
  if not problem and options.base_url and not parse(options.base_url) then
    problem = ("field 'base_url': '%s' is no URL"):format(options.base_url)
  end
  return problem
end

local function new(defaults)
  return setmetatable({
    _pool = pool.new({
      max_connections = defaults.max_connections or MAX_CONNECTIONS,
      max_per_host = defaults.max_per_host or MAX_PER_HOST,
      cookies = defaults.cookies or false,
    }),
    names = names.new(),
    _urls = {},
    _url_count = 0,
    _defaults = defaults_of(defaults),
    _base = defaults.base_url,
  }, Client)
end

function M.client(defaults)
  argument.check("table?", defaults, 1, "http.client")
  pool.check(2)
  defaults = defaults or NONE
  local problem = mistake_of_client(defaults)
  if problem then
    argument.fail(problem, 1, "http.client")
  end
  return new(defaults)
end

local shared -- the client of http.fetch, made when it is first used

function M.fetch(url, options)
  pool.check(2)
  shared = shared or new(NONE)
  return fetch(shared, url, options, "http.fetch")
end

return M
