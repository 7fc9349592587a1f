local tide = require "moontide"
local fs = require "moontide.fs"
local failure = require("spec.support.raised").failure
local leak = require "spec.support.leak"
local scale = require "spec.support.scale"

local await, spawn = tide.await, tide.spawn
local Promise = tide.Promise

-- A directory of its own for each spec that asks for one, removed afterwards.
local made = {}

local function directory()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir '" .. path .. "'"))
  made[#made + 1] = path
  return path
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

-- What every rejection of this module looks like.
local function check_error(err, code, syscall, path)
  assert.equal("SystemError", err.name)
  assert.equal(code, err.code)
  assert.equal("integer", math.type(err.errno))
  assert.equal(syscall, err.syscall)
  assert.equal(path, err.path)
  assert.matches("^" .. code .. ": .+, " .. syscall .. " '", err.message)
  assert.is_truthy(err.message:find("'" .. path .. "'", 1, true))
  assert.equal("SystemError: " .. err.message, tostring(err))
end

describe("moontide.fs", function()
  after_each(function()
    for i = #made, 1, -1 do
      os.execute("rm -rf '" .. made[i] .. "'")
      made[i] = nil
    end
    leak.check()
  end)

  it("returns promises, which are pending at first", function()
    local p = fs.stat(".")
    assert.equal("pending", p:state())
    await(p)
    local q = fs.stat("no/such/file")
    assert.equal("pending", q:state())
    failure(q)
  end)

  describe("read_file", function()
    it("gives the content, every byte of it", function()
      local path = directory() .. "/file"
      local bytes = {}
      for i = 0, 255 do
        bytes[#bytes + 1] = string.char(i)
      end
      local text = table.concat(bytes):rep(3)
      write(path, text)
      assert.same({ text, n = 1 }, table.pack(await(fs.read_file(path))))
    end)

    it("gives an empty string for an empty file", function()
      local path = directory() .. "/file"
      write(path, "")
      assert.equal("", await(fs.read_file(path)))
    end)

    it("reads large files whole", function()
      local path = directory() .. "/file"
      local text = ("0123456789abcdef"):rep(256 * 1024) .. "end"
      write(path, text)
      assert.is_true(text == await(fs.read_file(path)))
    end)

    it("reads files whose size is not known beforehand", function()
      local file = io.open("/proc/self/status")
      if not file then
        return pending("there is no /proc here")
      end
      file:close()
      assert.matches("^Name:", await(fs.read_file("/proc/self/status")))
    end)

    it("rejects with a SystemError when there is no such file", function()
      check_error(failure(fs.read_file("no/such/file")), "ENOENT", "open", "no/such/file")
    end)

    it("rejects with a SystemError for a directory", function()
      local err = failure(fs.read_file("."))
      assert.equal("SystemError", err.name)
      assert.equal("EISDIR", err.code)
      assert.equal(".", err.path)
    end)
  end)

  describe("write_file", function()
    it("creates a file, and is fulfilled with nothing", function()
      local path = directory() .. "/file"
      local text = "a\0b\r\nc\n"
      assert.equal(0, select("#", await(fs.write_file(path, text))))
      assert.equal(text, read(path))
    end)

    it("replaces what was there, with less too", function()
      local path = directory() .. "/file"
      write(path, ("long"):rep(1000))
      await(fs.write_file(path, "short"))
      assert.equal("short", read(path))
      await(fs.write_file(path, ""))
      assert.equal("", read(path))
    end)

    it("writes large strings whole", function()
      local path = directory() .. "/file"
      local text = ("0123456789abcdef"):rep(256 * 1024) .. "end"
      await(fs.write_file(path, text))
      assert.is_true(text == read(path))
    end)

    it("keeps its data alive until it is written", function()
      local path = directory() .. "/file"
      local p = fs.write_file(path, ("x"):rep(100000) .. "y")
      leak.collect()
      await(p)
      assert.equal(100001, #read(path))
    end)

    it("rejects with a SystemError where it cannot", function()
      local path = directory() .. "/missing/file"
      check_error(failure(fs.write_file(path, "text")), "ENOENT", "open", path)
    end)
  end)

  describe("stat", function()
    it("tells a file from a directory, and the size", function()
      local dir = directory()
      write(dir .. "/file", "12345")
      local info = await(fs.stat(dir .. "/file"))
      assert.equal("file", info.type)
      assert.equal(5, info.size)
      assert.equal("integer", math.type(info.size))
      assert.equal("integer", math.type(info.mode))
      assert.equal("directory", await(fs.stat(dir)).type)
    end)

    it("tells the time of the last change in seconds", function()
      local dir = directory()
      local before = os.time()
      write(dir .. "/file", "x")
      local info = await(fs.stat(dir .. "/file"))
      -- File systems keep times of their own, coarser than a second at worst.
      assert.is_true(math.abs(info.mtime - before) < 30)
    end)

    it("rejects with a SystemError when there is nothing", function()
      check_error(failure(fs.stat("no/such/file")), "ENOENT", "stat", "no/such/file")
    end)
  end)

  describe("scandir", function()
    it("lists names and types, sorted by name", function()
      local dir = directory()
      write(dir .. "/b", "")
      write(dir .. "/a", "")
      write(dir .. "/.hidden", "")
      assert(os.execute("mkdir '" .. dir .. "/c'"))
      assert(os.execute("ln -s a '" .. dir .. "/d'"))
      assert.same({
        { name = ".hidden", type = "file" },
        { name = "a", type = "file" },
        { name = "b", type = "file" },
        { name = "c", type = "directory" },
        { name = "d", type = "link" },
      }, await(fs.scandir(dir)))
    end)

    it("gives an empty list for an empty directory", function()
      assert.same({}, await(fs.scandir(directory())))
    end)

    it("lists many", function()
      local dir = directory()
      local count = 500
      for i = 1, count do
        write(("%s/%04d"):format(dir, i), "")
      end
      local list = await(fs.scandir(dir))
      assert.equal(count, #list)
      for i, entry in ipairs(list) do
        assert.equal(("%04d"):format(i), entry.name)
      end
    end)

    it("rejects with a SystemError when there is no such directory", function()
      check_error(failure(fs.scandir("no/such/dir")), "ENOENT", "scandir", "no/such/dir")
    end)

    it("rejects with a SystemError for a file", function()
      local path = directory() .. "/file"
      write(path, "")
      assert.equal("ENOTDIR", failure(fs.scandir(path)).code)
    end)
  end)

  it("S05 works while other things go on, many at once", function()
    local dir = directory()
    local count = scale(2000) + 10
    local ticks = 0
    local handle <close> = tide.set_interval(function()
      ticks = ticks + 1
    end, 1)
    local list = {}
    for i = 1, count do
      list[i] = spawn(function()
        local path = dir .. "/" .. i
        await(fs.write_file(path, tostring(i)))
        local text = await(fs.read_file(path))
        return #text == await(fs.stat(path)).size and text
      end)
    end
    for i, text in ipairs(await(Promise.all(list))) do
      assert.equal(tostring(i), text)
    end
    assert.is_true(ticks > 0)
    assert.is_not_nil(handle)
  end)

  it("S44 holds the loop until it is done, though nobody holds the promise", function()
    local path = directory() .. "/file"
    fs.write_file(path, "text")
    leak.collect()
    tide.run()
    assert.equal("text", read(path))
  end)

  it("lets go of promise and result", function()
    local function start()
      local p = leak.track(fs.scandir("."), "promise")
      p:next(function(list)
        leak.track(list, "result")
      end)
    end
    start()
  end)
end)
