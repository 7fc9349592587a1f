local tide = require "moontide"
local fs = require "moontide.fs"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local raised = require("spec.support.raised").raised

local await = tide.await
local directory, write, eventually = files.directory, files.write, files.eventually

describe("fs.opendir", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("gives each entry once, with its type", function()
    local path = directory()
    local count = 150
    for i = 1, count do
      write(path .. "/" .. i, "")
    end
    await(fs.mkdir(path .. "/sub"))
    local dir <close> = await(fs.opendir(path))
    local seen = {}
    for entry in dir:entries() do
      assert.is_nil(seen[entry.name])
      seen[entry.name] = entry.type
    end
    for i = 1, count do
      assert.equal("file", seen[tostring(i)])
    end
    assert.equal("directory", seen.sub)
    assert.equal(0, select("#", await(dir:read())))
  end)

  it("reads lists, one at a time", function()
    local dir <close> = await(fs.opendir("spec"))
    local p = dir:read()
    assert.matches("is being read", raised(dir.read, dir))
    assert.is_true(#await(p) > 0)
    await(dir:read())
  end)

  it("waits for a read before it is closed; then it cannot be used", function()
    local before = files.descriptors()
    local dir = await(fs.opendir("spec"))
    local p = dir:read()
    local closed = dir:close()
    assert.is_true(#await(p) > 0)
    await(closed)
    assert.matches("is closed", raised(dir.read, dir))
    assert.matches("moontide.Directory expected", raised(dir.close, io.stdout))
    assert.equal(before, files.descriptors())
  end)

  it("is closed when nobody has it, or an abort came too late", function()
    local before = files.descriptors()
    await(fs.opendir("spec"))
    local controller = tide.AbortController()
    for _ = 1, 8 do
      fs.opendir("spec", { signal = controller.signal }):catch(function() end)
    end
    controller:abort()
    leak.run_dry()
    eventually(function()
      leak.collect()
      return files.descriptors() == before
    end)
  end)
end)
