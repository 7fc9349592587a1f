-- Peer: luv. `lua5.4 bench/io/luv.lua NAME ...`, as README.md has it.
local uv = require "luv"

local programs = {}

--- on_connection(tcp) for each connection; prints the port.
local function serve(on_connection)
  local server = uv.new_tcp()
  assert(server:bind("127.0.0.1", 0))
  assert(server:listen(128, function(err)
    assert(not err, err)
    local tcp = uv.new_tcp()
    server:accept(tcp)
    on_connection(tcp)
  end))
  print(server:getsockname().port)
  io.stdout:flush()
  uv.run()
end

function programs.echo()
  serve(function(tcp)
    tcp:read_start(function(_, chunk)
      if chunk then
        tcp:write(chunk)
      else
        tcp:close()
      end
    end)
  end)
end

--- An iterator over what comes, for a coroutine; what comes while it does something else waits.
local function chunks(tcp)
  local co, waiting, ended = coroutine.running(), nil, false
  local first, last, queue = 1, 0, {}
  tcp:read_start(function(_, chunk)
    if waiting then
      waiting = nil
      assert(coroutine.resume(co, chunk))
    elseif chunk then
      last = last + 1
      queue[last] = chunk
    else
      ended = true
    end
  end)
  return function()
    if first <= last then
      local chunk = queue[first]
      queue[first] = nil
      first = first + 1
      return chunk
    end
    if ended then return nil end
    waiting = true
    return coroutine.yield()
  end
end

local function write(tcp, chunk)
  local co = coroutine.running()
  tcp:write(chunk, function() assert(coroutine.resume(co)) end)
  coroutine.yield()
end

local function echo(tcp)
  for chunk in chunks(tcp) do write(tcp, chunk) end
  tcp:close()
end

function programs.echo_coroutines()
  serve(function(tcp) coroutine.wrap(echo)(tcp) end)
end

--- Reads the files 1 to count of a directory, `most` at a time; done() at the end.
local function read_files(directory, count, most, done)
  local next_file, running, bytes = 1, 0, 0
  local start_next

  local function over()
    running = running - 1
    if next_file <= count then
      start_next()
    elseif running == 0 then
      done(bytes)
    end
  end

  function start_next()
    local path = directory .. "/" .. next_file
    next_file, running = next_file + 1, running + 1
    uv.fs_open(path, "r", 438, function(err, fd)
      assert(not err, err)
      uv.fs_fstat(fd, function(err_stat, stat)
        assert(not err_stat, err_stat)
        uv.fs_read(fd, stat.size, 0, function(err_read, data)
          assert(not err_read, err_read)
          bytes = bytes + #data
          uv.fs_close(fd, over)
        end)
      end)
    end)
  end

  for _ = 1, most do start_next() end
end

function programs.files(directory, count, most)
  local function clock() return uv.hrtime() / 1e9 end
  local measure = dofile((arg[0]:match("^(.*/)") or "") .. "files.lua")
  measure(count, clock, function()
    local total
    read_files(directory, count, most, function(bytes) total = bytes end)
    uv.run()
    return total
  end)
end

local arguments = {}
for i = 2, #arg do arguments[i - 1] = math.tointeger(tonumber(arg[i])) or arg[i] end
programs[arg[1]](table.unpack(arguments))
