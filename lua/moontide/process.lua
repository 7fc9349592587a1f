--- Child processes. Starting and reaping are the core's; here are the options, and what is made of
--- a child's streams.
local core = require "moontide.core"
local abort = require "moontide.abort"
local line = require "moontide.line"

local M = {}

local native = core.process
local heed = line.heed

local KILL_GRACE = 5000
local NULL = -1

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
local function check_stream(name, field, value, inherited)
  if value == nil or value == "inherit" then
    return inherited
  elseif value == "null" then
    return NULL
  elseif math.type(value) == "integer" and value >= 0 and value <= 0x7fffffff then
    return value
  end
  local fd = native.descriptor(value)
  if fd == nil then
    fail(3, name, "field '%s': 'inherit', 'null', a descriptor or a file expected", field)
  elseif not fd then
    fail(3, name, "field '%s' is closed", field)
  end
  return fd
end

--- What a public function is to start.
local function prepare(name, command, arguments, options)
  return {
    arguments = check_arguments(name, command, arguments),
    environment = check_environment(name, options.env),
    cwd = check_cwd(name, options.cwd),
    uid = check_id(name, options, "uid"),
    gid = check_id(name, options, "gid"),
    detached = options.detached and true or false,
    grace = check_grace(name, options.kill_grace),
    stdin = check_stream(name, "stdin", options.stdin, 0),
    stdout = check_stream(name, "stdout", options.stdout, 1),
    stderr = check_stream(name, "stderr", options.stderr, 2),
  }
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
  local signal, refused = heed(options, 1, "wait")
  return refused or native.wait(self._process, signal)
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

--- The child is told to end. Nobody waits here; its group does, or the loop.
function Child:__close()
  core.cancel(self._process)
end

function Child:__tostring()
  return ("%s: %d"):format(Child.__name, self.pid)
end

---- starting ----

--- Starts what has been prepared, and fulfils the promise with the child: once that runs, nothing
--- more is allocated, so whoever fails for want of memory has started nothing.
local function start(plan, signal)
  local child = setmetatable({ pid = 0, _process = false }, Child)
  local promise = core.new_promise()
  local process, err = native.spawn(plan.arguments[1], plan.arguments, plan.environment, plan,
    signal, plan.stdin, plan.stdout, plan.stderr)
  if process then
    child.pid, child._process = native.pid(process), process
    core.resolve(promise, child)
  else
    core.reject(promise, err)
  end
  return promise
end

--- Starts it outside the running scope.
local function start_detached(plan, signal)
  local previous = core.swap_context(abort.with_scope(core.context(), nil))
  local _ <close> = setmetatable({}, {
    __close = function()
      core.swap_context(previous)
    end,
  })
  return start(plan, signal)
end

function M.spawn(command, arguments, options)
  local signal = abort.effective_signal(options, 3, "spawn")
  options = options or {}
  local plan = prepare("spawn", command, arguments, options)
  if plan.detached then
    signal = options.signal
  end
  if signal and signal.aborted then
    return abort.refuse(signal)
  end
  return plan.detached and start_detached(plan, signal) or start(plan, signal)
end

return M
