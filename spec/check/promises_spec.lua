-- Of: check/promises, check/kinds, check/scope, check/types, check/wording, check/fields,
--   check/items, check/variables
local leak = require "spec.support.leak"
local programs = require "spec.support.check"

describe("moontide check:", function()
  after_each(leak.check)

  it("T101 finds a promise that is dropped:", programs.each {
      "save(1) --> T101",
      "fs.write_file('a', 'b') --> T101",
      "for i = 1, 3 do save(i) end --> T101",
      "if fetch then tide.sleep(1) end --> T101",
      "tide.spawn(function() Promise.all { fetch('a'), fetch('b') } end) --> T101",
      [[
        local function begin(url) return fetch(url) end
        begin('a') --> T101
      ]],
      [[
        local function begin(url)
          local promise = fetch(url)
          return promise
        end
        begin('a') --> T101
      ]],
      [[
        local store = {}
        store.save = async(function() end)
        function store.load() return fetch('a') end
        store.save() --> T101
        store.load() --> T101
      ]],
      [[
        local store = { save = async(function() end) }
        store.save() --> T101
      ]],
      [[
        local Store = {}
        Store.__index = Store
        Store.save = async(function(self) self.saved = true end)
        function Store.new() return setmetatable({}, Store) end
        function Store:twice()
          self:save() --> T101
          await(self:save())
        end
        local store = Store.new()
        store:save() --> T101
        store:twice()
      ]],
      [[
        local write = tide.promisify(function(text, callback) callback(nil, text) end)
        write('a') --> T101
      ]],
      [[
        local file = await(fs.open('a', 'w'))
        file:write('b') --> T101
        file:close()
      ]],
      [[
        await(net.serve({ port = 0 }, function(stream)
          stream:read() --> T101
        end))
      ]],
      [[
        local function handle(stream, group)
          group:spawn(print, 1)
          stream:read() --> T101
        end
        await(net.serve({ port = 0 }, handle))
      ]],
      [[
        local server = await(net.listen { port = 0 })
        for stream in server do
          stream:read_line() --> T101
        end
      ]],
      [[
        for stream in await(net.listen { port = 0 }) do
          tide.spawn(function(client)
            client:read_line() --> T101
          end, stream)
        end
      ]],
      [[
        local handle = async(function(stream)
          stream:read_line() --> T101
        end)
        for stream in await(net.listen { port = 0 }) do tide.spawn(handle, stream) end
      ]],
      "local text = fetch('a') --> T101",
    "pcall(function() save(1) end) --> T101",
      "function refresh() return fetch('a') end refresh() --> T101",
      [[
        await(tide.group(function(g)
          g:spawn(save, 1)
          save(2) --> T101
        end))
      ]],
      [[
        local load
        load = async(function(n) if n > 0 then load(n - 1) end end) --> T101
        await(load(3))
      ]],
  })

  it("T101 says nothing of", programs.each {
      "await(save(1))",
      "tide.spawn(save, 1)",
      "tide.detach(save, 1)",
      "local list = {} for i = 1, 3 do list[i] = save(i) end await(Promise.all(list))",
      "local list = { save(1), save(2) } print(#list)",
      "local a, b = save(1), save(2) join(a, b)",
      "local _ = save(1)",
      "local running = {} running.save = save(1)",
      "return save(1)",
      "save(1):next(print)",
      "save(1):catch(print)",
      "fetch('a'):next(function(text) return save(text) end):catch(print)",
      "fetch('a'):next(save)",
      "fetch('a'):next(function(text) print(text) end)",
      "queue = tide.queue() queue:push(1) queue:close()",
      "local stream = await(net.connect { port = 1 }) stream:write('a') stream:close()",
      "local file = await(fs.open('a')) file:close()",
      "save(1):await()",
      "tide.set_timeout(save, 1, 'a')",
      "tide.run(save, 1)",
      "local _ <close> = setmetatable({}, { __close = function() await(save(1)) end })",
      "Promise(function(resolve) resolve(1) end)",
      "print(pcall(await, save(1)))",
      "coroutine.wrap(print)()",
    "fs.unlink = print fs.unlink('a')",
    "local M = require 'moontide.fs' for name in pairs(M) do M[name] = print end M.unlink('a')",
      [[
        local loading = {}
        local function load(name)
          if not loading[name] then loading[name] = fetch(name) end
          return loading[name]
        end
        load('a')
      ]],
      [[
        local kept
        local function load(name)
          local promise = fetch(name)
          kept = promise
          return promise
        end
        load('a')
        await(kept)
      ]],
      [[
        local function start(f) return tide.spawn(f) end
        start(print)
      ]],
      [[
        local function maybe(f) if f then return 1 end return fetch('a') end
        maybe(print)
      ]],
      [[
        local save = function(item) print(item) end
        save(1)
      ]],
      [[
        local function run(save) save(1) end
        run(print)
      ]],
      [[
        local actions = { save = save }
        actions.save = print
        actions.save(1)
      ]],
      [[
        local actions = { save = save }
        for name in pairs(actions) do actions[name] = print end
        actions.save(1)
      ]],
      [[
        local act = save
        if print then act = print end
        act(1)
      ]],
      [[
        assert.has_error(function() fs.read_file() end)
      ]],
      [[
        it("saves", async(function() await(save(1)) end))
      ]],
      [[
        await(net.serve({ port = 0 }, async(function(stream) await(stream:write('a')) end)))
      ]],
      [[
        await(tide.group(function(g)
          for i = 1, 3 do g:spawn(save, i) end
        end))
      ]],
      [[
        local gen = tide.generator(function(yield) yield(fetch('a')) end)
        for text in gen() do print(text) end
      ]],
  })

  it("T102 finds a promise that is tested:", programs.each {
      "if fetch('a') then print(1) end --> T102",
      "while fetch('a') do print(1) end --> T102",
      "repeat print(1) until fetch('a') --> T102",
      "print(not fetch('a')) --> T102",
      "local text = fetch('a') or 'none' print(text) --> T102",
      "local text = fetch('a') and 'some' print(text) --> T102",
      "local text = fetch('a') if text then print(1) end --> T102",
      "if print and fetch('a') then print(1) end --> T102",
      "if not (fetch('a')) then print(1) end --> T102",
      "if print then print(1) elseif fetch('a') then print(2) end --> T102",
      "assert(fetch('a')) --> T102",
      "if fs.stat('a') then print(1) end --> T102",
  })

  it("T102 says nothing of", programs.each {
      "if await(fetch('a')) then print(1) end",
      "local text = print and fetch('a') or nil print(text)",
      "local pending if print then pending = fetch('a') end if pending then await(pending) end",
      "local text = fetch('a') text = await(text) if text then print(1) end",
      "local function load(name) if name then return fetch(name) end end " ..
        "if load() then print(1) end",
      "local cache = {} cache.a = cache.a or fetch('a') await(cache.a)",
      "local p = print and fetch('a') if p then await(p) end",
      "if fetch('a'):state() == 'pending' then print(1) end",
      "if fetch then print(1) end",
      "local value = ... if value then print(value) else print(fetch) end",
      "local text = await(assert(fetch('a'))) print(text)",
      "local state = {} local function load() if state.text then return state.text end " ..
      "state.text = fetch('a') return state.text end print(await(load()))",
    "local function load() pending = pending or fetch('a') if pending then " ..
      "await(pending) end end load()",
    "function load() pending = fetch('a') end load() if pending then await(pending) end",
    "local Job = {} function Job:start() self.done = fetch('a') end " ..
        "function Job:stop() if self.done then await(self.done) end end return Job",
  })

  it("T103 finds a promise as an operand:", programs.each {
      "print('a' .. fetch('a')) --> T103",
      "local sum = 1 + fetch('a') print(sum) --> T103",
      "print(#fetch('a')) --> T103",
      "print(-fetch('a')) --> T103",
      "print(fetch('a') < 3) --> T103",
      "print(fetch('a') == 'a') --> T103",
      "print('a' ~= fetch('a')) --> T103",
      "print(fetch('a') == nil) --> T103",
      "for i = 1, fetch('a') do print(i) end --> T103",
      "local text = fetch('a') print(text .. '!') --> T103",
      "local list = { fetch('a') .. 'b' } print(list) --> T103",
      "local list = { fetch('a') } print('b' .. list[1]) --> T103",
      "local user = { name = fetch('a') } print('b' .. user.name) --> T103",
      [[
        local texts = {}
        for i = 1, 3 do texts[i] = fetch(i) end
        for i = 1, 3 do print('text: ' .. texts[i]) end --> T103
        print(table.concat(texts, ' ')) --> T103
      ]],
      [[
        local texts = {}
        for i = 1, 3 do table.insert(texts, fetch(i)) end
        for _, text in ipairs(texts) do
          print(text:upper()) --> T105
        end
      ]],
  })

  it("says nothing of fields that others may have set:", programs.each {
      "local t = { text = fetch('a') } local u = t u.text = 'b' print('a' .. t.text)",
      "local t = { text = fetch('a') } local function settle(u) u.text = await(u.text) end " ..
        "settle(t) print('a' .. t.text)",
      "local t = { text = fetch('a') } for k in pairs(t) do rawset(t, k, 'b') end " ..
        "print('a' .. t.text)",
      "local t = { a = { text = fetch('a') } } local a = t.a a.text = 'b' print('a' .. t.a.text)",
      "t = { text = fetch('a') } print('a' .. t.text)",
      "local M = { text = fetch('a') } " ..
        "function M:settle() self.text = await(self.text) end M:settle() print('a' .. M.text)",
      [[
        local Page = {}
        Page.__index = Page
        function Page.new() return setmetatable({ text = fetch('a') }, Page) end
        function Page:settle() self.text = await(self.text) end
        local page = Page.new()
        page:settle()
        print('a' .. page.text)
      ]],
  })

  it("says nothing of methods that are not those of the class:", programs.each {
      "local Base = { save = save } Base.__index = Base local it = setmetatable({}, Base) " ..
        "it.save = print it.save(1)",
      "local Base = { save = save } Base.__index = Base " ..
        "setmetatable({ save = print }, Base):save()",
      "local Base = { save = save } Base.__index = Base " ..
        "local function new(it) return setmetatable(it or {}, Base) end " ..
        "new({ save = print }):save() new():save()",
      [[
        local Base = {}
        Base.__index = Base
        function Base:save() return save(self) end
        function Base:finish() self:save() end
        local Quiet = setmetatable({}, Base)
        Quiet.__index = Quiet
        function Quiet:save() print(self) end
        setmetatable({}, Quiet):finish()
      ]],
  })

  it("finds methods of objects that are known in part, and of all classes alike:", programs.each {
      [[
        local Store = {}
        Store.__index = Store
        function Store:new(it) return setmetatable(it or {}, self) end
        function Store:save() return save(self) end
        function Store.open(it)
          return setmetatable(it or {}, Store)
        end
        function Store:finish() self:save() end --> T101
        Store.open():save() --> T101
      ]],
      [[
        local One, Other = {}, {}
        One.__index, Other.__index = One, Other
        One.save = async(function(self) print(self) end)
        function Other:save() return fetch(self) end
        function One:finish() self:save() end --> T101
        function Other:finish() self:save() end --> T101
      ]],
  })

  it("T103 says nothing of", programs.each {
      "local p = fetch('a') print('reads ' .. tostring(p)) await(p)",
      "local p = fetch('a') print(('reads %s'):format(p)) await(p)",
      "local order, list = {}, { fetch('a') } for i, p in ipairs(list) do order[p] = i end " ..
        "table.sort(list, function(a, b) return order[a] > order[b] end)",
      "print('a' .. await(fetch('a')))",
      "local one, other = fetch('a'), fetch('b') print(one == other)",
      "local current = fetch('a') print(current == ...)",
      "local current if print then current = fetch('a') end print(current == nil)",
      "local text = fetch('a') text = await(text) print('a' .. text)",
      "local list = { fetch('a') } print(#list)",
      "local list = { fetch('a') } list = await(Promise.all(list)) print('a' .. list[1])",
      "local list = { fetch('a') } for i, p in ipairs(list) do list[i] = await(p) end " ..
        "print('a' .. list[1])",
      "local list = { fetch('a') } local function settle(t) t[1] = 1 end settle(list) " ..
        "print('a' .. list[1])",
      "local list = { fetch('a'), n = 1 } local key = ... print('a' .. list[key])",
      "local list = {} for i = 1, 3 do list[#list + 1] = await(fetch(i)) end " ..
        "print(table.concat(list))",
      "local list = {} for i = 1, 3 do list[i] = fetch(i) end " ..
        "for _, p in ipairs(list) do await(p) end",
      "local count = 0 fetch('a'):next(function(text) count = count + #text end) print(count)",
      "local function f(fetch) return 'a' .. fetch('a') end print(f)",
  })

  it("T104 finds a promise as a key:", programs.each {
      "local t = {} print(t[fetch('a')]) --> T104",
      "local t = {} t[fetch('a')] = 1 --> T104",
      "local t = { [fetch('a')] = 1 } print(t) --> T104",
    "local t, id = {}, fetch('a') print(t[id]) --> T104",
  })

  it("T104 says nothing of", programs.each {
      "local t = {} print(t[await(fetch('a'))])",
      "local set, p = {}, fetch('a') set[p] = true p:finally(function() set[p] = nil end)",
      "local set = {} for i = 1, 3 do local p = fetch(i) set[p] = i end await(Promise.all(set))",
      "local t = {} t[1] = fetch('a') await(t[1])",
      "local t = { a = fetch('a') } await(t.a)",
  })

  it("T105 finds what a promise has not:", programs.each {
      "print(fetch('a').length) --> T105",
      "print(fetch('a'):upper()) --> T105",
      "print(fetch('a')[1]) --> T105",
      "fetch('a').done = true --> T105",
      "fetch('a')() --> T105",
      "for line in fetch('a') do print(line) end --> T105",
      "for line in fetch do print(line) end --> T105",
      "local stat = fs.stat('a') print(stat.size) --> T105",
      "local file <close> = fs.open('a') --> T105",
      "local ok, text = pcall(fetch, 'a') if ok then print(text.length) end --> T105",
      "local file = fs.open('a') print(file:read()) --> T105",
  })

  it("T105 says nothing of", programs.each {
      "print(await(fetch('a')).length)",
      "print(fetch('a'):state())",
      "fetch('a'):next(print):catch(print):finally(print)",
      "print(fetch('a').next, fetch('b')['then'])",
      "for _, promise in ipairs { fetch('a'), fetch('b') } do print(await(promise)) end",
      "local stat = fs.stat('a') stat = await(stat) print(stat.size)",
      "local file <close> = await(fs.open('a')) print(await(file:read()))",
      "local stat = fs.stat('a'):next(function(found) return found.size end) print(await(stat))",
      "for line in fs.lines('a') do print(line) end",
      "for name in tide.signal('SIGINT') do print(name) end",
      "local ok, text = pcall(await, fetch('a')) if ok then print(text.length) end",
  })
end)
