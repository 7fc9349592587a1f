-- What public functions say of what they are called with: in one way, whichever function it is.
local annotations = require "spec.support.annotations"
local certificates = require "spec.support.certificates"
local core = require "moontide.core"
local failure = require("spec.support.raised").failure
local files = require "spec.support.files"
local fs = require "moontide.fs"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local raised = require("spec.support.raised").raised
local sockets = require "spec.support.sockets"
local tide = require "moontide"
local tls = require "moontide.tls"
local walk = require "spec.support.walk"

local await, sleep = tide.await, tide.sleep

local HERE = "^spec/cross/arguments_spec.lua:%d+: "

--- Checks the whole message of what the call raises at the line that makes it.
local function refuses(message, f, ...)
  local arguments = table.pack(...)
  local err = raised(function()
    local result = f(table.unpack(arguments, 1, arguments.n))
    return result
  end)
  assert.equal("string", type(err), tostring(err))
  assert.matches(HERE, err)
  assert.equal(message, (err:gsub(HERE, "")))
end

local function over()
  tide.on_wake()
  files.remove()
  leak.check()
end

describe("a bad argument", function()
  after_each(over)

  it("is told in the function's own name, whatever the caller calls it", function()
    local message = "bad argument #1 to 'fs.stat' (string expected, got nil)"
    local stat, wrapped = fs.stat, { f = fs.stat }
    refuses(message, fs.stat)
    refuses(message, function() return (stat()) end)
    refuses(message, function() return (wrapped.f()) end)
    assert.equal(message, raised(fs.stat))
    refuses("bad argument #1 to 'sleep' (number expected, got string)", sleep, "1")
    refuses("bad argument #1 to 'Promise' (function expected, got nil)", tide.Promise)
    refuses("bad argument #1 to 'Promise.all' (table expected, got nil)", tide.Promise.all)
    refuses("bad argument #1 to 'clear_interval' (moontide.Handle expected, got table)",
      tide.clear_interval, {})
  end)

  it("of a method is counted from the one after self", function()
    local queue = tide.queue()
    refuses("bad argument #1 to 'queue:push' (value expected, got nil)", queue.push, queue)
    refuses("bad argument #2 to 'queue:push' (table expected, got number)", queue.push, queue, 1, 2)
    refuses("calling 'queue:push' on bad self (moontide.Queue expected, got nil)", queue.push)
    refuses("calling 'queue:push' on bad self (moontide.Queue expected, got moontide.Event)",
      queue.push, tide.event())
    refuses("calling 'promise:next' on bad self (Promise expected, got number)",
      tide.Promise.resolve().next, 5)
  end)

  it("that is a number out of its range is shown", function()
    refuses("bad argument #1 to 'semaphore' (positive integer expected, got 0)", tide.semaphore, 0)
    refuses("bad argument #1 to 'semaphore' (positive integer expected, got 1.5)",
      tide.semaphore, 1.5)
    refuses("bad argument #1 to 'queue' (non-negative integer expected, got -1)", tide.queue, -1)
    refuses("bad argument #2 to 'group' (field 'grace': non-negative number expected, got nan)",
      tide.group, walk.nothing, { grace = 0 / 0 })
    assert.is_not_nil(tide.semaphore(2.0))
  end)
end)

describe("options are checked:", function()
  after_each(over)

  it("the mode of a file", function()
    local path = files.directory() .. "/file"
    local start = "bad argument #3 to 'fs.write_file' (field 'mode': "
    for _, mode in ipairs({ "0644", true, 010000, -1, 1.5 }) do
      local got = type(mode) == "number" and tostring(mode) or type(mode)
      refuses(start .. "integer from 0 to 4095 expected, got " .. got .. ")", fs.write_file, path,
        "text", { mode = mode })
    end
    assert.is_nil(io.open(path))
    assert.matches("#2 to 'fs.mkdir' %(field 'mode'", raised(fs.mkdir, path, { mode = "0755" }))
    assert.matches("#3 to 'fs.open' %(field 'mode'", raised(fs.open, path, "w", { mode = "0644" }))
  end)

  it("flags", function()
    local path = files.directory() .. "/file"
    refuses("bad argument #3 to 'fs.write_file' (field 'atomic': boolean expected, got string)",
      fs.write_file, path, "text", { atomic = "no" })
    refuses("bad argument #1 to 'net.udp' (field 'broadcast': boolean expected, got number)",
      net.udp, { broadcast = 1 })
    refuses("bad argument #2 to 'fs.rm' (field 'recursive': boolean expected, got number)",
      fs.rm, path, { recursive = 0 })
    refuses("bad argument #2 to 'dns.lookup' (field 'all': boolean expected, got number)",
      require("moontide.dns").lookup, "127.0.0.1", { all = 0 })
    assert.is_nil(io.open(path))
  end)

  it("how many calls of a map are under way", function()
    local start = "bad argument #3 to 'map' (field 'concurrency': positive integer expected, got "
    refuses(start .. "string)", tide.map, {}, walk.nothing, { concurrency = "2" })
    refuses(start .. "2.5)", tide.map, {}, walk.nothing, { concurrency = 2.5 })
  end)

  it("signals", function()
    refuses("bad argument #2 to 'sleep' (field 'signal': AbortSignal expected, got table)",
      sleep, 1, { signal = {} })
    refuses("bad argument #1 to 'net.connect' (field 'signal': AbortSignal expected, got number)",
      net.connect, { path = "x", signal = 1 })
  end)

  it("paths of sockets, and what stands beside them", function()
    local long = ("x"):rep(200)
    for name, f in pairs({ connect = net.connect, listen = net.listen, serve = net.serve }) do
      local start = ("bad argument #1 to 'net.%s' (field 'path': "):format(name)
      refuses(start .. "the path is too long)", f, { path = long }, walk.nothing)
      refuses(start .. "the path is empty)", f, { path = "" }, walk.nothing)
      refuses(start .. "string contains a NUL)", f, { path = "a\0b" }, walk.nothing)
    end
    refuses("bad argument #1 to 'net.connect' (field 'port': not with a path)",
      net.connect, { path = "x", port = 1 })
    refuses("bad argument #1 to 'net.listen' (field 'path': not with a host or port)",
      net.listen, { path = "x", port = 1 })
  end)

  it("names of TLS servers", function()
    local a, b = sockets.pair()
    local start = "bad argument #2 to 'tls.client' (field "
    refuses(start .. "'server_name': begins with a dot)", tls.client, a,
      { server_name = ".example.org" })
    refuses(start .. "'server_name': string contains a NUL)", tls.client, a,
      { server_name = "a\0b" })
    refuses(start .. "'server_name': name of 1 to 255 bytes expected)", tls.client, a,
      { server_name = "" })
    refuses(start .. "'alpn': names of 1 to 255 bytes expected)", tls.client, a,
      { server_name = "x", alpn = { "" } })
    refuses(start .. "'min_version': above 'max_version')", tls.client, a,
      { server_name = "x", min_version = "TLSv1.3", max_version = "TLSv1.2" })
    refuses(start .. "'context': moontide.tls.Context expected, got userdata)", tls.client, a,
      { server_name = "x", context = io.stdout })
    sockets.close(a, b)
  end)
end)

describe("options", function()
  after_each(over)

  it("of TLS inside others are checked with those", function()
    local of_tls = "bad argument #1 to 'net.connect' (field 'tls': "
    refuses(of_tls .. "field 'server_name': begins with a dot)", net.connect,
      { host = "localhost", port = 1, tls = { server_name = ".example.org" } })
    local message = "bad argument #1 to 'net.%s' (field 'tls': "
      .. "fields 'cert' and 'key': a server needs them)"
    refuses(message:format "listen", net.listen, { tls = {} })
    refuses(message:format "serve", net.serve, { tls = {} }, walk.nothing)
  end)

  it("of connections: what their own lookup gives is theirs", function()
    local options = { host = "localhost", port = 1, local_address = "localhost" }
    refuses("bad argument #1 to 'net.connect' (field 'local_address': IP address expected)",
      net.connect, options)
    for _, entries in ipairs({ false, 5, { 5 }, { { address = "localhost" } }, { {} } }) do
      local err = failure(net.connect({
        host = "localhost",
        port = 1,
        lookup = function() return entries end,
      }))
      assert.equal("TypeError", err.name)
    end
  end)

  it("of other functions are ignored", function()
    local child = await(require("moontide.process").spawn("true", nil, { limit = "none" }))
    assert.same({ code = 0 }, await(child:wait()))
    net.udp({ nonsense = 1 }):close()
  end)
end)

describe("iterators", function()
  after_each(over)

  it("check their arguments before the loop", function()
    local path = files.directory() .. "/file"
    files.write(path, "text\n")
    local file = await(fs.open(path))
    refuses("bad argument #1 to 'fs.watch' (string expected, got nil)", fs.watch)
    refuses("bad argument #1 to 'fs.lines' (string expected, got nil)", fs.lines)
    refuses("bad argument #1 to 'file:lines' (table expected, got number)", file.lines, file, 5)
    refuses("bad argument #1 to 'file:chunks' (positive integer expected, got string)",
      file.chunks, file, "x")
    await(file:close())
    refuses("calling 'file:lines' on bad self (it is closed)", file.lines, file)
    refuses("calling 'file:chunks' on bad self (it is closed)", file.chunks, file)
    refuses("calling 'file:lines' on bad self (moontide.File expected, got number)", file.lines, 5)
  end)

  it("of a file that is closed meanwhile say so at the user's line", function()
    local path = files.directory() .. "/file"
    files.write(path, "text\n")
    local file = await(fs.open(path))
    local lines = file:lines()
    await(file:close())
    refuses("calling 'file:read' on bad self (it is closed)", lines)
  end)
end)

it("ContextVar's methods check their self", function()
  local var = tide.ContextVar("var")
  refuses("calling 'context_var:get' on bad self (moontide.ContextVar expected, got number)",
    var.get, 5)
  refuses("calling 'context_var:run' on bad self (moontide.ContextVar expected, got nil)", var.run)
end)

---- all of them ----

-- Async functions of the core's are as public as their names; what is somebody else's is not here.
local function is_ours(path)
  return not path:match("luasocket") and not path:match("busted")
end

-- What some of them raise of what is no argument.
local OTHERS = {
  "^run is not re%-entrant", "^run cannot be called inside", "^step cannot be called inside",
  "^step is not re%-entrant", "is too late: an operation has been started$",
  "^another read of this stream is pending$", "^module '[^']*' not found", "is virtual already$",
}

local function is_other(text)
  for _, pattern in ipairs(OTHERS) do
    if text:gsub("^[^\n:]+:%d+: ", ""):match(pattern) then
      return true
    end
  end
  return false
end

local function is_error(value)
  local meta = type(value) == "table" and getmetatable(value)
  return meta and meta.__name == "moontide.Error" and type(value.name) == "string"
    and type(value.message) == "string"
end

local function close(value, closer)
  if closer then
    closer()
  elseif type(value) == "userdata" or type(value) == "table" then
    local ok, method = pcall(function() return value.destroy or value.close end)
    if ok and core.callable(method) and getmetatable(value) then
      local done, result = pcall(method, value)
      if done and type(result) == "userdata" then pcall(await, result) end
    end
  end
end

-- The outcome of a call: "raised", "rejected" or "done", and its value. What waits is cancelled.
local function outcome_of(f, arguments)
  local outcome, value = "done", nil
  await(tide.move_on_after(2, function()
    local results = table.pack(pcall(f, table.unpack(arguments, 1, arguments.n)))
    if not results[1] then
      outcome, value = "raised", results[2]
    elseif tostring(results[2]):match("^Promise") then
      local settled = table.pack(pcall(await, results[2]))
      outcome, value = settled[1] and "done" or "rejected", settled[2]
    else
      value = results[2]
    end
  end))
  if outcome == "done" and not rawequal(value, arguments[1]) then
    close(value)
  end
  return outcome, value
end

-- What is wrong with the outcome, or nil. Position: of the argument that is likely to be wrong.
local function flaw(name, position, must_raise, outcome, value, arguments)
  for i = 1, arguments.n do
    local given = arguments[i]
    if outcome ~= "done" and (rawequal(value, given) or value ~= value and given ~= given) then
      return nil
    end
  end
  if must_raise and outcome ~= "raised" then
    return outcome .. " instead of raised"
  elseif outcome == "done" or is_error(value) then
    return nil
  elseif type(value) ~= "string" then
    return outcome .. " " .. tostring(value)
  end
  local told, text = value:match("^bad argument #(%d+) to '([^']+)' %(.+%)$")
  local of_self = value:match("^calling '([^']+)' on bad self %(.+%)$")
  if of_self == name or not told and is_other(value) then
    return nil
  elseif text ~= name or tonumber(told) ~= position then
    return outcome .. " " .. value
  end
end

local fields = annotations.fields()

-- Tables of options with one field, which is wrong: {what it is, the options, whether it is sure to
-- be refused}.
local function wrong_options(class, function_name)
  local list = {}
  for _, field in ipairs(fields[class] or {}) do
    for _, entry in ipairs(walk.VALUES) do
      local what, value = table.unpack(entry, 1, 2)
      if value ~= nil then
        local options = { [field.name] = value }
        for other, right in pairs(walk.FIELDS[function_name] or {}) do
          options[other] = options[other] == nil and right or options[other]
        end
        local must = not walk.may_be(field.type, value)
        list[#list + 1] = { ("%s = %s"):format(field.name, what), options, must }
      end
    end
  end
  return list
end

-- Calls the function once, with that value for one parameter.
local function try(entry, i, value, must_raise)
  local name = walk.PREFIXES[entry.receiver] .. entry.name
  local make = walk.OBJECTS[entry.receiver]
  local object, done
  if entry.is_method then
    object, done = make()
  end
  local f = entry.is_method and object[entry.name] or walk.TABLES[entry.receiver][entry.name]
  local arguments, closers, offset = { n = #entry.parameters }, {}, 0
  if entry.is_method then
    arguments[1], offset, arguments.n = object, 1, arguments.n + 1
  end
  for j, parameter in ipairs(entry.parameters) do
    if j == i then
      arguments[j + offset] = value
    else
      arguments[j + offset], closers[j] = walk.right(parameter)
    end
  end
  local outcome, result = outcome_of(f, arguments)
  local problem = flaw(name, i, must_raise, outcome, result, arguments)
  for j, closer in pairs(closers) do
    close(arguments[j + offset], closer)
  end
  if object then
    close(object, done)
  end
  return problem
end

-- Handlers that cannot be called are ignored.
local IGNORES = { ["promise:next"] = true, ["promise:catch"] = true, ["promise:finally"] = true }

local function walk_through(entry)
  local name, flaws = walk.PREFIXES[entry.receiver] .. entry.name, {}
  local function note(what, problem)
    if problem then
      flaws[#flaws + 1] = ("%s(%s): %s"):format(name, what, problem)
    end
  end
  for i, parameter in ipairs(entry.parameters) do
    for _, each in ipairs(walk.VALUES) do
      local what, value = table.unpack(each, 1, 2)
      local must = value == nil and not parameter.optional and parameter.type ~= "any"
        or value ~= nil and not walk.may_be(parameter.type, value)
      if value ~= "1" or must then -- else it could be a path
        note(parameter.name .. ": " .. what, try(entry, i, value, must and not IGNORES[name]))
      end
    end
    for _, each in ipairs(wrong_options(parameter.type, name)) do
      note(each[1], try(entry, i, each[2], each[3]))
    end
  end
  return flaws
end

-- These change the process or the loop that the walk needs.
local LEFT_OUT = { ["on_unhandled_rejection"] = true, ["on_rejection_handled"] = true }

describe("every public function tells what is wrong in one way:", function()
  after_each(over)

  for _, entry in ipairs(annotations.functions(is_ours)) do
    local prefix = walk.PREFIXES[entry.receiver]
    if prefix and #entry.parameters > 0 and not LEFT_OUT[prefix .. entry.name] then
      it(prefix .. entry.name, function()
        assert.same({}, walk_through(entry))
      end)
    end
  end
end)

describe("every method knows what it is called on:", function()
  after_each(over)

  for _, entry in ipairs(annotations.functions(is_ours)) do
    local prefix = walk.PREFIXES[entry.receiver]
    if entry.is_method and prefix then
      local name = prefix .. entry.name
      it(name, function()
        local object, done = walk.OBJECTS[entry.receiver]()
        local method = object[entry.name]
        for _, self in ipairs({ { nil }, { {} }, { 5 }, { "text" }, { io.stdout } }) do
          local ok, err = pcall(method, self[1])
          assert.is_false(ok, name)
          assert.matches("^calling '" .. name .. "' on bad self %([%w_.]+ expected, got [%w_*]+%)$",
            err)
        end
        close(object, done)
      end)
    end
  end
end)

describe("every metamethod survives whatever it is called on:", function()
  after_each(over)

  local function others()
    return { { nil }, { {} }, { 5 }, { "text" }, { io.stdout }, { tide.queue() },
      { tide.Promise.resolve() }, { setmetatable({}, { __name = "moontide.Stream" }) } }
  end

  -- What has no annotation of its own.
  local objects = {
    Error = function() return core.new_error("Error", "text") end,
    Lines = function() return (fs.lines("Makefile")) end,
    Reader = core.reader,
    TLSServer = function()
      local below = core.net.tcp_listen("127.0.0.1", 0)
      local own = certificates.self_signed("localhost", "DNS:localhost")
      return await(tls.listen(below, { cert = own.cert, key = own.key }))
    end,
    TimeoutSignal = function() return tide.AbortSignal.timeout(1) end,
  }
  for receiver, make in pairs(walk.OBJECTS) do
    objects[receiver] = make
  end

  for receiver, make in pairs(objects) do
    it(receiver, function()
      local object, done = make()
      for name, method in pairs(getmetatable(object)) do
        if type(method) == "function" and name:match("^__") then
          for _, self in ipairs(others()) do
            local _, err = outcome_of(method, { n = 2, self[1], nil })
            if type(err) == "string" then
              assert.not_matches("attempt to", err)
              assert.not_matches("lua/moontide", err)
            end
          end
        end
      end
      close(object, done)
    end)
  end
end)

