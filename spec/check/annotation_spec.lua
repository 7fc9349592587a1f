-- Of: check/annotation, check/declarations
local annotation = require "moontide.check.annotation"
local declarations = require "moontide.check.declarations"
local leak = require "spec.support.leak"

--- A type in short: "promise<string|nil>" and so on, with functions as "fun(a,b):c".
local function short(item)
  local function list(items)
    local texts = {}
    for i, member in ipairs(items) do
      texts[i] = short(member)
    end
    return table.concat(texts, ",")
  end
  if item.kind == "union" then
    return "(" .. list(item):gsub(",", "|") .. ")"
  elseif item.kind == "function" then
    local name = item.is_async and "async " or ""
    return ("%sfun(%s):%s"):format(name, list(item.parameters), list(item.returns))
  elseif item.kind == "name" then
    return item.name .. (#item.arguments > 0 and "<" .. list(item.arguments) .. ">" or "")
  end
  return item.kind
end

describe("annotations that moontide check reads", function()
  after_each(leak.check)

  for text, expected in pairs {
    ["string"] = { "string" },
    ["moontide.Promise<string?> a text"] = { "moontide.Promise<(string|nil)>" },
    ["moontide.Promise # when it is over"] = { "moontide.Promise" },
    ["string|number what is written"] = { "(string|number)" },
    ["fun(): string?, moontide.Peer?"] = { "fun():(string|nil),(moontide.Peer|nil)" },
    ["async fun(g: moontide.Group): ...: any"] = { "async fun(moontide.Group):any" },
    ["fun(yield: (fun(...: any): ...), ...: any)"] = { "fun(fun(any):...,any):" },
    ["fun(resolve: fun(...: any), reject: fun(reason: any))"] = { "fun(fun(any):,fun(any):):" },
    ["any[]|moontide.List"] = { "(table|moontide.List)" },
    ["{ [string]: number } its variables"] = { "table" },
    ['"r"|"w"'] = { "(literal|literal)" },
    ["4|6 default: either"] = { "(literal|literal)" },
    ["moontide.Callable, nil, nil, table"] = { "moontide.Callable", "nil", "nil", "table" },
    ["table<string, string|number>"] = { "table<string,(string|number)>" },
    ["file* of Lua's"] = { "file*" },
    [""] = {},
  } do
    it("are types: " .. text, function()
      local found = {}
      for i, item in ipairs(annotation.read(text)) do
        found[i] = short(item)
      end
      assert.same(expected, found)
    end)
  end

  it("declare classes with fields, functions, and what is above them", function()
    declarations.load()
    local await = declarations.field("moontide", "await")
    assert.same({ "moontide.await", true }, { await.name, await.is_async })
    local read = declarations.field("moontide.tls.Stream", "read")
    assert.same({ "moontide.Stream.read", true, "n", "options" },
      { read.name, read.must_use, read.parameters[1].name, read.parameters[2].name })
    assert.equal("moontide.AbortSignal", declarations.field("moontide.net.ServeOptions", "signal"))
    assert.equal("moontide.Promise.next", declarations.field("moontide.Promise", "then").name)
    assert.equal("fun(): moontide.Stream?", declarations.class("moontide.Server").call)
    assert.is_nil(declarations.field("moontide", "no_such_name"))
    assert.is_nil(declarations.class("no such class"))
  end)

  -- These begin something that goes on by itself, pass on what somebody else has, or close: whoever
  -- wants to know what becomes of it takes the promise.
  local MAY_BE_LEFT = {
    "moontide.Generator.close", "moontide.Generator.next", "moontide.Generator.throw",
    "moontide.Group.spawn", "moontide.Promise.catch", "moontide.Promise.finally",
    "moontide.Promise.next", "moontide.PromiseClass.new", "moontide.PromiseClass.reject",
    "moontide.PromiseClass.resolve", "moontide.PromiseClass.try",
    "moontide.PromiseClass.with_resolvers", "moontide.Queue.push", "moontide.Server.close",
    "moontide.Stream.close", "moontide.Stream.destroy", "moontide.Stream.shutdown",
    "moontide.Stream.write", "moontide.detach", "moontide.fs.Directory.close",
    "moontide.fs.File.close", "moontide.http.Events.send", "moontide.http.WebSocket.close",
    "moontide.http.WebSocket.ping", "moontide.http.WebSocket.send", "moontide.http.serve",
    "moontide.net.Service.close", "moontide.net.UDP.send", "moontide.net.serve", "moontide.spawn",
  }

  it("say of each function that returns a promise whether that has to be taken", function()
    declarations.load()
    local left = {}
    for _, class in pairs(declarations.classes()) do
      for name, field in pairs(class.fields) do
        local is_copy = type(field) == "table" and not field.name:find("." .. name, 1, true)
        if type(field) == "table" and not is_copy and not field.must_use
          and field.returns:find("^moontide%.Promise") then
          left[#left + 1] = field.name
        end
      end
    end
    table.sort(left)
    assert.same(MAY_BE_LEFT, left)
  end)
end)
