--- Types as LuaCATS writes them: `moontide.Promise<string?>`, `fun(g: moontide.Group): ...: any`.
local M = {}

---@class moontide.check.Annotation
---@field kind "name"|"union"|"function"|"table"|"literal"
---@field name? string of a name
---@field is_async boolean? of a function: it may await
---@field arguments? moontide.check.Annotation[] what stands in <> after a name
---@field parameters? moontide.check.Annotation[] of a function
---@field returns? moontide.check.Annotation[] of a function
---@field [integer] moontide.check.Annotation members of a union

local text, at -- while one is read

local function accept(pattern)
  local found, rest = text:match("^%s*(" .. pattern .. ")()", at)
  if found then
    at = rest
  end
  return found
end

local read_union

--- Types between commas, each of which may have a name before it.
local function read_list(ends)
  local list = {}
  while not (ends and accept(ends)) do
    accept("[%w_.]+%??%s*:")
    local item = read_union()
    if not item then
      break
    end
    list[#list + 1] = item
    if not accept(",") and not (ends and text:find("^%s*" .. ends, at)) then
      break
    end
  end
  return list
end

local function read_function(is_async)
  local item = { kind = "function", is_async = is_async, returns = {} }
  item.parameters = accept("%(") and read_list("%)") or {}
  if accept(":") then
    item.returns = read_list()
  end
  return item
end

local function read_primary()
  if accept("async%s+fun") then
    return read_function(true)
  elseif accept("fun%f[^%w_]") then
    return read_function(false)
  elseif accept("%(") then
    local inner = read_union()
    accept("%)")
    return inner
  elseif accept("%b{}") then
    return { kind = "table" }
  elseif accept('"[^"]*"') or accept("%-?%d+") then
    return { kind = "literal" }
  end
  local name = accept("%.%.%.") or accept("[%a_][%w_.]*%*?")
  if not name then
    return nil
  end
  return { kind = "name", name = name, arguments = accept("<") and read_list(">") or {} }
end

local NIL = { kind = "name", name = "nil", arguments = {} }

local function read_suffixed()
  local item = read_primary()
  while item do
    if text:find("^%[%]", at) then
      at = at + 2
      item = { kind = "table" }
    elseif text:find("^%?", at) then
      at = at + 1
      item = { kind = "union", item, NIL }
    else
      break
    end
  end
  return item
end

function read_union()
  local first = read_suffixed()
  if not first or not accept("|") then
    return first
  end
  local union = { kind = "union", first }
  repeat
    union[#union + 1] = read_suffixed()
  until not accept("|")
  return union
end

--- The types that a text begins with; what follows is a description.
---@param source string
---@return moontide.check.Annotation[]
function M.read(source)
  text, at = source, 1
  return read_list()
end

return M
