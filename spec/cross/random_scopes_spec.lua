-- Random programs of groups, which moontide must log as the model of the rules does: see
-- spec/support/scope_model.lua. MOONTIDE_SEED=N starts with another seed, MOONTIDE_PROGRAMS=N runs
-- more of them.
--
-- The log of each function is compared, with the time of each event, and so is the order of what
-- happens at different times. Ticks between independent functions at the same time are not. A
-- program in which two timers are due at the same time is left out, and so is one of which the
-- model itself makes something else when joins and the like take some ticks more: who comes first
-- may decide what happens, and the rules do not say who does.
local tide = require "moontide"
local leak = require "spec.support.leak"
local new_random = require "spec.support.random"
local scale = require "spec.support.scale"
local scope_model = require "spec.support.scope_model"
local scope_program = require "spec.support.scope_program"
local testing = require "moontide.testing"

local FIRST = tonumber(os.getenv("MOONTIDE_SEED") or 1)
local COUNT = tonumber(os.getenv("MOONTIDE_PROGRAMS") or math.max(30, scale(10000)))

--- moontide by the names that a program uses.
local engine = setmetatable({
  all = tide.Promise.all,
  deferred = tide.Promise.with_resolvers,
  on_unhandled = tide.on_unhandled_rejection,
  check = function(group)
    group.signal:throw_if_aborted()
  end,
}, { __index = tide })

local function new_model(slack)
  local model = scope_model.new(slack)
  function model.on_unhandled(f)
    model.unhandled = f
  end
  function model.check(group)
    group:check()
  end
  return model
end

local function run_by_model(program, slack)
  local model = new_model(slack)
  return scope_program.run(program, model), model.coincidences > 0
end

--- Whether it matters how many ticks pass where the rules do not say how many.
local function depends_on_ticks(program, text)
  for seed = 1, 8 do
    local random = new_random(seed)
    local function slack()
      return random(0, 4)
    end
    if scope_program.show_logs((run_by_model(program, slack))) ~= text then
      return true
    end
  end
  return false
end

local function run_by_moontide(program)
  local ok, logs = pcall(scope_program.run, program, engine)
  tide.on_unhandled_rejection(nil)
  if not ok then
    leak.run_dry()
    return { outcome = { "raised: " .. tostring(logs) } }
  end
  return logs
end

--- The two logs as texts, where they differ; whether the program is to be left out.
local function differ(program)
  local expected, is_coincidence = run_by_model(program)
  if is_coincidence then
    return nil, nil, true
  end
  local model_text = scope_program.show_logs(expected)
  local text = scope_program.show_logs(run_by_moontide(program))
  if model_text == text then
    return nil, nil, false
  elseif depends_on_ticks(program, model_text) then
    return nil, nil, true
  end
  return model_text, text, false
end

local function report(seed, program)
  scope_program.shrink(program, function(smaller)
    return differ(smaller) ~= nil
  end)
  local expected, got = differ(program)
  return ("seed %d\n-- the program, shrunk:\n%s\n-- the model:\n%s\n-- moontide:\n%s"):format(
    seed, scope_program.show(program), expected, got)
end

describe("random programs of groups", function()
  local clock

  before_each(function()
    clock = testing.clock()
  end)

  after_each(function()
    clock:close()
    tide.on_unhandled_rejection(nil)
    leak.check()
  end)

  local function compare(first, count, is_calm)
    local compared = 0
    for seed = first, first + count - 1 do
      local program = scope_program.generate(seed, is_calm)
      local expected, _, is_coincidence = differ(program)
      if expected then
        error(report(seed, program), 0)
      elseif not is_coincidence then
        compared = compared + 1
      end
    end
    assert.is_true(compared > count * 0.8)
  end

  it("S70 S71 S72 S73 S74 S75 S76 do what the model of the rules does", function()
    compare(FIRST, COUNT, false)
  end)

  it("do what the model does where nothing is cancelled", function()
    compare(FIRST, COUNT // 10, true)
  end)
end)
