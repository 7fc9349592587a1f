---@meta _
--- `require "moontide.coroutine"`. What holds everywhere is said in moontide.lua.

--- The functions of Lua's `coroutine` library, with which an await may stand in a coroutine that is
--- no async function: it suspends the async function around it, through any number of coroutines.
--- What is not said here is as in Lua's library. Source: Lua 5.4, manual 6.2.
---@class moontide.coroutine
local coroutine = {}

--- Puts these functions into the global table `coroutine`, for what looks them up there from now on.
---@return fun() undo puts back what was there before
function coroutine.install() end

--- Refuses, as a normal one, a coroutine that awaits. What it closes cannot await.
---@param co thread
---@return boolean ok
---@return any? reason
function coroutine.close(co) end

--- The coroutine has the async context in which it is made (see ContextVar), but belongs to the
--- group of who resumes it.
---@param f function
---@return thread
function coroutine.create(f) end

---@param co? thread
---@return boolean
function coroutine.isyieldable(co) end

--- Refuses, as not suspended, a coroutine that awaits.
---@param co thread
---@param ... any
---@return boolean ok
---@return any ... values or the reason
function coroutine.resume(co, ...) end

---@return thread
---@return boolean is_main
function coroutine.running() end

---@param co thread
---@return "running"|"suspended"|"normal"|"dead" status "normal" while it awaits
function coroutine.status(co) end

--- In an async function, what an error closes there may await.
---@param f function
---@return fun(...: any): ...
function coroutine.wrap(f) end

---@param ... any
---@return any ...
function coroutine.yield(...) end
