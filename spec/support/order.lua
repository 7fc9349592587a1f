--- An order spec: a program in Lua, its twin in JavaScript, and the whole log of both.
local assert = require "luassert"
local busted = require "busted"
local log = require "spec.support.log"
local node = require "spec.support.node"
local tide = require "moontide"

---@class spec.Order
---@field lua fun(log: fun(...: any)) runs on the main thread, before the loop is run to its end
---@field js string the same program as an ES module
---@field log string what both of them log: "a, b, c"

--- Declares two specs: moontide logs what is written here, and so does node.
---@param name string
---@param program spec.Order
return function(name, program)
  local expected = log.split(program.log)

  busted.it(name, function()
    local write, lines = log.new()
    local _ <close> = setmetatable({}, {
      __close = function()
        tide.on_unhandled_rejection(nil)
        tide.on_rejection_handled(nil)
      end,
    })
    program.lua(write)
    tide.run()
    assert.same(expected, lines)
  end)

  if not node.available then
    return busted.pending(name .. ": " .. node.absent)
  end
  busted.it(name .. " (node)", function()
    assert.same(expected, node.run(program.js))
  end)
end
