-- Of: check/arguments, check/annotated, check/standard
local leak = require "spec.support.leak"
local programs = require "spec.support.check"

describe("moontide check:", function()
  after_each(leak.check)

  it("T103 finds a promise as an argument:", programs.each {
    "await(fs.write_file('a', fetch('b'))) --> T103",
    "print(await(fs.read_file(fetch('a')))) --> T103",
    "await(sleep(fetch('a'))) --> T103",
    "await(tide.timeout(10, fetch('a'))) --> T103",
    "tide.spawn(fetch('a')) --> T103",
    "tide.set_timeout(save(1), 10) --> T103",
    "await(tide.group(function(g) g:spawn(save(1)) end)) --> T103",
    "await(Promise.all(fetch('a'), fetch('b'))) --> T103",
    "fetch('a'):next(save(1)) --> T103",
    "for _, line in ipairs(fs.scandir('a')) do print(line) end --> T103",
    "for name in pairs(fetch('a')) do print(name) end --> T103",
    "print(('%s'):format(fetch('a'))) --> T103",
    "print(string.upper(fetch('a'))) --> T103",
    "print(table.concat(fetch('a'))) --> T103",
    "print(tonumber(fetch('a'))) --> T103",
    "io.write(fetch('a')) --> T103",
    "print(fetch('a')) --> T103",
    "local list = Promise.all { fetch('a') } table.sort(list) --> T103",
    "local unpack = table.unpack print(unpack(fetch('a'))) --> T103",
    "local f = async(fetch('a')) print(f) --> T103",
    "await(net.connect { host = fetch('a'), port = 1 }) --> T103",
  })

  it("T103 says nothing of", programs.each {
    "await(fs.write_file('a', await(fetch('b'))))",
    "await(tide.timeout(10, fetch, 'a'))",
    "await(tide.timeout(10, function() return fetch('a') end))",
    "tide.spawn(fetch, 'a')",
    "await(Promise.all { fetch('a'), fetch('b') })",
    "await(Promise.resolve(fetch('a')))",
    "local queue = tide.queue() queue:push(fetch('a')) print(await(queue:pop()))",
    "print(join(fetch('a'), fetch('b')))",
    "local promise = fetch('a') print(promise, await(promise))",
    "print(tide.traceback(nil, fetch('a')))",
    "local list = {} table.insert(list, fetch('a')) await(Promise.all(list))",
    "await(tide.group(function(g) local child = g:spawn(print, 1) g:stop(child) end))",
    "local function keep(promise) return promise end await(keep(fetch('a')))",
    "local list = { fetch('a') } for _, promise in ipairs(list) do await(promise) end",
    "print(type(fetch('a')) == 'userdata', select('#', 1, fetch('a')))",
    "local p = fetch('a') print(tostring(p)) await(p)",
    "local t = setmetatable({}, { promise = fetch('a') }) return t",
  })

  it("T112 finds what is no argument:", programs.each {
    "await(fs.read_file('a', function(err) print(err) end)) --> T112",
    "tide.set_timeout(10, function() print(1) end) --> T112",
    "await(tide.timeout(function() end, 10)) --> T112",
    "await(sleep(10, { signl = print })) --> T112",
    "await(net.connect { hots = 'localhost', port = 1 }) --> T112",
    "await(tide.map({ 1 }, print, { concurency = 2 })) --> T112",
    "local function work() print(1) end tide.set_timeout(work(), 10) --> T112",
    "local function show() print(1) end fetch('a'):next(show()) --> T112",
    "await(tide.timeout(10, await(fetch('a')))) --> T112",
  })

  it("T112 says nothing of", programs.each {
    "local signal = tide.AbortSignal.timeout(5) await(sleep(10, { signal = signal }))",
    "await(net.serve({ port = 0, max_connections = 3, on_error = print, tls = nil }, print))",
    "await(net.connect { host = 'localhost', port = 1, tls = { verify = false } })",
    "local fake = require('moontide.tls').client({ read = print, n = 1 }) await(fake)",
    "local options = { anything = 1 } await(sleep(10, options))",
    "tide.set_timeout(function() print(1) end, 10)",
    "tide.set_timeout(setmetatable({}, { __call = print }), 10)",
    "fetch('a'):next(nil, function(err) print(err) end)",
    "local function later() return function() print(1) end end tide.set_timeout(later(), 10)",
    "local process = require 'moontide.process' await(process.exec('ls', {}, { cwd = '/' }))",
    "await(fs.write_file('a', 'b', { atomic = true, mode = 1, signal = nil }))",
    "tide.on_unhandled_rejection(nil)",
  })
end)
