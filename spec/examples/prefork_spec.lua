-- examples/prefork: workers are replaced, crash, and lose their supervisor, while clients ask.
local child = require "spec.support.child"
local core = require "moontide.core"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local net = require "moontide.net"
local process = require "moontide.process"
local tide = require "moontide"

local await, sleep = tide.await, tide.sleep

local HOST, PATIENCE = "127.0.0.1", 60000

local function eventually(f) files.eventually(f, PATIENCE) end

---- clients ----

local function exchange(stream, path)
  await(stream:write("GET ", path, " HTTP/1.1\r\nHost: here\r\n\r\n"))
  local head = await(stream:read_until("\r\n\r\n")) or error("closed", 0)
  assert.matches("^HTTP/1.1 200 ", head)
  local body = await(stream:read_exactly(tonumber(head:match("Content%-Length: (%d+)"))))
  return body, head:find("\r\nConnection: close\r\n", 1, true) ~= nil
end

local function connect(port) return await(net.connect({ host = HOST, port = port })) end

--- As every client does, sends a request again if the connection had been used before, and was
--- closed without an answer.
local function ask(client)
  local is_used = client.stream ~= nil
  client.stream = client.stream or connect(client.port)
  local ok, body, is_last = pcall(exchange, client.stream, "/")
  if not ok or is_last then
    await(client.stream:destroy())
    client.stream = nil
  end
  if not ok and not is_used then error(body, 0) end
  return ok and body or ask(client)
end

--- Asks until it is told to end; who has answered.
local function ask_on(port, over)
  local client, seen = { port = port }, {}
  while not over:is_set() do
    seen[ask(client)] = true
    await(sleep(1))
  end
  if client.stream then await(client.stream:destroy()) end
  return seen
end

--- Who answers while f runs.
local function answers_during(port, f)
  local over, clients = tide.event(), {}
  return await(tide.group(function(g)
    for i = 1, 6 do clients[i] = g:spawn(ask_on, port, over) end
    f()
    over:set()
    local all = {}
    for _, client in ipairs(clients) do
      for answer in pairs(await(client)) do all[answer] = true end
    end
    return all
  end))
end

---- the supervisor ----

local function free_port()
  local server <close> = core.net.tcp_listen(HOST, 0)
  return server:address().port
end

local function start(count, script)
  local self = { port = free_port(), log = {} }
  self.child = await(process.spawn(child.lua, { "bin/moontide", "examples/prefork/supervisor.lua",
    count, script, self.port }, { stdout = "pipe" }))
  self.reading = tide.spawn(function()
    for line in self.child.stdout:lines() do self.log[#self.log + 1] = line end
  end)
  return self
end

local function times(self, what)
  local n = 0
  for _, line in ipairs(self.log) do
    if line:find(what) then n = n + 1 end
  end
  return n
end

local function await_lines(self, what, n)
  eventually(function() return times(self, what) == n end)
end

local function stop(self, signal)
  self.child:kill(signal)
  local outcome = await(self.child:wait())
  await(self.reading)
  return outcome
end

--- Nobody listens any more.
local function have_ended(self)
  eventually(function()
    local ok, stream = pcall(connect, self.port)
    if ok then await(stream:destroy()) end
    return not ok
  end)
end

describe("examples/prefork", function()
  local supervisor

  after_each(function()
    supervisor.child:kill("SIGKILL")
    await(supervisor.child:wait())
    await(supervisor.child.stdout:close())
    files.remove()
    leak.check()
  end)

  it("replaces its workers, and no request is lost", function()
    supervisor = start(2, "examples/prefork/worker.lua")
    await_lines(supervisor, "ready$", 2)
    local old = answers_during(supervisor.port, function() await(sleep(20)) end)
    local both = answers_during(supervisor.port, function()
      supervisor.child:kill("SIGHUP")
      await_lines(supervisor, "^reloaded$", 1)
    end)
    local new = answers_during(supervisor.port, function() await(sleep(20)) end)
    assert.is_truthy(next(both))
    for answer in pairs(new) do assert.is_nil(old[answer]) end
    assert.equal(2, times(supervisor, "ended: 0$"))
    assert.equal(0, stop(supervisor, "SIGTERM").code)
    assert.equal(4, times(supervisor, "ended: 0$"))
    have_ended(supervisor)
  end)

  it("replaces a worker that has crashed", function()
    supervisor = start(2, "examples/prefork/worker.lua")
    await_lines(supervisor, "ready$", 2)
    local stream = connect(supervisor.port)
    assert.is_false((pcall(exchange, stream, "/crash")))
    await(stream:destroy())
    await_lines(supervisor, "ended: 3$", 1)
    await_lines(supervisor, "ready$", 3)
    assert.equal(0, stop(supervisor, "SIGINT").code)
    assert.equal(2, times(supervisor, "ended: 0$"))
  end)

  it("keeps the workers that it has when new ones do not become ready", function()
    local script = files.directory() .. "/worker.lua"
    files.write(script, files.read("examples/prefork/worker.lua"))
    supervisor = start(2, script)
    await_lines(supervisor, "ready$", 2)
    files.write(script, "os.exit(4)")
    local answers = answers_during(supervisor.port, function()
      supervisor.child:kill("SIGHUP")
      await_lines(supervisor, "^not reloaded$", 1)
    end)
    assert.is_truthy(next(answers))
    assert.equal(1, times(supervisor, "ended: 4$"))
    assert.equal(0, stop(supervisor, "SIGTERM").code)
  end)

  it("leaves no worker behind when it is killed", function()
    supervisor = start(2, "examples/prefork/worker.lua")
    await_lines(supervisor, "ready$", 2)
    assert.equal("SIGKILL", stop(supervisor, "SIGKILL").signal)
    have_ended(supervisor)
  end)
end)
