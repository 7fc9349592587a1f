--- What is made of groups: map, each, join. Groups themselves are the core's.
local core = require "moontide.core"
require "moontide.async.abort" -- the core asks it for signals

local M = {}

local await = core.await

local function check_callable(f, position, name)
  if not core.callable(f) then
    local text = "bad argument #%d to '%s' (function expected, got %s)"
    error(text:format(position, name, type(f)), 3)
  end
end

local function check_list(list, name)
  if type(list) ~= "table" then
    error(("bad argument #1 to '%s' (table expected, got %s)"):format(name, type(list)), 3)
  end
end

local function check_limit(options, name)
  if options ~= nil and type(options) ~= "table" then
    error(("bad argument #3 to '%s' (table expected, got %s)"):format(name, type(options)), 3)
  end
  local limit = options and options.concurrency
  if limit ~= nil and (math.type(limit) ~= "integer" or limit < 1) then
    error(("bad argument #3 to '%s' (concurrency: positive integer expected)"):format(name), 3)
  end
  return limit or math.huge
end

--- Calls f(item, index) for each of the list, at most limit at a time; store(index, results...).
--- The group gives result. Once it is cancelled no more is called, whatever f makes of that.
local function for_all(list, f, limit, store, result)
  local n = list.n or #list
  return core.group(function(group)
    local next_index = 0
    local function work()
      while next_index < n do
        core.throw_if_cancelled()
        next_index = next_index + 1
        local i = next_index
        store(i, await(f(list[i], i)))
      end
    end
    for _ = 1, math.min(limit, n) do
      group:spawn(work)
    end
    return table.unpack(result)
  end)
end

function M.map(list, f, options)
  check_list(list, "map")
  check_callable(f, 2, "map")
  local results = { n = list.n or #list }
  return for_all(list, f, check_limit(options, "map"), function(i, value)
    results[i] = value
  end, { results })
end

function M.each(list, f, options)
  check_list(list, "each")
  check_callable(f, 2, "each")
  return for_all(list, f, check_limit(options, "each"), function() end, {})
end

--- Who is cancelled waits for those of the arguments that belong to the scope, so that what they
--- use is not closed under them.
local function await_own(args)
  for i = 1, args.n do
    local promise = args[i]
    if core.is_inside(promise) and promise:state() == "pending" then
      pcall(await, promise)
    end
  end
end

function M.join(...)
  local args = table.pack(...)
  local ok, results = pcall(await, core.Promise.all(args))
  if ok then
    return table.unpack(results, 1, results.n)
  elseif core.interrupted() then
    await_own(args)
    core.throw_if_cancelled() -- by another one, if a grace was over meanwhile
  end
  error(results, 0)
end

return M
