---@meta _
--- What the public names take, give, raise and reject with, here and in the files beside this one.
--- Never run: they are for lua-language-server, and for readers.
---
--- Two kinds of errors, everywhere: *raises* is an error for the caller, at once, before anything
--- has happened; wrong types of arguments are always raised ("bad argument #1 to 'async' ...") and
--- not listed each time. *Rejects* is what the returned promise is rejected with. Using anything
--- after the state has begun to close raises "the runtime is closed". Times are milliseconds,
--- fractions included, unless said otherwise. Any number of values means: nils included.

--- ## Values

--- What `next` and `await` take for a promise: a table or userdata whose field `then` is callable.
--- The field is read once; `then(thenable, resolve, reject)` is called by a job of its own.
--- Source: ECMA-262, Promise Resolve Functions and NewPromiseResolveThenableJob.
---@class moontide.Thenable
---@field then function

--- A function, or a value with a metamethod `__call`, that the loop calls: it cannot await.
---@alias moontide.Callable function|table|userdata

--- The same, where it may await: it is called as an async function, or by one.
---@alias moontide.AsyncCallable function|table|userdata

---@alias moontide.State
---| "pending"
---| "fulfilled"
---| "rejected"

--- An error that moontide itself reports. `tostring` gives "NAME: MESSAGE".
---@class moontide.Error
---@field name string "TypeError", "SystemError", "AggregateError", "DeadlockError", "AbortError",
---"TimeoutError"
---@field message string
---@field cause? any of a group's AbortError: the failure because of which it was cancelled

--- A call of the system failed.
---@class moontide.SystemError: moontide.Error
---@field code string libuv's name of the error: "ENOENT", "EACCES", ...
---@field errno integer libuv's number of the error, negative
---@field syscall string the call that failed: "open", "stat", ...
---@field path? string the file that it was called for
---@field host? string the host that it was called for
---@field address? string the address that it was called for
---@field port? integer the port that it was called for
---@field dest? string the second path of a call that has two

--- Every promise given to `Promise.any` was rejected, or several functions of a group failed.
---@class moontide.AggregateError: moontide.Error
---@field errors moontide.List their reasons, in the order of the list, or of the failures

--- A list that may have holes: `n` is its length.
---@class moontide.List: { [integer]: any }
---@field n integer

--- The top level waits for what nothing that is left to run could settle.
---@class moontide.DeadlockError: moontide.Error
---@field tasks? moontide.Tasks what `tide.tasks()` would have said; not after `tide.stop()`

--- Suspended async functions that stand alike: of one name, at one line, waiting for the same.
---@class moontide.Task
---@field name string "async function 'f' (app.lua:3)", the line where it is defined; without a name,
---"async function <app.lua:3>"; or "the top level"
---@field source? string file of the line where it awaits, as far as known
---@field line? integer that line
---@field waits_for string "queue:pop", "sleep", "Promise.all [2]", "async function <app.lua:9>", ...
---@field count integer how many they are
---@field awaited_by moontide.Task[] who awaits them
---@field through? boolean they are awaited by way of something else, which waits_for names
---@field in_circle? boolean they wait, by way of others, for themselves
---@field seen? boolean who awaits them stands in an entry before this one

--- What waits for something that no async function will do comes first, with those who wait for that
--- below it. `tostring` gives a line for each, 20 at most.
---@class moontide.Tasks
---@field [integer] moontide.Task

--- Something that keeps the loop alive.
---@class moontide.HandleInfo
---@field kind "timer"|"immediate"|"operation"|"server"|"stream"|"udp"|"process"|"signal"|"watch"|"poll"|"handle"
---@field description? string "sleep", "fs.stat 'x'", "127.0.0.1:80", "SIGTERM", ...
---@field source? string file of the line where it is awaited, or where the function is that it calls;
---as far as known
---@field line? integer that line
---@field calls? string the function that it will call: "function <app.lua:3>", "C function"
---@field due? number of a timer: ms from now
---@field pid? integer of a process

--- Timers come first, in the order in which they will fire. `tostring` gives a line for each, 20 at
--- most.
---@class moontide.Handles
---@field [integer] moontide.HandleInfo

--- An entry of `Promise.all_settled`.
---@class moontide.Outcome
---@field status "fulfilled"|"rejected"
---@field value? any first value, if fulfilled
---@field reason? any if rejected

--- ## `require "moontide"`

---@class moontide
---@field Promise moontide.PromiseClass
---@field AbortSignal moontide.AbortSignalClass
local tide = {}

--- Makes an async function: a call of it runs fn at once, up to its first suspension, and returns
--- a promise of its results. What fn raises, also before it first awaits, is a rejection with
--- exactly that value.
--- Source: ECMA-262, AsyncFunctionStart; a returned promise costs three ticks, as there.
---@param fn moontide.AsyncCallable
---@return fun(...: any): moontide.Promise
function tide.async(fn) end

--- `async(fn)(...)`.
---@param fn moontide.AsyncCallable
---@param ... any
---@return moontide.Promise
function tide.spawn(fn, ...) end

--- Suspends the calling async function until v settles. What is no promise costs one microtask;
--- a promise one; a thenable one more. On the main thread, while the loop is not running, drives
--- the loop until v settles.
--- Source: ECMA-262, Await.
---
--- Raises the reason of a rejection, unchanged; and a string where it cannot suspend: "await
--- outside an async function", "await inside a coroutine that is not an async function: ..." (see
--- coroutine.lua), "await cannot suspend inside table.sort, called from x.lua:12". On the main thread also what leaves
--- the loop meanwhile, as `run` does, and a moontide.DeadlockError when nothing is left that could
--- settle v.
---@async
---@generic T
---@param v? T|moontide.Promise<T>|moontide.Thenable
---@param ... any more values, if v is no promise and no thenable
---@return T
---@return any ... all values that v is fulfilled with
function tide.await(v, ...) end

--- Awaits all arguments: `await(Promise.all { ... })`, unpacked. When it is interrupted by a cancellation,
--- it waits for those of them that are calls or groups of the same group before it raises.
---@async
---@param ... any promises, thenables, or values
---@return any ... first value of each, in the order of the arguments
function tide.join(...) end

--- Calls f(...) after the running job and the microtasks queued before, ahead of any timer or I/O.
--- What f raises comes out of `run`.
--- Source: HTML, queueMicrotask.
---@param f moontide.Callable
---@param ... any
function tide.queue_microtask(f, ...) end

--- What a timer or immediate can be told; also a `<close>` variable's value, which closes it.
---@class moontide.Handle
local Handle = {}

--- Keeps the loop running, as it does unless `unref` was called.
---@return moontide.Handle self
function Handle:ref() end

--- Lets the loop end although this is pending. Source: Node, timeout.unref.
---@return moontide.Handle self
function Handle:unref() end

--- Cancels it, as `clear_timeout` and the like do; does nothing when it is over.
function Handle:close() end

--- Calls f(...) once, in a turn of the loop at least ms from now, after all timers due earlier.
--- What f raises comes out of `run`. Source: HTML and Node, setTimeout.
---@param f moontide.Callable
---@param ms? number less than 1 and NaN count as 1
---@param ... any
---@return moontide.Handle
function tide.set_timeout(f, ms, ...) end

--- Prevents the call, also when it is due but has not been made. Source: HTML, clearTimeout.
---@param handle? moontide.Handle nil, or one that is over, is ignored
function tide.clear_timeout(handle) end

--- Calls f(...) every ms. The next call is due ms after the last has returned.
--- Source: HTML and Node, setInterval.
---@param f moontide.Callable
---@param ms? number less than 1 and NaN count as 1
---@param ... any
---@return moontide.Handle
function tide.set_interval(f, ms, ...) end

--- Source: HTML, clearInterval.
---@param handle? moontide.Handle nil, or one that is over, is ignored
function tide.clear_interval(handle) end

--- Calls f(...) in this turn of the loop, after I/O; from an immediate, in the next turn.
--- Source: Node, setImmediate.
---@param f moontide.Callable
---@param ... any
---@return moontide.Handle
function tide.set_immediate(f, ...) end

--- Source: Node, clearImmediate.
---@param handle? moontide.Handle nil, or one that is over, is ignored
function tide.clear_immediate(handle) end

--- For everything that can wait. An abort rejects the promise at once with the signal's reason and
--- releases what the operation held; under a signal that is aborted already nothing is begun. In a
--- group its signal counts as well.
---@class moontide.Options
---@field signal? moontide.AbortSignal

--- A promise that is fulfilled, with nothing, after ms; it keeps the loop running.
---@param ms number less than 1 and NaN count as 1
---@param options? moontide.Options
---@return moontide.Promise
---@nodiscard
function tide.sleep(ms, options) end

--- A promise that lets a whole turn of the loop pass, timers and I/O included: for long work.
---@return moontide.Promise
---@nodiscard
function tide.yield() end

--- Runs the loop until nothing that is referenced is left. With main, starts `spawn(main, ...)`
--- first and returns its values in the end.
---
--- Raises what main is rejected with, at once; what a timer, immediate or microtask raises, and
--- the reason of an unhandled rejection, both unchanged, after which the loop can be run again;
--- a moontide.DeadlockError when main still waits and nothing is left to run; and a
--- string when the loop is running already, or inside an async function.
---@param main? moontide.AsyncCallable
---@param ... any
---@return any ... what main returns; nothing after `stop`
function tide.run(main, ...) end

--- One turn of the loop, for hosts with a loop of their own. Raises as `run` does.
---@param ms? number how long it may block when there is nothing to do, default 0
---@return boolean alive whether anything is left
function tide.step(ms) end

--- Makes `run`, `step` or a top-level await return as soon as the microtasks are drained: what runs now
--- ends, and so do the jobs that it has queued, and theirs. Nothing else runs before the next drive.
function tide.stop() end

--- Sets how many threads the process has for files, names and random bytes: libuv's pool, 4 by
--- default. Call it before anything else: raises once an operation has been started, and for an n
--- that is not from 1 to 1024. It is process-wide; where another state or library has started
--- the pool, it changes nothing. Source: libuv, UV_THREADPOOL_SIZE.
---@param n integer
function tide.set_thread_pool_size(n) end

--- Whether anything that is referenced is left to run or to wait for.
---@return boolean
function tide.alive() end

--- A file descriptor that becomes readable when there is I/O for `step`; libuv's uv_backend_fd.
---@return integer
function tide.backend_fd() end

--- How long a host may wait for `backend_fd` before it calls `step`.
---@return number ms 0 when a turn is due, -1 for without limit
function tide.backend_timeout() end

--- The async functions that are suspended now, and who awaits them. Looks through the whole heap for
--- them, which takes about a millisecond for 5000 objects: for debugging. What nothing can reach is not
--- found.
---@return moontide.Tasks
function tide.tasks() end

--- What keeps the loop alive now: timers and immediates, operations, and what is open and waited for.
--- What is unref'd, or open without anybody who waits, does not.
---@return moontide.Handles
function tide.handles() end

--- Has f called when the program calls into moontide outside a turn, which may have made a turn
--- necessary that the host does not know of: once, until the next turn, and until then
--- `backend_timeout` is 0. f notes that, or sets the host's timer, and does no more: the call goes
--- on when it returns. It cannot drive the loop, and what it raises is a warning.
---@param f? fun() nil for none
function tide.on_wake(f) end

--- Decides what happens to a rejection that has no handler when the microtasks have been drained.
--- Without it, or after nil, what drives the loop raises the reason.
--- Source: HTML, notify about rejected promises; Node, unhandledRejection.
---@param f? fun(reason: any, promise: moontide.Promise)
function tide.on_unhandled_rejection(f) end

--- Is told about promises that got a handler after they had been reported.
--- Source: HTML, rejectionhandled; Node, rejectionHandled.
---@param f? fun(promise: moontide.Promise)
function tide.on_rejection_handled(f) end

--- Like debug.traceback, continued across awaits, groups and combinators. As a message handler, or
--- with a reason that was just caught, also in a handler of a rejection, it begins where that reason
--- was raised; with a promise, it says where that promise's function waits, or failed, and who waits
--- for it. Functions are named as far as their source can be read.
---@param reason? any stands before the trace; of a table name, message, other fields, its cause and
---its errors, each with the trace that is known
---@param where? moontide.Promise|integer a promise, or a level as in debug.traceback (default 1)
---@return string trace
function tide.traceback(reason, where) end

---@class moontide.Debugging
---@field floating? boolean reports calls of async functions, and operations on files and sleeps, whose
---promise was dropped, and that nobody had awaited, chained or collected. `spawn` and `detach` are meant
---so. A report comes when the collector finds the promise
---@field permits? boolean reports permits of semaphores and mutexes that were dropped without a release,
---with the line that acquired them
---@field report? fun(text: string) default: prints to stderr
---@field slow? number|false ms, at least 1: reports a job that holds the loop for longer, with its stack.
---What counts is its time on the processor; where it waits in a function of C, three times as long
---@field swallowed? boolean reports functions that catch the error of their cancellation and return as if
---nothing had been, and those that still wait when the grace is over
---@field unsettled? boolean reports functions and promises that wait for what nothing can settle any
---more, when the collector finds them; the command reports as well which are still suspended at its end

--- Debug mode, also by MOONTIDE_DEBUG in the environment, unless that is empty or 0. One report for each
--- line of code, 20 at most; traces say by what a callback, a background function or an operation that
--- failed was begun. It is for development: a call costs twice as much.
---@param options? moontide.Debugging|false default: all, with 100 ms for slow; false: off
function tide.debug(options) end

--- Makes a function that returns a promise from one that takes a callback `(err, ...)` as its last
--- argument. Rejects with err unless it is nil or false. What f raises is a rejection.
--- Source: Node, util.promisify.
---@param f fun(...: any)
---@return fun(...: any): moontide.Promise
function tide.promisify(f) end

--- Milliseconds of a monotonic clock with an arbitrary start.
---@return number
function tide.now() end

--- `require` for a module whose chunk awaits. Calls made meanwhile share the one that is under
--- way. Rejects with what the chunk raises, with a string when there is no such module, and with an
--- ImportError when modules await one another: it names them.
--- Source: ECMA-262, import(), with Lua's searchers.
---@param name string as for require
---@return moontide.Promise module what require returns
---@nodiscard
function tide.import(name) end

--- A variable whose value follows async calls, reactions, microtasks, timers and I/O: each of them
--- runs with the values that held where it was made.
--- Source: TC39 proposal AsyncContext; Node, AsyncLocalStorage.
---@param name string for messages
---@param default? any what `get` returns outside any `run`
---@return moontide.ContextVar
function tide.ContextVar(name, default) end

---@class moontide.ContextVar
---@field name string
---@field default any
local ContextVar = {}

---@return any value of the innermost `run`, or the default
function ContextVar:get() end

--- Calls f(...) with the variable set to value, also in all that f starts. f may await.
---@param value any nil hides the default
---@param f moontide.AsyncCallable
---@param ... any
---@return any ... what f returns; raises what f raises
function ContextVar:run(value, f, ...) end

--- ## Cancellation and groups: docs/concurrency.md

--- Tells operations that they are no longer wanted. Source: WHATWG DOM, AbortSignal.
---@class moontide.AbortSignal
---@field aborted boolean
---@field reason any nil until it is aborted
local AbortSignal = {}

--- Raises the reason if the signal is aborted.
function AbortSignal:throw_if_aborted() end

--- Calls f(reason) when the signal is aborted: synchronously, once, after every signal made from it
--- is marked. Never called if it is aborted already. What f raises comes out of `run`.
---@param f async fun(reason: any)
---@return fun() remove takes f off; does nothing when it is late
function AbortSignal:on_abort(f) end

---@class moontide.AbortSignalClass
local AbortSignalClass = {}

--- A signal that is aborted. Source: WHATWG DOM, AbortSignal.abort.
---@param reason? any default: an AbortError
---@return moontide.AbortSignal
function AbortSignalClass.abort(reason) end

--- A signal that is aborted with a TimeoutError after ms. Its timer does not keep the loop running
--- and ends when nobody has the signal. Source: WHATWG DOM, AbortSignal.timeout.
---@param ms number
---@return moontide.AbortSignal
function AbortSignalClass.timeout(ms) end

--- A signal that is aborted with the first of these. They hold it only while it has listeners.
--- Source: WHATWG DOM, AbortSignal.any.
---@param signals moontide.AbortSignal[]
---@return moontide.AbortSignal
function AbortSignalClass.any(signals) end

--- Source: WHATWG DOM, AbortController.
---@class moontide.AbortController
---@field signal moontide.AbortSignal
local AbortController = {}

--- Aborts the signal; only the first call counts.
---@param reason? any default: an AbortError
function AbortController:abort(reason) end

---@return moontide.AbortController
function tide.AbortController() end

--- What the body of `group` gets.
---@class moontide.Group
---@field signal moontide.AbortSignal aborted when the group is cancelled, not when it is over;
---operations begun in the group need not be handed it
local Group = {}

--- Runs f(...) as a child, as `spawn` does: the group is not over before it is, and fails when it
--- fails. In a cancelled group its first await raises. Raises when the group is over.
---@param f moontide.AsyncCallable
---@param ... any
---@return moontide.Promise
function Group:spawn(f, ...) end

--- Cancels what runs in the group, its body included; only the first call counts.
---@param reason? any default: an AbortError
function Group:cancel(reason) end

--- Ends a child, or all, without making that a failure: it is cancelled like a group would be, with
--- all that it has called. Who awaits it gets the reason, unless it swallows that. Nothing happens if it
--- is over, or the group is being cancelled. Raises for a promise that is no child of the group.
---@param child? moontide.Promise what `spawn` has returned; default: all that run
---@param reason? any default: an AbortError
function Group:stop(child, reason) end

---@class moontide.GroupOptions
---@field grace? number ms, default 5000: how long clean-up is undisturbed after a cancellation;
---`math.huge` for ever

--- Runs f(g) and what it spawns; settled when nothing that was begun in it runs. Fulfilled with what f
--- returns. The first failure cancels the rest, and is what the group rejects with; several make a
--- moontide.AggregateError. What is neither spawned nor awaited is cancelled when the rest is over.
--- Source: the nurseries of Trio.
---@param f async fun(g: moontide.Group): ...: any
---@param options? moontide.GroupOptions
---@return moontide.Promise
---@nodiscard
function tide.group(f, options) end

--- Runs f(...) as the body of a group that is cancelled after ms: rejects with a TimeoutError then.
---@param ms number less than 1 counts as 1; counted from before f is called
---@param f moontide.AsyncCallable
---@param ... any
---@return moontide.Promise
---@nodiscard
function tide.timeout(ms, f, ...) end

--- The same, but fulfilled with `false` when the time is over, else with `true` and the results.
--- Source: Trio, move_on_after.
---@param ms number
---@param f moontide.AsyncCallable
---@param ... any
---@return moontide.Promise<boolean>
---@nodiscard
function tide.move_on_after(ms, f, ...) end

--- Runs f(...) in a group that no cancellation reaches. Who awaits the promise is cancelled after that.
---@param f moontide.AsyncCallable
---@param ... any
---@return moontide.Promise
---@nodiscard
function tide.shield(f, ...) end

--- Runs f(...), as `spawn` does, outside all groups: it outlives the one in which it is called. Context
--- variables are kept.
---@param f moontide.AsyncCallable
---@param ... any
---@return moontide.Promise
function tide.detach(f, ...) end

---@class moontide.Concurrency
---@field concurrency? integer how many calls may be under way, default: all

--- Awaits f(item, index) for each of the list, in a group.
---@param list any[]|moontide.List
---@param f moontide.AsyncCallable
---@param options? moontide.Concurrency
---@return moontide.Promise<moontide.List> # first result of each, in the order of the list
---@nodiscard
function tide.map(list, f, options) end

--- `map` that is fulfilled with nothing.
---@param list any[]|moontide.List
---@param f moontide.AsyncCallable
---@param options? moontide.Concurrency
---@return moontide.Promise
---@nodiscard
function tide.each(list, f, options) end

---@alias moontide.PollEvents "r"|"w"|"rw"

--- Fulfilled with those of the events for which the file descriptor is ready: reading or writing it
--- will not block, be it that it gives an error. The descriptor stays its owner's: it is put into
--- non-blocking mode, must stay open while it is polled, and is left alone as soon as the promise has
--- settled. Rejects with a moontide.SystemError for what cannot be polled, such as a regular file, or
--- a descriptor that was closed at once. Source: poll(2), uv_poll_t.
---@param fd integer
---@param events moontide.PollEvents
---@param options? moontide.Options
---@return moontide.Promise<moontide.PollEvents>
---@nodiscard
function tide.poll(fd, events, options) end

--- Signals of the system. Those that come while nobody waits are kept for the next who asks. While it
--- is open, the signals do not do what they do by default; it does not keep the loop alive unless
--- somebody waits.
---@class moontide.Signals
---@overload fun(): string?
local Signals = {}

--- Fulfilled with the name of the next signal, "SIGINT" say; with nothing once it is closed.
---@param options? moontide.Options
---@return moontide.Promise<string?>
---@nodiscard
function Signals:next(options) end

--- Gives the signals back to the system. Also what a `<close>` variable and the end of a loop do.
function Signals:close() end

--- Catches signals: `for name in tide.signal("SIGINT", "SIGTERM") do ... end` awaits each. A name may
--- come without SIG. Raises a moontide.SystemError for what cannot be caught.
--- Source: sigaction(2), uv_signal_t.
---@param name string
---@param ... string
---@return moontide.Signals, nil, nil, moontide.Signals
function tide.signal(name, ...) end

--- ## Semaphores, events, queues

--- `signal` is for the one call; the group in which that is made can cancel it as well. Either way
--- the promise is rejected with the reason, and nothing has been taken.
---@class moontide.Waiting
---@field signal? moontide.AbortSignal

--- A permit. As a `<close>` variable's value it is released at the end of its scope, unless it has
--- been before. One that is dropped is released when the collector finds it.
---@class moontide.Permit
local Permit = {}

--- Gives the permit back, in the same job to whoever has waited longest. Raises when that has been
--- done already.
function Permit:release() end

--- n permits. A mutex is a semaphore with one.
---@class moontide.Semaphore
local Semaphore = {}

--- A permit, as soon as there is one: first come, first served. Await it directly: a function that
--- is cancelled while it awaits something made of this promise (`:next`, `join`) may never see a
--- permit that has just been granted; the collector releases it then.
---@param options? moontide.Waiting
---@return moontide.Promise<moontide.Permit>
---@nodiscard
function Semaphore:acquire(options) end

--- n permits; n must be positive.
---@param n integer
---@return moontide.Semaphore
function tide.semaphore(n) end

--- `semaphore(1)`.
---@return moontide.Semaphore
function tide.mutex() end

--- Something that has happened, or not.
---@class moontide.Event
local Event = {}

--- Lets all that wait go on; nobody has to wait until `clear` is called.
function Event:set() end

function Event:clear() end

---@return boolean
function Event:is_set() end

---@param options? moontide.Waiting
---@return moontide.Promise # fulfilled with nothing; also when `clear` came before the waiter's turn
---@nodiscard
function Event:wait(options) end

--- Not set.
---@return moontide.Event
function tide.event() end

--- First in, first out. `for item in queue do` awaits each item until the queue is closed and
--- empty; several such loops share the items. `#queue` is how many items are there, without those of
--- pushes that wait.
---@class moontide.Queue
---@operator len: integer
---@overload fun(): any
local Queue = {}

--- Adds an item, or hands it to whoever has waited longest for one. Fulfilled, with nothing, as soon
--- as there is room. Rejects with a moontide.Error named ClosedError when the queue is closed, or
--- gets closed before there was room.
---@param item any but nil; a promise or thenable is adopted by the pop
---@param options? moontide.Waiting
---@return moontide.Promise
function Queue:push(item, options) end

--- The next item. Fulfilled with nothing when the queue is closed and empty.
---@param options? moontide.Waiting
---@return moontide.Promise
---@nodiscard
function Queue:pop(options) end

--- Adds an item, or hands it over, if that can be done at once. Whether it has been: not if the queue
--- is full or closed.
---@param item any but nil
---@return boolean
function Queue:try_push(item) end

--- The next item, as it was pushed; nil if there is none. The same when the queue is closed.
---@return any
function Queue:try_pop() end

--- Refuses pushes from now on, also those that wait for room. What is in the queue can be popped.
function Queue:close() end

--- A queue that holds as many items; with capacity 0, a push waits for a pop.
---@param capacity? integer default: no limit
---@return moontide.Queue
function tide.queue(capacity) end

--- ## Generators

--- What a call of a generator function gives. `for v in gen(...) do` awaits each value, and closes
--- the generator when it is left early. A loop over one that stands in a variable leaves it open;
--- `local g <close> = gen(...)` closes it in the end. The body runs for the group in which the next
--- value is asked for, and with the ContextVars of the call.
--- Source: ECMA-262, AsyncGenerator objects; the body goes on a tick after a request, not in it.
---@class moontide.Generator
---@overload fun(): any
local Generator = {}

--- Asks for the next value; requests are answered in their order. Fulfilled with what the body
--- yields; at its end with nil and what it returns, or with nothing; after that with nothing. Rejects
--- with what it raises.
---@param ... any results of the `yield` that the body waits at
---@return moontide.Promise
function Generator:next(...) end

--- Raises the reason at the `yield` that the body waits at; else like `next`. A generator that has
--- not begun, or is over, rejects with it.
---@param reason any
---@return moontide.Promise
function Generator:throw(reason) end

--- Ends the generator after the requests made before: the `yield` that it waits at raises an
--- AbortError, so that its `<close>` variables run, which may await. Rejects with what these raise,
--- and with a moontide.Error named GeneratorError when the body catches that error and yields.
---@return moontide.Promise # fulfilled with nothing
function Generator:close() end

--- Makes an async generator function. The body, f(yield, ...), is an async function that begins at
--- the first request. `yield(v, ...)` returns what `next` passes; v may be a promise, which is
--- awaited, but not nil.
---@param f async fun(yield: (async fun(...: any): ...), ...: any)
---@return fun(...: any): moontide.Generator, nil, nil, moontide.Generator # what a for loop takes
function tide.generator(f) end

--- A list of all values, the first of each round, that a for loop over the arguments gives: a
--- generator's call, a queue, or any iterator.
---@param iterator moontide.AsyncCallable
---@param ... any state, control value and closing value, as for loops take them
---@return moontide.Promise<any[]>
---@nodiscard
function tide.collect(iterator, ...) end
