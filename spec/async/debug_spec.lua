-- Of: async/debug, core/floating
local child = require "spec.support.child"
local leak = require "spec.support.leak"

local PRELUDE = [[
local tide = require "moontide"
local fs = require "moontide.fs"
local await, async, spawn, Promise = tide.await, tide.async, tide.spawn, tide.Promise
tide.debug({ floating = true, report = print })
local save = async(function(n) await(tide.sleep(1)) return n end)
local fail = async(function() await(nil) error("oops", 0) end)
]]
local FIRST = select(2, PRELUDE:gsub("\n", "")) -- lines before the program's own

-- What a program reports, lines counted from its own first one.
local function reports(source)
  return child.with_file(PRELUDE .. source .. [[

tide.run()
require("moontide.async.debug").finish()
]], function(path)
    local result = child.shell(child.command(path))
    assert.equal("", result.err)
    local out = result.out:gsub(path:gsub("%p", "%%%0"), "app.lua")
    return (out:gsub("app.lua:(%d+)", function(line)
      return "app.lua:" .. tonumber(line) - FIRST
    end))
  end)
end

describe("debug mode", function()
  after_each(leak.check)

  it("S83 reports a call whose promise was dropped, once for a line, and which function", function()
    assert.equal("app.lua:2: nobody awaits this call of async function 'save' (app.lua:-1)\n",
      reports([[
for i = 1, 3 do
  save(i)
end
]]))
  end)

  it("S83 reports one that is kept in a variable that goes", function()
    assert.matches("^app.lua:2: nobody awaits this call of async function 'save'", reports([[
local function work()
  local promise = save(1)
  return promise:state()
end
work()
]]))
  end)

  it("S83 reports operations", function()
    local lines = {}
    for line in reports([[
tide.sleep(1)
fs.stat("/")
fs.read_file("/dev/null")
]]):gmatch("[^\n]+") do
      lines[#lines + 1] = line
    end
    table.sort(lines) -- the collector finds them in any order
    assert.same({
      "app.lua:1: nobody awaits this call of an operation",
      "app.lua:2: nobody awaits this call of an operation",
      "app.lua:3: nobody awaits this call of an operation",
    }, lines)
  end)

  it("S83 reports a call of the library that ends in a promise, at the program's line", function()
    assert.matches("^app.lua:2: nobody awaits this call of ", reports([[
local net = require "moontide.net"
net.listen({ host = "127.0.0.1", port = 0 })
await(tide.sleep(20))
]]))
  end)

  it("tells while the program goes on", function()
    assert.equal("app.lua:1: nobody awaits this call of async function 'save' (app.lua:-1)\nend\n",
      reports([[
save(1)
for _ = 1, 5 do
  await(tide.sleep(1))
  collectgarbage()
end
print("end")
]]))
  end)

  it("leaves out what is beyond twenty", function()
    local calls = {}
    for i = 1, 30 do
      calls[i] = "save(" .. i .. ")"
    end
    local out = reports(table.concat(calls, "\n") .. "\n")
    assert.equal(20, select(2, out:gsub("nobody awaits", "")))
    assert.matches("further reports are left out\n$", out)
  end)

  it("refuses options that it does not know", function()
    local tide = require "moontide"
    for options, text in pairs({
      [ { flaoting = true } ] = "field 'flaoting': there is no such option",
      [ { floating = 1 } ] = "field 'floating': boolean expected, got number",
      [ 5 ] = "table expected, got number",
    }) do
      local ok, err = pcall(tide.debug, options)
      assert.is_false(ok)
      assert.matches("bad argument #1 to 'debug' (" .. text, err, 1, true)
    end
  end)

  describe("says nothing of", function()
    local innocent = {
      ["an await"] = "await(save(1))",
      ["an await of what has settled"] = [[
local p = save(1)
await(tide.sleep(5))
await(p)]],
      ["an await in a function"] = "await(spawn(function() await(save(1)) end))",
      ["spawn"] = "spawn(function() await(tide.sleep(1)) end)",
      ["detach"] = "tide.detach(function() await(tide.sleep(1)) end)",
      ["a child of a group"] = [[
await(tide.group(function(g)
  g:spawn(function() await(tide.sleep(1)) end)
  g:spawn(save, 1)
end))]],
      ["a chain"] = "save(1):next(function() end)",
      ["a handler of failures"] = "fail():catch(function() end)",
      ["a handler that is attached a tick later"] = [[
local p = save(1)
tide.queue_microtask(function() p:next(function() end) end)]],
      ["a handler that is attached a turn later"] = [[
local p = save(1)
tide.set_timeout(function() p:next(function() end) end, 5)]],
      ["a returned promise"] = [[
local outer = async(function() return save(1) end)
await(outer())]],
      ["one that a plain function returns"] = [[
local function outer() return save(1) end
await(outer())]],
      ["Promise.all"] = "await(Promise.all({ save(1), save(2) }))",
      ["Promise.race, the losers"] = [[
await(Promise.race({ save(1), tide.sleep(1), tide.sleep(20) }))]],
      ["Promise.any with failures"] = "await(Promise.any({ fail(), save(1) }))",
      ["join"] = "tide.join(save(1), save(2))",
      ["map"] = "await(tide.map({ 1, 2 }, save))",
      ["each"] = "await(tide.each({ 1, 2 }, save))",
      ["a list that is joined later"] = [[
local list = {}
for i = 1, 3 do list[i] = save(i) end
await(tide.sleep(5))
for _, p in ipairs(list) do await(p) end]],
      ["a cache"] = [[
cache = {}
local function get(k) cache[k] = cache[k] or save(k) return cache[k] end
await(get(1))
await(get(1))]],
      ["a cache of what is never asked for"] = "cache = { save(1) }",
      ["resolving with it"] = [[
local p, resolve = Promise.with_resolvers()
resolve(save(1))
await(p)]],
      ["a generator that yields promises"] = [[
for _ in tide.generator(function(yield) yield(save(1)) end)() do end]],
      ["a timeout"] = "await(tide.timeout(1000, save, 1))",
      ["a deadline that hits"] = [[
await(tide.move_on_after(1, function() await(tide.sleep(1000)) end))]],
      ["run"] = "tide.run(save, 1)",
      ["pcall"] = "pcall(await, fail())",
      ["an iteration over a file"] = "for _ in fs.lines('/dev/null') do end",
      ["a server and its handlers"] = [[
local net = require "moontide.net"
local service = await(net.serve({ host = "127.0.0.1" }, function(stream)
  for line in stream:lines() do stream:write(line, "\n") end
end))
local stream = await(net.connect({ host = "127.0.0.1", port = service:address().port }))
stream:write("hello\n")
await(stream:read_line())
stream:close()
await(service:close())]],
      ["a queue, a mutex and an event"] = [[
local queue, mutex, event = tide.queue(), tide.mutex(), tide.event()
queue:push(1)
queue:pop()
event:set()
event:wait()
do local _ <close> = await(mutex:acquire()) end]],
    }
    for what, source in pairs(innocent) do
      it(what, function()
        assert.equal("", reports(source .. "\ncollectgarbage() collectgarbage()\n"))
      end)
    end
  end)
end)
