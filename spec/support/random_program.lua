--- Random programs, each written in Lua and in JavaScript at once, that log what they do.
---
--- A program is a list of statements over a few promises with resolvers, `d[1]` to `d[4]`. Every
--- piece is generated as a pair of texts, so that the two cannot differ in structure. Timers all
--- have the same length, or there are immediates in their place: then both languages leave the
--- order to creation, not to the clock.
local new_random = require "spec.support.random"

local M = {}

local DEFERREDS = 4

---@class spec.Generator
---@field random fun(m: integer, n?: integer): integer
---@field macro { lua: string, js: string } how a macrotask is queued
---@field marks integer how many log lines have been named
---@field budget integer how many statements may still be written
local Generator = {}
Generator.__index = Generator

function Generator:mark()
  self.marks = self.marks + 1
  return self.marks
end

function Generator:pick(list)
  return list[self.random(#list)]
end

local function pair(lua, js, ...)
  return { lua = lua:format(...), js = js:format(...) }
end

-- Puts pairs into the holes (%s) of a pair of texts.
local function fill(lua, js, ...)
  local luas, jss = {}, {}
  for i, piece in ipairs({ ... }) do
    luas[i], jss[i] = piece.lua, piece.js
  end
  return {
    lua = lua:format(table.unpack(luas)),
    js = js:format(table.unpack(jss)),
  }
end

local function join(pieces, separator)
  local luas, jss = {}, {}
  for i, piece in ipairs(pieces) do
    luas[i], jss[i] = piece.lua, piece.js
  end
  return { lua = table.concat(luas, separator), js = table.concat(jss, separator) }
end

---- expressions

local expressions = {}

function expressions.number(self)
  local n = self:mark()
  return pair("%d", "%d", n)
end

function expressions.resolved(self)
  local n = self:mark()
  return pair("Promise.resolve(%d)", "Promise.resolve(%d)", n)
end

function expressions.rejected(self)
  local n = self:mark()
  return pair("Promise.reject(%d)", "Promise.reject(%d)", n)
end

function expressions.deferred(self)
  local n = self.random(DEFERREDS)
  return pair("d[%d].promise", "d[%d].promise", n)
end

function expressions.call(self, depth)
  return fill(
    "spawn(function()\n%s end)",
    "(async () => {\n%s })()",
    self:block(depth - 1, true)
  )
end

function expressions.chain(self, depth)
  local chain = self:promise(depth - 1)
  for _ = 1, self.random(3) do
    local kind = self.random(6)
    if kind <= 2 then
      chain = fill("%s:next(%s)", "%s.then(%s)", chain, self:handler(depth - 1))
    elseif kind == 3 then
      chain = fill("%s:next(%s, %s)", "%s.then(%s, %s)", chain, self:handler(depth - 1),
        self:handler(depth - 1))
    elseif kind == 4 then
      chain = fill("%s:catch(%s)", "%s.catch(%s)", chain, self:handler(depth - 1))
    elseif kind == 5 then
      chain = fill("%s:finally(%s)", "%s.finally(%s)", chain, self:handler(depth - 1))
    else
      chain = fill("%s:next()", "%s.then()", chain)
    end
  end
  return chain
end

function expressions.thenable(self, depth)
  local first = self:settling(depth)
  local second = self.random(3) == 1 and self:settling(depth) or pair("", "")
  return fill(
    "{ [\"then\"] = function(_, resolve, reject) %s %s %s end }",
    "({ then(resolve, reject) { %s; %s %s } })",
    self:log(),
    first,
    second
  )
end

function expressions.constructed(self, depth)
  return fill(
    "Promise(function(resolve, reject) %s %s %s end)",
    "new Promise((resolve, reject) => { %s; %s %s })",
    self:log(),
    self:settling(depth),
    self.random(3) == 1 and self:settling(depth) or pair("", "")
  )
end

function expressions.combined(self, depth)
  local name = self:pick({
    { "all", "all" },
    { "all_settled", "allSettled" },
    { "race", "race" },
    { "any", "any" },
  })
  local list = {}
  for i = 1, self.random(0, 3) do
    list[i] = self:expression(depth - 1)
  end
  local elements = join(list, ", ")
  return {
    lua = ("Promise.%s({ %s })"):format(name[1], elements.lua),
    js = ("Promise.%s([%s])"):format(name[2], elements.js),
  }
end

local LEAVES = { "number", "resolved", "resolved", "rejected", "deferred", "deferred" }
local ANY = {
  "number", "resolved", "rejected", "deferred", "deferred", "call", "call", "call", "chain",
  "chain", "thenable", "constructed", "combined",
}
local PROMISES = { "resolved", "rejected", "deferred", "deferred", "call", "constructed",
  "combined" }
local PROMISE_LEAVES = { "resolved", "rejected", "deferred" }

--- Any value, promise or thenable.
function Generator:expression(depth)
  return expressions[self:pick(depth > 0 and self.budget > 0 and ANY or LEAVES)](self, depth)
end

--- A promise.
function Generator:promise(depth)
  local kinds = depth > 0 and self.budget > 0 and PROMISES or PROMISE_LEAVES
  return expressions[self:pick(kinds)](self, depth)
end

---- statements

function Generator:log()
  local n = self:mark()
  return pair("log(\"m%d\")", "log(\"m%d\")", n)
end

--- What an executor or a thenable's `then` does with its two functions: now, later, or throw.
function Generator:settling(depth)
  local value = self:expression(depth - 1)
  local kind = self.random(7)
  if kind <= 2 then
    return fill("resolve(%s)", "resolve(%s);", value)
  elseif kind == 3 then
    return fill("reject(%s)", "reject(%s);", expressions.number(self))
  elseif kind == 4 then
    return fill("micro(function() resolve(%s) end)", "micro(() => resolve(%s));", value)
  elseif kind == 5 then
    return fill(self.macro.lua:format("resolve(%s)"), self.macro.js:format("resolve(%s)"), value)
  elseif kind == 6 then
    local n = self:mark()
    return pair("if true then error(%d, 0) end", "if (true) throw %d;", n)
  end
  return fill("micro(function() reject(%s) end)", "micro(() => reject(%s));",
    expressions.number(self))
end

--- A function for next, catch and finally.
function Generator:handler(depth)
  local n = self:mark()
  local first = pair("log(\"h%d\", show(...))", "log(\"h%d\", show(...a))", n)
  return fill("function(...) %s\n%s end", "(...a) => { %s;\n%s }", first,
    self:block(depth, false))
end

local statements = {}

function statements.log(self)
  return fill("%s", "%s;", self:log())
end

function statements.micro(self, depth)
  return fill("micro(function()\n%s end)", "micro(() => {\n%s });", self:plain(depth - 1))
end

function statements.macro(self, depth)
  return fill(self.macro.lua:format("\n%s"), self.macro.js:format("{\n%s }"),
    self:plain(depth - 1))
end

function statements.expression(self, depth)
  local expression = self:expression(depth)
  return fill("ignore(%s)", "ignore(%s);", expression)
end

function statements.settle(self, depth)
  local n = self.random(DEFERREDS)
  local value = self:expression(depth - 1)
  if self.random(4) == 1 then
    return pair("d[%d].reject(%d)", "d[%d].reject(%d);", n, self:mark())
  end
  return {
    lua = ("d[%d].resolve(%s)"):format(n, value.lua),
    js = ("d[%d].resolve(%s);"):format(n, value.js),
  }
end

function statements.await(self, depth)
  local value = self:expression(depth - 1)
  local n = self:mark()
  return {
    lua = ("log(\"a%d\", show(await(%s)))"):format(n, value.lua),
    js = ("log(\"a%d\", show(await %s));"):format(n, value.js),
  }
end

function statements.try(self, depth)
  local value = self:expression(depth - 1)
  local n = self:mark()
  return {
    lua = ("log(\"t%d\", outcome(pcall(await, %s)))"):format(n, value.lua),
    js = ("try { log(\"t%d\", \"ok\", show(await %s)); } "):format(n, value.js)
      .. ("catch (e) { log(\"t%d\", \"no\", show(e)); }"):format(n),
  }
end

local PLAIN = { "log", "micro", "macro", "expression", "expression", "settle", "settle" }
local ASYNC = { "log", "await", "await", "try", "try", "expression", "settle", "micro", "macro" }
local MAIN = { "log", "micro", "macro", "expression", "expression", "expression", "settle" }

function Generator:list(kinds, count, depth)
  local list = {}
  for i = 1, count do
    self.budget = self.budget - 1
    local kind = (depth > 0 and self.budget > 0) and self:pick(kinds) or "log"
    list[i] = statements[kind](self, depth)
  end
  return join(list, "\n")
end

--- The statements of a plain callback, whose results nobody looks at.
function Generator:plain(depth)
  return self:list(PLAIN, self.random(3), depth)
end

--- The body of an async function, or of a handler: statements, and how it ends.
function Generator:block(depth, is_async)
  local body = self:list(is_async and ASYNC or PLAIN, self.random(0, 3), depth)
  local ending = self.random(6)
  if ending <= 3 then
    return fill("%s\nreturn %s", "%s\nreturn %s;", body, self:expression(depth - 1))
  elseif ending == 4 then
    return fill("%s\nerror(%s, 0)", "%s\nthrow %s;", body, expressions.number(self))
  end
  return body
end

--- The program of a seed. Every Lua text expects the locals of `M.LUA_PRELUDE`, every JavaScript
--- text those of `M.JS_PRELUDE`.
---@param seed integer
---@param macrotasks "timers"|"immediates"
---@return { lua: string, js: string }
function M.generate(seed, macrotasks)
  local self = setmetatable({ random = new_random(seed), marks = 0, budget = 40 }, Generator)
  -- %%s is for pieces that are filled in later.
  if macrotasks == "timers" then
    self.macro = {
      lua = "set_timeout(function() %s end, 0)",
      js = "setTimeout(() => %s, 0);",
    }
  else
    self.macro = {
      lua = "set_immediate(function() %s end)",
      js = "setImmediate(() => %s);",
    }
  end
  return self:list(MAIN, 6, 4)
end

--- Makes each program a function of a log function.
M.LUA_PRELUDE = [[
local tide = require "moontide"
local spawn, await, Promise, micro = tide.spawn, tide.await, tide.Promise, tide.queue_microtask
local set_timeout, set_immediate = tide.set_timeout, tide.set_immediate
local function ignore() end
local function show(value)
  if type(value) ~= "table" then
    return tostring(value)
  elseif value.errors then
    return value.name .. show(value.errors)
  elseif value.n then
    local list = {}
    for i = 1, value.n do list[i] = show(value[i]) end
    return "[" .. table.concat(list, " ") .. "]"
  elseif value.status == "fulfilled" then
    return "+" .. show(value.value)
  elseif value.status == "rejected" then
    return "-" .. show(value.reason)
  end
  return tostring(value.name)
end
local function outcome(ok, value)
  return ok and "ok" or "no", show(value)
end
local log = ...
local d = {}
for i = 1, 4 do
  local promise, resolve, reject = Promise.with_resolvers()
  d[i] = { promise = promise, resolve = resolve, reject = reject }
end
tide.on_unhandled_rejection(function(reason) log("unhandled", show(reason)) end)
tide.on_rejection_handled(function() log("handled") end)
]]

M.JS_PRELUDE = [[
const micro = queueMicrotask;
const ignore = () => {};
const show = (value) => {
  if (value === undefined || value === null) return "nil";
  if (typeof value !== "object") return String(value);
  if (value.errors) return value.name + show(value.errors);
  if (Array.isArray(value)) return "[" + value.map(show).join(" ") + "]";
  if (value.status === "fulfilled") return "+" + show(value.value);
  if (value.status === "rejected") return "-" + show(value.reason);
  return String(value.name);
};
process.on("unhandledRejection", (reason) => log("unhandled", show(reason)));
process.on("rejectionHandled", () => log("handled"));
const programs = [];
const deferreds = () => {
  const d = {};
  for (let i = 1; i <= 4; i++) {
    d[i] = {};
    d[i].promise = new Promise((resolve, reject) => Object.assign(d[i], { resolve, reject }));
  }
  return d;
};
// Each program runs until nothing is left of it, then the next one starts.
let next = 0;
process.on("beforeExit", () => {
  if (next === programs.length) return;
  setImmediate(() => {
    log("program", next);
    programs[next++](deferreds());
  });
});
]]

--- One module that runs all these programs, with "program N", from 0, before the log of each.
---@param programs { js: string }[]
---@return string
function M.javascript(programs)
  -- In a block, whose `show` is not the one that every twin has.
  local texts = { "{\n", M.JS_PRELUDE }
  for _, program in ipairs(programs) do
    texts[#texts + 1] = "programs.push((d) => {\n" .. program.js .. "\n});\n"
  end
  texts[#texts + 1] = "}\n"
  return table.concat(texts)
end

--- The program as a function of a log function.
---@param program { lua: string }
---@return fun(log: fun(...: any))
function M.lua(program)
  return assert(load(M.LUA_PRELUDE .. program.lua, "=program"))
end

return M
