-- Of: fs, fs/contents, fs/job, fs/request, fs/stat, fs/tree
local tide = require "moontide"
local fs = require "moontide.fs"
local raises = require "spec.support.raised"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local scale = require "spec.support.scale"

local failure, raised = raises.failure, raises.raised
local await, spawn = tide.await, tide.spawn
local Promise = tide.Promise

local directory, write, read = files.directory, files.write, files.read
local check_error = files.check_error

describe("moontide.fs", function()
  after_each(function()
    files.remove()
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

  describe("write_file with options", function()
    it("makes the file with a mode", function()
      local path = directory() .. "/file"
      await(fs.write_file(path, "text", { mode = 384 })) -- 0600
      assert.equal("600", files.output("stat -c %a " .. path))
    end)

    it("says that a mode must be an integer", function()
      assert.matches("#3 to 'fs.write_file' %(field 'mode': integer from 0 to 4095 expected",
        raised(fs.write_file, "path", "text", { mode = "rw" }))
    end)

    it("rejects with ENOSPC when the disk is full", function()
      if not io.open("/dev/full") then
        return pending("there is no /dev/full here")
      end
      check_error(failure(fs.write_file("/dev/full", "text")), "ENOSPC", "write", "/dev/full")
    end)
  end)

  describe("write_file, atomic", function()
    local atomic = { atomic = true }

    it("makes a file, and leaves nothing else", function()
      local dir = directory()
      assert.equal(0, select("#", await(fs.write_file(dir .. "/file", "text", atomic))))
      assert.equal("text", read(dir .. "/file"))
      assert.equal("file", files.output("ls -A " .. dir))
    end)

    it("replaces a file, with another inode and the same permissions", function()
      local path = directory() .. "/file"
      write(path, "old")
      await(fs.chmod(path, 416)) -- 0640
      local open <close> = assert(io.open(path, "rb"))
      await(fs.write_file(path, ("new"):rep(1000000), atomic))
      assert.equal("old", open:read("a"))
      assert.equal(3000000, #read(path))
      assert.equal("640", files.output("stat -c %a " .. path))
    end)

    it("replaces what a link leads to, not the link", function()
      local dir = directory()
      write(dir .. "/file", "old")
      await(fs.symlink("file", dir .. "/link"))
      await(fs.write_file(dir .. "/link", "new", atomic))
      assert.equal("link", await(fs.lstat(dir .. "/link")).type)
      assert.equal("new", read(dir .. "/file"))
    end)

    it("makes what a link leads to that leads to nothing yet, also by way of others", function()
      local dir = directory()
      await(fs.mkdir(dir .. "/sub"))
      await(fs.symlink("sub/second", dir .. "/first"))
      await(fs.symlink("../file", dir .. "/sub/second"))
      await(fs.write_file(dir .. "/first", "new", atomic))
      assert.equal("link", await(fs.lstat(dir .. "/first")).type)
      assert.equal("link", await(fs.lstat(dir .. "/sub/second")).type)
      assert.equal("new", read(dir .. "/file"))
      assert.equal("file\nfirst\nsub", files.output("ls -A " .. dir))
    end)

    it("fails at links that lead to themselves, or nowhere, and leaves them", function()
      local dir = directory()
      await(fs.symlink("loop", dir .. "/loop"))
      await(fs.symlink("no/file", dir .. "/link"))
      check_error(failure(fs.write_file(dir .. "/loop", "text", atomic)), "ELOOP", "open",
        dir .. "/loop")
      assert.equal("ENOENT", failure(fs.write_file(dir .. "/link", "text", atomic)).code)
      assert.equal("link\nloop", files.output("ls -A " .. dir))
    end)

    it("replaces no pipe, nor anything else that is no file", function()
      local dir = directory()
      assert(os.execute("mkfifo '" .. dir .. "/pipe'"))
      await(fs.symlink("pipe", dir .. "/link"))
      for _, name in ipairs({ "pipe", "link" }) do
        check_error(failure(fs.write_file(dir .. "/" .. name, "text", atomic)), "EINVAL", "open",
          dir .. "/" .. name)
      end
      assert.equal("fifo", await(fs.lstat(dir .. "/pipe")).type)
      assert.equal("link\npipe", files.output("ls -A " .. dir))
    end)

    it("leaves nothing behind when it fails", function()
      local dir = directory()
      await(fs.mkdir(dir .. "/taken"))
      check_error(failure(fs.write_file(dir .. "/taken", "text", atomic)), "EISDIR", "rename",
        dir .. "/taken")
      assert.equal("taken", files.output("ls -A " .. dir))
      assert.equal("ENOENT", failure(fs.write_file(dir .. "/no/file", "text", atomic)).code)
    end)

    it("leaves the old file and nothing else, or the new one, when it is aborted", function()
      local dir = directory()
      local path = dir .. "/file"
      local text = ("0123456789abcdef"):rep(256 * 1024)
      for turns = 0, 3 do
        write(path, "old")
        local controller = tide.AbortController()
        local p = fs.write_file(path, text, { atomic = true, signal = controller.signal })
        for _ = 1, turns do
          tide.step(1)
        end
        controller:abort("stop")
        if p:state() == "rejected" then
          assert.equal("stop", failure(p))
        end
        leak.run_dry()
        local now = read(path)
        assert.is_true(now == "old" or now == text)
        assert.equal("file", files.output("ls -A " .. dir))
      end
    end)
  end)

  describe("append_file", function()
    it("makes a file, then adds to it", function()
      local path = directory() .. "/file"
      await(fs.append_file(path, "one"))
      await(fs.append_file(path, "two"))
      assert.equal("onetwo", read(path))
    end)

    it("rejects with a SystemError where it cannot", function()
      local path = directory() .. "/missing/file"
      check_error(failure(fs.append_file(path, "text")), "ENOENT", "open", path)
    end)
  end)

  describe("truncate", function()
    it("cuts a file, empties it, or fills it up with zeros", function()
      local path = directory() .. "/file"
      write(path, "12345")
      await(fs.truncate(path, 3))
      assert.equal("123", read(path))
      await(fs.truncate(path, 5))
      assert.equal("123\0\0", read(path))
      await(fs.truncate(path))
      assert.equal("", read(path))
    end)

    it("rejects with a SystemError when there is no such file", function()
      check_error(failure(fs.truncate("no/such/file")), "ENOENT", "truncate", "no/such/file")
      assert.matches("#2 to 'fs.truncate' %(non%-negative integer expected, got %-1%)",
        raised(fs.truncate, "path", -1))
    end)
  end)

  describe("lines", function()
    local function lines(text)
      local path = directory() .. "/file"
      write(path, text)
      return await(tide.collect(fs.lines(path)))
    end

    it("gives each line, empty ones and a last one without an end too", function()
      assert.same({ "one", "", "three" }, lines("one\n\nthree"))
      assert.same({ "one" }, lines("one\n"))
      assert.same({ "" }, lines("\n"))
      assert.same({}, lines(""))
      assert.same({ "a\r", "b\0c" }, lines("a\r\nb\0c\n"))
    end)

    it("puts lines together that go over chunks", function()
      local wanted = {}
      for i = 1, 40 do
        wanted[i] = (i % 10 .. ""):rep(i * i * 100)
      end
      assert.same(wanted, lines(table.concat(wanted, "\n") .. "\n"))
    end)

    it("does not read ahead more than a chunk", function()
      local path = directory() .. "/file"
      local size = 32 * 1024 * 1024
      write(path, "first\n" .. ("x"):rep(99):gsub("$", "\n"):rep(size // 100))
      leak.collect()
      local before, count, most = collectgarbage("count"), 0, 0
      for line in fs.lines(path) do
        count = count + 1
        if count % 5000 == 0 then
          leak.collect()
          most = math.max(most, collectgarbage("count") - before)
        end
        if count > 20000 then
          break
        end
        assert.is_not_nil(line)
      end
      assert.is_true(most < size / 1024 / 4)
    end)

    it("closes the file when the loop is left", function()
      local path = directory() .. "/file"
      write(path, ("line\n"):rep(10))
      local before = files.descriptors()
      for line in fs.lines(path) do
        if line == "line" then
          break
        end
      end
      pcall(function()
        for _ in fs.lines(path) do
          error "enough"
        end
      end)
      files.eventually(function() return files.descriptors() == before end)
    end)

    it("raises in the loop that there is no such file, and not elsewhere", function()
      check_error(raised(function()
        for _ in fs.lines("no/such/file") do
          error "unreachable"
        end
      end), "ENOENT", "open", "no/such/file")
      fs.lines("no/such/file")
      leak.run_dry()
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
