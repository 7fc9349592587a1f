-- Public names and their annotations in lua/moontide/meta/, each way.
local core = require "moontide.core"
local tide = require "moontide"
local annotations = require "spec.support.annotations"
local leak = require "spec.support.leak"
local sockets = require "spec.support.sockets"

-- What each table of the meta files stands for: receiver -> the public names that it must declare.
-- Metamethods are no names.
local function names_of(t)
  local names = {}
  for name in pairs(t) do
    if type(name) == "string" and not name:match("^_") then
      names[name] = true
    end
  end
  return names
end

local function methods_of(object)
  local meta = getmetatable(object)
  return names_of(meta.methods or meta.__index)
end

-- All receivers that are declared: local name -> class.
local function declared_classes(text)
  local classes, class = {}, nil
  for line in text:gmatch("[^\n]+") do
    class = line:match("^%-%-%-@class%s+([%w_.]+)") or class
    local name = line:match("^local%s+([%w_]+)%s*=%s*{}")
    if name then
      assert(class, "no class for " .. name)
      assert(not classes[name], "two of the name " .. name)
      classes[name], class = class, nil
    end
  end
  return classes
end

-- The functions of a receiver, and the fields of its class: name -> number of its line.
local function declared_names(text, receiver, class)
  local names, number, fields_of = {}, 0, nil
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    if not line:match("^%-%-%-") then
      fields_of = nil
    end
    fields_of = line:match("^%-%-%-@class%s+([%w_.]+)") or fields_of
    local field = fields_of == class and line:match("^%-%-%-@field%s+([%a_][%w_]*)")
    local owner, name = line:match("^function%s+([%w_]+)[.:]([%w_]+)%s*%(")
    if not owner then
      owner, name = line:match("^([%w_]+)%.([%w_]+)%s*=")
    end
    if not owner then
      owner, name = line:match('^([%w_]+)%["([%w_]+)"%]%s*=')
    end
    if field then
      names[field] = number
    elseif owner == receiver then
      names[name] = number
    end
  end
  return names
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local text = annotations.text()
local classes = declared_classes(text)

local function check(receiver, public)
  local class = assert(classes[receiver], "no class for " .. receiver)
  local declared = declared_names(text, receiver, class)
  local missing, superfluous = {}, {}
  for name in pairs(public) do
    if not declared[name] then
      missing[#missing + 1] = name
    end
  end
  for name in pairs(declared) do
    if not public[name] then
      superfluous[#superfluous + 1] = name
    end
  end
  table.sort(missing)
  table.sort(superfluous)
  assert.same({}, missing, receiver .. ": public, but not annotated")
  assert.same({}, superfluous, receiver .. ": annotated, but not public")
end

local handle = tide.set_timeout(function() end, 1)
handle:close()

local var = tide.ContextVar("var", "default")

-- Those of the methods, and of the fields that it has.
local function object_names(object)
  local names = methods_of(object)
  for name in pairs(names_of(object)) do
    names[name] = true
  end
  return names
end

local function group_names()
  local names = names_of(core.Group)
  names.signal = true
  return names
end

local function signal_names()
  local names = methods_of(tide.AbortSignal.abort())
  names.aborted, names.reason = true, true
  return names
end

local receivers = {
  tide = function() return names_of(tide) end,
  PromiseClass = function() return names_of(tide.Promise) end,
  Promise = function() return methods_of(tide.Promise.resolve()) end,
  Handle = function() return methods_of(handle) end,
  ContextVar = function() return object_names(var) end,
  AbortSignal = signal_names,
  AbortSignalClass = function() return names_of(tide.AbortSignal) end,
  AbortController = function() return object_names(tide.AbortController()) end,
  Group = group_names,
  Semaphore = function() return methods_of(tide.semaphore(1)) end,
  Permit = function() return methods_of(tide.await(tide.mutex():acquire())) end,
  Event = function() return methods_of(tide.event()) end,
  Queue = function() return methods_of(tide.queue()) end,
  Signals = function()
    local signals <close> = tide.signal("SIGUSR1")
    return methods_of(signals)
  end,
  Stream = function() return names_of(core.net.Stream) end,
  Server = function()
    local server <close> = core.net.tcp_listen("127.0.0.1", 0)
    return methods_of(server)
  end,
  Generator = function() return methods_of(tide.generator(function() end)()) end,
  coroutine = function() return names_of(require "moontide.coroutine") end,
  dns = function() return names_of(require "moontide.dns") end,
  fs = function() return names_of(require "moontide.fs") end,
  File = function()
    local file <close> = tide.await(require("moontide.fs").open("Makefile"))
    return methods_of(file)
  end,
  Directory = function()
    local directory <close> = tide.await(require("moontide.fs").opendir("spec"))
    return methods_of(directory)
  end,
  Watch = function()
    local watch <close> = require("moontide.fs").watch("spec")
    return methods_of(watch)
  end,
  process = function() return names_of(require "moontide.process") end,
  Child = function()
    local pipes = { stdin = "pipe", stdout = "pipe", stderr = "pipe" }
    local child <close> = tide.await(require("moontide.process").spawn("true", nil, pipes))
    return object_names(child)
  end,
  net = function() return names_of(require "moontide.net") end,
  Service = function()
    local service <close> = tide.await(require("moontide.net").serve({}, function() end))
    return methods_of(service)
  end,
  UDP = function()
    local socket <close> = require("moontide.net").udp()
    return methods_of(socket)
  end,
  http = function() return names_of(require "moontide.http") end,
  Headers = function() return methods_of(require("moontide.http").headers()) end,
  Events = function()
    local names = methods_of(require("moontide.http.events").new())
    names.last_id = true
    return names
  end,
  Form = function() return methods_of(require("moontide.http.form").parse("")) end,
  Part = function()
    local names = { name = true, filename = true, type = true, headers = true, is_used = true }
    for name in pairs(require("moontide.http.part").methods) do
      names[name] = true
    end
    return names
  end,
  Client = function() return names_of(require("moontide.http.client").methods) end,
  Response = function()
    local response = require "moontide.http.response"
    local exchange = { url = "http://a/", transfer = { timings = function() end } }
    local names = object_names(response.new(exchange, 200, "1.1", "OK\r\n", false))
    for name in pairs(response.lazy) do
      names[name] = true
    end
    return names
  end,
  Request = function()
    local request = require "moontide.http.request"
    local names = object_names(request.new({}, "GET", "/", "", 1, 0, true, false))
    for name in pairs(request.lazy) do
      names[name] = true
    end
    return names
  end,
  WebSocket = function()
    local stream, other = sockets.pair()
    local ws <close> = require("moontide.http.websocket").new(stream, stream:chunks(),
      { is_client = false, max_message = 1, protocol = "p" })
    other:destroy()
    tide.await(ws:close())
    return object_names(ws)
  end,
  luasec = function() return names_of(require "moontide.luasec") end,
  LuaSecConnection = function()
    return names_of(require("moontide.luasec.connection").Connection.__index)
  end,
  luasocket = function() return names_of(require "moontide.luasocket") end,
  LuaSocketTcp = function() return methods_of(require("moontide.luasocket").tcp()) end,
  LuaSocketUdp = function() return methods_of(require("moontide.luasocket").udp()) end,
  stdio = function() -- opening them, which is what makes them fields, is for other processes
    local names = {}
    for name in pairs({ stdin = 0, stdout = 1, stderr = 2 }) do
      names[name] = true
    end
    return names
  end,
  system = function() return names_of(require "moontide.os") end,
  tls = function() return names_of(require "moontide.tls") end,
  -- What it has beyond every other stream.
  TLSStream = function()
    local client, server = sockets.pair("tls")
    local names = methods_of(client)
    sockets.close(client, server)
    for name in pairs(names_of(core.net.Stream)) do
      names[name] = nil
    end
    return names
  end,
  busted_helper = function() return names_of(require "moontide.busted") end,
  testing = function() return names_of(require "moontide.testing") end,
  Clock = function()
    local clock <close> = require("moontide.testing").clock()
    return methods_of(clock)
  end,
}

-- Raises unless each parameter of each function in the file is described, and no other.
local function check_parameters(path)
  local documented, number = {}, 0
  for line in io.lines(path) do
    number = number + 1
    local param = line:match("^%-%-%-@param%s+([%w_.]+)%??%s")
    if param then
      documented[param] = true
    end
    local params = line:match("^function%s+[%w_.:]+%(([^)]*)%)")
      or line:match("=%s*function%s*%(([^)]*)%)")
    for name in (params or ""):gmatch("[%w_.]+") do
      assert.is_true(documented[name], ("%s:%d: %s"):format(path, number, name))
      documented[name] = nil
    end
    if not line:match("^%-%-%-") then
      assert.is_nil(next(documented), ("%s:%d: %s"):format(path, number, next(documented)))
      documented = {}
    end
  end
end

describe("the annotations", function()
  after_each(leak.check)

  it("are in meta files, which are never run", function()
    for _, path in ipairs(annotations.paths()) do
      assert.matches("^%-%-%-@meta _\n", read(path), path)
      assert.is_truthy(loadfile(path), path)
    end
  end)

  for receiver, public in pairs(receivers) do
    it("name what is public, and nothing else: " .. receiver, function()
      check(receiver, public())
    end)
  end

  it("have no receiver that nothing is compared with", function()
    for receiver in pairs(classes) do
      assert.is_not_nil(receivers[receiver], receiver)
    end
  end)

  it("cover the same handle for timeouts, intervals and immediates", function()
    local interval <close> = tide.set_interval(function() end, 1)
    local immediate <close> = tide.set_immediate(function() end)
    for _, other in ipairs({ interval, immediate }) do
      assert.same(methods_of(handle), methods_of(other))
    end
  end)

  for _, path in ipairs(annotations.paths()) do
    it("describe each parameter of each function in " .. path, function()
      check_parameters(path)
    end)
  end

  it("would be missed if a name had none", function()
    local with_one_more = names_of(tide)
    with_one_more.no_such_name = true
    assert.has_error(function()
      check("tide", with_one_more)
    end)
    local with_one_less = names_of(tide)
    with_one_less.async = nil
    assert.has_error(function()
      check("tide", with_one_less)
    end)
  end)
end)
