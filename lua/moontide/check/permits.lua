--- Permits that nobody can release (T114), and those that are released twice (T115).
local kinds = require "moontide.check.kinds"
local names = require "moontide.check.names"
local types = require "moontide.check.types"
local variables = require "moontide.check.variables"

local M = {}

local function is_permit(found)
  return types.is(found, "object") and found.class == "moontide.Permit"
end

---- places ----

--- The statement of a block that a node is in; nil if it is not in the block.
local function statement_in(block, node)
  while node and node.up ~= block do
    node = node.up
  end
  return node
end

--- Whether a statement stands in a block around the node, and before it.
local function comes_before(statement, node)
  local around = statement_in(statement.up, node)
  return around ~= nil and statement.place < around.place
end

local EXITS = { Return = true, Break = true, Goto = true }

--- Whether a later statement, in the same block or one around it, is reached after this one.
local function goes_on_to(statement, later)
  local around = statement_in(later.up, statement)
  local block = statement.up
  while around and block ~= later.up do
    local last = block[#block]
    if last and (EXITS[last.tag] or last.tag == "Call" and names.standard(last[1]) == "error") then
      return false
    end
    block = block.up
  end
  return around ~= nil and around.place < later.place
end

---- variables ----

--- The statements that release the permit of a variable; nil if more is done with it.
local function releases_of(var)
  local list = {}
  for i, use in ipairs(var.uses) do
    local call = use.up
    if call.tag ~= "Invoke" or call[1] ~= use or call[2][1] ~= "release"
      or not call.is_statement or call.fn ~= var.inside then
      return nil
    end
    list[i] = call
  end
  return list
end

local function is_released_before(node, releases)
  for _, release in ipairs(releases) do
    if comes_before(release, node) then
      return true
    end
  end
  return false
end

local function check_returns(var, releases, returns, report)
  for _, node in ipairs(returns) do
    if comes_before(var.node.up, node) and not is_released_before(node, releases) then
      report("T114", node, ("the permit '%s' is not released before this return"):format(var.name))
    end
  end
end

local function check_twice(var, releases, report)
  for i, first in ipairs(releases) do
    for k = i + 1, #releases do
      if goes_on_to(first, releases[k]) then
        report("T115", releases[k], ("the permit '%s' may be released already, at line %d"):format(
          var.name, first.line))
      end
    end
  end
end

local function check_variable(var, scope, report)
  if var.is_closed or #var.definitions ~= 1 or not is_permit(variables.of(var)) then
    return
  elseif #var.uses == 0 then
    report("T114", var.node, ("the permit '%s' is never released"):format(var.name))
    return
  end
  local releases = releases_of(var)
  if releases then
    check_returns(var, releases, var.inside and var.inside.returns or scope.returns, report)
    check_twice(var, releases, report)
  end
end

---@param scope moontide.check.Scope
---@param report moontide.check.Reporter
function M.check(scope, report)
  for _, call in ipairs(scope.calls) do
    if call.is_statement and is_permit(kinds.of(call)) then
      report("T114", call, "the permit is dropped, and released by the collector only")
    end
  end
  for _, var in ipairs(scope.variables) do
    check_variable(var, scope, report)
  end
end

return M
