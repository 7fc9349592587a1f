-- Requests of moontide.fs with a path; whole files, stat and scandir are in fs_spec.
local tide = require "moontide"
local fs = require "moontide.fs"
local files = require "spec.support.files"
local leak = require "spec.support.leak"
local raises = require "spec.support.raised"

local await = tide.await
local failure, raised = raises.failure, raises.raised
local directory, write, read, output = files.directory, files.write, files.read, files.output
local check_error = files.check_error

-- Fulfilled with nothing at all.
local function nothing(p)
  assert.equal(0, select("#", await(p)))
end

-- Each function with a path: how to call it with one, and the call of the system that fails.
local with_path = {
  access = { fs.access },
  append_file = { function(path) return fs.append_file(path, "x") end, "open" },
  chmod = { function(path) return fs.chmod(path, 0) end },
  chown = { function(path) return fs.chown(path, -1, -1) end },
  lchown = { function(path) return fs.lchown(path, -1, -1) end },
  lstat = { fs.lstat },
  lutime = { function(path) return fs.lutime(path, 0, 0) end },
  mkdir = { fs.mkdir },
  mkstemp = { fs.mkstemp },
  mkdtemp = { fs.mkdtemp },
  open = { fs.open },
  opendir = { fs.opendir },
  readlink = { fs.readlink },
  realpath = { fs.realpath },
  rm = { fs.rm },
  rmdir = { fs.rmdir },
  scandir = { fs.scandir },
  stat = { fs.stat },
  statfs = { fs.statfs },
  truncate = { fs.truncate },
  unlink = { fs.unlink },
  utime = { function(path) return fs.utime(path, 0, 0) end },
}

local with_two = {
  copy_file = "copyfile",
  link = "link",
  rename = "rename",
}

describe("moontide.fs, paths:", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  for name, row in pairs(with_path) do
    local call, syscall = row[1], row[2] or name

    it(name .. " rejects with a SystemError where there is no such path", function()
      local err = failure(call("no/such/path"))
      assert.equal("ENOENT", err.code)
      assert.equal(syscall, err.syscall)
      assert.equal("no/such/path", err.path:sub(1, 12))
    end)

    it(name .. " raises for a path with a NUL, and for what is no path", function()
      assert.matches("bad argument #1 .*string contains a NUL", raised(call, "a\0b"))
      assert.matches("bad argument #1 .*string expected", raised(call, {}))
    end)
  end

  for name, syscall in pairs(with_two) do
    it(name .. " tells both paths when it fails", function()
      local dir = directory()
      check_error(failure(fs[name](dir .. "/a", dir .. "/b")), "ENOENT", syscall, dir .. "/a",
        dir .. "/b")
      assert.matches("bad argument #1 .*NUL", raised(fs[name], "a\0", "b"))
      assert.matches("bad argument #2 .*NUL", raised(fs[name], "a", "b\0"))
    end)
  end

  it("rename moves, and replaces", function()
    local dir = directory()
    write(dir .. "/a", "text")
    write(dir .. "/b", "old")
    nothing(fs.rename(dir .. "/a", dir .. "/b"))
    assert.equal("b", output("ls " .. dir))
    assert.equal("text", read(dir .. "/b"))
  end)

  it("copy_file copies, and replaces unless that is excluded", function()
    local dir = directory()
    write(dir .. "/a", "text")
    write(dir .. "/b", "old")
    check_error(failure(fs.copy_file(dir .. "/a", dir .. "/b", { exclusive = true })), "EEXIST",
      "copyfile", dir .. "/a", dir .. "/b")
    nothing(fs.copy_file(dir .. "/a", dir .. "/b"))
    assert.equal("text", read(dir .. "/b"))
    assert.equal("text", read(dir .. "/a"))
  end)

  it("link makes another name of the same file", function()
    local dir = directory()
    write(dir .. "/a", "text")
    nothing(fs.link(dir .. "/a", dir .. "/b"))
    assert.equal(await(fs.stat(dir .. "/a")).ino, await(fs.stat(dir .. "/b")).ino)
    assert.equal(2, await(fs.stat(dir .. "/a")).nlink)
  end)

  it("symlink, readlink, realpath, lstat", function()
    local dir = await(fs.realpath(directory()))
    write(dir .. "/a", "text")
    nothing(fs.symlink("a", dir .. "/link"))
    assert.equal("a", await(fs.readlink(dir .. "/link")))
    assert.equal(dir .. "/a", await(fs.realpath(dir .. "/link")))
    assert.equal("link", await(fs.lstat(dir .. "/link")).type)
    assert.equal("file", await(fs.stat(dir .. "/link")).type)
    check_error(failure(fs.symlink("a", dir .. "/link")), "EEXIST", "symlink", "a", dir .. "/link")
    check_error(failure(fs.readlink(dir .. "/a")), "EINVAL", "readlink", dir .. "/a")
  end)

  it("chmod sets permissions", function()
    local path = directory() .. "/file"
    write(path, "")
    nothing(fs.chmod(path, tonumber("640", 8)))
    assert.equal("640", output("stat -c %a " .. path))
  end)

  it("chown and lchown leave an owner of -1 as it is", function()
    local dir = directory()
    write(dir .. "/a", "")
    await(fs.symlink("a", dir .. "/link"))
    local before = await(fs.stat(dir .. "/a"))
    nothing(fs.chown(dir .. "/a", -1, before.gid))
    nothing(fs.lchown(dir .. "/link", before.uid, -1))
    assert.equal(before.uid, await(fs.stat(dir .. "/a")).uid)
  end)

  it("utime sets the times, lutime those of a link", function()
    local dir = directory()
    write(dir .. "/a", "")
    await(fs.symlink("a", dir .. "/link"))
    nothing(fs.utime(dir .. "/a", 1000.5, 2000.25))
    nothing(fs.lutime(dir .. "/link", 3000, 4000))
    local file, link = await(fs.stat(dir .. "/a")), await(fs.lstat(dir .. "/link"))
    assert.is_true(math.abs(file.atime - 1000.5) < 0.01)
    assert.is_true(math.abs(file.mtime - 2000.25) < 0.01)
    assert.equal(4000, link.mtime)
    assert.matches("out of range", raised(fs.utime, "a", 0 / 0, 0))
  end)

  it("access tells what is allowed", function()
    local path = directory() .. "/file"
    write(path, "")
    nothing(fs.access(path))
    nothing(fs.access(path, "rw"))
    await(fs.chmod(path, tonumber("600", 8)))
    check_error(failure(fs.access(path, "x")), "EACCES", "access", path)
    assert.matches("#2 .*'r', 'w' and 'x'", raised(fs.access, path, "q"))
  end)

  it("statfs tells how much room there is", function()
    local info = await(fs.statfs("."))
    for _, name in ipairs({ "type", "bsize", "blocks", "bfree", "bavail", "files", "ffree" }) do
      assert.equal("integer", math.type(info[name]), name)
    end
    assert.is_true(info.bsize > 0)
  end)

  it("unlink removes a file, rmdir an empty directory", function()
    local dir = directory()
    write(dir .. "/file", "")
    await(fs.mkdir(dir .. "/sub"))
    assert.equal("ENOTEMPTY", failure(fs.rmdir(dir)).code)
    nothing(fs.unlink(dir .. "/file"))
    nothing(fs.rmdir(dir .. "/sub"))
    assert.equal("", output("ls -A " .. dir))
  end)

  it("rejects with ENOTDIR below a file", function()
    local path = directory() .. "/file"
    write(path, "")
    check_error(failure(fs.stat(path .. "/x")), "ENOTDIR", "stat", path .. "/x")
    check_error(failure(fs.mkdir(path .. "/x")), "ENOTDIR", "mkdir", path .. "/x")
  end)

  describe("mkdir", function()
    it("makes a directory, with a mode", function()
      local path = directory() .. "/sub"
      nothing(fs.mkdir(path, { mode = tonumber("700", 8) }))
      assert.equal("700", output("stat -c %a " .. path))
      check_error(failure(fs.mkdir(path)), "EEXIST", "mkdir", path)
    end)

    it("recursive makes all that are missing, and is content with what is there", function()
      local dir = directory()
      nothing(fs.mkdir(dir .. "/a/b//c/", { recursive = true }))
      nothing(fs.mkdir(dir .. "/a/b/c/d", { recursive = true }))
      assert.equal("directory", await(fs.stat(dir .. "/a/b/c/d")).type)
      nothing(fs.mkdir(dir .. "/a", { recursive = true }))
      nothing(fs.mkdir("/", { recursive = true }))
    end)

    it("recursive rejects where a file is in the way", function()
      local dir = directory()
      write(dir .. "/file", "")
      check_error(failure(fs.mkdir(dir .. "/file", { recursive = true })), "EEXIST", "mkdir",
        dir .. "/file")
      check_error(failure(fs.mkdir(dir .. "/file/sub", { recursive = true })), "ENOTDIR", "mkdir",
        dir .. "/file/sub")
    end)
  end)

  describe("rm", function()
    it("removes a file, but no directory", function()
      local dir = directory()
      write(dir .. "/file", "")
      nothing(fs.rm(dir .. "/file"))
      assert.equal("rm", failure(fs.rm(dir)).syscall)
      assert.equal("directory", await(fs.stat(dir)).type)
    end)

    it("recursive removes all that is in it", function()
      local dir = directory() .. "/tree"
      for i = 1, 10 do
        await(fs.mkdir(("%s/%d/sub/.hidden"):format(dir, i), { recursive = true }))
        for j = 1, 20 do
          write(("%s/%d/sub/%d"):format(dir, i, j), "x")
        end
      end
      nothing(fs.rm(dir, { recursive = true }))
      assert.equal("ENOENT", failure(fs.stat(dir)).code)
    end)

    it("never follows links", function()
      local dir = directory()
      await(fs.mkdir(dir .. "/kept"))
      write(dir .. "/kept/file", "x")
      await(fs.mkdir(dir .. "/tree"))
      await(fs.symlink("../kept", dir .. "/tree/link"))
      await(fs.symlink("kept", dir .. "/link"))
      nothing(fs.rm(dir .. "/tree", { recursive = true }))
      nothing(fs.rm(dir .. "/link", { recursive = true }))
      assert.equal("ENOTDIR", failure(fs.rm(dir .. "/kept/file/", { recursive = true })).code)
      assert.equal("x", read(dir .. "/kept/file"))
    end)

    it("force does not mind that there is nothing", function()
      nothing(fs.rm("no/such/path", { force = true }))
      nothing(fs.rm("no/such/path", { force = true, recursive = true }))
    end)

    it("refuses directories nested deeper than it can hold open", function()
      local dir = directory()
      local path = dir .. ("/d"):rep(1010)
      await(fs.mkdir(path, { recursive = true }))
      assert.matches("^E", failure(fs.rm(dir .. "/d", { recursive = true })).code)
    end)
  end)

  describe("mkdtemp", function()
    it("makes a directory of its own", function()
      local prefix = directory() .. "/x-"
      local a, b = await(fs.mkdtemp(prefix)), await(fs.mkdtemp(prefix))
      assert.are_not.equal(a, b)
      assert.equal(prefix, a:sub(1, #prefix))
      assert.equal("directory", await(fs.stat(a)).type)
    end)

    it("leaves none behind when it is aborted", function()
      local dir = directory()
      local controller = tide.AbortController()
      local list = {}
      for i = 1, 20 do
        list[i] = fs.mkdtemp(dir .. "/x-", { signal = controller.signal })
        list[20 + i] = fs.mkstemp(dir .. "/y-", { signal = controller.signal })
      end
      tide.set_immediate(function() controller:abort("stop") end)
      local kept = 0
      for i, result in ipairs(await(tide.Promise.all_settled(list))) do
        if result.status == "fulfilled" then
          kept = kept + 1
          if i > 20 then
            result.value:close()
          end
        end
      end
      leak.run_dry()
      assert.equal(tostring(kept), output("ls " .. dir .. " | wc -l"))
    end)
  end)
end)
