-- What file systems do to programs: full, read-only, forbidden; files that are not as long as they
-- claim to be, or not any more.
local child = require "spec.support.child"
local files = require "spec.support.files"
local fs = require "moontide.fs"
local leak = require "spec.support.leak"
local scale = require "spec.support.scale"
local tide = require "moontide"

local failure = require("spec.support.raised").failure
local raised = require("spec.support.raised").raised
local await = tide.await
local directory, quote, write = files.directory, child.quote, files.write

--- Runs a Lua script on a file system of its own, which only the script sees. Returns what it has
--- printed; nothing where that cannot be had.
local function on_file_system(options, source)
  local place = directory()
  local prepare = ("mount -t tmpfs -o %s tmpfs %s"):format(options, place)
  -- As root in a mount namespace alone; for others that takes a user namespace as well.
  for _, unshare in ipairs({ "unshare -m", "unshare -rm" }) do
    if child.shell(("%s sh -c %s"):format(unshare, quote(prepare))).code == 0 then
      return child.with_file(source, function(path)
        local command = prepare .. " && " .. child.command(path, place)
        local result = child.shell(("%s sh -c %s"):format(unshare, quote(command)))
        assert(result.code == 0, result.err)
        return result.out
      end)
    end
  end
end

local NO_NAMESPACE = "no file system of one's own can be mounted here"

-- For scripts: `try(name, promise)` prints what it came to; `list()` what there is.
local PRELUDE = [[
  local place = ...
  local fs, tide = require "moontide.fs", require "moontide"
  local await = tide.await
  local MUCH = ("x"):rep(1 << 20)
  local function try(name, promise)
    local ok, err = pcall(await, promise)
    print(name, ok and "done" or err.code, err and err.syscall)
    return ok and err
  end
  local function list()
    local names = {}
    for i, entry in ipairs(await(fs.scandir(place))) do names[i] = entry.name end
    print(table.concat(names, " "))
  end
]]

describe("moontide.fs on a full disk", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("rejects with ENOSPC; what is atomic leaves all as it was", function()
    local out = on_file_system("size=64k", PRELUDE .. [[
      local a, b = place .. "/a", place .. "/b"
      await(fs.write_file(a, "old"))
      try("atomic", fs.write_file(a, MUCH, { atomic = true }))
      print(await(fs.read_file(a)))
      list()
      try("whole", fs.write_file(b, MUCH))
      try("append", fs.append_file(a, MUCH))
      try("copy", fs.copy_file(b, place .. "/c"))
      list()
      await(fs.rm(a))
      await(fs.rm(b))
      local file <close> = await(fs.open(b, "w+"))
      try("file", file:write(MUCH))
      local size = await(file:stat()).size
      print(size > 0 and size < #MUCH)
      await(file:truncate())
      try("again", file:write("new", 0))
      print(await(file:read(10, 0)))
      list()
    ]])
    if not out then
      return pending(NO_NAMESPACE)
    end
    assert.equal(table.concat({
      "atomic\tENOSPC\twrite",
      "old",
      "a",
      "whole\tENOSPC\twrite",
      "append\tENOSPC\twrite",
      "copy\tENOSPC\tcopyfile",
      "a b",
      "file\tENOSPC\twrite",
      "true",
      "again\tdone\tnil",
      "new",
      "b\n",
    }, "\n"), out)
  end)

  it("rejects with ENOSPC where there is no room for another name", function()
    local out = on_file_system("nr_inodes=3", PRELUDE .. [[
      await(fs.write_file(place .. "/a", ""))
      await(fs.mkdir(place .. "/b"))
      try("mkdir", fs.mkdir(place .. "/c"))
      try("mkdir", fs.mkdir(place .. "/c/d", { recursive = true }))
      try("mkdtemp", fs.mkdtemp(place .. "/c"))
      try("mkstemp", fs.mkstemp(place .. "/c"))
      try("symlink", fs.symlink("a", place .. "/c"))
      try("open", fs.open(place .. "/c", "w"))
      try("atomic", fs.write_file(place .. "/a", "text", { atomic = true }))
      list()
    ]])
    if not out then
      return pending(NO_NAMESPACE)
    end
    assert.equal(table.concat({
      "mkdir\tENOSPC\tmkdir",
      "mkdir\tENOSPC\tmkdir",
      "mkdtemp\tENOSPC\tmkdtemp",
      "mkstemp\tENOSPC\tmkstemp",
      "symlink\tENOSPC\tsymlink",
      "open\tENOSPC\topen",
      "atomic\tENOSPC\topen",
      "a b\n",
    }, "\n"), out)
  end)
end)

describe("moontide.fs where nothing may be changed", function()
  after_each(function()
    files.remove()
    leak.check()
  end)

  -- `a` is a file, `b` a directory.
  local CHANGES = [[
    local a, b, c = place .. "/a", place .. "/b", place .. "/c"
    local changes = {
      append_file = fs.append_file(a, "text"),
      atomic = fs.write_file(a, "text", { atomic = true }),
      copy_file = fs.copy_file(a, c),
      link = fs.link(a, c),
      mkdir = fs.mkdir(c),
      mkdtemp = fs.mkdtemp(c),
      mkstemp = fs.mkstemp(c),
      open = fs.open(a, "r+"),
      rename = fs.rename(a, c),
      rm = fs.rm(b, { recursive = true }),
      rmdir = fs.rmdir(b),
      symlink = fs.symlink(a, c),
      truncate = fs.truncate(a),
      unlink = fs.unlink(a),
      utime = fs.utime(a, 1, 1),
      write_file = fs.write_file(a, "text"),
    }
    local count = 0
    for name, outcome in pairs(await(tide.Promise.all_settled_keyed(changes))) do
      local code = (outcome.reason or {}).code
      count = count + 1
      if code ~= CODE and code ~= OTHER[name] then print(name, outcome.status, code) end
    end
    print(count)
    print(await(fs.read_file(a)), await(fs.access(a, "r")))
    try("access", fs.access(a, "w"))
    list()
  ]]

  it("rejects with EROFS on a read-only file system", function()
    local out = on_file_system("size=64k", PRELUDE .. [[
      local CODE, OTHER = "EROFS", {}
      await(fs.write_file(place .. "/a", "old"))
      await(fs.mkdir(place .. "/b"))
      assert(os.execute("mount -o remount,ro " .. place))
    ]] .. CHANGES)
    if not out then
      return pending(NO_NAMESPACE)
    end
    assert.equal("16\nold\naccess\tEROFS\taccess\na b\n", out)
  end)

  it("rejects with EACCES in a directory of another user", function()
    local place = directory()
    write(place .. "/a", "old")
    await(fs.mkdir(place .. "/b"))
    for name, mode in pairs({ [""] = "555", ["/a"] = "444", ["/b"] = "555" }) do
      await(fs.chmod(place .. name, tonumber(mode, 8)))
    end
    -- The modules must be readable for that user, too.
    local script = PRELUDE .. [[
      local CODE, OTHER = "EACCES", { link = "EPERM", utime = "EPERM" }
    ]] .. CHANGES
    local result = child.with_file(script, function(path)
      await(fs.chmod(path, tonumber("644", 8)))
      local command = child.command(path, place)
      local probe = io.open(place .. "/probe", "w")
      if probe then
        probe:close()
        os.remove(place .. "/probe")
        command = "setpriv --reuid=65534 --regid=65534 --clear-groups sh -c " .. quote(command)
      end
      return child.shell(command)
    end)
    if result.err:find("module 'moontide", 1, true) or result.err:find("setpriv", 1, true) then
      return pending("no other user can run this")
    end
    assert.equal("", result.err)
    assert.equal("16\nold\naccess\tEACCES\taccess\na b\n", result.out)
  end)
end)

describe("moontide.fs, a path with a NUL", function()
  after_each(leak.check)

  -- Parameters of the annotations that are paths.
  local ARE_PATHS = { path = true, dest = true, prefix = true, text = true }
  local checked = 0

  for line in io.lines "lua/moontide/meta/fs.lua" do
    local name, parameters = line:match("^function fs%.([%w_]+)%(([^)]*)%)")
    local values, names = {}, {}
    for parameter in (parameters or ""):gmatch("[%w_]+") do
      names[#names + 1] = parameter
      values[#values + 1] = ARE_PATHS[parameter] and "/absent/x" or 0
    end
    for i, parameter in ipairs(names) do
      if ARE_PATHS[parameter] and not (name == "write_file" and i > 1) then
        checked = checked + 1
        it("is refused by " .. name .. " as " .. parameter, function()
          local arguments = { table.unpack(values, 1, i) }
          arguments[i] = "/absent/a\0b"
          local err = raised(fs[name], table.unpack(arguments))
          local expected = "bad argument #%d to 'fs.%s' %%(string contains a NUL"
          assert.matches(expected:format(i, name), err)
        end)
      end
    end
  end

  it("was tried with all of them", function()
    assert.is_true(checked >= 34, checked)
  end)
end)

describe("a file whose length is not what was thought", function()
  local path

  before_each(function()
    path = directory() .. "/file"
  end)
  after_each(function()
    files.remove()
    leak.check()
  end)

  it("is read and copied up to its end", function()
    local CLAIMS_MORE = "/sys/kernel/uevent_seqnum"
    local file = io.open(CLAIMS_MORE)
    if not file or await(fs.stat(CLAIMS_MORE)).size < 1000 then
      return pending("there is no such file here")
    end
    local text = file:read("a")
    file:close()
    assert.is_true(#text < 100)
    assert.equal(text, await(fs.read_file(CLAIMS_MORE)))
    await(fs.copy_file(CLAIMS_MORE, path))
    assert.equal(text, files.read(path))
    for line in fs.lines(CLAIMS_MORE) do
      assert.equal(text, line .. "\n")
    end
  end)

  it("is read and copied beyond what it claims", function()
    local CLAIMS_NOTHING = "/proc/version"
    local file = io.open(CLAIMS_NOTHING)
    if not file then
      return pending("there is no such file here")
    end
    local text = file:read("a")
    file:close()
    assert.equal(0, await(fs.stat(CLAIMS_NOTHING)).size)
    assert.equal(text, await(fs.read_file(CLAIMS_NOTHING)))
    await(fs.copy_file(CLAIMS_NOTHING, path))
    assert.equal(text, files.read(path))
  end)

  it("ends early for who reads it in parts, when it shrinks", function()
    write(path, ("0123456789"):rep(1000))
    local file <close> = await(fs.open(path))
    assert.equal(4000, #await(file:read(4000)))
    await(fs.truncate(path, 5000))
    assert.equal(1000, #await(file:read(4000)))
    await(fs.truncate(path, 10))
    assert.equal(0, select("#", await(file:read(4000))))
    assert.equal("89", await(file:read(4000, 8)))
  end)

  it("ends its chunks and lines early, when it shrinks", function()
    write(path, ("0123456\n"):rep(100000))
    local file <close> = await(fs.open(path))
    local count = 0
    for chunk in file:chunks() do
      count = count + #chunk
      await(fs.truncate(path, 100000))
    end
    assert.equal(100000, count)
    write(path, ("0123456\n"):rep(100000))
    count = 0
    for line in fs.lines(path) do
      count = count + 1
      assert.equal("0123456", line)
      if count == 1 then
        await(fs.truncate(path, 16))
      end
    end
    assert.equal(65536 // 8, count) -- what had been read
  end)

  it("may shrink and grow while it is read and copied as a whole", function()
    local long = ("0123456789"):rep(200000)
    write(path, long)
    local over = false
    local others = tide.spawn(function()
      while not over do
        await(fs.truncate(path, 10))
        await(fs.write_file(path, long))
      end
    end)
    for _ = 1, math.max(2, scale(50)) do
      -- What the system shows of a page that is just being cut off is its own affair.
      assert.is_true(#await(fs.read_file(path)) <= #long)
      await(fs.copy_file(path, path .. "2"))
      assert.is_true(await(fs.stat(path .. "2")).size <= #long)
    end
    over = true
    await(others)
  end)

  it("can be copied onto itself, and to a device", function()
    write(path, "text")
    await(fs.copy_file(path, path))
    await(fs.link(path, path .. "2"))
    await(fs.copy_file(path, path .. "2"))
    assert.equal("text", files.read(path))
    local before = await(fs.stat("/dev/null")).mode
    await(fs.copy_file(path, "/dev/null"))
    assert.equal(before, await(fs.stat("/dev/null")).mode)
  end)

  it("is no directory, which leaves its copy as it was", function()
    write(path, "text")
    files.check_error(failure(fs.copy_file("/", path)), "EISDIR", "copyfile", "/", path)
    assert.equal("text", files.read(path))
  end)

  it("leaves no part of its copy when that is aborted", function()
    local big <close> = assert(io.open(path, "wb"))
    for _ = 1, 64 do
      big:write(("x"):rep(1 << 20))
    end
    big:close()
    local controller = tide.AbortController()
    local promise = fs.copy_file(path, path .. "2", { signal = controller.signal })
    files.eventually(function()
      return io.open(path .. "2") ~= nil
    end)
    controller:abort("enough")
    local ok, err = pcall(await, promise)
    leak.run_dry()
    if ok then
      return pending("the copy was faster")
    end
    assert.equal("enough", err)
    assert.equal("ENOENT", failure(fs.stat(path .. "2")).code)
  end)
end)
