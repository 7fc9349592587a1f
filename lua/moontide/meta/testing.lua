---@meta _
--- `require "moontide.testing"`. What holds everywhere is said in moontide.lua.

--- What tests need of the loop.
---@class moontide.testing
local testing = {}

--- Virtual time: stands still while anything can go on, then jumps to the next timer. While an
--- operation is in flight its end is waited for, in real time. One at a time; `<close>` ends it.
--- Source: Trio's MockClock.
---@param options? { autojump: boolean } autojump = false: time passes only by `advance`
---@return moontide.Clock
function testing.clock(options) end

--- Fulfilled, with nothing, when no function can go on without time or I/O.
---@return moontide.Promise
---@nodiscard
function testing.wait_all_tasks_blocked() end

--- From here on, timers due in the same ms, and completions of the same poll, come in an order that
--- depends on the seed.
---@param seed? integer nil: no longer
---@return integer? seed
function testing.shuffle(seed) end

--- Virtual time, see `clock`.
---@class moontide.Clock
local Clock = {}

--- Virtual time since the clock was made.
---@return number ms
function Clock:elapsed() end

--- Lets time pass: the timers due by then fire in their order, each at its time.
---@param ms number
---@return moontide.Promise
---@nodiscard
function Clock:advance(ms) end

--- Gives real time back.
function Clock:close() end
