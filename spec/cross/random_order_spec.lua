-- Random programs, which moontide and node must log alike. MOONTIDE_SEED=N starts with another
-- seed, MOONTIDE_PROGRAMS=N runs more of them.
local tide = require "moontide"
local allow_suspended = require("moontide.busted").allow_suspended
local leak = require "spec.support.leak"
local new_log = require("spec.support.log").new
local node = require "spec.support.node"
local random_program = require "spec.support.random_program"

local FIRST = tonumber(os.getenv("MOONTIDE_SEED") or 1)
local COUNT = tonumber(os.getenv("MOONTIDE_PROGRAMS") or 300)

local function run(program)
  local log, lines = new_log()
  random_program.lua(program)(log)
  tide.run()
  tide.on_unhandled_rejection(nil)
  tide.on_rejection_handled(nil)
  return lines
end

-- The lines of each program, from the log of all.
local function by_program(lines)
  local logs = {}
  for _, line in ipairs(lines) do
    if line:match("^program %d+$") then
      logs[#logs + 1] = {}
    else
      table.insert(logs[#logs], line)
    end
  end
  return logs
end

local function compare(macrotasks, first)
  local programs = {}
  for i = 1, COUNT do
    programs[i] = random_program.generate(first + i - 1, macrotasks)
  end
  local expected = by_program(node.run(random_program.javascript(programs)))
  assert.equal(COUNT, #expected)
  local total = 0
  for i, program in ipairs(programs) do
    assert.same(
      expected[i],
      run(program),
      ("seed %d, %s:\n%s\n-- in JavaScript:\n%s"):format(
        first + i - 1,
        macrotasks,
        program.lua,
        program.js
      )
    )
    total = total + #expected[i]
  end
  assert.is_true(total > 10 * COUNT)
end

describe("random programs", function()
  after_each(function()
    tide.on_unhandled_rejection(nil)
    tide.on_rejection_handled(nil)
    leak.check()
  end)

  for i, macrotasks in ipairs({ "timers", "immediates" }) do
    it("S41 log the same as in node, with microtasks and " .. macrotasks, function()
      if not node.available then
        return pending(node.absent)
      end
      allow_suspended()
      compare(macrotasks, FIRST + (i - 1) * COUNT)
    end)
  end
end)
