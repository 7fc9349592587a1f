local annotations = require "spec.support.annotations"
local help = require "moontide.repl.help"
local leak = require "spec.support.leak"
local tide = require "moontide"

local await = tide.await

local find = help.new(await(help.list()))

describe("the REPL's help", function()
  after_each(leak.check)

  it("is what the annotations say", function()
    assert.equal([[
tide.sleep(ms, options)
A promise that is fulfilled, with nothing, after ms; it keeps the loop running.
@param ms number less than 1 and NaN count as 1
@param options? moontide.Options
@return moontide.Promise]], find(tide.sleep))
  end)

  it("tells of functions, those of classes, and methods", function()
    assert.matches("^Promise.all%(list%)\n", find(tide.Promise.all))
    assert.matches("^Promise:next%(", find(tide.Promise.resolve().next))
    assert.matches("^Queue:pop%(", find(tide.queue().pop))
    assert.matches("^AbortSignal.timeout%(", find(tide.AbortSignal.timeout))
    assert.matches("^fs.stat%(", find(require("moontide.fs").stat))
  end)

  it("tells of methods that are written in Lua", function()
    local controller = tide.AbortController()
    assert.matches("^AbortController:abort%(", find(controller.abort))
    assert.matches("^AbortSignal:on_abort%(", find(controller.signal.on_abort))
    assert.matches("^ContextVar:get%(", find(tide.ContextVar("v").get))
    local service <close> = await(require("moontide.net").serve({}, function() end))
    assert.matches("Service:close%(", find(service.close))
  end)

  it("tells of every function of every module", function()
    local missing = {}
    for _, module in ipairs(help.modules(await(help.list()))) do
      if module ~= "moontide.busted" then
        for name, value in pairs(require(module)) do
          if type(value) == "function" and not name:find("^_") and not find(value) then
            missing[#missing + 1] = module .. "." .. name
          end
        end
      end
    end
    assert.same({}, missing)
  end)

  it("knows nothing of other values", function()
    assert.is_nil(find(print))
    assert.is_nil(find(function() end))
    assert.is_nil(find(assert.equal))
    assert.is_nil(find("sleep"))
    assert.is_nil(find(nil))
    assert.is_nil(find({}))
  end)

  it("lists the modules that there are annotations of", function()
    local names = await(help.list())
    assert.equal(#annotations.paths(), #names)
    local modules = help.modules(names)
    assert.equal("moontide", modules[1])
    local list = table.concat(modules, " ")
    assert.matches("moontide%.fs", list)
    assert.is_nil(list:find("moontide.promise", 1, true))
  end)
end)
