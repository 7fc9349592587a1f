--- What stands in lists that nobody but the code in sight changes.
local calls = require "moontide.check.calls"
local fields = require "moontide.check.fields"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local standard = require "moontide.check.standard"
local types = require "moontide.check.types"

local M = {}

local function is_private(var)
  for _, use in ipairs(var.uses) do
    local up = use.up
    local name = up.tag == "Call" and names.standard(up[1])
    local is_read = up.tag == "Index" and up[1] == use or up.tag == "Op" and up[1] == "len"
      or name and standard.keeps_items(name) or calls.is_combination(up)
    if not is_read then
      return false
    end
  end
  return true
end

local function find(list, var)
  if next(var.fields) or not is_private(var) then
    return nil
  end
  local definitions = table.move(var.items, 1, #var.items, 1, {})
  for _, item in ipairs(list.node) do
    if item.tag == "Pair" then
      return nil
    end
    definitions[#definitions + 1] = { value = item, nth = 1 }
  end
  return kinds.of_definitions(definitions)
end

--- What the items of a list are.
---@param list? moontide.check.Type
---@return moontide.check.Type?
function M.of(list)
  local var = types.is(list, "object") and list.node and not list.meta and list.var
  if not var then
    return nil
  elseif var.item == nil then
    var.item = false -- not known while it is being found out
    var.item = find(list, var) or false
  end
  return var.item or nil
end

--- Whether a loop is `for ... in ipairs(list)`.
---@param loop moontide.check.Node
---@return boolean
function M.is_loop(loop)
  local iterator = loop.tag == "Forin" and loop[2][1]
  return iterator and iterator.tag == "Call" and names.standard(iterator[1]) == "ipairs"
    and #calls.arguments(iterator) == 1 or false
end

kinds.define("Index", function(node)
  local key = node[2]
  if key.tag == "String" then
    return fields.at(node[1], key[1])
  end
  return types.optional(M.of(kinds.of(node[1])))
end)

return M
