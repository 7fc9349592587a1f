local leak = require "spec.support.leak"
local programs = require "spec.support.check"

describe("moontide check:", function()
  after_each(leak.check)

  it("T111 finds what is awaited, but is no promise:", programs.each {
    "print(await(fetch)) --> T111",
    "print(join(fetch, fetch('a'))) --> T111",
    "await(Promise.all { fetch, save }) --> T111 --> T111",
    "print(pcall(await, fetch)) --> T111",
    "await(fs.scandir) --> T111",
    "local function load() return fetch('a') end print(await(load)) --> T111",
    "local jobs = tide.queue() print(await(jobs)) --> T111",
    "await(tide.set_timeout(print, 10)) --> T111",
    "local server = await(net.listen { port = 0 }) print(await(server)) --> T111",
    "async(function() print(1) end) --> T111",
  })

  it("T111 says nothing of", programs.each {
    "print(await(fetch('a')))",
    "print(await(print))",
    "local f = ... print(await(f))",
    "await(tide.spawn(fetch, 'a'))",
    "await(Promise.all { fetch('a'), save(1), 1, 'a' })",
    "local functions = { fetch, save } print(#functions)",
    "await(nil) await('a') await(1)",
    "local jobs = tide.queue() print(await(jobs:pop()))",
    "local f = async(function() print(1) end) await(f())",
    "async(function() print(1) end)():next(print)",
  })

  it("T103 finds a promise that await leaves out:", programs.each {
    "print(await(fetch('a'), fetch('b'))) --> T103",
    "local a, b = fetch('a'), fetch('b') await(a, b) --> T103",
    "await(sleep(1), sleep(2)) --> T103",
  })

  it("T112 finds names where a list belongs:", programs.each {
    "await(Promise.all { a = fetch('a'), b = fetch('b') }) --> T112",
    "await(Promise.race { a = fetch('a') }) --> T112",
    "await(Promise.all_settled({ a = fetch('a') })) --> T112",
  })

  it("says nothing of", programs.each {
    "print(join(fetch('a'), fetch('b')))",
    "print(await(Promise.all_keyed { a = fetch('a') }).a)",
    "print(await(Promise.all_settled_keyed { a = fetch('a') }).a)",
    "await(Promise.all { fetch('a'), n = 1 })",
    "await(Promise.all { n = 0 })",
    "await(Promise.all {})",
    "await(Promise.resolve { ['then'] = print })",
    "Promise.reject({ code = 1 }):catch(print)",
    "local list = { a = fetch('a') } await(Promise.all_keyed(list))",
    "await(1, fetch('a'))",
  })
end)
