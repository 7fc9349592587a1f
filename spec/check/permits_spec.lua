local leak = require "spec.support.leak"
local programs = require "spec.support.check"

local ACQUIRE = "local door = tide.semaphore(2) local permit = await(door:acquire()) "

describe("moontide check:", function()
  after_each(leak.check)

  it("T114 finds a permit that nobody releases:", programs.each {
    "local mutex = tide.mutex() await(mutex:acquire()) --> T114",
    "local limit = tide.semaphore(2) local permit = await(limit:acquire()) --> T114",
    "local mutex = tide.mutex() tide.spawn(function() await(mutex:acquire()) end) --> T114",
    [[
      local door = tide.mutex()
      local visit = async(function(guest)
        local permit = await(door:acquire())
        if not guest then return false end --> T114
        permit:release()
        return true
      end)
      await(visit())
    ]],
    ACQUIRE .. "for i = 1, 3 do if i == 2 then return end end permit:release() --> T114",
  })

  it("T114 says nothing of", programs.each {
    "local _ <close> = await(tide.mutex():acquire())",
    "local permit = await(tide.mutex():acquire()) permit:release()",
    "local permits = {} permits[1] = await(tide.mutex():acquire())",
    "return await(tide.mutex():acquire())",
    "local mutex = ... await(mutex:acquire())",
    ACQUIRE .. "if print then permit:release() return 1 end permit:release() return 2",
    ACQUIRE .. "local _ <close> = permit if print then return 1 end permit:release()",
    ACQUIRE .. "if print then return permit end permit:release()",
    ACQUIRE .. "tide.set_timeout(function() permit:release() end, 1) return 1",
    "if print then return end " .. ACQUIRE .. "permit:release()",
    ACQUIRE .. "print(function() return 1 end) permit:release()",
  })

  it("T115 finds a permit that is released twice:", programs.each {
    ACQUIRE .. "permit:release() print(1) permit:release() --> T115",
    ACQUIRE .. [[
      if print then
        permit:release()
      end
      permit:release() --> T115
    ]],
    ACQUIRE .. [[
      for i = 1, 3 do
        if i == 2 then permit:release() end
      end
      permit:release() --> T115
    ]],
  })

  it("T115 says nothing of", programs.each {
    ACQUIRE .. "if print then permit:release() else permit:release() end",
    ACQUIRE .. "if print then permit:release() return end permit:release()",
    ACQUIRE .. "if print then permit:release() error('full') end permit:release()",
    ACQUIRE .. "if print then permit:release() elseif fetch then permit:release() end",
    ACQUIRE .. "local other = await(door:acquire()) permit:release() other:release()",
    "local door = tide.mutex() for _ = 1, 2 do " ..
      "local permit = await(door:acquire()) permit:release() end",
  })
end)
