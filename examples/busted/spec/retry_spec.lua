-- A spec of an imaginary project, run by plain busted: `cd examples/busted && busted`.
local tide = require "moontide"
local fs = require "moontide.fs"
local retry = require "retry"

local async, await, sleep = tide.async, tide.await, tide.sleep

-- An async function that fails a number of times before it succeeds.
local function failing(times)
  return async(function(attempt)
    await(sleep(1))
    if attempt <= times then
      error("attempt " .. attempt .. " failed", 0)
    end
    return "attempt " .. attempt
  end)
end

describe("retry", function()
  local path

  before_each(function()
    path = os.tmpname()
    await(fs.write_file(path, "ready\n"))
  end)

  after_each(function()
    os.remove(path)
  end)

  it("returns what the first attempt that succeeds returns", function()
    assert.equal("attempt 3", await(retry(failing(2), { attempts = 5, pause = 1 })))
  end)

  it("gives up with the error of the last attempt", function()
    assert.has_error(function()
      await(retry(failing(9), { attempts = 2, pause = 1 }))
    end, "attempt 2 failed")
  end)

  it("works with what I/O gives", function()
    assert.equal("ready\n", await(retry(async(function()
      return await(fs.read_file(path))
    end), { attempts = 1, pause = 1 })))
  end)
end)
