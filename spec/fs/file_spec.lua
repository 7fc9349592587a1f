-- Files that are open.
local tide = require "moontide"
local fs = require "moontide.fs"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local raises = require "spec.support.raised"
local scale = require "spec.support.scale"

local await = tide.await
local failure, raised = raises.failure, raises.raised
local directory, write, read = files.directory, files.write, files.read
local check_error, eventually = files.check_error, files.eventually

local function open(text, how)
  local path = directory() .. "/file"
  write(path, text)
  return await(fs.open(path, how)), path
end

describe("fs.open", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("opens for reading, unless it is told otherwise", function()
    local file <close>, path = open("text")
    assert.equal("text", await(file:read()))
    check_error(failure(file:write("x")), "EBADF", "write", path)
  end)

  it("takes what fopen takes", function()
    local path = directory() .. "/file"
    local function put(how, text)
      local file <close> = await(fs.open(path, how))
      await(file:write(text))
    end
    put("w", "one")
    put("a", "two")
    assert.equal("onetwo", read(path))
    put("r+", "ONE")
    assert.equal("ONEtwo", read(path))
    put("w+b", "new")
    assert.equal("new", read(path))
    assert.equal("EEXIST", failure(fs.open(path, "wx")).code)
    assert.equal("EEXIST", failure(fs.open(path, "a+x")).code)
  end)

  it("makes the file with a mode", function()
    local path = directory() .. "/file"
    await(await(fs.open(path, "w", { mode = 384 })):close())
    assert.equal("600", files.output("stat -c %a " .. path))
  end)

  it("raises for a way that there is not", function()
    for _, how in ipairs({ "", "q", "rr", "r+w", "+" }) do
      assert.matches("bad argument #2 .*invalid way to open", raised(fs.open, "path", how))
    end
  end)

  it("closes again what an abort came too late for", function()
    local _, path = open("text")
    _:close()
    leak.run_dry()
    local before = files.descriptors()
    for i = 0, scale(100) do
      local controller = tide.AbortController()
      local p = fs.open(path, "r", { signal = controller.signal })
      if i % 2 == 1 then
        tide.step(1)
      end
      controller:abort("stop")
      if p:state() == "fulfilled" then
        await(p):close()
      else
        assert.equal("stop", failure(p))
      end
      leak.run_dry()
    end
    eventually(function() return files.descriptors() == before end)
  end)

  it("mkstemp gives a file of its own, and its path", function()
    local prefix = directory() .. "/x-"
    local file <close>, path = await(fs.mkstemp(prefix))
    assert.equal(prefix, path:sub(1, #prefix))
    await(file:write("text"))
    assert.equal("text", read(path))
  end)
end)

describe("file", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it(":read goes on where it was, and gives nothing at the end", function()
    local file <close> = open("0123456789")
    assert.equal("0123", await(file:read(4)))
    assert.equal("456789", await(file:read(100)))
    assert.equal(0, select("#", await(file:read(1))))
  end)

  it(":read reads from an offset, and leaves the position", function()
    local file <close> = open("0123456789")
    assert.equal("56", await(file:read(2, 5)))
    assert.equal("01", await(file:read(2)))
    assert.is_nil(await(file:read(1, 10)))
  end)

  it(":read sees what a file has become meanwhile", function()
    local file <close>, path = open(("x"):rep(1000))
    assert.equal(500, #await(file:read(500)))
    await(fs.truncate(path, 100))
    assert.is_nil(await(file:read(500)))
    await(fs.truncate(path, 600))
    assert.equal(("\0"):rep(100), await(file:read(500)))
  end)

  it(":read and :write check their arguments", function()
    local file <close> = open("x", "r+")
    assert.matches("#1 to 'file:read' %(positive integer expected, got 0%)",
      raised(file.read, file, 0))
    assert.matches("#2 to 'file:read' %(non%-negative integer expected, got %-1%)",
      raised(file.read, file, 1, -1))
    assert.matches("string expected", raised(file.write, file, {}))
    assert.matches("moontide.File expected", raised(file.read, io.stdout))
    assert.matches("moontide.File expected", raised(file.read, {}))
  end)

  it(":write writes all, at the position or an offset", function()
    local file <close>, path = open("0123456789", "r+")
    assert.equal(0, select("#", await(file:write("ab"))))
    await(file:write("XY", 5))
    await(file:write("c"))
    assert.equal("abc34XY789", read(path))
    await(file:write(""))
    local large = ("0123456789abcdef"):rep(256 * 1024)
    await(file:write(large, 0))
    assert.is_true(large == read(path))
  end)

  it(":write rejects with ENOSPC when the disk is full", function()
    if not io.open("/dev/full") then
      return pending("there is no /dev/full here")
    end
    local file <close> = await(fs.open("/dev/full", "r+"))
    check_error(failure(file:write("x")), "ENOSPC", "write", "/dev/full")
  end)

  it(":stat, :truncate, :chmod, :chown, :utime, :sync, :datasync", function()
    local file <close>, path = open("0123456789", "r+")
    await(file:truncate(4))
    await(file:chmod(tonumber("640", 8)))
    await(file:chown(-1, -1))
    await(file:utime(1000, 2000))
    assert.equal(0, select("#", await(file:sync())))
    await(file:datasync())
    local info = await(file:stat())
    assert.equal(4, info.size)
    assert.equal(2000, info.mtime)
    assert.equal("640", files.output("stat -c %a " .. path))
    await(file:truncate())
    assert.equal("", read(path))
  end)

  it(":lines and :chunks read from the position", function()
    local file <close> = open("one\ntwo\nthree")
    await(file:read(4))
    local lines = {}
    for line in file:lines() do
      lines[#lines + 1] = line
    end
    assert.same({ "two", "three" }, lines)
    local again <close> = open(("x"):rep(25))
    local sizes = {}
    for chunk in again:chunks(10) do
      sizes[#sizes + 1] = #chunk
    end
    assert.same({ 10, 10, 5 }, sizes)
  end)

  it("cannot be used any more when it is closed", function()
    local file = open("text")
    assert.matches("^moontide.File: 0x%x+$", tostring(file))
    assert.equal(0, select("#", await(file:close())))
    assert.matches("%(closed%)$", tostring(file))
    for _, name in ipairs({ "read", "stat", "sync", "datasync", "truncate" }) do
      assert.matches("is closed", raised(file[name], file))
    end
    assert.matches("is closed", raised(file.write, file, "x"))
  end)

  it("may be closed twice", function()
    local file = open("text")
    local first = file:close()
    assert.equal(first, file:close())
    await(first)
    await(file:close())
  end)

  it("is closed by <close>", function()
    local before = files.descriptors()
    local kept
    do
      local file <close> = open("text")
      kept = file
    end
    assert.matches("is closed", raised(kept.read, kept))
    eventually(function() return files.descriptors() == before end)
  end)

  it("is closed when nobody has it any more", function()
    local before = files.descriptors()
    local function forget()
      for _ = 1, 5 do
        open("text")
      end
    end
    forget()
    eventually(function()
      leak.collect()
      return files.descriptors() == before
    end)
  end)

  it("that is closed while operations run ends them first", function()
    local file, path = open("", "r+")
    local large = ("0123456789abcdef"):rep(1024 * 1024)
    local log = {}
    local writing = file:write(large):next(function() log[#log + 1] = "written" end)
    local closing = file:close():next(function() log[#log + 1] = "closed" end)
    assert.matches("is closed", raised(file.read, file))
    -- Numbers that the system may give out again while the write still runs.
    local others = {}
    for i = 1, 10 do
      others[i] = fs.open(path)
    end
    await(writing)
    await(closing)
    assert.same({ "written", "closed" }, log)
    assert.is_true(read(path) == large)
    for _, other in ipairs(others) do
      await(await(other):close())
    end
  end)

  it("closes although its group has been cancelled", function()
    local before = files.descriptors()
    failure(tide.group(function(g)
      local _ <close> = open("text")
      g:cancel("stop")
      await(tide.sleep(1000))
    end))
    eventually(function() return files.descriptors() == before end)
  end)

  it("does not live longer than what is done with it", function()
    local function start()
      local file <close> = leak.track(open("text"), "file")
      local p = leak.track(file:read(), "promise")
      await(p)
    end
    start()
  end)
end)

describe("file operations with a signal", function()
  local core = require "moontide.core"
  local path

  local operations = {
    read = function(file, options) return file:read(1, 0, options) end,
    write = function(file, options) return file:write("x", 0, options) end,
    stat = function(file, options) return file:stat(options) end,
    sync = function(file, options) return file:sync(options) end,
    datasync = function(file, options) return file:datasync(options) end,
    truncate = function(file, options) return file:truncate(1, options) end,
    chmod = function(file, options) return file:chmod(384, options) end,
    chown = function(file, options) return file:chown(-1, -1, options) end,
    utime = function(file, options) return file:utime(1, 1, options) end,
    lstat = function(_, options) return fs.lstat(path, options) end,
    statfs = function(_, options) return fs.statfs(path, options) end,
    access = function(_, options) return fs.access(path, "r", options) end,
    rename = function(_, options) return fs.rename(path, path, options) end,
    copy_file = function(_, options) return fs.copy_file(path, path .. "-copy", options) end,
    link = function(_, options) return fs.link(path, path .. "-link", options) end,
    symlink = function(_, options) return fs.symlink(path, path .. "-symlink", options) end,
    readlink = function(_, options) return fs.readlink("/proc/self", options) end,
    realpath = function(_, options) return fs.realpath(path, options) end,
    unlink = function(_, options) return fs.unlink(path, options) end,
    rmdir = function(_, options) return fs.rmdir(path, options) end,
    path_chmod = function(_, options) return fs.chmod(path, 384, options) end,
    path_chown = function(_, options) return fs.chown(path, -1, -1, options) end,
    lchown = function(_, options) return fs.lchown(path, -1, -1, options) end,
    path_utime = function(_, options) return fs.utime(path, 1, 1, options) end,
    lutime = function(_, options) return fs.lutime(path, 1, 1, options) end,
    path_truncate = function(_, options) return fs.truncate(path, 1, options) end,
    append_file = function(_, options) return fs.append_file(path, "x", options) end,
    mkdir = function(_, options) return fs.mkdir(path .. "-dir", options) end,
    rm = function(_, options) return fs.rm(path, options) end,
    open = function(_, options) return fs.open(path, "r", options) end,
    opendir = function(_, options) return fs.opendir("/", options) end,
    mkdtemp = function(_, options) return fs.mkdtemp(path, options) end,
    mkstemp = function(_, options) return fs.mkstemp(path, options) end,
  }

  after_each(function()
    files.remove()
    leak.check()
  end)

  for name, start in pairs(operations) do
    it("leave nothing when they are aborted: " .. name, function()
      local file <close>, opened = open("text", "r+")
      path = opened
      local before = files.descriptors()
      local refused = start(file, { signal = tide.AbortSignal.abort("no") })
      assert.equal("no", failure(refused))
      assert.equal(0, core.stats().operations)
      local controller = tide.AbortController()
      local p = start(file, { signal = controller.signal })
      assert.equal(1, core.stats().operations)
      controller:abort("stop")
      assert.equal("stop", failure(p))
      leak.run_dry()
      assert.equal(0, core.stats().operations)
      eventually(function() return files.descriptors() == before end)
      assert.equal("stop", failure(tide.group(function(g)
        local ambient = start(file)
        g:cancel("stop")
        await(ambient)
      end)))
      leak.run_dry()
      eventually(function() return files.descriptors() == before end)
      assert.matches("field 'signal': AbortSignal expected", raised(start, file, { signal = 1 }))
    end)
  end
end)
