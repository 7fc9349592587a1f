--- What is made of groups: map, each, join. Groups themselves are the core's.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"
require "moontide.async.abort" -- the core asks it for signals

local M = {}

local await = core.await

local FIELDS = { { "concurrency", "count" } }

--- How many calls may be under way.
local function check(list, f, options, name)
  argument.check("table", list, 1, name)
  argument.check("callable", f, 2, name)
  argument.check_options(options, FIELDS, 3, name)
  return options and options.concurrency or math.huge
end

--- Calls f(item, index) for each of the list, at most limit at a time; store(index, results...).
--- The group, which traces call by the name, gives result. Once it is cancelled no more is called,
--- whatever f makes of that.
local function for_all(name, list, f, limit, store, result)
  local n = list.n or #list
  return core.group_of(name, function(group)
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
  local limit = check(list, f, options, "map")
  local results = { n = list.n or #list }
  return for_all("map", list, f, limit, function(i, value)
    results[i] = value
  end, { results })
end

function M.each(list, f, options)
  local limit = check(list, f, options, "each")
  return for_all("each", list, f, limit, function() end, {})
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
