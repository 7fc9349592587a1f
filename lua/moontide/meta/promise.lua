---@meta _
--- Promises. What holds everywhere is said in moontide.lua.

--- The result, some day, of something that has been started: any number of values, or a reason.
--- Settled at most once. T stands for the first value.
---@class moontide.Promise<T>
local Promise = {}

--- Registers reactions. They run as microtasks, once, in the order of registration; never inside
--- this call. What is not callable is ignored, and the outcome passed through.
--- Source: ECMA-262, PerformPromiseThen.
---@param on_fulfilled? moontide.Callable called with the values
---@param on_rejected? moontide.Callable called with the reason
---@return moontide.Promise derived resolved with what the handler returns, rejected with what it
---raises
function Promise:next(on_fulfilled, on_rejected) end

--- The same function as `next`; `then` is a keyword in Lua.
Promise["then"] = Promise.next

--- `next(nil, on_rejected)`. Source: ECMA-262, Promise.prototype.catch.
---@param on_rejected? moontide.Callable called with the reason
---@return moontide.Promise derived
function Promise:catch(on_rejected) end

--- Calls f, without arguments, when the promise is settled; the outcome passes through. A promise
--- that f returns is waited for; what f raises, or that promise is rejected with, wins.
--- Source: ECMA-262, Promise.prototype.finally.
---@param f? moontide.Callable
---@return moontide.Promise derived
function Promise:finally(f) end

--- `await(self)`.
---@async
---@return any ... the values that the promise is fulfilled with
function Promise:await() end

--- What has become of the promise so far. Does not count as handling a rejection.
---@return moontide.State state
---@return any ... the values, or the reason
function Promise:state() end

--- Called or indexed: `Promise(f)` is `Promise.new(f)`.
---@class moontide.PromiseClass
---@overload fun(executor: fun(resolve: fun(...: any), reject: fun(reason: any))): moontide.Promise
local PromiseClass = {}

--- Runs executor(resolve, reject) at once. `resolve(v, ...)` adopts v if it is a promise or
--- thenable (and drops the rest), else fulfils with all values; `reject(reason)` rejects. Only the
--- first call of either counts. What the executor raises is a rejection.
--- A promise resolved with itself is rejected with a TypeError.
--- Source: ECMA-262, the Promise constructor.
---@param executor fun(resolve: fun(...: any), reject: fun(reason: any))
---@return moontide.Promise
function PromiseClass.new(executor) end

--- A promise is returned as it is; a thenable is adopted; anything else is the value.
--- Source: ECMA-262, PromiseResolve.
---@generic T
---@param v? T|moontide.Promise<T>|moontide.Thenable
---@param ... any more values, if v is no promise and no thenable
---@return moontide.Promise<T>
function PromiseClass.resolve(v, ...) end

--- Source: ECMA-262, Promise.reject.
---@param reason any
---@return moontide.Promise
function PromiseClass.reject(reason) end

--- Calls f(...) at once: a promise of its results, rejected with what it raises.
--- Source: ECMA-262, Promise.try.
---@param f fun(...: any): ...
---@param ... any
---@return moontide.Promise
PromiseClass["try"] = function(f, ...) end

--- Source: ECMA-262, Promise.withResolvers; here three results.
---@return moontide.Promise promise
---@return fun(...: any) resolve
---@return fun(reason: any) reject
function PromiseClass.with_resolvers() end

--- Waits for all; rejects with the first rejection. An empty list is fulfilled at once. An
--- element that is no promise stands for itself.
--- Source: ECMA-262, Promise.all.
---@param list any[]|moontide.List its length is `n`, or `#list`
---@return moontide.Promise<moontide.List> # first value of each, in the order of the list
---@nodiscard
function PromiseClass.all(list) end

--- Waits for all, whatever becomes of them; never rejects.
--- Source: ECMA-262, Promise.allSettled.
---@param list any[]|moontide.List
---@return moontide.Promise<moontide.List> # a moontide.Outcome for each
---@nodiscard
function PromiseClass.all_settled(list) end

--- Settles as the first that settles; for an empty list, never.
--- Source: ECMA-262, Promise.race.
---@param list any[]|moontide.List
---@return moontide.Promise
---@nodiscard
function PromiseClass.race(list) end

--- Fulfils as the first that is fulfilled. Rejects with a moontide.AggregateError when none is,
--- and for an empty list.
--- Source: ECMA-262, Promise.any.
---@param list any[]|moontide.List
---@return moontide.Promise
---@nodiscard
function PromiseClass.any(list) end

--- `all` for a table of any keys.
--- Source: TC39 proposal await-dictionary, Promise.allKeyed.
---@generic K
---@param map table<K, any>
---@return moontide.Promise<table<K, any>> # the same keys, first value of each
---@nodiscard
function PromiseClass.all_keyed(map) end

--- `all_settled` for a table of any keys.
--- Source: TC39 proposal await-dictionary, Promise.allSettledKeyed.
---@generic K
---@param map table<K, any>
---@return moontide.Promise<table<K, moontide.Outcome>>
---@nodiscard
function PromiseClass.all_settled_keyed(map) end
