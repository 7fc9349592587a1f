--- import(name): require for modules whose chunk awaits.
local core = require "moontide.core"

-- name -> promise of an import under way, so that everybody who asks meanwhile shares it.
local pending = {}

local Done = {
  __close = function(self)
    pending[self.name] = nil
  end,
}

-- What require does, but in an async function: the loader may await.
local load_module = core.async(function(name)
  local _ <close> = setmetatable({ name = name }, Done)
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
      reasons[#reasons + 1] = tostring(loader)
    end
  end
  error(("module '%s' not found:%s"):format(name, table.concat(reasons)), 0)
end)

return function(name)
  if type(name) ~= "string" then
    error("bad argument #1 to 'import' (string expected, got " .. type(name) .. ")", 2)
  end
  if package.loaded[name] ~= nil then
    return core.Promise.resolve(package.loaded[name])
  end
  if not pending[name] then
    local promise = load_module(name)
    if promise:state() ~= "pending" then
      return promise
    end
    pending[name] = promise
  end
  return pending[name]
end
