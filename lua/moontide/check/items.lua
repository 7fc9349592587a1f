--- What stands in lists that nobody but the code in sight changes.
local calls = require "moontide.check.calls"
local fields = require "moontide.check.fields"
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local standard = require "moontide.check.standard"
local types = require "moontide.check.types"

local M = {}

--- Whether a variable is used where what it holds stays as it is, or is changed in plain sight.
local function is_kept(use)
  local up = use.up
  local name = up.tag == "Call" and names.standard(up[1])
  return up.tag == "Index" and up[1] == use or up.tag == "Op" and up[1] == "len"
    or name and standard.keeps_items(name) or calls.is_combination(up)
end

local function find_privacy(var)
  if not var.node or var.fn then
    return false
  end
  for _, use in ipairs(var.uses) do
    if not is_kept(use) then
      return false
    end
  end
  return true
end

--- Whether nobody but the code in sight has the table of a variable.
local function is_private(var)
  if var.is_private == nil then
    var.is_private = find_privacy(var)
  end
  return var.is_private
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

--- A field of a table. A promise in one that others have may have been replaced by its value.
local function field_of(node, name)
  local found, base = fields.at(node[1], name), kinds.of(node[1])
  local is_certain = not types.is(found, "promise") or not types.is(base, "object") or base.class
    or base.var and is_private(base.var)
  return is_certain and found or nil
end

kinds.define("Index", function(node)
  local key = node[2]
  if key.tag == "String" then
    return field_of(node, key[1])
  end
  return types.optional(M.of(kinds.of(node[1])))
end)

return M
