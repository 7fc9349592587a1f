--- Child processes. Starting and reaping are the core's; here are the options, and what is made of
--- a child's streams.
require "moontide.internal.version"()
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
local abort = require "moontide.async.abort"
local finally = require "moontide.internal.finally"

local M = {}

local await, native, Promise = core.await, core.process, core.Promise

local KILL_GRACE = 5000
local LIMIT = 16 * 1024 * 1024
local NULL, PIPE = -1, -2

---- options ----

local function is_text(value)
  return type(value) == "string" and not value:find("\0", 1, true)
end

--- A number counts as its text.
local function as_text(value)
  return type(value) == "number" and tostring(value) or value
end

--- The list of arguments, the command first.
local function list_of(name, command, arguments)
  argument.check("text", command, 1, name)
  argument.check("table?", arguments, 2, name)
  local list = { command }
  for i = 1, arguments and (arguments.n or #arguments) or 0 do
    list[i + 1] = as_text(arguments[i])
    if not is_text(list[i + 1]) then
      argument.expected(("element %d: string without NUL"):format(i), arguments[i], 2, name)
    end
  end
  return list
end

--- The environment as the system takes it, or nil.
local function check_environment(name, env)
  if env == nil then
    return nil
  end
  local list = {}
  for key, value in pairs(env) do
    local text = as_text(value)
    if not is_text(key) or key == "" or key:find("=", 1, true) then
      argument.fail("field 'env': a name is empty, has a '=' or NUL, or is no string", 3, name)
    elseif not is_text(text) then
      argument.expected(("field 'env': '%s': string without NUL"):format(key), value, 3, name)
    end
    list[#list + 1] = key .. "=" .. text
  end
  return list
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
    local what = "field '%s': 'inherit', 'null', 'pipe', a descriptor, a file or a stream"
    argument.expected(what:format(field), value, 3, name)
  elseif not fd then
    argument.fail(("field '%s': it is closed"):format(field), 3, name)
  end
  return fd
end

--- What is to be written to the child, or nil.
local function check_input(name, options)
  if options.input ~= nil and options.stdin ~= nil then
    argument.fail("fields 'input' and 'stdin' exclude each other", 3, name)
  end
  return as_text(options.input)
end

local STREAMS = { "stdin", "stdout", "stderr" }

local FIELDS = {
  { "env", "table" },
  { "cwd", "text" },
  { "uid", "id" },
  { "gid", "id" },
  { "detached", "boolean" },
  { "kill_grace", "ms" },
  { "input", "data" },
  { "signal", "signal" },
}

local EXEC_FIELDS = { { "limit", "limit" }, { "check", "boolean" } }
table.move(FIELDS, 1, #FIELDS, #EXEC_FIELDS + 1, EXEC_FIELDS)

--- What a public function is to start; defaults has its fields, and what the streams are without
--- an option.
local function prepare(name, command, arguments, options, defaults)
  local list = list_of(name, command, arguments)
  argument.check_options(options, defaults.fields, 3, name)
  options = options or {}
  local plan = {
    arguments = list,
    environment = check_environment(name, options.env),
    cwd = options.cwd,
    uid = options.uid,
    gid = options.gid,
    detached = options.detached or false,
    grace = options.kill_grace or KILL_GRACE,
    limit = options.limit or LIMIT,
    check = options.check,
    signal = options.signal,
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

function Child:wait(options)
  argument.check_self(self, Child, "child:wait")
  local signal = abort.own_signal(options, 1, "child:wait")
  local refused = abort.refused(signal)
  if refused then
    return refused
  end
  return native.wait(self._process, signal)
end

function Child:kill(name)
  argument.check_self(self, Child, "child:kill")
  if name ~= 0 then
    argument.check("text?", name, 1, "child:kill")
  end
  local sent = native.kill(self._process, name or "SIGTERM")
  if sent == nil then
    argument.fail(("unknown signal '%s'"):format(name), 1, "child:kill")
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

function Child:__close()
  argument.check_self(self, Child, "child:__close")
  abandon(self)
end

function Child:__tostring()
  argument.check_self(self, Child, "child:__tostring")
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
local function start(plan)
  local streams = { stdin = false, stdout = false, stderr = false }
  local child = {
    pid = 0, stdin = false, stdout = false, stderr = false,
    _process = false, _streams = streams,
  }
  setmetatable(child, Child)
  local promise, resolve, reject = core.Promise.with_resolvers()
  local process, stdin, stdout, stderr = native.spawn(plan.arguments[1], plan.arguments,
    plan.environment, plan, plan.signal, plan.stdin, plan.stdout, plan.stderr)
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
local function start_detached(plan)
  local previous = core.swap_context(core.context_in(nil))
  return finally(function()
    core.swap_context(previous)
  end, start, plan)
end

local INHERITED = { fields = FIELDS, stdin = 0, stdout = 1, stderr = 2 }

function M.spawn(command, arguments, options)
  local plan = prepare("process.spawn", command, arguments, options, INHERITED)
  local refused = abort.refused(plan.signal)
  if refused then
    return refused
  end
  return plan.detached and start_detached(plan) or start(plan)
end

---- exec ----

local COLLECTED = { fields = EXEC_FIELDS, stdin = NULL, stdout = PIPE, stderr = PIPE }

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
local function finish(child, plan)
  local ok, result = pcall(collect, child, { limit = plan.limit, signal = plan.signal })
  if not ok then
    abandon(child)
    await(native.wait(child._process))
    error(result, 0)
  end
  if plan.check and result.code ~= 0 then
    error(exit_error(plan.arguments[1], result), 0)
  end
  return result
end

local function run(plan)
  local child = await(start(plan))
  return finally(function()
    abandon(child)
  end, finish, child, plan)
end

function M.exec(command, arguments, options)
  local plan = prepare("process.exec", command, arguments, options, COLLECTED)
  if plan.detached then
    argument.fail("field 'detached': only for spawn", 3, "process.exec")
  end
  return abort.refused(plan.signal) or core.spawn(run, plan)
end

return M
