local leak = require "spec.support.leak"
local programs = require "spec.support.check"

describe("moontide check:", function()
  after_each(leak.check)

  it("T108 finds a handler that does not return what it starts:", programs.each {
    [[
      fetch('a'):next(function(text)
        save(text) --> T108
      end)
    ]],
    [[
      local done = fetch('a')
        :next(function(text)
          print(text)
          save(text) --> T108
        end)
        :next(print)
      await(done)
    ]],
    [[
      await(fetch('a'):catch(function()
        fetch('b') --> T108
      end))
    ]],
    [[
      await(fetch('a'):finally(function()
        fs.unlink('a') --> T108
      end))
    ]],
    [[
      local done = fetch('a'):next(function(text)
        fetch(text):next(print) --> T108
      end)
      await(done)
    ]],
  })

  it("T108 says nothing of", programs.each {
    "await(fetch('a'):next(function(text) return save(text) end))",
    "fetch('a'):next(function(text) print(text) end)",
    "fetch('a'):next(function(text) tide.spawn(save, text) end)",
    "fetch('a'):next(function(text) fetch(text):next(print) end)",
    "local stream = ... fetch('a'):next(function() stream:close() end)",
    "local s = await(net.connect { port = 1 }) await(fetch('a'):finally(function() s:close() end))",
    "await(fetch('a'):next(function(text) local p = save(text) return p end))",
    "await(fetch('a'):next(save))",
  })

  it("T110 finds an empty handler of errors:", programs.each {
    "fetch('a'):catch(function() end) --> T110",
    "fetch('a'):next(print, function() end) --> T110",
    "await(fetch('a'):catch(function(err) end)) --> T110",
    "tide.on_unhandled_rejection(function() end) --> T110",
  })

  it("T110 says nothing of", programs.each {
    "fetch('a'):catch(print)",
    "fetch('a'):catch(function(err) print(err) end)",
    "fetch('a'):next(function() end)",
    "fetch('a'):finally(function() end)",
    "fetch('a'):catch(function() -- there need not be one\n end)",
    "fetch('a'):catch(function() --[[ there need not be one ]] end)",
    "local p = ... p:catch(function() end)",
    "fetch('a'):catch(function() return nil end)",
    "tide.set_timeout(function() end, 10)",
  })
end)
