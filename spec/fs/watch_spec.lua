local tide = require "moontide"
local core = require "moontide.core"
local files = require "spec.support.files"
local fs = require "moontide.fs"
local leak = require "spec.support.leak"

local failure = require("spec.support.raised").failure
local raised = require("spec.support.raised").raised
local await, sleep = tide.await, tide.sleep

local directory

--- What comes until nothing comes any more: "kind name" in order.
local function drain(watch)
  local seen = {}
  while true do
    local found, event = await(tide.move_on_after(20, function()
      return await(watch:next())
    end))
    if not found then
      return seen
    end
    seen[#seen + 1] = event.kind .. " " .. tostring(event.name)
  end
end

--- The same as a set.
local function kinds(watch)
  local set = {}
  for _, text in ipairs(drain(watch)) do
    set[text] = true
  end
  return set
end

local function append(path, text)
  local file <close> = assert(io.open(path, "ab"))
  assert(file:write(text))
end

describe("fs.watch", function()
  before_each(function()
    directory = files.directory()
  end)
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("tells what is made, changed, renamed and removed in a directory", function()
    local watch <close> = fs.watch(directory)
    files.write(directory .. "/a", "")
    assert.same({ name = "a", kind = "rename" }, await(watch:next()))
    drain(watch)
    append(directory .. "/a", "more")
    assert.same({ name = "a", kind = "change" }, await(watch:next()))
    drain(watch)
    assert(os.rename(directory .. "/a", directory .. "/b"))
    assert.same({ ["rename a"] = true, ["rename b"] = true }, kinds(watch))
    assert(os.remove(directory .. "/b"))
    assert.same({ name = "b", kind = "rename" }, await(watch:next()))
  end)

  it("tells about a file that grows, as often as it is asked", function()
    local path = directory .. "/log"
    files.write(path, "")
    local watch <close> = fs.watch(path)
    for i = 1, 3 do
      local promise = watch:next()
      append(path, "line " .. i .. "\n")
      assert.same({ name = "log", kind = "change" }, await(promise))
    end
  end)

  it("tells that the watched file is removed, and stays silent after that", function()
    local path = directory .. "/log"
    files.write(path, "text")
    local watch <close> = fs.watch(path)
    assert(os.remove(path))
    assert.is_true(kinds(watch)["rename log"])
    files.write(path, "another")
    assert.same({}, drain(watch))
  end)

  it("tells about the file that it found, wherever that is moved", function()
    local path = directory .. "/log"
    files.write(path, "text")
    local watch <close> = fs.watch(path)
    assert(os.rename(path, path .. ".1"))
    assert.is_true(kinds(watch)["rename log"])
    append(path .. ".1", "more")
    assert.equal("change", await(watch:next()).kind)
  end)

  it("is an iterator, and closed when its loop is left", function()
    tide.set_timeout(files.write, 2, directory .. "/a", "")
    local seen = {}
    for event in fs.watch(directory) do
      seen[#seen + 1] = event
      if #seen == 2 then
        break
      end
      files.write(directory .. "/b", "")
    end
    assert.same({ name = "a", kind = "rename" }, seen[1])
    assert.equal(2, #seen)
    await(sleep(1))
    assert.equal(0, core.stats().handles)
  end)

  it("keeps what comes while nobody waits, equal ones once", function()
    local watch <close> = fs.watch(directory)
    for _ = 1, 100 do
      files.write(directory .. "/a", "text")
      files.write(directory .. "/b", "text")
    end
    await(sleep(5))
    for _ = 1, 100 do
      append(directory .. "/a", "text")
    end
    await(sleep(5))
    assert.same({ "rename a", "change a", "rename b", "change b" }, drain(watch))
  end)

  it("tells that there were too many, after those that it kept", function()
    local watch <close> = fs.watch(directory)
    local long = ("x"):rep(100)
    for i = 1, 1000 do
      files.write(directory .. "/" .. long .. i, "")
    end
    await(sleep(5))
    local seen = drain(watch)
    assert.is_true(#seen > 50 and #seen < 1000)
    assert.equal("rename " .. long .. 1, seen[1])
    assert.equal("overflow nil", seen[#seen])
    for i = 1, #seen - 1 do
      assert.matches("^%l+ x", seen[i])
    end
    -- From here on it goes on as before.
    files.write(directory .. "/last", "")
    assert.equal("last", await(watch:next()).name)
  end)

  it("has room again for what comes after what was taken", function()
    local watch <close> = fs.watch(directory)
    for i = 1, 70 do -- more than the queue can hold, were nothing given back
      local name = ("%d-%s"):format(i, ("x"):rep(240))
      for _, command in ipairs({ "mkdir ", "rmdir " }) do
        assert(os.execute(command .. directory .. "/" .. name))
        assert.same({ name = name, kind = "rename" }, await(watch:next()))
      end
    end
  end)

  it("serves those who wait in their order, one event each", function()
    local watch <close> = fs.watch(directory)
    local first, second, third = watch:next(), watch:next(), watch:next()
    assert(os.execute("mkdir " .. directory .. "/a " .. directory .. "/b"))
    assert.equal("a", await(first).name)
    assert.equal("b", await(second).name)
    assert.equal("pending", third:state())
    watch:close()
    await(third)
  end)

  it("loses none to a wait that is aborted, before or after it came", function()
    local watch <close> = fs.watch(directory)
    local controller = tide.AbortController()
    local early = watch:next({ signal = controller.signal })
    controller:abort("early")
    assert(os.execute("mkdir " .. directory .. "/a"))
    assert.equal("early", failure(early))
    assert.equal("a", await(watch:next()).name)
  end)

  it("hands what an aborted wait was to get to the next one that waits", function()
    local other <close> = fs.watch(directory)
    local watch <close> = fs.watch(directory)
    local controller = tide.AbortController()
    -- Both get the event in the same poll; what the first one's delivery does aborts the other's.
    other:next():next(function()
      controller:abort("late")
    end)
    local aborted = watch:next({ signal = controller.signal })
    local behind = watch:next()
    assert(os.execute("mkdir " .. directory .. "/a"))
    assert.equal("late", failure(aborted))
    assert.equal("a", await(behind).name)
  end)

  it("gives each its own event when one asks while another's is on its way", function()
    local other <close> = fs.watch(directory)
    local watch <close> = fs.watch(directory)
    local late
    other:next():next(function()
      late = watch:next()
    end)
    local early = watch:next()
    assert(os.execute("mkdir " .. directory .. "/a " .. directory .. "/b"))
    assert.equal("a", await(early).name)
    assert.equal("b", await(late).name)
  end)

  it("takes a signal for its loop, and refuses an aborted one there", function()
    local controller = tide.AbortController()
    tide.set_timeout(controller.abort, 2, controller, "enough")
    assert.equal("enough", raised(function()
      for _ in fs.watch(directory, { signal = controller.signal }) do
        error("nothing has happened")
      end
    end))
    local watch <close> = fs.watch(directory, { signal = controller.signal })
    assert.equal("enough", failure(watch:next()))
    files.write(directory .. "/a", "")
    assert.equal("a", await(watch:next({})).name)
  end)

  it("heeds its group, and a timeout", function()
    local watch <close> = fs.watch(directory)
    assert.is_false(await(tide.move_on_after(2, function()
      await(watch:next())
    end)))
    assert.equal("TimeoutError", failure(tide.timeout(2, function()
      for _ in fs.watch(directory) do
        error("nothing has happened")
      end
    end)).name)
    assert.equal(0, core.stats().operations)
  end)

  it("that is closed gives nothing, to those who wait as well", function()
    local watch = fs.watch(directory)
    local promise = watch:next()
    files.write(directory .. "/a", "")
    watch:close()
    watch:close()
    assert.equal(0, select("#", await(promise)))
    assert.equal(0, select("#", await(watch:next())))
  end)

  it("keeps the loop alive only while somebody waits", function()
    local watch <close> = fs.watch(directory)
    assert.is_false(tide.alive())
    local promise = watch:next()
    assert.is_true(tide.alive())
    watch:close()
    await(promise)
  end)

  it("that nobody has any more closes itself", function()
    fs.watch(directory)
    assert.equal(1, core.stats().handles)
    leak.collect()
    await(sleep(1))
    assert.equal(0, core.stats().handles)
  end)

  it("leaves no descriptor, but for libuv's own of the first watch", function()
    fs.watch(directory):close()
    await(sleep(1))
    local before = files.descriptors()
    for _ = 1, 20 do
      fs.watch(directory):close()
    end
    await(sleep(1))
    assert.equal(before, files.descriptors())
  end)

  it("raises what the system refuses", function()
    local err = raised(fs.watch, directory .. "/absent")
    files.check_error(err, "ENOENT", "watch", directory .. "/absent")
    await(sleep(1))
    assert.equal(0, core.stats().handles)
  end)

  it("watches what lies below only where the system can", function()
    local ok, watch = pcall(fs.watch, directory, { recursive = true })
    if ok then
      local _ <close> = watch
      assert(os.execute("mkdir -p " .. directory .. "/a/b"))
      files.write(directory .. "/a/b/c", "")
      local seen = kinds(watch)
      assert.is_true(seen["rename a/b/c"])
    else
      files.check_error(watch, "ENOSYS", "watch", directory)
    end
  end)

  it("raises for wrong arguments", function()
    assert.matches("string expected", raised(fs.watch))
    assert.matches("string contains a NUL", raised(fs.watch, "a\0b"))
    assert.matches("#2 to 'fs.watch' %(table expected", raised(fs.watch, directory, 1))
    assert.matches("AbortSignal expected", raised(fs.watch, directory, { signal = 1 }))
    local watch <close> = fs.watch(directory)
    assert.matches("#1 to 'watch:next' %(table expected", raised(watch.next, watch, 1))
    assert.equal(1, core.stats().handles)
  end)
end)
