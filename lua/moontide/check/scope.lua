--- Which variable each name is, what a variable is given and where it is used; and lists of the
--- nodes that the rules look at, so that a tree is walked once.
local M = {}

---@class moontide.check.Definition
---@field value moontide.check.Node|false false: not known, or nil
---@field nth integer which of its values

---@class moontide.check.Variable
---@field name string
---@field node? moontide.check.Node where it is declared; nil for a global
---@field inside? moontide.check.Node the function that it is declared in
---@field definitions moontide.check.Definition[]
---@field uses moontide.check.Node[] where it is read
---@field fields table<string, moontide.check.Definition[]> what is assigned to its fields
---@field items moontide.check.Definition[] what is assigned to its places, whose keys are not known
---@field is_open boolean? fields are assigned whose names are not known
---@field begins_nil boolean? it is declared without a value
---@field fn? moontide.check.Node the function that it is a parameter of
---@field position? integer of a parameter
---@field loop? moontide.check.Node the loop that it is a variable of
---@field owner? moontide.check.Variable the table whose method has this as its `self`
---@field is_closed boolean? it is a `<close>` variable

---@class moontide.check.Scope what is known of a file
---@field path string
---@field text moontide.check.Text
---@field globals table<string, moontide.check.Variable> those that the file assigns
---@field fields table<string, moontide.check.Definition[]> what fields of any table are given
---@field calls moontide.check.Node[] Call and Invoke
---@field conditions moontide.check.Node[] what is tested
---@field operations moontide.check.Node[] Op
---@field indexes moontide.check.Node[] Index, read or assigned
---@field tables moontide.check.Node[]
---@field loops moontide.check.Node[] Fornum and Forin
---@field blocks moontide.check.Node[][]
---@field functions moontide.check.Node[]
---@field variables moontide.check.Variable[] local ones
---@field returns moontide.check.Node[] of the file itself

local scope, chars, names, fn -- while a file is walked

-- Of the names: `names[name]` is the variable that a name stands for, the list part those that are
-- visible, in order; each knows the one that it hides.

local visit_block, visit

---- variables ----

local function new_variable(name)
  return { name = name, definitions = {}, uses = {}, fields = {}, items = {} }
end

local function declare(node)
  local var = new_variable(node[1])
  var.node, var.inside, node.var = node, fn, var
  var.hidden, names[node[1]] = names[node[1]], var
  names[#names + 1] = var
  scope.variables[#scope.variables + 1] = var
  return var
end

--- Forgets the variables declared since there were so many.
local function leave(height)
  for i = #names, height + 1, -1 do
    names[names[i].name] = names[i].hidden
    names[i] = nil
  end
end

local function find(name)
  local var = names[name] or scope.globals[name]
  if not var then
    var = new_variable(name)
    scope.globals[name] = var
  end
  return var
end

local function use(node)
  node.var = find(node[1])
  node.var.uses[#node.var.uses + 1] = node
end

--- The i-th value of a list of expressions.
local function definition_of(list, i)
  local last = list and list[#list]
  if not last then
    return { value = false, nth = 1 }
  elseif i < #list then
    return { value = list[i], nth = 1 }
  end
  return { value = (i == #list or last.tag == "Call" or last.tag == "Invoke") and last or false,
    nth = i - #list + 1 }
end

--- The function that is a value, by itself or made an async one.
local function function_in(value)
  if value and value.tag == "Call" then
    value = value[2]
  end
  return value and value.tag == "Function" and value or nil
end

---- assignments ----

local function add_field(fields, name, definition)
  local list = fields[name] or {}
  fields[name] = list
  list[#list + 1] = definition
end

local function assign_field(node, definition)
  local base, key = node[1], node[2]
  local var = base.tag == "Id" and base.var
  if key.tag == "String" then
    add_field(scope.fields, key[1], definition)
  end
  if not var then
    return
  elseif key.tag == "String" then
    add_field(var.fields, key[1], definition)
  else
    var.is_open = var.is_open or key.tag ~= "Number"
    var.items[#var.items + 1] = definition
  end
end

--- Of functions that are assigned to a field: whose methods they are.
local function note_owner(target, value)
  local method = target.tag == "Index" and function_in(value)
  if method and target[1].tag == "Id" then
    method.owner = target[1].var or find(target[1][1])
  end
end

local function visit_target(target, definition)
  if fn then
    fn.targets[#fn.targets + 1] = target
  end
  if target.tag == "Id" then
    target.var = find(target[1])
    table.insert(target.var.definitions, definition)
  else
    assign_field(target, definition)
  end
end

local function visit_list(list, up)
  for i = 1, #list do
    visit(list[i], up)
  end
end

---- expressions and statements ----

local VISIT = {}

function visit(node, up)
  node.up = up
  local visit_node = VISIT[node.tag]
  if visit_node then
    visit_node(node)
  end
end

VISIT.Id = use

function VISIT.Paren(node)
  visit(node[1], node)
end

function VISIT.Op(node)
  table.insert(scope.operations, node)
  for i = 2, #node do
    visit(node[i], node)
  end
end

function VISIT.Index(node)
  table.insert(scope.indexes, node)
  visit_list(node, node)
end

--- `table.insert(list, item)` assigns as well.
local function note_insertion(node)
  local callee, list = node[1], node[2]
  if callee.tag == "Index" and callee[2][1] == "insert" and callee[1][1] == "table"
    and list and list.tag == "Id" then
    table.insert(list.var.items, { value = node[#node], nth = 1 })
  end
end

function VISIT.Call(node)
  node.fn, node.scope = fn, scope
  scope.calls[#scope.calls + 1] = node
  if fn then
    fn.calls[#fn.calls + 1] = node
  end
  visit_list(node, node)
  note_insertion(node)
end

VISIT.Invoke = VISIT.Call

function VISIT.Table(node)
  table.insert(scope.tables, node)
  for i = 1, #node do
    local item = node[i]
    item.up = node
    if item.tag == "Pair" then
      visit_list(item, item)
      if item[1].tag == "String" then
        add_field(scope.fields, item[1][1], { value = item[2], nth = 1 })
      end
    else
      visit(item, node)
    end
  end
end

local function declare_parameter(node, i, owner)
  if node.tag ~= "Id" then
    return
  end
  local var = declare(node)
  var.fn, var.position = fn, i
  if i == 1 and node[1] == "self" then
    var.owner = owner
  end
end

function VISIT.Function(node)
  local around, height = fn, #names
  node.around, node.returns, node.nested = around, {}, {}
  node.calls, node.loops, node.targets = {}, {}, {}
  if around then
    around.nested[#around.nested + 1] = node
  end
  fn = node
  table.insert(scope.functions, node)
  for i, parameter in ipairs(node[1]) do
    declare_parameter(parameter, i, node.owner)
  end
  visit_block(node[2], node)
  leave(height)
  fn = around
end

--- The word in `local x <close>`, which luacheck's tree may not have.
local function attribute_of(node)
  return chars:get_substring(node.end_offset + 1, node.end_offset + 12):match("^%s*<%s*(%a+)")
end

function VISIT.Local(node)
  local targets, values = node[1], node[2]
  if values then
    visit_list(values, node)
  end
  for i, target in ipairs(targets) do
    local var = declare(target)
    target.up = node
    var.is_closed = attribute_of(target) == "close"
    if values then
      table.insert(var.definitions, definition_of(values, i))
    else
      var.begins_nil = true
    end
  end
end

function VISIT.Localrec(node)
  local var, value = declare(node[1][1]), node[2][1]
  node[1][1].up = node
  table.insert(var.definitions, { value = value, nth = 1 })
  visit(value, node)
end

function VISIT.Set(node)
  local targets, values = node[1], node[2]
  for i, target in ipairs(targets) do
    if target.tag == "Index" then
      target.is_assigned = true
      visit(target, node)
    end
    note_owner(target, values[i])
  end
  visit_list(values, node)
  for i, target in ipairs(targets) do
    target.up = node
    visit_target(target, definition_of(values, i))
  end
end

local function visit_condition(node, up)
  table.insert(scope.conditions, node)
  visit(node, up)
end

function VISIT.If(node)
  for i = 1, #node - 1, 2 do
    visit_condition(node[i], node)
    visit_block(node[i + 1], node)
  end
  if #node % 2 == 1 then
    visit_block(node[#node], node)
  end
end

function VISIT.While(node)
  visit_condition(node[1], node)
  visit_block(node[2], node)
end

--- The condition sees the names of the block.
function VISIT.Repeat(node)
  visit_block(node[1], node, node[2])
end

function VISIT.Do(node)
  visit_block(node, node.up)
end

local function visit_loop(node, variables, body)
  local height = #names
  for i, variable in ipairs(variables) do
    local var = declare(variable)
    var.loop, var.position = node, i
  end
  node.fn = fn
  table.insert(scope.loops, node)
  if fn then
    fn.loops[#fn.loops + 1] = node
  end
  visit_block(body, node)
  leave(height)
end

function VISIT.Fornum(node)
  for i = 2, #node - 1 do
    visit(node[i], node)
  end
  visit_loop(node, { node[1] }, node[#node])
end

function VISIT.Forin(node)
  visit_list(node[2], node)
  visit_loop(node, node[1], node[3])
end

function VISIT.Return(node)
  table.insert(fn and fn.returns or scope.returns, node)
  visit_list(node, node)
end

function visit_block(block, up, condition)
  local height = #names
  block.up = up
  table.insert(scope.blocks, block)
  for i = 1, #block do
    local statement = block[i]
    statement.place = i
    statement.is_statement = statement.tag == "Call" or statement.tag == "Invoke"
    visit(statement, block)
  end
  if condition then
    visit_condition(condition, up)
  end
  leave(height)
end

---@param path string of the file
---@param text moontide.check.Text
---@return moontide.check.Scope
function M.resolve(path, text)
  scope = {
    path = path, text = text,
    globals = {}, fields = {}, calls = {}, conditions = {}, operations = {}, indexes = {},
    tables = {}, loops = {}, blocks = {}, functions = {}, variables = {}, returns = {},
  }
  chars, names, fn = text.chars, {}, nil
  visit_block(text.ast, nil)
  return scope
end

return M
