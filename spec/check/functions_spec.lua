-- Of: check/functions, check/calls, check/names, check/passing, check/suspension
local leak = require "spec.support.leak"
local programs = require "spec.support.check"

describe("moontide check:", function()
  after_each(leak.check)

  it("T106 finds a pcall that catches nothing:", programs.each {
    "pcall(fetch, 'a') --> T106",
    "local ok = pcall(fetch, 'a') print(ok) --> T106",
    "if pcall(fetch, 'a') then print(1) end --> T106",
    "if not pcall(fs.unlink, 'a') then print(1) end --> T106",
    [[
      local ok, err = pcall(fetch, 'a') --> T106
      if not ok then print(err) end
    ]],
    [[
      local function try()
        local ok, err = pcall(fetch, 'a') --> T106
        if ok then return true end
        return nil, err
      end
      try()
    ]],
    [[
      local ok, err = pcall(fetch, 'a') --> T106
      assert(ok, err)
    ]],
    "local ok, err = xpcall(fetch, debug.traceback, 'a') print(ok or err) --> T106",
    [[
      local ok, err = pcall(function() return fetch('a') end) --> T106
      if ok then print('done') else print(err) end
    ]],
    "print(pcall(await(fetch('a')))) --> T106",
    "print(await(pcall(fetch, 'a'))) --> T106",
  })

  it("T106 says nothing of", programs.each {
    "print(pcall(await, fetch('a')))",
    "local ok, err = pcall(await, fetch('a')) if not ok then print(err) end",
    "local ok, text = pcall(function() return await(fetch('a')) end) print(ok, text)",
    "local ok, promise = pcall(fetch, 'a') if ok then print(await(promise)) end",
    "local ok, promise = pcall(fs.read_file, ...) if not ok then print(promise) else " ..
      "await(promise) end",
    "return pcall(fetch, 'a')",
    "print(pcall(print, fetch))",
    "local f = ... if not pcall(f) then print(1) end",
    "local ok = pcall(tide.spawn, fetch, 'a') print(ok)",
    "local pcall = function(f) return f end pcall(fetch)",
  })

  it("T107 finds an await where nothing can suspend:", programs.each {
    [[
      tide.spawn(function()
        table.sort({ 1, 2 }, function(one, other)
          return await(fetch(one)) < await(fetch(other)) --> T107
        end)
      end)
    ]],
    [[
      local render = async(function(text)
        return (text:gsub('%w+', function(word)
          return await(fetch(word)) --> T107
        end))
      end)
      await(render('a'))
    ]],
    [[
      tide.set_timeout(function()
        await(sleep(1)) --> T107
      end, 10)
    ]],
    "tide.set_interval(function() fetch('a'):await() end, 10) --> T107",
    "tide.set_immediate(function() print(join(fetch('a'), fetch('b'))) end) --> T107",
    "tide.queue_microtask(function() await(fetch('a')) end) --> T107",
    [[
      fetch('a'):next(function(text)
        return await(fetch(text)) --> T107
      end)
    ]],
    [[
      local function by_size(one, other) return await(fetch(one)) < await(fetch(other)) end
      local function sort(list)
        table.sort(list, by_size) --> T107
      end
      sort { 1, 2 }
    ]],
    [[
      local function size(name) return #await(fetch(name)) end
      local function show() print(size('a')) end
      tide.set_timeout(show, 10) --> T107
    ]],
    [[
      local function ask(question)
        return Promise(function(resolve)
          resolve(await(fetch(question))) --> T107
        end)
      end
      await(ask('a'))
    ]],
    [[
      local function pages()
        return coroutine.wrap(function()
          coroutine.yield(await(fetch('a'))) --> T107
        end)
      end
      pages()
    ]],
    "await(async(function() tide.run() end)()) --> T107",
    [[
      local jobs = tide.queue()
      tide.set_timeout(function()
        for job in jobs do print(job) end --> T107
      end, 10)
    ]],
    [[
      local function load()
        return Promise(function(resolve)
          local _, text = pcall(await, fetch('a')) --> T107
          resolve(text)
        end)
      end
      await(load())
    ]],
    [[
      tide.set_timeout(function()
        print(pcall(function() return await(fetch('a')) end)) --> T107
      end, 10)
    ]],
  })

  it("T107 says nothing of", programs.each {
    "table.sort({ 1, 2 }, function(one, other) return await(one) < await(other) end)",
    "tide.set_timeout(async(function() await(sleep(1)) end), 10)",
    "tide.set_timeout(function() tide.spawn(function() await(sleep(1)) end) end, 10)",
    "tide.set_timeout(function() fetch('a'):next(print) end, 10)",
    "fetch('a'):next(async(function(text) return await(fetch(text)) end))",
    "await(tide.group(function(g) g:spawn(function() await(sleep(1)) end) await(sleep(1)) end))",
    "await(tide.map({ 1, 2 }, function(n) return await(fetch(n)) end))",
    "await(net.serve({ port = 0 }, function(stream) await(stream:write('a')) end))",
    "local function show() print(await(fetch('a'))) end show()",
    "local function each(list, f) for _, x in ipairs(list) do f(x) end end " ..
      "each({ 1 }, function(x) await(fetch(x)) end)",
    "print(pcall(function() await(fetch('a')) end))",
    "print(xpcall(function() await(fetch('a')) end, debug.traceback))",
    "local var = tide.ContextVar('a') var:run(1, function() await(fetch('a')) end)",
    "local signal = tide.AbortController().signal signal:on_abort(function() await(sleep(1)) end)",
    "local gen = tide.generator(function(yield) yield(await(fetch('a'))) end) " ..
      "for x in gen() do print(x) end",
    "local coroutine = require 'moontide.coroutine' " ..
      "local function f() return coroutine.wrap(function() await(sleep(1)) end) end f()",
    "tide.run(function() await(sleep(1)) end)",
    "local function later(f) tide.set_timeout(f, 1) end later(print)",
    "setmetatable({}, { __index = function(_, name) return await(fetch(name)) end })",
  })

  it("T109 finds an async function whose promises are ignored:", programs.each {
    [[
      local function for_each(list, f)
        for _, item in ipairs(list) do f(item) end
      end
      for_each({ 1, 2 }, save) --> T109
    ]],
    [[
      local function for_each(list, f)
        for _, item in ipairs(list) do f(item) end
      end
      for_each({ 1, 2 }, async(function(item) --> T109
        await(save(item))
      end))
    ]],
    [[
      local List = {}
      List.__index = List
      function List:each(f) for i = 1, #self do f(self[i]) end end
      local list = setmetatable({}, List)
      list:each(save) --> T109
    ]],
    "print((('a'):gsub('a', fetch))) --> T109",
    "local text = ... print((text:gsub('a', fetch))) --> T109",
    "table.sort({ 1, 2 }, async(function(one, other) return one < other end)) --> T109",
    "return setmetatable({}, { __close = async(function() await(sleep(1)) end) }) --> T109",
    "return setmetatable({}, { __lt = fetch }) --> T109",
  })

  it("T109 says nothing of", programs.each {
    "local function map(list, f) for i, x in ipairs(list) do list[i] = f(x) end return list end " ..
      "await(Promise.all(map({ 1 }, fetch)))",
    "local function each(list, f) for _, x in ipairs(list) do await(f(x)) end end " ..
      "each({ 1 }, save)",
    "local function each(list, f) for _, x in ipairs(list) do f(x) end end each({ 1 }, print)",
    "local function each(list, f) for _, x in ipairs(list) do tide.spawn(f, x) end " ..
      "end each({ 1 }, save)",
    "local function call(f) return f() end await(call(fetch))",
    "local function keep(f) local kept = f return kept end keep(fetch)",
    "await(tide.each({ 1, 2 }, save))",
    "local library = ... library.for_each({ 1 }, save)",
    "fetch('a'):next(save)",
    "tide.set_interval(save, 10)",
    "return setmetatable({}, { __close = function() await(sleep(1)) end, __call = fetch })",
  })
end)
