-- Of: http/client
-- The client in processes that fork, and that end in the midst of fetches.
local child = require "spec.support.child"
local compile = require "spec.support.compile"

if not (pcall(require, "moontide.http_core") and pcall(require, "moontide.llhttp_core")) then
  return
end

local PRELUDE = [[
local tide = require "moontide"
local http = require "moontide.http"
local await = tide.await
local function nothing() end

local ports = {}
local service = await(http.serve({ host = "127.0.0.1", on_error = nothing }, function(request)
  ports[request.peer.port] = true
  if request.path == "/late" then
    await(tide.sleep(60000))
  elseif request.path == "/flood" then
    return { body = function() return ("x"):rep(65536) end }
  end
  return "hello"
end))
local base = "http://127.0.0.1:" .. service:address().port
local function get(path)
  return await(await(http.fetch(base .. path)):text())
end
]]

local function prints(expected, source)
  local result = child.lua_source(PRELUDE .. source)
  assert.equal("", result.err)
  assert.equal(expected, result.out)
  assert.equal(0, result.code)
end

describe("a process that ends #closing", function()
  it("may have fetches under way at every stage", function()
    prints("hello\n", [[
      print(get("/"))
      local client = http.client({ cookies = true })
      local kept = { await(client:fetch(base .. "/flood")) }
      client:fetch(base .. "/late"):catch(nothing)
      client:fetch("http://127.0.0.1:1/"):catch(nothing)
      http.fetch(base .. "/late", { method = "POST", timeout = 10000, body = function()
        await(tide.sleep(1))
        return "x"
      end }):catch(nothing)
      tide.spawn(function()
        for _ in await(client:fetch(base .. "/flood")):chunks() do
          await(tide.sleep(1))
        end
      end):catch(nothing)
      await(tide.sleep(20))
      os.exit(0, true)
    ]])
  end)

  it("need not wait for a response that nobody reads", function()
    prints("200\n", [[
      local response = await(http.fetch(base .. "/flood"))
      print(response.status)
      service:close({ grace = 0 })
    ]])
  end)
end)

describe("a process that forks", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. child.quote(folder))
    compile.module("spec/support/fork.c", folder .. "/fork.so")
  end)

  teardown(function()
    os.execute("rm -r " .. child.quote(folder))
  end)

  it("keeps its connections, of which the child has none", function()
    prints("hello\nchild false true\n1\nhello\n", ("package.cpath = %q .. package.cpath\n"):format(
      folder .. "/?.so;") .. [[
      local process = require "fork"
      print(get("/"))
      local late = http.fetch(base .. "/late")
      late:catch(nothing)
      tide.step()
      io.stdout:flush()
      local pid = process.fork()
      if pid == 0 then
        local ok = pcall(await, http.fetch("http://127.0.0.1:1/"))
        local late_ok, reason = pcall(await, late)
        print(("child %s %s"):format(ok, not late_ok and reason.name == "TypeError"))
        io.stdout:flush()
        os.exit(0, true)
      end
      process.wait(pid)
      print(#get("/") == 5 and 1)
      print(get("/"))
      os.exit(0, true)
    ]])
  end)

  it("leaves alone what has the descriptor of a connection that was given up", function()
    prints("xxxxxxxxxx\n", ("package.cpath = %q .. package.cpath\n"):format(
      folder .. "/?.so;") .. [[
      local process = require "fork"
      local controller = tide.AbortController()
      local path = os.tmpname()
      local out = assert(io.open(path, "w"))
      out:write("x\n")
      out:close()
      local given_up = http.fetch(base, { signal = controller.signal })
      given_up:catch(nothing)
      controller:abort("enough")
      local opened = {}
      for i = 1, 10 do
        opened[i] = assert(io.open(path))
      end
      os.remove(path)
      local pid = process.fork()
      if pid == 0 then
        pcall(await, http.fetch("http://127.0.0.1:1/"))
        local texts = {}
        for i = 1, 10 do
          texts[i] = opened[i]:read("l")
        end
        print(table.concat(texts))
        io.stdout:flush()
        os.exit(0, true)
      end
      process.wait(pid)
      os.exit(0, true)
    ]])
  end)
end)
