--- Child processes. Starting and reaping are the core's; here are the options, and what is made of
--- a child's streams.
require "moontide.internal.version"()
local core = require "moontide.core"
local abort = require "moontide.async.abort"
local finally = require "moontide.internal.finally"

local M = {}

local await, native, Promise = core.await, core.process, core.Promise

local KILL_GRACE = 5000
local LIMIT = 16 * 1024 * 1024
local NULL, PIPE = -1, -2

---- options ----

--- For what `prepare` calls: blames the caller of the public function.
local function fail(position, name, text, ...)
  error(("bad argument #%d to '%s' (%s)"):format(position, name, text:format(...)), 5)
end

local function is_text(value)
  return type(value) == "string" and not value:find("\0", 1, true)
end

--- A number counts as its text.
local function as_text(value)
  return type(value) == "number" and tostring(value) or value
end

--- The list of arguments, the command first.
local function check_arguments(name, command, arguments)
  if not is_text(command) then
    fail(1, name, "string without NUL expected")
  elseif arguments ~= nil and type(arguments) ~= "table" then
    fail(2, name, "table expected, got %s", type(arguments))
  end
  local list = { command }
  for i = 1, arguments and (arguments.n or #arguments) or 0 do
    list[i + 1] = as_text(arguments[i])
    if not is_text(list[i + 1]) then
      fail(2, name, "element %d: string without NUL expected", i)
    end
  end
  return list
end

--- The environment as the system takes it, or nil.
local function check_environment(name, env)
  if env == nil then
    return nil
  elseif type(env) ~= "table" then
    fail(3, name, "field 'env': table expected, got %s", type(env))
  end
  local list = {}
  for key, value in pairs(env) do
    local text = as_text(value)
    if not is_text(key) or key == "" or key:find("=", 1, true) then
      fail(3, name, "field 'env': a name is empty, or has a '=' or NUL in it, or is no string")
    elseif not is_text(text) then
      fail(3, name, "field 'env': '%s': string without NUL expected", key)
    end
    list[#list + 1] = key .. "=" .. text
  end
  return list
end

local function check_id(name, options, field)
  local id = options[field]
  if id ~= nil and not (math.type(id) == "integer" and id >= 0 and id < 0xffffffff) then
    fail(3, name, "field '%s': a number of the system expected", field)
  end
  return id
end

local function check_cwd(name, cwd)
  if cwd ~= nil and not is_text(cwd) then
    fail(3, name, "field 'cwd': path expected")
  end
  return cwd
end

local function check_grace(name, grace)
  if grace ~= nil and not (type(grace) == "number" and grace >= 0) then
    fail(3, name, "field 'kill_grace': milliseconds expected")
  end
  return grace or KILL_GRACE
end

--- The descriptor that is to be the child's, as the option says.
local function check_stream(name, options, field, inherited)
  local value = options[field]
  if value == "inherit" then
    return inherited
  elseif value == "null" then
    return NULL
  elseif value == "pipe" then
    return PIPE
  elseif math.type(value) == "integer" and value >= 0 and value <= 0x7fffffff then
    return value
  end
  local meta = getmetatable(value)
  local is_file_stream = type(meta) == "table" and meta.__name == "moontide.FileStream"
  local fd = native.descriptor(is_file_stream and value._file or value)
  if fd == nil then
    local what = "'inherit', 'null', 'pipe', a descriptor, a file or a stream expected"
    fail(3, name, "field '%s': %s", field, what)
  elseif not fd then
    fail(3, name, "field '%s' is closed", field)
  end
  return fd
end

--- What is to be written to the child, or nil.
local function check_input(name, options)
  local input = as_text(options.input)
  if input == nil then
    return nil
  elseif type(input) ~= "string" then
    fail(3, name, "field 'input': string expected, got %s", type(input))
  elseif options.stdin ~= nil then
    fail(3, name, "fields 'input' and 'stdin' exclude each other")
  end
  return input
end

local STREAMS = { "stdin", "stdout", "stderr" }

--- What a public function is to start; defaults says what the streams are without an option.
local function prepare(name, command, arguments, options, defaults)
  local plan = {
    arguments = check_arguments(name, command, arguments),
    environment = check_environment(name, options.env),
    cwd = check_cwd(name, options.cwd),
    uid = check_id(name, options, "uid"),
    gid = check_id(name, options, "gid"),
    detached = options.detached and true or false,
    grace = check_grace(name, options.kill_grace),
    input = check_input(name, options),
  }
  for i, field in ipairs(STREAMS) do
    plan[field] = defaults[field]
    if options[field] ~= nil then
      plan[field] = check_stream(name, options, field, i - 1)
    end
  end
  if plan.input then
    plan.stdin = PIPE
  end
  return plan
end

---- children ----

local Child = { __name = "moontide.Child" }
Child.__index = Child

local function check_self(self, name)
  if getmetatable(self) ~= Child then
    error(("calling '%s' on bad self (child expected, got %s)"):format(name, type(self)), 3)
  end
end

function Child:wait(options)
  check_self(self, "wait")
  local signal = abort.own_signal(options, 1, "wait")
  local refused = abort.refused(signal)
  if refused then
    return refused
  end
  return native.wait(self._process, signal)
end

function Child:kill(name)
  check_self(self, "kill")
  if name ~= nil and type(name) ~= "string" then
    error("bad argument #1 to 'kill' (string expected, got " .. type(name) .. ")", 2)
  end
  local sent = native.kill(self._process, name or "SIGTERM")
  if sent == nil then
    error(("bad argument #1 to 'kill' (unknown signal '%s')"):format(name), 2)
  end
  return sent
end

--- The child is told to end, and nobody is at the other end of its streams any more. Nobody waits
--- here; its group does, or the loop.
local function abandon(child)
  core.cancel(child._process)
  for _, stream in pairs(child._streams) do
    stream:destroy()
  end
end

Child.__close = abandon

function Child:__tostring()
  return ("%s: %d"):format(Child.__name, self.pid)
end

---- starting ----

local function nothing() end

--- Writes the input and closes the stream; whether the child reads it is the child's affair.
local function feed(stream, input)
  stream:write(input):catch(nothing)
  stream:close()
end

--- Starts what has been prepared, and fulfils the promise with the child: once that runs, nothing
--- more is allocated, so whoever fails for want of memory has started nothing.
local function start(plan, signal)
  local streams = { stdin = false, stdout = false, stderr = false }
  local child = {
    pid = 0, stdin = false, stdout = false, stderr = false,
    _process = false, _streams = streams,
  }
  setmetatable(child, Child)
  local promise, resolve, reject = core.Promise.with_resolvers()
  local process, stdin, stdout, stderr = native.spawn(plan.arguments[1], plan.arguments,
    plan.environment, plan, signal, plan.stdin, plan.stdout, plan.stderr)
  if not process then
    reject(stdin)
    return promise
  end
  child.pid, child._process = native.pid(process), process
  streams.stdin, streams.stdout, streams.stderr = stdin, stdout, stderr
  child.stdin, child.stdout, child.stderr = stdin, stdout, stderr
  if plan.input then
    child.stdin = nil
    local ok, err = pcall(feed, stdin, plan.input)
    if not ok then
      core.cancel(process)
      error(err, 0)
    end
  end
  resolve(child)
  return promise
end

--- Starts it outside the running scope.
local function start_detached(plan, signal)
  local previous = core.swap_context(core.context_in(nil))
  return finally(function()
    core.swap_context(previous)
  end, start, plan, signal)
end

local INHERITED = { stdin = 0, stdout = 1, stderr = 2 }

function M.spawn(command, arguments, options)
  local signal = abort.own_signal(options, 3, "spawn")
  options = options or {}
  local plan = prepare("spawn", command, arguments, options, INHERITED)
  local refused = abort.refused(signal)
  if refused then
    return refused
  end
  return plan.detached and start_detached(plan, signal) or start(plan, signal)
end

---- exec ----

local COLLECTED = { stdin = NULL, stdout = PIPE, stderr = PIPE }

--- Awaits what the child writes and its end.
local function collect(child, reading)
  local function all(stream)
    return stream and stream:read_all(reading)
  end
  local parts = { n = 3, child:wait(reading), all(child.stdout), all(child.stderr) }
  local values = await(Promise.all(parts))
  local result = values[1]
  result.stdout, result.stderr = values[2], values[3]
  return result
end

--- The first line that says anything, no longer than a message may be.
local function first_line(text)
  local line_of_text = (text or ""):match("[^%s][^\r\n]*")
  return line_of_text and ": " .. line_of_text:sub(1, 200) or ""
end

local function exit_error(command, result)
  local what = result.signal and "was ended by " .. result.signal
    or "exited with code " .. result.code
  local text = ("'%s' %s%s"):format(command, what, first_line(result.stderr))
  local err = core.new_error("ExitError", text)
  for key, value in pairs(result) do
    err[key] = value
  end
  return err
end

--- What fails, fails when the child has been reaped.
local function finish(child, plan, reading, check)
  local ok, result = pcall(collect, child, reading)
  if not ok then
    abandon(child)
    await(native.wait(child._process))
    error(result, 0)
  end
  if check and result.code ~= 0 then
    error(exit_error(plan.arguments[1], result), 0)
  end
  return result
end

local function run(plan, signal, reading, check)
  local child = await(start(plan, signal))
  return finally(function()
    abandon(child)
  end, finish, child, plan, reading, check)
end

local function check_limit(limit)
  if limit ~= nil and not (type(limit) == "number" and limit >= 1) then
    error("bad argument #3 to 'exec' (field 'limit': positive number of bytes expected)", 3)
  end
  return limit or LIMIT
end

function M.exec(command, arguments, options)
  local signal = abort.own_signal(options, 3, "exec")
  local refused = abort.refused(signal)
  options = options or {}
  local reading = { limit = check_limit(options.limit), signal = options.signal }
  local plan = prepare("exec", command, arguments, options, COLLECTED)
  if plan.detached then
    error("bad argument #3 to 'exec' (field 'detached': only for spawn)", 2)
  elseif refused then
    return refused
  end
  return core.spawn(run, plan, signal, reading, options.check)
end

return M
