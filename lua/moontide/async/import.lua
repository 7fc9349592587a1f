--- import(name): require for modules whose chunk awaits.
---
--- Who imports a module that is under way waits for a promise of its own, not for that of the
--- chunk: so it can be told that this would never come, since the chunk waits for the importer.
local core = require "moontide.core"
local argument = require "moontide.internal.argument"

-- name -> import under way: promise, of the chunk, once its first stretch has run; waiting, the
-- resolving functions of who has joined before that.
local pending = {}

local Done = {
  __close = function(self)
    pending[self.name] = nil
  end,
}

-- What require does, but in an async function: the loader may await. Under way is what has begun.
local load_module = core.async(function(name, entry)
  local _ <close> = setmetatable({ name = name }, Done)
  pending[name] = entry
  local reasons = {}
  for _, searcher in ipairs(package.searchers) do
    local loader, extra = searcher(name)
    if type(loader) == "function" then
      local result = loader(name, extra)
      if result ~= nil then
        package.loaded[name] = result
      elseif package.loaded[name] == nil then
        package.loaded[name] = true
      end
      return package.loaded[name], extra
    elseif loader ~= nil then
      reasons[#reasons + 1] = "\n\t" .. tostring(loader)
    end
  end
  error(("module '%s' not found:%s"):format(name, table.concat(reasons)), 0)
end)

--- The names of imports each of which awaits the next, from that name to itself; false unless the
--- first awaits the promise. Seen are only functions that await one another directly.
local function find_cycle(name, promise)
  local names, seen = { name }, {}
  local at = core.awaited(pending[name].promise)
  while at and at ~= promise and not seen[at] do
    seen[at] = true
    for other, entry in pairs(pending) do
      if entry.promise == at then
        names[#names + 1] = other
      end
    end
    at = core.awaited(at)
  end
  names[#names + 1] = name
  return at == promise and names
end

local function check_cycle(name, promise, reject)
  local names = pending[name] and promise:state() == "pending" and find_cycle(name, promise)
  if names then
    reject(core.new_error("ImportError", "modules that await one another: "
      .. table.concat(names, " -> ")))
  end
end

--- A promise for the import under way, of who waits for that too.
local function join(name, entry)
  local promise, resolve, reject = core.Promise.with_resolvers()
  if entry.promise then
    entry.promise:next(resolve, reject)
  else
    entry.waiting[#entry.waiting + 1] = { resolve, reject }
  end
  core.queue_microtask(check_cycle, name, promise, reject)
  return promise
end

local function begin(name)
  local entry = { waiting = {} }
  entry.promise = load_module(name, entry)
  for _, functions in ipairs(entry.waiting) do
    entry.promise:next(functions[1], functions[2])
  end
  return entry.promise
end

return function(name)
  argument.check("string", name, 1, "import")
  if package.loaded[name] ~= nil then
    return core.Promise.resolve(package.loaded[name])
  end
  local entry = pending[name]
  return entry and join(name, entry) or begin(name)
end
