-- Of: check/check
-- Programs without a mistake, in as many styles as there may be: nothing is found in them.
local leak = require "spec.support.leak"
local programs = require "spec.support.check"

-- Between lines of equal signs.
local CORRECT <const> = [[
local http_ok, http = pcall(require, "moontide.http")
if http_ok then print(http) end
====
local function with_retry(n, f, ...)
  for attempt = 1, n do
    local result = table.pack(pcall(await, f(...)))
    if result[1] then return table.unpack(result, 2, result.n) end
    if attempt == n then error(result[2], 0) end
    await(sleep(10 * attempt))
  end
end
with_retry(3, fetch, "a")
====
local Pool = {} Pool.__index = Pool
function Pool.new(n) return setmetatable({ sem = tide.semaphore(n), pending = {} }, Pool) end
function Pool:run(f, ...)
  local args = table.pack(...)
  local p = tide.spawn(function()
    local permit <close> = await(self.sem:acquire())
    return f(table.unpack(args, 1, args.n))
  end)
  self.pending[#self.pending + 1] = p
  return p
end
function Pool:drain() await(Promise.all_settled(self.pending)) self.pending = {} end
local pool = Pool.new(2)
for i = 1, 5 do pool:run(save, i) end
pool:drain()
====
local Lazy = {} Lazy.__index = function(t, k) return Lazy[k] end
function Lazy:get() self.value = self.value or fetch("x") return self.value end
local l = setmetatable({}, Lazy)
print(await(l:get()))
====
local M = {}
local cache = {}
function M.get(k)
  local v = cache[k]
  if v == nil then
    v = fetch(k)
    cache[k] = v
    v:next(function(x) cache[k] = x end, function() cache[k] = nil end)
  end
  return v
end
return M
====
local state = { loading = nil }
local function load()
  if not state.loading then
    state.loading = fetch("x"):finally(function() state.loading = nil end)
  end
  return state.loading
end
await(load())
====
local current
local function latest(url)
  local mine = fetch(url)
  current = mine
  local text = await(mine)
  if current ~= mine then return nil end
  return text
end
latest("a")
====
local seen = {}
for _, url in ipairs { "a", "b" } do
  if not seen[url] then seen[url] = fetch(url) end
end
for url, p in pairs(seen) do print(url, await(p)) end
====
local q = { n = 0 }
local function push(p) q.n = q.n + 1 q[q.n] = p end
push(fetch("a"))
local r = await(Promise.all(q))
print(r[1])
====
local a <const> = async
local f = a(function(...) return select("#", ...) end)
assert(await(f(1, nil)) == 2)
====
local first, second = await(fetch("a")), nil
second = first and await(fetch(first))
print(second)
====
local ok, value = pcall(function() return (await(fetch("a"))) end)
return ok and value or nil
====
local function main(...)
  local mode = ...
  if mode == "get" then return await(fetch("a"))
  elseif mode == "put" then return await(save("b")) end
  error("unknown mode")
end
main("get")
====
local done = tide.event()
local function worker(id) while not done:is_set() do await(sleep(id)) end end
for i = 1, 3 do tide.spawn(worker, i) end
done:set()
====
local controller = tide.AbortController()
local p = sleep(1000, { signal = controller.signal })
controller:abort()
local ok, err = pcall(p.await, p)
assert(not ok and err.name == "AbortError")
====
local function race(...) return Promise.race { ... } end
print(await(race(fetch("a"), sleep(5))))
====
local n = 0
local p = Promise(function(resolve) n = n + 1 resolve(n) end)
assert(n == 1)
p:next(function(v) assert(v == 1) end)
====
local proxies = {}
local mt = { __index = function(t, k) return function(...) return fetch(k, ...) end end }
local api = setmetatable(proxies, mt)
print(await(api.users(1)))
====
local wrap = function(f) return function(...) local p = f(...) p:catch(print) return p end end
local safe = wrap(save)
safe(1)
====
local fire = function(f, ...) f(...):catch(function(e) print(e) end) end
fire(save, 1)
====
local t0 = tide.now()
fetch("a"):next(function() print(tide.now() - t0) end)
====
local str = tostring(sleep)
print(#str)
====
local p = fetch("a")
local s = tostring(p)
print(s:match("Promise"))
await(p)
====
local x = { fetch = fetch }
function x:go() local f = self.fetch return f("a") end
await(x:go())
====
local f <close> = await(fs.open("a"))
local function reader() return f:read(10) end
print(await(reader()))
====
local lines = {}
for line in await(fs.open("a")):lines() do lines[#lines + 1] = line end
====
local p1 = fetch("a")
do local p2 = p1 p1 = nil print(await(p2)) end
====
local list = {}
for i = 1, 3 do list[i] = { p = fetch(i), i = i } end
table.sort(list, function(a, b) return a.i > b.i end)
for _, e in ipairs(list) do print(await(e.p)) end
====
local list = { fetch("a") }
local copy = { table.unpack(list) }
print(await(copy[1]))
====
local v = fetch("a")
v = type(v) == "userdata" and await(v) or v
print(v .. "x")
====
local function get(sync) if sync then return "x" else return fetch("a") end end
print(get(true) .. "y", await(get(false)))
====
local function id(x) return x end
print(id("a") .. "b", await(id(fetch("a"))))
====
local function pick(t, k) return t[k] end
print(pick({ a = "x" }, "a") .. "y", await(pick({ a = fetch("q") }, "a")))
====
local opts = { timeout = 5 }
opts.signal = tide.AbortController().signal
await(fs.read_file("x", opts))
====
local self = setmetatable({}, { __index = { save = save } })
self.save = nil
local _ = self.save and self.save(1)
====
local M = require("mod_that_is_not_there") or {}
M.start = async(function() end)
M.start():next(print)
====
local old = fetch
local fetch = function(u) print(u) return old(u) end
print(await(fetch("a")))
====
for i, f in ipairs { function() return fetch("a") end, function() return "b" end } do
  local v = f()
  if i == 2 then print(v .. "c") else print(await(v)) end
end
====
local g = tide.generator(function(yield) for i = 1, 3 do yield(i) end end)
local it = g()
local first = await(it:next())
print(first)
====
local r, res = nil, nil
r = Promise(function(resolve) res = resolve end)
res("x")
print(await(r) .. "y")
====
local cond = arg[1]
local p = (cond and fetch or save)("x")
await(p)
====
local p = cond and fetch("x") or Promise.resolve("y")
print(await(p))
====
goto start
::start::
local n = 0
repeat n = n + 1 local ok = pcall(await, fetch("a")) until ok or n > 3
====
local s = 0
for i = 1, #{ fetch("a"), fetch("b") } do s = s + i end
print(s)
====
return { [1] = fetch("a"), fetch = fetch, all = function(...) return Promise.all { ... } end }

====
local p = fetch("a")
print "between"
print(await(p))
====
local cache = {}
local function get(url)
  cache[url] = cache[url] or fetch(url)
  return cache[url]
end
print(await(get "a"), await(get "a"))
====
local cache = {}
local function get(url)
  local p = cache[url]
  if not p then
    p = fetch(url)
    cache[url] = p
  end
  return p
end
print(await(get "a"))
====
local current
local function refresh()
  if current then return current end
  current = fetch("x"):finally(function() current = nil end)
  return current
end
await(refresh())
====
local p
local function start() p = p or fetch("a") end
start()
if p and p:state() == "pending" then await(p) end
====
await(tide.group(function(g)
  g:spawn(save, 1)
  g:spawn(function() await(save(2)) end)
end))
====
local Store = {}
Store.__index = Store
function Store.new() return setmetatable({ items = {} }, Store) end
Store.load = async(function(self, k) await(sleep(1)) return self.items[k] end)
function Store:get(k) return self:load(k) end
local s = Store.new()
print(await(s:get "a"), s:load("b"):state())
====
local Base = {} Base.__index = Base
Base.go = async(function(self) return self.n end)
local Derived = setmetatable({}, { __index = Base }) Derived.__index = Derived
function Derived.new(n) return setmetatable({ n = n }, Derived) end
print(await(Derived.new(3):go()))
====
local handler
handler = async(function(x) await(sleep(1)) return x end)
local p = handler(1)
p:next(print)
====
local co = coroutine.wrap(function(a)
  local b = coroutine.yield(a .. "x")
  return b
end)
print(co("a")) co("b")
====
local function each(...)
  for i = 1, select("#", ...) do await((select(i, ...))) end
end
each(fetch("a"), save("b"))
====
local results = {}
for i = 1, 2 do results[i] = { id = i, promise = fetch(i) } end
for _, r in ipairs(results) do r.value = await(r.promise) end
print(results[1].value .. results[2].value)
====
local pending = {}
local function track(p)
  pending[p] = true
  p:finally(function() pending[p] = nil end)
  return p
end
await(track(save(1)))
====
local seen = {}
local p = save(1)
seen[p] = "saving"
for q, what in pairs(seen) do await(q) print(what) end
====
local function retry(f, n)
  for _ = 1, n do
    local ok, r = pcall(await, f())
    if ok then return r end
  end
end
retry(function() return fetch("a") end, 3)
====
local function timed(f, ...)
  local t = tide.now()
  local p = f(...)
  return p:finally(function() print(tide.now() - t) end)
end
await(timed(fetch, "a"))
====
local handlers = {}
function handlers.get(url) return fetch(url) end
function handlers.quit() os.exit() end
for name, h in pairs(handlers) do print(name) h(1) end
====
local s = tide.semaphore(2)
local function work()
  local permit <close> = await(s:acquire())
  await(sleep(1))
  return permit ~= nil
end
tide.join(tide.spawn(work), tide.spawn(work))
====
local permit = await(tide.mutex():acquire())
local ok, err = pcall(await, save(1))
permit:release()
if not ok then error(err, 0) end
====
local function with(mutex, f, ...)
  local permit = await(mutex:acquire())
  local r = table.pack(pcall(f, ...))
  permit:release()
  return table.unpack(r, 1, r.n)
end
with(tide.mutex(), print, 1)
====
local list = { fetch("b"), fetch("a") }
local texts = await(Promise.all(list))
table.sort(texts)
print(table.concat(texts, ","))
====
local list = {}
list[1] = fetch("a")
list[1] = await(list[1])
print(list[1] .. "!")
====
local x = fetch("a")
x = await(x)
print(x .. "b", #x, x:upper())
if x == "b" then print(x.y) end
====
local data
data = fetch("a")
data = await(data)
print(data .. "")
====
local t = tide
local wait = function(ms) return t.await(t.sleep(ms)) end
wait(1)
wait(2)
====
local s = await(net.connect { host = "localhost", port = 1 })
s:write("a")
local l = await(s:read_line())
if l then print(l:upper()) end
s:close()
====
local server = await(net.serve({ port = 0 }, function(stream)
  stream:write(await(stream:read()))
end))
server:close()
====
while true do
  local line = io.read()
  if not line then break end
  await(save(line))
end
====
repeat
  local p = fetch("a")
  local text = await(p)
until text == ""
====
local tasks = { save(1), save(2) }
repeat
  local p = table.remove(tasks)
  if p then await(p) end
until not p
====
local stack = { fetch("a") }
while #stack > 0 do
  local p = stack[#stack]
  stack[#stack] = nil
  print(await(p))
end
====
local ev = { handlers = {} }
function ev.on(f) table.insert(ev.handlers, f) end
ev.on(save)
for _, h in ipairs(ev.handlers) do await(h(1)) end
====
local function compose(...)
  local fns = { ... }
  return async(function(v) for _, f in ipairs(fns) do v = await(f(v)) end return v end)
end
print(await(compose(fetch, save)("a")))
====
local list = {}
for i = 1, 10 do
  list[#list + 1] = fetch(i)
  if #list == 3 then join(table.unpack(list)) list = {} end
end
====
local log = {}
local function note(x) log[#log + 1] = x end
fetch("a"):next(note, note)
sleep(1):next(function() note("timer") end)
====
local t = {
  fs.unlink("x"), -- kept
  save(1),
}
await(Promise.all_settled(t))
====
local Promise2 = Promise
local d = {}
d.promise = Promise2(function(res, rej) d.resolve, d.reject = res, rej end)
d.resolve(1)
print(await(d.promise))
====
local p = fetch("a")
local t = tide.set_timeout(function() print("slow", p:state()) end, 100)
print(await(p))
t:close()
====
local parts = {}
for i = 1, 2 do parts[i] = fetch(i) end
parts = await(Promise.all(parts))
print(table.concat(parts))
====
local parts = {}
for i = 1, 2 do parts[i] = fetch(i) end
for i, p in ipairs(parts) do parts[i] = await(p) end
print(table.concat(parts))
====
local p = fetch("a")
p = p:next(string.upper)
p = p:next(print)
await(p)
====
local waiters = {}
waiters[#waiters + 1] = save(1)
waiters.n = #waiters
print(await(Promise.all(waiters)).n)
]]

local function split(text)
  local list = {}
  for program in (text .. "====\n"):gmatch("(.-)====\n") do
    list[#list + 1] = program
  end
  return list
end

describe("moontide check of correct programs", function()
  after_each(leak.check)

  it("finds nothing", programs.each(split(CORRECT)))
end)
