--- Random programs of groups, as data, and what runs them: on moontide or on the model.
---
--- A block is a list of statements; a statement is a table: kind, id (its name in the log), and
--- what the kind needs, blocks among it. `run` is told the names to use (spawn, await, group, ...),
--- so that the two cannot differ in anything else. Every function has a log of its own, by the path
--- of ids that led to it.
local new_random = require "spec.support.random"

local M = {}

local UNIT = 2000 -- ms: times differ in their last digits, and the default grace is some units

---- writing ----

local Writer = {}
Writer.__index = Writer

function Writer:ms(most)
  return self.random(most) * UNIT + self.random(UNIT)
end

local kinds = {}

local function with_block(name, fill)
  kinds[name] = function(self, statement, depth)
    statement.block = self:block(depth - 1)
    if fill then
      fill(self, statement)
    end
  end
end

local function with_time(name, most)
  kinds[name] = function(self, statement)
    statement.ms = self:ms(most)
  end
end

local function bare(name)
  kinds[name] = function() end
end

with_time("sleep", 5)
with_time("loose_sleep", 5)
with_time("swallow", 5)
with_time("retry", 3)
with_time("cancel_later", 4)
with_time("spawn_later", 4)
bare("nothing")
bare("throw")
bare("cancel")
bare("check")
bare("outside")
bare("strike")

function kinds.cancel_outer(self, statement)
  statement.up = self.random(3) - 1
end

function kinds.await_kept(self, statement)
  statement.pick = self.random(8)
end

function kinds.stop(self, statement)
  statement.pick = self.random(0, 4)
  statement.is_named = self.random(2) == 1
end

function kinds.return_kept(self, statement)
  statement.pick = self.random(8)
end

with_block("call")
with_block("loose_call")
with_block("spawn")
with_block("spawn_outer", function(self, statement)
  statement.up = self.random(2)
end)
with_block("shield")
with_block("loose_shield")
with_block("detach")
with_block("catch")
with_block("return_call")

local function with_grace(self, statement)
  local kind = self.random(4)
  statement.grace = kind == 1 and self:ms(3) or kind == 2 and self.random(500) or nil
end

with_block("group", with_grace)
with_block("loose_group", with_grace)
with_block("return_group", with_grace)

local function with_deadline(self, statement)
  statement.ms = self:ms(4)
end

with_block("timeout", with_deadline)
with_block("move_on", with_deadline)
with_block("loose_timeout", with_deadline)
with_block("caught_timeout", with_deadline)
with_block("stubborn", with_deadline)

with_block("map", function(self, statement)
  statement.n, statement.concurrency = self.random(3), self.random(3)
end)

function kinds.cleanup(self, statement, depth)
  statement.block = self:block(depth - 1)
  statement.after = {}
  for i = 1, self.random(2) do
    local kind = self.random(6)
    if kind <= 3 then
      statement.after[i] = self:statement("sleep", 0)
      statement.after[i].ms = self.random(2 * UNIT)
    elseif kind == 4 then
      statement.after[i] = self:statement("swallow", 0)
    elseif kind == 5 and depth > 1 then
      statement.after[i] = self:statement("call", 1)
    else
      statement.after[i] = self:statement(depth > 1 and "group" or "sleep", 1)
    end
  end
end

local function with_parts(name)
  kinds[name] = function(self, statement, depth)
    statement.parts = {}
    for i = 1, self.random(2, 3) do
      local kind = self.random(3)
      statement.parts[i] = {
        kind = kind == 1 and "sleep" or kind == 2 and "call" or "spawn",
        ms = self:ms(5),
        block = kind > 1 and self:block(depth - 1) or nil,
      }
    end
  end
end

with_parts("join")
with_parts("all")

local function list(text)
  local names = {}
  for name, count in text:gmatch("([%a_]+)(%d*)") do
    for _ = 1, tonumber(count) or 1 do
      names[#names + 1] = name
    end
  end
  return names
end

-- Without a cancellation, and with all.
local LEAVES = list "sleep5 nothing outside await_kept"
local ALL_LEAVES = list "sleep5 loose_sleep nothing outside await_kept2 throw cancel stop2"
M.CALM = list "sleep6 nothing outside await_kept2 call3 spawn3 shield group2 map catch join all"
M.ANY = list([[
  sleep7 loose_sleep nothing outside await_kept2 throw cancel cancel_outer stop2 check strike retry
  swallow2 cancel_later spawn_later call3 loose_call2 spawn5 spawn_outer shield2 loose_shield detach
  catch2 group4 loose_group2 timeout2 move_on3 loose_timeout caught_timeout2 stubborn map2 cleanup4
  join2 all return_call return_group return_kept
]])

function Writer:statement(kind, depth)
  self.marks = self.marks + 1
  local statement = { kind = kind, id = self.marks }
  kinds[kind](self, statement, depth)
  return statement
end

function Writer:block(depth)
  local block = {}
  for i = 1, self.random(3) do
    self.budget = self.budget - 1
    local names = self.leaves
    if depth > 0 and self.budget > 0 then
      names = self.kinds
    end
    block[i] = self:statement(names[self.random(#names)], depth)
  end
  return block
end

--- The program of a seed: a block, which is the body of a group.
---@param seed integer
---@param is_calm? boolean nothing in it cancels anything
function M.generate(seed, is_calm)
  local self = setmetatable({
    random = new_random(seed),
    marks = 0,
    budget = 25,
    kinds = is_calm and M.CALM or M.ANY,
    leaves = is_calm and LEAVES or ALL_LEAVES,
  }, Writer)
  return { block = self:block(5), grace = self.random(3) == 1 and self:ms(3) or nil,
    outside = { self:ms(2), self:ms(6) } }
end

---- running ----

--- A short text of a reason that is the same for both.
local function name_of(reason)
  if type(reason) ~= "table" then
    return tostring(reason)
  elseif reason.errors then
    local names = {}
    for i, each in ipairs(reason.errors) do
      names[i] = name_of(each)
    end
    return "Aggregate[" .. table.concat(names, " ") .. "]"
  elseif reason.name == "AbortError" then
    return "Abort" .. (reason.cause ~= nil and "(" .. name_of(reason.cause) .. ")" or "")
  end
  return tostring(reason.message)
end

--- A running function: its log, the groups that it is in (innermost last), what it may await.
local Function = {}
Function.__index = Function

function Function:inner(id, group)
  local path = self.path .. "." .. id
  local groups = self.groups
  if group then
    groups = table.move(groups, 1, #groups, 1, {})
    groups[#groups + 1] = group
  end
  local lines = {}
  assert(not self.logs[path], path)
  self.logs[path] = lines
  return setmetatable({
    tide = self.tide,
    logs = self.logs,
    path = path,
    lines = lines,
    groups = groups,
    kept = table.move(self.kept, 1, #self.kept, 1, {}),
    children = table.move(self.children, 1, #self.children, 1, {}),
    outside = self.outside,
    start = self.start,
  }, Function)
end

function Function:log(...)
  local time = math.floor(self.tide.now() - self.start + 0.5)
  self.lines[#self.lines + 1] = table.concat({ time, ... }, " ")
end

local perform = {}

--- Runs a block; what a return statement of it returns is returned.
function Function:block(block)
  for _, statement in ipairs(block) do
    local f = perform[statement.kind]
    local ok, result = pcall(f, self, statement)
    if not ok then
      self:log(statement.id, statement.kind, "raised", name_of(result))
      error(result, 0)
    end
    self:log(statement.id, statement.kind, result == nil and "" or
      type(result) == "string" and result or "promise")
    if result ~= nil and type(result) ~= "string" then
      return result
    end
  end
end

--- A function that runs the block as a function of its own.
function Function:code(statement, block)
  return function()
    local inner = self:inner(statement.id)
    return inner:block(block or statement.block)
  end
end

function Function:keep(promise)
  self.kept[#self.kept + 1] = promise
  return promise
end

function Function:group_of(statement)
  return self.groups[math.max(1, #self.groups - (statement.up or 0))]
end

local function results(...)
  local first = ...
  if type(first) == "boolean" then
    return tostring(first)
  end
end

function Function:await(promise)
  return results(self.tide.await(promise))
end

function perform.sleep(self, s) return self:await(self.tide.sleep(s.ms)) end
function perform.loose_sleep(self, s) self:keep(self.tide.sleep(s.ms)) end
function perform.nothing(self) return self:await(nil) end
function perform.throw(_, s) error("failure " .. s.id, 0) end
function perform.cancel(self, s) self.groups[#self.groups]:cancel("cancelled " .. s.id) end
function perform.outside(self, s) return self:await(self.outside[s.id % 2 + 1]) end
function perform.check(self) self.tide.check(self.groups[#self.groups]) end

function perform.cancel_outer(self, s)
  self:group_of(s):cancel("cancelled " .. s.id)
end

-- Cancels while the result of the await is on its way.
function perform.strike(self, s)
  local promise, fulfil = self.tide.deferred()
  local group = self.groups[#self.groups]
  self.tide.set_timeout(function()
    fulfil()
    group:cancel("cancelled " .. s.id)
  end, 500 + s.id)
  return self:await(promise)
end

function perform.cancel_later(self, s)
  local group = self.groups[#self.groups]
  self.tide.set_timeout(function()
    group:cancel("cancelled " .. s.id)
  end, s.ms)
end

function perform.spawn_later(self, s)
  local group = self.groups[#self.groups]
  self.tide.set_timeout(function()
    local code = self:code(s, { { kind = "sleep", id = s.id, ms = s.ms } })
    if not pcall(group.spawn, group, code) then
      self:log(s.id, "refused")
    end
  end, s.ms)
end

function perform.swallow(self, s)
  local ok, reason = pcall(self.tide.await, self.tide.sleep(s.ms))
  return ok and "slept" or name_of(reason)
end

function perform.retry(self, s)
  for i = 1, 3 do
    if pcall(self.tide.await, self.tide.sleep(s.ms + 7 * i)) then
      return "try " .. i
    end
  end
  return "no try"
end

function perform.await_kept(self, s)
  local n = #self.kept
  if n > 0 then
    return self:await(self.kept[s.pick % n + 1])
  end
end

function perform.return_kept(self, s)
  local n = #self.kept
  if n > 0 then
    return self.kept[s.pick % n + 1]
  end
end

function perform.stop(self, s)
  local children = self.children
  local child = children[s.pick]
  local group = self.groups[#self.groups]
  if not child then
    group:stop()
  elseif child.group == group then
    group:stop(child.promise, s.is_named and "stopped " .. s.id or nil)
  end
end

function perform.call(self, s) return self:await(self.tide.spawn(self:code(s))) end
function perform.loose_call(self, s) self:keep(self.tide.spawn(self:code(s))) end
function perform.return_call(self, s) return self.tide.spawn(self:code(s)) end
function perform.shield(self, s) return self:await(self.tide.shield(self:code(s))) end
function perform.loose_shield(self, s) self:keep(self.tide.shield(self:code(s))) end
function perform.detach(self, s) self:keep(self.tide.detach(self:code(s))) end

local function spawn_in(self, group, s, block)
  local ok, promise = pcall(group.spawn, group, self:code(s, block))
  if not ok then
    return nil, "refused"
  end
  self.children[#self.children + 1] = { group = group, promise = promise }
  return self:keep(promise)
end

function perform.spawn(self, s)
  return select(2, spawn_in(self, self.groups[#self.groups], s))
end

function perform.spawn_outer(self, s)
  return select(2, spawn_in(self, self:group_of(s), s))
end

function perform.catch(self, s)
  local inner = self:inner(s.id)
  local ok, reason = pcall(inner.block, inner, s.block)
  return ok and "done" or name_of(reason)
end

function perform.cleanup(self, s)
  local inner = self:inner(s.id)
  local ok, reason = pcall(inner.block, inner, s.block)
  if not ok then
    inner:block(s.after)
    error(reason, 0)
  end
end

local function open_group(self, s)
  return self.tide.group(function(group)
    return self:inner(s.id, group):block(s.block)
  end, s.grace and { grace = s.grace } or nil)
end

function perform.group(self, s) return self:await(open_group(self, s)) end
function perform.loose_group(self, s) self:keep(open_group(self, s)) end
function perform.return_group(self, s) return open_group(self, s) end

local function open_timeout(self, s)
  return self.tide.timeout(s.ms, self:code(s))
end

function perform.timeout(self, s) return self:await(open_timeout(self, s)) end
function perform.loose_timeout(self, s) self:keep(open_timeout(self, s)) end

function perform.caught_timeout(self, s)
  local ok, reason = pcall(self.tide.await, open_timeout(self, s))
  return ok and "in time" or name_of(reason)
end

function perform.move_on(self, s)
  return self:await(self.tide.move_on_after(s.ms, self:code(s)))
end

-- Catches everything, without end but for a deadline and its grace.
function perform.stubborn(self, s)
  return self:await(self.tide.move_on_after(s.ms, function()
    local inner = self:inner(s.id)
    pcall(inner.block, inner, s.block)
    for _ = 1, 3000 do
      pcall(self.tide.await, self.tide.sleep(1e6))
    end
  end))
end

function perform.map(self, s)
  local items = {}
  for i = 1, s.n do
    items[i] = i
  end
  self.tide.await(self.tide.map(items, function(i)
    local inner = self:inner(s.id .. "/" .. i)
    self.tide.await(self.tide.sleep(i * 37))
    inner:log("item")
    inner:block(s.block)
  end, { concurrency = s.concurrency }))
end

local function start_parts(self, s)
  local promises = {}
  for i, part in ipairs(s.parts) do
    local inner = { id = s.id .. "/" .. i, block = part.block }
    if part.kind == "sleep" then
      promises[#promises + 1] = self.tide.sleep(part.ms)
    elseif part.kind == "call" then
      promises[#promises + 1] = self.tide.spawn(self:code(inner))
    else
      local promise = spawn_in(self, self.groups[#self.groups], inner)
      promises[#promises + 1] = promise
    end
  end
  return promises
end

function perform.join(self, s)
  self.tide.join(table.unpack(start_parts(self, s)))
end

function perform.all(self, s)
  self.tide.await(self.tide.all(start_parts(self, s)))
end

--- Runs the program, to its end; the logs by function, with what became of it under "outcome" and
--- what nobody handled under "unhandled".
function M.run(program, tide)
  local logs = { outcome = {}, unhandled = {} }
  local start = tide.now()
  local outside = {}
  for i, ms in ipairs(program.outside) do
    local fulfil
    outside[i], fulfil = tide.deferred()
    tide.set_timeout(fulfil, ms)
  end
  local main = setmetatable({ tide = tide, logs = logs, path = "", groups = {}, kept = {},
    children = {}, outside = outside, start = start, lines = logs.outcome }, Function)
  tide.on_unhandled(function(reason)
    local time = math.floor(tide.now() - start + 0.5)
    table.insert(logs.unhandled, time .. " " .. name_of(reason))
  end)
  tide.detach(function()
    local ok, reason = pcall(tide.await, open_group(main, {
      id = 0,
      block = program.block,
      grace = program.grace,
    }))
    main:log(ok and "over" or name_of(reason))
  end)
  tide.run()
  table.sort(logs.unhandled)
  return logs
end

---- showing and shrinking ----

local function each_block(node, f)
  for _, field in ipairs({ "block", "after" }) do
    if node[field] then
      f(node[field])
    end
  end
  for _, part in ipairs(node.parts or {}) do
    each_block(part, f)
  end
end

local function show_block(block, indent, lines)
  for _, s in ipairs(block) do
    local fields = {}
    for key, value in pairs(s) do
      if type(value) ~= "table" and key ~= "kind" and key ~= "id" then
        fields[#fields + 1] = ("%s=%s"):format(key, value)
      end
    end
    table.sort(fields)
    local text = table.concat(fields, " ")
    lines[#lines + 1] = ("%s%s %s %s"):format(indent, s.id or "-", s.kind, text)
    for _, part in ipairs(s.parts or {}) do
      show_block({ part }, indent .. "  part ", lines)
    end
    if s.block then
      show_block(s.block, indent .. "  ", lines)
    end
    if s.after then
      lines[#lines + 1] = indent .. "  then"
      show_block(s.after, indent .. "  ", lines)
    end
  end
end

function M.show(program)
  local lines = { "grace=" .. tostring(program.grace) .. " outside="
    .. table.concat(program.outside, ",") }
  show_block(program.block, "", lines)
  return table.concat(lines, "\n")
end

--- The logs as one text, functions in the order of their paths.
function M.show_logs(logs)
  local paths, lines = {}, {}
  for path in pairs(logs) do
    paths[#paths + 1] = path
  end
  table.sort(paths)
  for _, path in ipairs(paths) do
    lines[#lines + 1] = path .. ": " .. table.concat(logs[path], ", ")
  end
  return table.concat(lines, "\n")
end

--- Leaves out of the program, in place, what does not matter for `fails(program)`.
function M.shrink(program, fails)
  local tries = 2000
  local function visit(block)
    local changed = false
    local i = 1
    while i <= #block do
      local statement = table.remove(block, i)
      tries = tries - 1
      if tries > 0 and fails(program) then
        changed = true
      else
        table.insert(block, i, statement)
        i = i + 1
        each_block(statement, function(inner)
          changed = visit(inner) or changed
        end)
      end
    end
    return changed
  end
  while visit(program.block) and tries > 0 do end
  return program
end

return M
