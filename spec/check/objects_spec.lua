local leak = require "spec.support.leak"
local programs = require "spec.support.check"

describe("moontide check:", function()
  after_each(leak.check)

  it("T113 finds an object that is closed before it is returned:", programs.each {
    [[
      local open = async(function(path)
        local file <close> = await(fs.open(path))
        return file --> T113
      end)
      await(open('a'))
    ]],
    [[
      local function connect()
        local stream <close> = await(net.connect { port = 1 })
        if print then return stream end --> T113
      end
      connect()
    ]],
    "local permit <close> = await(tide.mutex():acquire()) return permit --> T113",
  })

  it("T113 says nothing of", programs.each {
    "local file = await(fs.open('a')) return file",
    "local file <close> = await(fs.open('a')) return await(file:read())",
    "local guard <close> = setmetatable({}, { __close = print }) return guard",
    "local file <const> = await(fs.open('a')) return file",
    "local file <close> = await(fs.open('a')) return function() return file end",
  })
end)
