-- What spec/host/oom.c runs: files, directories and what watches them. The modes, and what may not
-- stand here, are those of core.lua.

local mode, root = ...
local fs = require "moontide.fs"
local tide = require "moontide"

local await, Promise = tide.await, tide.Promise

local function nothing() end

local function fails(...)
  assert(not pcall(...))
end

local directory = root .. "/files"

--- What a run before this one has left goes, too.
local function begin()
  await(fs.rm(directory, { recursive = true, force = true }))
  await(fs.mkdir(directory .. "/sub", { recursive = true }))
end

local function paths()
  local file, link = directory .. "/file", directory .. "/link"
  await(fs.write_file(file, "one\ntwo", { atomic = true }))
  await(fs.append_file(file, "\nthree"))
  await(fs.symlink("file", link))
  -- No realpath: libuv's is allocated by libc, but freed by the host, which counts.
  assert(await(fs.readlink(link)) == "file" and await(fs.lstat(link)).type == "link")
  await(Promise.all { fs.copy_file(file, directory .. "/copy"), fs.access(file, "rw") })
  await(fs.rename(directory .. "/copy", directory .. "/moved"))
  await(fs.link(directory .. "/moved", directory .. "/linked"))
  fails(await, fs.rename(directory .. "/absent", directory .. "/moved"))
  fails(await, fs.write_file(directory .. "/absent/file", "text", { atomic = true }))
  await(Promise.all { fs.chmod(file, 384), fs.utime(file, 1, 1), fs.lutime(link, 1, 1) })
  await(Promise.all { fs.chown(file, -1, -1), fs.lchown(link, -1, -1), fs.truncate(file, 7) })
  assert(await(fs.statfs(directory)).bsize)
  local made = await(fs.mkdtemp(directory .. "/x"))
  assert(#await(fs.scandir(made)) == 0)
  await(fs.rmdir(made))
  fails(await, fs.rm(directory))
  fails(await, fs.stat(file, { signal = tide.AbortSignal.abort() }))
  await(fs.rm(directory .. "/sub", { recursive = true }))
end

local function handles()
  local file <close>, path = await(fs.mkstemp(directory .. "/handle"))
  await(file:write("text"))
  local a, b = file:read(2, 0), file:read(2, 2)
  assert(await(a) .. await(b) == "text" and await(file:stat()).size == 4)
  await(Promise.all { file:sync(), file:datasync(), file:chmod(384), file:utime(1, 1) })
  await(file:truncate())
  assert(await(file:read()) == nil and tostring(file))
  await(fs.open(path)) -- left to the collector
  fails(await, fs.open(path .. "/absent"))
  local read, closed = file:read(), file:close()
  await(read)
  await(closed)
  fails(file.read, file)
end

local function iterators()
  local path = directory .. "/lines"
  await(fs.write_file(path, "one\ntwo"))
  local count = 0
  for line in fs.lines(path) do
    count = count + #line
  end
  fails(fs.lines(directory .. "/absent"))
  local file <close> = await(fs.open(path))
  for chunk in file:chunks(4) do
    count = count + #chunk
  end
  assert(count == 13)
  local opened <close> = await(fs.opendir(directory))
  for entry in opened:entries() do
    assert(entry.name)
  end
end

local function watches()
  local watch <close> = fs.watch(directory)
  local _ <close> = tide.set_timeout(watch.close, 1000, watch) -- should the cancellation fail
  local first = watch:next()
  await(fs.write_file(directory .. "/watched", "text"))
  assert(await(first).name == "watched")
  assert(await(watch:next { signal = tide.AbortController().signal }).kind)
  assert(not await(tide.move_on_after(1, function() while await(watch:next()) do end end)))
  fs.watch(directory) -- for the collector
  fails(fs.watch, directory .. "/absent")
  local last = watch:next()
  watch:close()
  assert(await(last) == nil and await(watch:next()) == nil)
end

local function flight()
  local arrived = 0
  local function arrive() arrived = arrived + 1 end
  fs.open(root .. "/flight", "w"):next(function(file)
    file:write("text"):next(arrive)
    file:stat():next(arrive)
    file:close():next(arrive)
  end)
  fs.opendir(root):next(arrive)
  fs.scandir(root):next(arrive)
  fs.statfs(root):next(arrive)
  fs.rm(root .. "/none", { recursive = true, force = true }):next(arrive)
  fs.mkdir(root .. "/sub"):next(nothing, nothing)
  fs.write_file(root .. "/flight", "text", { atomic = true }):next(arrive)
  fs.watch(root):next():next(arrive)
  return function() return arrived end
end

if mode == "whole" then
  for _, part in ipairs { begin, paths, handles, iterators, watches } do
    await(tide.spawn(part))
  end
  flight()
  tide.step(1)
end
return flight()
