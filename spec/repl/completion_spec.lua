local completion = require "moontide.repl.completion"
local tide = require "moontide"

local complete = completion.new { "moontide", "moontide.dns", "moontide.fs" }

-- The words that the last one may become; as readline, which ends words there.
local function words(text)
  local before = text:match("^.*[ \t\n\"'`@$><=;|&{(]") or ""
  return complete(text, #before + 1)
end

describe("the REPL's completion", function()
  setup(function()
    _G.repl_spec = {
      tide = tide,
      one = 1,
      other = { deep = { deeper = print } },
      _hidden = true,
      ["no name"] = 1,
      queue = tide.queue(),
      object = setmetatable({}, { __index = setmetatable({ get = print, field = 1 }, {
        __index = { inherited = print },
      }) }),
      strange = setmetatable({ own = 1 }, { __index = function() error("called") end }),
    }
  end)

  teardown(function()
    _G.repl_spec = nil
  end)

  it("finds globals", function()
    assert.same({ "tonumber", "tostring" }, words("to"))
    assert.same({ "tostring" }, words("print(tos"))
    assert.same({ "_VERSION" }, words("_V"))
    assert.is_nil(table.concat(words(""), " "):find("_G", 1, true))
  end)

  it("finds fields", function()
    assert.same({ "string.rep" }, words("string.rep"))
    assert.same({ "repl_spec.object", "repl_spec.one", "repl_spec.other" }, words("repl_spec.o"))
    assert.same({ "repl_spec.other.deep.deeper" }, words("x = repl_spec.other.deep."))
    assert.same({ "repl_spec._hidden" }, words("repl_spec._"))
    assert.same({}, words("repl_spec.no"))
  end)

  it("finds what comes behind an operator", function()
    assert.same({ "1+repl_spec.one" }, words("1+repl_spec.on"))
    assert.same({ "#repl_spec.one" }, words("#repl_spec.on"))
    assert.same({ "t[repl_spec.one" }, words("t[repl_spec.on"))
  end)

  it("finds methods, of what has been inherited too", function()
    assert.same({ "repl_spec.object:get", "repl_spec.object:inherited" },
      words("repl_spec.object:"))
    assert.same({ "repl_spec.object.field" }, words("repl_spec.object.f"))
    assert.same({ "repl_spec.queue:pop", "repl_spec.queue:push" }, words("repl_spec.queue:p"))
    assert.same({ "_VERSION:rep" }, words("_VERSION:rep"))
  end)

  it("calls nothing of the program's", function()
    assert.same({ "repl_spec.strange.own" }, words("repl_spec.strange.o"))
    assert.same({}, words("repl_spec.strange.none.x"))
  end)

  it("finds nothing in what it does not know", function()
    assert.same({}, words("f().x"))
    assert.same({}, words("no_such_thing.x"))
    assert.same({}, words("'text':up"))
  end)

  it("finds modules after require, and ends the string", function()
    local found, quote = words('require "moontide.')
    assert.same({ "moontide.dns", "moontide.fs" }, found)
    assert.equal('"', quote)
    found, quote = words("fs = require('moontide.f")
    assert.same({ "moontide.fs" }, found)
    assert.equal("'", quote)
    assert.same({}, (words('required "moontide.')))
  end)
end)
