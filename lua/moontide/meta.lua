---@meta _
--- What the public names take, give, raise and reject with. Never run: it is for
--- lua-language-server, and for readers.
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

--- A function, or a value with a metamethod `__call`.
---@alias moontide.Callable function|table|userdata

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

--- An entry of `Promise.all_settled`.
---@class moontide.Outcome
---@field status "fulfilled"|"rejected"
---@field value? any first value, if fulfilled
---@field reason? any if rejected

--- ## Promises

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
---@return any ... the values that the promise is fulfilled with
function Promise:await() end

--- What has become of the promise so far. Does not count as handling a rejection.
---@return moontide.State state
---@return any ... the values, or the reason
function Promise:state() end

--- Called or indexed: `Promise(f)` is `Promise.new(f)`.
---@class moontide.PromiseClass
---@overload fun(executor: moontide.Callable): moontide.Promise
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
---@param f moontide.Callable
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
function PromiseClass.all(list) end

--- Waits for all, whatever becomes of them; never rejects.
--- Source: ECMA-262, Promise.allSettled.
---@param list any[]|moontide.List
---@return moontide.Promise<moontide.List> # a moontide.Outcome for each
function PromiseClass.all_settled(list) end

--- Settles as the first that settles; for an empty list, never.
--- Source: ECMA-262, Promise.race.
---@param list any[]|moontide.List
---@return moontide.Promise
function PromiseClass.race(list) end

--- Fulfils as the first that is fulfilled. Rejects with a moontide.AggregateError when none is,
--- and for an empty list.
--- Source: ECMA-262, Promise.any.
---@param list any[]|moontide.List
---@return moontide.Promise
function PromiseClass.any(list) end

--- `all` for a table of any keys.
--- Source: TC39 proposal await-dictionary, Promise.allKeyed.
---@generic K
---@param map table<K, any>
---@return moontide.Promise<table<K, any>> # the same keys, first value of each
function PromiseClass.all_keyed(map) end

--- `all_settled` for a table of any keys.
--- Source: TC39 proposal await-dictionary, Promise.allSettledKeyed.
---@generic K
---@param map table<K, any>
---@return moontide.Promise<table<K, moontide.Outcome>>
function PromiseClass.all_settled_keyed(map) end

--- ## `require "moontide"`

---@class moontide
---@field Promise moontide.PromiseClass
---@field AbortSignal moontide.AbortSignalClass
local tide = {}

--- Makes an async function: a call of it runs fn at once, up to its first suspension, and returns
--- a promise of its results. What fn raises, also before it first awaits, is a rejection with
--- exactly that value.
--- Source: ECMA-262, AsyncFunctionStart; a returned promise costs three ticks, as there.
---@param fn moontide.Callable
---@return fun(...: any): moontide.Promise
function tide.async(fn) end

--- `async(fn)(...)`.
---@param fn moontide.Callable
---@param ... any
---@return moontide.Promise
function tide.spawn(fn, ...) end

--- Suspends the calling async function until v settles. What is no promise costs one microtask;
--- a promise one; a thenable one more. On the main thread, while the loop is not running, drives
--- the loop until v settles.
--- Source: ECMA-262, Await.
---
--- Raises the reason of a rejection, unchanged; and a string where it cannot suspend: "await
--- outside an async function", "await inside a coroutine that is not an async function", "await
--- cannot suspend inside table.sort, called from x.lua:12". On the main thread also what leaves
--- the loop meanwhile, as `run` does, and a DeadlockError when nothing is left that could settle v.
---@async
---@generic T
---@param v? T|moontide.Promise<T>|moontide.Thenable
---@param ... any more values, if v is no promise and no thenable
---@return T
---@return any ... all values that v is fulfilled with
function tide.await(v, ...) end

--- Awaits all arguments: `await(Promise.all { ... })`, unpacked.
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
function tide.sleep(ms, options) end

--- A promise that lets a whole turn of the loop pass, timers and I/O included: for long work.
---@return moontide.Promise
function tide.yield() end

--- Runs the loop until nothing that is referenced is left. With main, starts `spawn(main, ...)`
--- first and returns its values in the end.
---
--- Raises what main is rejected with, at once; what a timer, immediate or microtask raises, and
--- the reason of an unhandled rejection, both unchanged, after which the loop can be run again;
--- a moontide.Error named DeadlockError when main still waits and nothing is left to run; and a
--- string when the loop is running already, or inside an async function.
---@param main? moontide.Callable
---@param ... any
---@return any ... what main returns; nothing after `stop`
function tide.run(main, ...) end

--- One turn of the loop, for hosts with a loop of their own. Raises as `run` does.
---@param ms? number how long it may block when there is nothing to do, default 0
---@return boolean alive whether anything is left
function tide.step(ms) end

--- Makes `run`, or a top-level await, return after the job that runs now.
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
---@return number ms 0 when something is ready, -1 for without limit
function tide.backend_timeout() end

--- Decides what happens to a rejection that has no handler when the microtasks have been drained.
--- Without it, or after nil, what drives the loop raises the reason.
--- Source: HTML, notify about rejected promises; Node, unhandledRejection.
---@param f? fun(reason: any, promise: moontide.Promise)
function tide.on_unhandled_rejection(f) end

--- Is told about promises that got a handler after they had been reported.
--- Source: HTML, rejectionhandled; Node, rejectionHandled.
---@param f? fun(promise: moontide.Promise)
function tide.on_rejection_handled(f) end

--- Like debug.traceback, continued across awaits. As a message handler, or with a reason that was
--- just caught, it begins where that reason was raised; with a promise, it says where that
--- promise's function waits, or failed, and who waits for it.
---@param msg? any stands before the trace; what is no text and has no __tostring is returned as
---it is
---@param where? moontide.Promise|integer a promise, or a level as in debug.traceback (default 1)
---@return any trace a string, unless msg was returned
function tide.traceback(msg, where) end

--- Makes a function that returns a promise from one that takes a callback `(err, ...)` as its last
--- argument. Rejects with err unless it is nil or false. What f raises is a rejection.
--- Source: Node, util.promisify.
---@param f moontide.Callable
---@return fun(...: any): moontide.Promise
function tide.promisify(f) end

--- Milliseconds of a monotonic clock with an arbitrary start.
---@return number
function tide.now() end

--- `require` for a module whose chunk awaits. Calls made meanwhile share the one that is under
--- way. Rejects with what the chunk raises, and with a string when there is no such module.
--- Source: ECMA-262, import(), with Lua's searchers.
---@param name string as for require
---@return moontide.Promise module what require returns
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
---@param f moontide.Callable
---@param ... any
---@return any ... what f returns; raises what f raises
function ContextVar:run(value, f, ...) end

--- ## `require "moontide.testing"`

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
function Clock:advance(ms) end

--- Gives real time back.
function Clock:close() end

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
---@param f fun(reason: any)
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
---@field signal moontide.AbortSignal aborted when the group is cancelled; operations begun in the
---group need not be handed it
local Group = {}

--- Runs f(...) as a child, as `spawn` does: the group is not over before it is, and fails when it
--- fails. In a cancelled group its first await raises. Raises when the group is over.
---@param f moontide.Callable
---@param ... any
---@return moontide.Promise
function Group:spawn(f, ...) end

--- Cancels what runs in the group; only the first call counts.
---@param reason? any default: an AbortError
function Group:cancel(reason) end

--- Runs f(g) and what it spawns; settled when all of that is over. Fulfilled with what f returns.
--- The first failure cancels the rest, and is what the group rejects with; several make a
--- moontide.AggregateError. Source: the nurseries of Trio.
---@param f fun(g: moontide.Group): ...: any
---@return moontide.Promise
function tide.group(f) end

--- Runs f(...) as the body of a group that is cancelled after ms: rejects with a TimeoutError then.
---@param ms number
---@param f moontide.Callable
---@param ... any
---@return moontide.Promise
function tide.timeout(ms, f, ...) end

--- The same, but fulfilled with `false` when the time is over, else with `true` and the results.
--- Source: Trio, move_on_after.
---@param ms number
---@param f moontide.Callable
---@param ... any
---@return moontide.Promise<boolean>
function tide.move_on_after(ms, f, ...) end

--- Runs f(...), as `spawn` does, where no cancellation reaches it. Who awaits the promise is
--- cancelled after that.
---@param f moontide.Callable
---@param ... any
---@return moontide.Promise
function tide.shield(f, ...) end

---@class moontide.Concurrency
---@field concurrency? integer how many calls may be under way, default: all

--- Awaits f(item, index) for each of the list, in a group.
---@param list any[]|moontide.List
---@param f moontide.Callable
---@param options? moontide.Concurrency
---@return moontide.Promise<moontide.List> # first result of each, in the order of the list
function tide.map(list, f, options) end

--- `map` that is fulfilled with nothing.
---@param list any[]|moontide.List
---@param f moontide.Callable
---@param options? moontide.Concurrency
---@return moontide.Promise
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

--- ## Streams

---@class moontide.Reading: moontide.Options
---@field limit? number bytes, else rejects LimitError; default 1 MiB for lines and delimiters, 64 MiB
---for read_all

--- Where one end of a socket is: address, family and port, or the path of a unix domain socket.
---@class moontide.SocketAddress
---@field address? string
---@field family? integer 4 or 6
---@field port? integer
---@field path? string

--- A connection, a pipe or a terminal. One read at a time: another one raises. A read that is
--- aborted, or that rejects with LimitError or IncompleteReadError, takes nothing: its bytes are there
--- for the next. Errors of the system reject with a moontide.SystemError, after what has come before;
--- the methods reject with EBADF when the stream has been closed. As a `<close>` variable's value it
--- is closed at the end of the scope, and destroyed if an error or a cancellation ends that.
--- Source: libuv, uv_stream_t.
---@class moontide.Stream
local Stream = {}

--- Fulfilled with 1 to n bytes as soon as there are some, with nothing at the end.
---@param n? integer default: what is there
---@param options? moontide.Options
---@return moontide.Promise<string?>
function Stream:read(n, options) end

--- Fulfilled with n bytes; rejects with IncompleteReadError (`received`: bytes) when the end comes
--- first.
---@param n integer 0 or more
---@param options? moontide.Options
---@return moontide.Promise<string>
function Stream:read_exactly(n, options) end

--- Fulfilled with what comes up to the delimiter and the delimiter itself; with nothing at the end,
--- unless something stands before that: IncompleteReadError.
---@param delimiter string
---@param options? moontide.Reading
---@return moontide.Promise<string?>
function Stream:read_until(delimiter, options) end

--- Fulfilled with the next line without its "\n", the last one need not have one; with nothing at the
--- end.
---@param options? moontide.Reading
---@return moontide.Promise<string?>
function Stream:read_line(options) end

--- Fulfilled with all that comes up to the end.
---@param options? moontide.Reading
---@return moontide.Promise<string>
function Stream:read_all(options) end

--- `for chunk in stream:chunks() do` awaits each, up to the end.
---@param n? integer bytes at most
---@param options? moontide.Options
---@return moontide.Callable
function Stream:chunks(n, options) end

--- `for line in stream:lines() do` awaits each, as `read_line`.
---@param options? moontide.Reading
---@return moontide.Callable
function Stream:lines(options) end

--- Writes strings, in this order and after what was written before. Fulfilled as soon as no more than
--- 64 KiB are queued: whoever awaits it does not outrun the peer. What is queued is sent even if the
--- write is aborted. After a failure every later write rejects, too. The last argument may be
--- moontide.Options.
---@param data string|number
---@param ... string|number|moontide.Options
---@return moontide.Promise
function Stream:write(data, ...) end

--- Ends what is sent, after all that is queued; reading goes on. Source: shutdown(2), SHUT_WR.
---@param options? moontide.Options
---@return moontide.Promise
function Stream:shutdown(options) end

--- Closes the stream: reading ends at once, what is queued is still sent. Fulfilled when it is closed;
--- waiting for that is not needed.
---@return moontide.Promise
function Stream:close() end

--- Closes the stream at once; what is queued is lost.
---@return moontide.Promise
function Stream:destroy() end

---@return moontide.SocketAddress? # nothing where there is none
function Stream:local_address() end

---@return moontide.SocketAddress? # nothing where there is none
function Stream:peer_address() end

--- Whether small writes are sent at once, which is the default. Only for tcp. Source: tcp(7),
--- TCP_NODELAY.
---@param on boolean
---@return moontide.Stream self
function Stream:set_nodelay(on) end

--- Has the system look whether a silent peer is still there. Only for tcp. Source: tcp(7),
--- TCP_KEEPIDLE.
---@param seconds integer|false of silence before that, 1 to 32767
---@return moontide.Stream self
function Stream:set_keepalive(seconds) end

--- What a terminal shows; nothing where it is none. Source: uv_tty_get_winsize.
---@return integer? columns
---@return integer? rows
function Stream:size() end

--- Whether the terminal gives each key as it is typed, shows nothing by itself and sends no signals.
--- The mode it had before is restored when the stream or the state is closed, and at exit. Raises if it
--- is no terminal. Source: uv_tty_set_mode.
---@param on boolean
---@return moontide.Stream self
function Stream:set_raw(on) end

--- What listens. `for stream in server do` awaits each connection, until the server is closed.
---@class moontide.Server
---@overload fun(): moontide.Stream?
local Server = {}

--- Fulfilled with the next connection, with nothing once the server is closed. An aborted one loses
--- none. A lack of descriptors is waited out.
---@param options? moontide.Options
---@return moontide.Promise<moontide.Stream?>
function Server:accept(options) end

---@return moontide.SocketAddress? # nothing once it is closed
function Server:address() end

--- Takes no more connections. Also what a `<close>` variable does. Fulfilled when it is closed.
---@return moontide.Promise
function Server:close() end

--- ## `require "moontide.fs"`

--- Files, through libuv's thread pool. All functions reject with a moontide.SystemError. Those that
--- say nothing of a result are fulfilled with nothing. See docs/io.md.
---@class moontide.fs
local fs = {}

--- Reads a whole file. Raises for a path with a NUL in it, as all of these do.
--- Source: Node, fs.readFile.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<string>
function fs.read_file(path, options) end

---@class moontide.fs.Making: moontide.Options
---@field mode? integer permissions of what is made, before the umask; default 0666, directories 0777

---@class moontide.fs.Writing: moontide.fs.Making
---@field atomic? boolean whoever opens the path finds it as it was or with all of data: written
---beside it, synced, renamed. Keeps permissions and links; the owner may change

--- Makes the file, or empties it, and writes data.
--- Source: Node, fs.writeFile.
---@param path string
---@param data string
---@param options? moontide.fs.Writing an abort meanwhile leaves the file as far as it was written;
---if atomic, as it was, or whole
---@return moontide.Promise
function fs.write_file(path, data, options) end

--- Makes the file, unless there is one, and adds data at its end. Source: Node, fs.appendFile.
---@param path string
---@param data string
---@param options? moontide.fs.Making
---@return moontide.Promise
function fs.append_file(path, data, options) end

--- Cuts the file, or fills it up with zeros. Source: POSIX, truncate.
---@param path string
---@param size? integer default 0
---@param options? moontide.Options
---@return moontide.Promise
function fs.truncate(path, size, options) end

--- `for line in fs.lines(path) do` awaits each line, without its "\n". Reads a chunk at a time;
--- closes the file when the loop is left. Raises in the loop what opening or reading rejects with.
---@param path string
---@param options? moontide.Options
---@return moontide.Callable, nil, nil, table # what a for loop takes
function fs.lines(path, options) end

---@alias moontide.fs.Type
---| "file"
---| "directory"
---| "link"
---| "fifo"
---| "socket"
---| "char"
---| "block"
---| "unknown"

--- Times are seconds since 1970, fractions included.
---@class moontide.fs.Stat
---@field type moontide.fs.Type
---@field size integer bytes
---@field mode integer permissions and type, as the system has them
---@field uid integer
---@field gid integer
---@field nlink integer
---@field ino integer
---@field dev integer
---@field blksize integer
---@field blocks integer
---@field atime number
---@field mtime number
---@field ctime number
---@field birthtime number

--- What a path leads to, links followed. Source: Node, fs.stat.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Stat>
function fs.stat(path, options) end

--- The same, of a link itself. Source: Node, fs.lstat.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Stat>
function fs.lstat(path, options) end

--- Sizes are in blocks of bsize bytes.
---@class moontide.fs.FileSystem
---@field type integer
---@field bsize integer
---@field blocks integer
---@field bfree integer
---@field bavail integer free for users
---@field files integer
---@field ffree integer

--- The file system that a path is on. Source: Node, fs.statfs.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.FileSystem>
function fs.statfs(path, options) end

--- Rejects unless the file is there and allows what is asked. Source: POSIX, access.
---@param path string
---@param what? string any of "r", "w" and "x"; default: only that it is there
---@param options? moontide.Options
---@return moontide.Promise
function fs.access(path, what, options) end

---@class moontide.fs.Entry
---@field name string
---@field type moontide.fs.Type "unknown" where the file system does not say

--- The entries of a directory, without "." and "..", sorted by name.
--- Source: Node, fs.readdir with file types.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Entry[]>
function fs.scandir(path, options) end

--- Opens a directory, to read its entries in parts. Source: Node, fs.opendir.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Directory>
function fs.opendir(path, options) end

---@class moontide.fs.Mkdir: moontide.fs.Making
---@field recursive? boolean makes those above it, too, and is content when it is there

--- Makes a directory. Source: Node, fs.mkdir.
---@param path string
---@param options? moontide.fs.Mkdir
---@return moontide.Promise
function fs.mkdir(path, options) end

---@class moontide.fs.Rm: moontide.Options
---@field recursive? boolean directories, too, with all in them, up to 1000 in one another. An abort
---leaves what has not been removed yet
---@field force? boolean does not mind that there is nothing

--- Removes what has this name; links are removed, never followed. Source: Node, fs.rm.
---@param path string
---@param options? moontide.fs.Rm
---@return moontide.Promise
function fs.rm(path, options) end

--- Removes a name that is no directory's. Source: POSIX, unlink.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise
function fs.unlink(path, options) end

--- Removes an empty directory. Source: POSIX, rmdir.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise
function fs.rmdir(path, options) end

--- Moves, and replaces what dest is. Source: POSIX, rename.
---@param path string
---@param dest string
---@param options? moontide.Options
---@return moontide.Promise
function fs.rename(path, dest, options) end

---@class moontide.fs.Copying: moontide.Options
---@field exclusive? boolean dest must not exist

--- Copies a file with its permissions, or lets both share their blocks where Linux can.
--- Source: Node, fs.copyFile.
---@param path string
---@param dest string
---@param options? moontide.fs.Copying an abort meanwhile removes dest, as a failure does
---@return moontide.Promise
function fs.copy_file(path, dest, options) end

--- Makes dest another name of the file. Source: POSIX, link.
---@param path string
---@param dest string
---@param options? moontide.Options
---@return moontide.Promise
function fs.link(path, dest, options) end

--- Makes dest a link with that text. Source: POSIX, symlink.
---@param text string the path that the link leads to, seen from where the link is
---@param dest string
---@param options? moontide.Options
---@return moontide.Promise
function fs.symlink(text, dest, options) end

--- The text of a link. Source: POSIX, readlink.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<string>
function fs.readlink(path, options) end

--- The absolute path without links, "." and "..". Source: POSIX, realpath.
---@param path string
---@param options? moontide.Options
---@return moontide.Promise<string>
function fs.realpath(path, options) end

--- Sets permissions. Source: POSIX, chmod.
---@param path string
---@param mode integer
---@param options? moontide.Options
---@return moontide.Promise
function fs.chmod(path, mode, options) end

--- Sets the owner; -1 leaves what is there. Source: POSIX, chown.
---@param path string
---@param uid integer
---@param gid integer
---@param options? moontide.Options
---@return moontide.Promise
function fs.chown(path, uid, gid, options) end

--- The same, of a link itself. Source: POSIX, lchown.
---@param path string
---@param uid integer
---@param gid integer
---@param options? moontide.Options
---@return moontide.Promise
function fs.lchown(path, uid, gid, options) end

--- Sets the times of access and change. Source: Node, fs.utimes.
---@param path string
---@param atime number seconds since 1970
---@param mtime number seconds since 1970
---@param options? moontide.Options
---@return moontide.Promise
function fs.utime(path, atime, mtime, options) end

--- The same, of a link itself. Source: Node, fs.lutimes.
---@param path string
---@param atime number seconds since 1970
---@param mtime number seconds since 1970
---@param options? moontide.Options
---@return moontide.Promise
function fs.lutime(path, atime, mtime, options) end

--- Makes a directory of its own, whose name is the prefix and six letters.
--- Source: Node, fs.mkdtemp.
---@param prefix string
---@param options? moontide.Options
---@return moontide.Promise<string> path
function fs.mkdtemp(prefix, options) end

--- Makes a file of its own, whose name is the prefix and six letters, and opens it for reading and
--- writing. Fulfilled with the file and its path. Source: POSIX, mkstemp.
---@param prefix string
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.File>
function fs.mkstemp(prefix, options) end

--- Opens a file.
---@param path string
---@param how? string as C's fopen has it: "r" (default), "w" or "a", with "+", "b" and "x" after it
---@param options? moontide.fs.Making
---@return moontide.Promise<moontide.fs.File>
function fs.open(path, how, options) end

--- An open file. As a `<close>` variable's value it is closed at the end of the scope, without being
--- waited for; so it is when nobody has it any more. Each method but `close` raises when it has been
--- closed. Without offset, several reads or writes at the same time come in any order.
---@class moontide.fs.File
local File = {}

--- Reads up to n bytes, fulfilled with nothing at the end of the file. An aborted one may have moved
--- the position.
---@param n? integer default 65536
---@param offset? integer default: the position, which moves on
---@param options? moontide.Options
---@return moontide.Promise<string?>
function File:read(n, offset, options) end

--- Writes all of data.
---@param data string
---@param offset? integer default: the position, which moves on
---@param options? moontide.Options an abort meanwhile may leave a part
---@return moontide.Promise
function File:write(data, offset, options) end

--- `for line in file:lines() do`: as `fs.lines`, from the position; leaves the file open. Reads
--- ahead.
---@param options? moontide.Options
---@return moontide.Callable
function File:lines(options) end

--- `for chunk in file:chunks() do` awaits each.
---@param size? integer bytes at most, default 65536
---@param options? moontide.Options
---@return moontide.Callable
function File:chunks(size, options) end

---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Stat>
function File:stat(options) end

--- Waits until the disk has data and attributes. Source: POSIX, fsync.
---@param options? moontide.Options
---@return moontide.Promise
function File:sync(options) end

--- Waits until the disk has the data. Source: POSIX, fdatasync.
---@param options? moontide.Options
---@return moontide.Promise
function File:datasync(options) end

---@param size? integer default 0
---@param options? moontide.Options
---@return moontide.Promise
function File:truncate(size, options) end

---@param mode integer
---@param options? moontide.Options
---@return moontide.Promise
function File:chmod(mode, options) end

---@param uid integer -1: as it is
---@param gid integer -1: as it is
---@param options? moontide.Options
---@return moontide.Promise
function File:chown(uid, gid, options) end

---@param atime number seconds since 1970
---@param mtime number seconds since 1970
---@param options? moontide.Options
---@return moontide.Promise
function File:utime(atime, mtime, options) end

--- Closes the file when what runs on it is over; no cancellation reaches that. Gives the same
--- promise again when it is called again.
---@return moontide.Promise
function File:close() end

--- An open directory; closed as files are.
---@class moontide.fs.Directory
local Directory = {}

--- The next entries, in no order; fulfilled with nothing when there are no more. One at a time.
---@param options? moontide.Options
---@return moontide.Promise<moontide.fs.Entry[]?>
function Directory:read(options) end

--- `for entry in directory:entries() do` awaits them in parts. Leaves the directory open.
---@param options? moontide.Options
---@return moontide.Callable
function Directory:entries(options) end

--- Closes the directory when a read that runs is over; see File.
---@return moontide.Promise
function Directory:close() end

---@class moontide.fs.Event
---@field kind "change"|"rename"|"overflow" "rename": the name has come, gone, or means another file;
---"overflow": more has happened than is kept, look everywhere
---@field name? string in the directory that is watched, or the watched file's own, where the system
---tells

---@class moontide.fs.Watching: moontide.Options for the loop, and for `next` without options
---@field recursive? boolean what lies below, too; ENOSYS but for macOS and Windows

--- What watches a path. It does not keep the loop alive unless somebody waits.
---@class moontide.fs.Watch
---@overload fun(): moontide.fs.Event?
local Watch = {}

--- Fulfilled with what happens next, or has happened while nobody waited, equal events once; with
--- nothing once it is closed.
---@param options? moontide.Options default: those of the watch
---@return moontide.Promise<moontide.fs.Event?>
function Watch:next(options) end

--- Ends the watching. Also what a `<close>` variable and the end of a loop do.
function Watch:close() end

--- Watches what the path leads to now, a directory with what is directly in it, or a file, wherever
--- it is moved: `for event in fs.watch(path) do ... end` awaits each event. Raises a
--- moontide.SystemError where that is not possible. Source: Node, fs.watch; uv_fs_event_t.
---@param path string
---@param options? moontide.fs.Watching
---@return moontide.fs.Watch, nil, nil, moontide.fs.Watch
function fs.watch(path, options) end

--- ## `require "moontide.dns"`

--- Names and addresses of hosts, through the system's resolver. All functions reject with a
--- moontide.SystemError that has the `host`; a failure of the resolver has a code like
--- "EAI_NONAME". Under an abort the promise is rejected at once; a group does not wait for the
--- thread.
---@class moontide.dns
local dns = {}

---@class moontide.dns.Options: moontide.Options
---@field family? 4|6 default: either
---@field all? boolean all addresses, not only the first

---@class moontide.dns.Address
---@field address string
---@field family 4|6

--- The addresses of a host, in the system's order, each once. Of an address, that itself, at once.
--- Raises for a host with a NUL in it and for another family. Source: Node, dns.lookup.
---@param host string a name, or an address: "127.0.0.1", "::1", "fe80::1%eth0"
---@param options? moontide.dns.Options
---@return moontide.Promise # the first address and its family, or a moontide.dns.Address[]
function dns.lookup(host, options) end

--- The name of an address. Raises for what is no address.
---@param address string
---@param options? moontide.Options
---@return moontide.Promise<string>
function dns.reverse(address, options) end

--- ## `require "moontide.net"`

--- Sockets. See docs/io.md.
---@class moontide.net
local net = {}

---@class moontide.net.ConnectOptions: moontide.Options
---@field host? string a name or an address; it or `path`
---@field port? integer
---@field path? string of a unix domain socket
---@field family? 4|6 default: either
---@field local_address? string what the stream is bound to
---@field local_port? integer
---@field nodelay? boolean default true
---@field keepalive? integer seconds, as `Stream:set_keepalive`
---@field timeout? number ms for all of it, else rejects with a TimeoutError
---@field attempt_delay? number ms before the next address is tried as well, default 250
---@field lookup? moontide.Callable in place of `dns.lookup`: lookup(host, options), a promise of
---moontide.dns.Address[]
---@field tls? boolean|moontide.tls.Options true for none; `server_name` is `host` by default

--- Connects. Of a name, all addresses are tried: families in turn, the next one as soon as one has
--- failed, or does not answer within `attempt_delay`; the first stream wins, the other ones are closed.
--- Rejects with the moontide.SystemError (`address`, `port`) of the only address, or a
--- moontide.AggregateError of all. Source: RFC 8305; Node, net.connect.
---@param options moontide.net.ConnectOptions
---@return moontide.Promise<moontide.Stream>
function net.connect(options) end

---@class moontide.net.ListenOptions: moontide.Options
---@field host? string a name, of which the first address is taken, or an address; default: any
---@field port? integer default 0: one that the system chooses
---@field path? string of a unix domain socket, in place of host and port
---@field family? 4|6 default: either
---@field ipv6_only? boolean an IPv6 address does not take IPv4
---@field reuse_port? boolean several servers share the port; ENOTSUP where there is no such thing
---@field backlog? integer connections that the system keeps until they are accepted, default 511
---@field tls? moontide.tls.Options what is accepted is a stream of `moontide.tls`; of failed
---handshakes, on_error(reason) is told

--- Listens. The file of a unix domain socket is removed when the server is closed; one that is there
--- already, and that nobody listens at, is replaced. Rejects with a moontide.SystemError.
--- Source: POSIX, bind and listen.
---@param options moontide.net.ListenOptions
---@return moontide.Promise<moontide.Server>
function net.listen(options) end

---@class moontide.net.ServeOptions: moontide.net.ListenOptions
---@field max_connections? integer at the same time; further ones wait in the system's queue
---@field on_error? fun(reason: any, stream: moontide.Stream) is told what a handler fails with;
---default: stderr is

--- Listens, and calls handler(stream, group) for each connection, in a group of its own. The
--- connection is closed when the group is over; what has been written is still sent. A failure of the
--- group, or of a TLS handshake, is reported and ends nothing else. The service belongs to the group
--- in which it was begun: that is not over before it, and cancels it. An abort cancels it, too.
---@param options moontide.net.ServeOptions
---@param handler fun(stream: moontide.Stream, group: moontide.Group)
---@return moontide.Promise<moontide.net.Service> # as soon as it listens
function net.serve(options, handler) end

--- As a `<close>` variable's value it is closed with a grace of 0.
---@class moontide.net.Service
local Service = {}

---@return moontide.SocketAddress? # nothing once it is closed
function Service:address() end

--- How many connections are not over.
---@return integer
function Service:connections() end

--- Accepts no more, and waits for the handlers. Those that still run after the grace are cancelled,
--- and what they have written is not waited for any more. Can be called again, with less grace.
---@param options? { grace?: number } ms; default: no limit
---@return moontide.Promise # when all connections are over; it rejects if accepting had failed
function Service:close(options) end

--- One end of a socket.
---@class moontide.net.Address
---@field address string "127.0.0.1", "::1", "fe80::1%eth0"
---@field port integer
---@field family 4|6

---@class moontide.net.UDPOptions
---@field host? string the address to be bound to; default: any
---@field port? integer default 0: one that the system chooses
---@field family? 4|6 default: the host's, or 4
---@field reuse_address? boolean others may be bound to the port, who say so as well
---@field reuse_port? boolean the same, and they share what comes; ENOTSUP where there is no such thing
---@field ipv6_only? boolean a socket of family 6 does not hear IPv4
---@field broadcast? boolean as `set_broadcast`
---@field max_length? integer bytes of the longest datagram that is received whole, default 65536

--- A socket for datagrams, bound. Raises a moontide.SystemError where the system refuses.
--- Source: POSIX, socket and bind; libuv, uv_udp_t.
---@param options? moontide.net.UDPOptions
---@return moontide.net.UDP
function net.udp(options) end

--- Where a datagram came from.
---@class moontide.net.Peer: moontide.net.Address
---@field truncated? true the datagram was longer than `max_length`; the rest is lost

--- A socket for datagrams; closed by `<close>`, by the collector, and with its loop. `for data, peer
--- in socket do` awaits each, until the socket is closed. What is no operation that waits raises its
--- moontide.SystemError; once it is closed, everything but `receive` and `close` fails with EBADF.
---@class moontide.net.UDP
---@overload fun(): string?, moontide.net.Peer?
local UDP = {}

--- The next datagram, which may be empty, and its sender; nothing when the socket is closed. An
--- aborted one takes none. Rejects with ECONNREFUSED when a connected socket was told that nobody
--- is there; it can be used further. Source: POSIX, recvmsg.
---@param options? moontide.Options
---@return moontide.Promise<string?> # and a moontide.net.Peer
function UDP:receive(options) end

--- Sends one datagram: send(data, host, port, [options]), or send(data, [options]) where the socket
--- is connected. Fulfilled when the system has taken it, which says nothing of its arrival; an
--- aborted one may still be sent. Rejects with EMSGSIZE for one that is too long, and on a connected
--- socket with ECONNREFUSED when it was told that nobody is there. Source: POSIX, sendmsg.
---@param data string
---@param host string an address
---@param port integer
---@param options? moontide.Options
---@return moontide.Promise
---@overload fun(self: moontide.net.UDP, data: string, options?: moontide.Options): moontide.Promise
function UDP:send(data, host, port, options) end

--- Sends to that address from now on, and receives from nowhere else; what had come before may still
--- be received. Raises EISCONN when it is connected. Source: POSIX, connect.
---@param host string an address
---@param port integer
function UDP:connect(host, port) end

--- Raises ENOTCONN when it is not connected.
function UDP:disconnect() end

--- What the socket is bound to. Source: POSIX, getsockname.
---@return moontide.net.Address
function UDP:address() end

--- What the socket is connected to. Source: POSIX, getpeername.
---@return moontide.net.Address|nil
function UDP:peer_address() end

--- Receives what is sent to a multicast group as well. Source: RFC 3678.
---@param group string an address
---@param interface? string an address of this machine; "::1%eth0" names an interface for IPv6;
---default: the system chooses
---@param source? string only what that address sends
function UDP:join_group(group, interface, source) end

--- Undoes `join_group` with the same arguments.
---@param group string
---@param interface? string
---@param source? string
function UDP:leave_group(group, interface, source) end

--- Through which interface datagrams to groups leave.
---@param interface? string as for `join_group`
function UDP:set_multicast_interface(interface) end

--- Whether members on this machine receive what the socket sends to groups; they do by default.
---@param on boolean
function UDP:set_multicast_loop(on) end

--- How many hops datagrams to groups may take, 1 by default; 0 keeps them on this machine.
---@param hops integer 0 to 255
function UDP:set_multicast_ttl(hops) end

--- Allows datagrams to broadcast addresses; without it they are refused with EACCES.
---@param on boolean
function UDP:set_broadcast(on) end

---@param hops integer 1 to 255
function UDP:set_ttl(hops) end

--- Ends all receives with nothing, and drops what had come; a send that still waits for the system
--- is rejected with ECANCELED. Does nothing the second time.
function UDP:close() end

--- ## `require "moontide.luasocket"`

--- LuaSocket's `socket` module, where what would block awaits: inside async functions, and at top
--- level. What is not said here is as in LuaSocket: arguments, results, timeouts, errors. A
--- cancellation is raised, and leaves the socket usable; what had been received by then is given to
--- the next `receive`. Needs LuaSocket. Source: LuaSocket 3.1.
---@class moontide.luasocket
---@field BLOCKSIZE integer of the sources that read
---@field dns moontide.luasocket.Dns
---@field sinkt table<string, fun(socket: moontide.luasocket.Tcp): function>
---@field sourcet table<string, fun(socket: moontide.luasocket.Tcp, length?: integer): function>
---@field try fun(...): ... newtry() without a finalizer
local luasocket = {}

---@class moontide.luasocket.Dns by moontide.dns: no canonical names, no aliases
---@field getaddrinfo fun(host: string): { family: "inet"|"inet6", addr: string }[]|nil, string?
---@field gethostname fun(): string
---@field getnameinfo fun(host?: string, service?: string): string[]|nil, string?
---@field tohostname fun(host: string): string|nil, table|string
---@field toip fun(host: string): string|nil, table|string

--- Puts this module in the place of `socket` and `socket.core`, so that what is required from here on
--- uses it. `socket.http`, `socket.ftp`, `socket.smtp` and `socket.tp` will be loaded anew.
---@return fun() undo puts back what was there before
function luasocket.install() end

--- A connection. A name is looked up by moontide.dns, and no timeout limits that.
---@param host string
---@param port integer|string
---@param local_host? string
---@param local_port? integer|string
---@param family? "inet"|"inet6"|"unspec"
---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.connect(host, port, local_host, local_port, family) end

---@param host string
---@param port integer|string
---@param local_host? string
---@param local_port? integer|string
---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.connect4(host, port, local_host, local_port) end

---@param host string
---@param port integer|string
---@param local_host? string
---@param local_port? integer|string
---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.connect6(host, port, local_host, local_port) end

---@param host string "*" for all addresses
---@param port integer|string 0: the system chooses
---@param backlog? integer
---@return moontide.luasocket.Tcp|nil server
---@return string? error
function luasocket.bind(host, port, backlog) end

---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.tcp() end

---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.tcp4() end

---@return moontide.luasocket.Tcp|nil
---@return string? error
function luasocket.tcp6() end

---@return moontide.luasocket.Udp|nil
---@return string? error
function luasocket.udp() end

---@return moontide.luasocket.Udp|nil
---@return string? error
function luasocket.udp4() end

---@return moontide.luasocket.Udp|nil
---@return string? error
function luasocket.udp6() end

--- Waits for sockets of ours, of LuaSocket's, or anything with `getfd` and `dirty`.
---@param readers? table[]
---@param writers? table[]
---@param timeout? number seconds
---@return table readable
---@return table writable
---@return "timeout"|nil
function luasocket.select(readers, writers, timeout) end

---@param seconds number
function luasocket.sleep(seconds) end

---@return number seconds since 1970
function luasocket.gettime() end

---@param n integer
---@param ... any
---@return any ... without the first n
function luasocket.skip(n, ...) end

---@param finalizer? function called before the error is raised
---@return fun(...): ... try its arguments; raises, for `protect`, the second if the first is false or nil
function luasocket.newtry(finalizer) end

--- Unlike LuaSocket's, it catches only what ours `try` raises.
---@param f function
---@return function # returns nil and the message where a `try` in it raises
function luasocket.protect(f) end

---@param mode? string "close-when-done", "keep-open"
---@param socket moontide.luasocket.Tcp
---@return fun(chunk?: string, err?: string): 1|nil, string?
function luasocket.sink(mode, socket) end

---@param mode? string "by-length", "until-closed"
---@param socket moontide.luasocket.Tcp
---@param length? integer
---@return fun(): string|nil, string?
function luasocket.source(mode, socket, length) end

---@param table table<string, function>
---@return function # calls the function that its first argument names
function luasocket.choose(table) end

--- A TCP socket. `connect`, `send`, `receive`, `accept` and, for a name, `bind` wait. Several may
--- wait for one socket; who waits for one that is closed gets "closed".
---@class moontide.luasocket.Tcp
local LuaSocketTcp = {}

---@param host string
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketTcp:connect(host, port) end

---@param host string
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketTcp:setpeername(host, port) end

---@param host string
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketTcp:bind(host, port) end

---@param host string
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketTcp:setsockname(host, port) end

---@param backlog? integer default 32
---@return 1|nil
---@return string? error
function LuaSocketTcp:listen(backlog) end

---@return moontide.luasocket.Tcp|nil
---@return string? error
function LuaSocketTcp:accept() end

---@param data string
---@param i? integer
---@param j? integer
---@return integer|nil last the index of the last byte that was sent
---@return string? error
---@return integer? last the same, with an error
function LuaSocketTcp:send(data, i, j) end

---@param pattern? "*l"|"*a"|integer
---@param prefix? string
---@return string|nil
---@return string? error
---@return string? partial
function LuaSocketTcp:receive(pattern, prefix) end

---@param seconds? number nil or negative: no limit
---@param mode? "b"|"t"
---@return 1
function LuaSocketTcp:settimeout(seconds, mode) end

---@return number block
---@return number total
function LuaSocketTcp:gettimeout() end

---@return boolean
function LuaSocketTcp:dirty() end

---@return 1
function LuaSocketTcp:close() end

---@param mode? "both"|"send"|"receive"
---@return 1|nil
---@return string? error
function LuaSocketTcp:shutdown(mode) end

---@return string
function LuaSocketTcp:getfamily() end

---@return integer
function LuaSocketTcp:getfd() end

---@param fd integer
function LuaSocketTcp:setfd(fd) end

---@param name string
---@return any
---@return string? error
function LuaSocketTcp:getoption(name) end

---@param name string
---@param value any
---@return 1|nil
---@return string? error
function LuaSocketTcp:setoption(name, value) end

---@return string|nil address
---@return string port or the error
---@return string family
function LuaSocketTcp:getpeername() end

---@return string|nil address
---@return string port or the error
---@return string family
function LuaSocketTcp:getsockname() end

---@return integer received
---@return integer sent
---@return number age seconds
function LuaSocketTcp:getstats() end

---@param received? integer
---@param sent? integer
---@param age? number
---@return 1
function LuaSocketTcp:setstats(received, sent, age) end

--- A UDP socket. `send`, `sendto`, `receive`, `receivefrom` and, for a name, `setpeername` and
--- `setsockname` wait.
---@class moontide.luasocket.Udp
local LuaSocketUdp = {}

---@param host string "*": no longer connected
---@param port? integer|string
---@return 1|nil
---@return string? error
function LuaSocketUdp:setpeername(host, port) end

---@param host string
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketUdp:setsockname(host, port) end

---@param datagram string
---@return 1|nil
---@return string? error
function LuaSocketUdp:send(datagram) end

---@param datagram string
---@param address string no name
---@param port integer|string
---@return 1|nil
---@return string? error
function LuaSocketUdp:sendto(datagram, address, port) end

---@param size? integer
---@return string|nil
---@return string? error
function LuaSocketUdp:receive(size) end

---@param size? integer
---@return string|nil
---@return string address or the error
---@return integer port
function LuaSocketUdp:receivefrom(size) end

---@param seconds? number
---@param mode? "b"|"t"
---@return 1
function LuaSocketUdp:settimeout(seconds, mode) end

---@return number block
---@return number total
function LuaSocketUdp:gettimeout() end

---@return boolean
function LuaSocketUdp:dirty() end

---@return 1
function LuaSocketUdp:close() end

---@return string
function LuaSocketUdp:getfamily() end

---@return integer
function LuaSocketUdp:getfd() end

---@param fd integer
function LuaSocketUdp:setfd(fd) end

---@param name string
---@return any
---@return string? error
function LuaSocketUdp:getoption(name) end

---@param name string
---@param value any
---@return 1|nil
---@return string? error
function LuaSocketUdp:setoption(name, value) end

---@return string|nil address
---@return string port or the error
---@return string family
function LuaSocketUdp:getpeername() end

---@return string|nil address
---@return string port or the error
---@return string family
function LuaSocketUdp:getsockname() end

--- ## `require "moontide.os"`

--- Facts about the system and the process, given at once: only `random_bytes` returns a promise.
--- What the system does not tell is raised, as a moontide.SystemError. Source: Node, os.
---@class moontide.os
local system = {}

---@return string
function system.hostname() end

--- Times are since the system began.
---@class moontide.os.Times
---@field user integer
---@field nice integer
---@field sys integer
---@field idle integer
---@field irq integer

---@class moontide.os.Cpu
---@field model string
---@field speed integer MHz, 0 where it is not known
---@field times moontide.os.Times

---@return moontide.os.Cpu[]
function system.cpus() end

--- How many threads of this process can run at the same time: at least 1.
---@return integer
function system.available_parallelism() end

---@return integer # bytes
function system.total_memory() end

---@return integer # bytes
function system.free_memory() end

--- Of the last 1, 5 and 15 minutes; zeros where the system has none.
---@return number, number, number
function system.load_average() end

---@class moontide.os.Interface
---@field name string
---@field address string
---@field netmask string
---@field family 4|6
---@field scope_id? integer of a link-local address
---@field mac string six bytes: "00:00:5e:00:53:01"
---@field internal boolean whether it leads nowhere but to this machine

--- The addresses of the network interfaces that are up: one entry for each address.
---@return moontide.os.Interface[]
function system.interfaces() end

---@class moontide.os.Uname
---@field sysname string
---@field release string
---@field version string
---@field machine string

---@return moontide.os.Uname
function system.uname() end

--- How long the system has been running.
---@return number # seconds
function system.uptime() end

--- A monotonic clock, of which only differences mean something. Virtual time does not change it.
---@return integer # nanoseconds
function system.hrtime() end

---@return integer
function system.pid() end

---@return integer
function system.ppid() end

--- The user's directory: of the variable HOME, else as in `user`.
---@return string
function system.homedir() end

--- The directory for temporary files: of the variable TMPDIR, TMP, TEMP or TEMPDIR, else "/tmp".
---@return string
function system.tmpdir() end

---@class moontide.os.User
---@field username string
---@field uid integer
---@field gid integer
---@field shell? string
---@field homedir string

--- Whose process this is, by the system's list of users.
---@return moontide.os.User
function system.user() end

--- A variable of the environment. As all of these do, raises for an empty name and one with "="
--- or a NUL in it.
---@param name string
---@return string|nil
function system.getenv(name) end

--- Sets a variable of the environment, for the whole process and those that it starts. Not while
--- another thread uses the environment: a resolver does.
---@param name string
---@param value string without a NUL
function system.setenv(name, value) end

--- Removes a variable of the environment, if it is there. Like `setenv`.
---@param name string
function system.unsetenv(name) end

--- All variables of the environment. A copy.
---@return table<string, string>
function system.environ() end

--- So many bytes from the system's generator, fit for keys. Up to 256 are got at once, and the
--- promise is settled already; more, in the thread pool. Source: Node, crypto.randomBytes.
---@param n integer 0 to 2147483647
---@param options? moontide.Options
---@return moontide.Promise<string>
function system.random_bytes(n, options) end

--- ## `require "moontide.process"`

--- Programs that run as children of this process.
---@class moontide.process
local process = {}

---@class moontide.process.Options: moontide.Options
---@field cwd? string directory in which it is started
---@field env? { [string]: string|number } its whole environment; default: that of the process.
---`os.environ()` of `moontide.os` gives that as a table, to be changed and given here
---@field uid? integer user as whom it runs; its supplementary groups are dropped
---@field gid? integer group as which it runs
---@field detached? boolean it has a session of its own and belongs to no group: see docs/io.md
---@field input? string|number written to its standard input, which then ends; instead of `stdin`
---@field stdin? moontide.process.Stdio
---@field stdout? moontide.process.Stdio
---@field stderr? moontide.process.Stdio
---@field kill_grace? number ms between SIGTERM and SIGKILL when it is cancelled; 0: SIGKILL at once;
---math.huge: never. Default 5000

--- What the child has as one of its standard streams: what this process has there (the default of
--- spawn); a pipe, whose other end is the field of the child; /dev/null; a stream, which is the
--- child's from then on; a file of `moontide.fs` or of Lua's, whose buffer is written first; a
--- descriptor.
---@alias moontide.process.Stdio
---| "inherit"
---| "pipe"
---| "null"
---| moontide.Stream
---| moontide.fs.File
---| file*
---| integer

--- Starts a program, without a shell: the arguments are what it gets, whatever characters they
--- have. A command without a slash is looked for in the PATH of the child. An abort tells the child
--- to end; so does the cancellation of its group, which is not over before the child has been reaped.
--- Rejects with a moontide.SystemError: `syscall` is "chdir" if `cwd` is to blame, else "spawn".
--- Source: uv_spawn.
---@param command string
---@param arguments? (string|number)[]
---@param options? moontide.process.Options
---@return moontide.Promise<moontide.Child> promise settled already
function process.spawn(command, arguments, options) end

--- What became of a child: it has one of the two.
---@class moontide.process.Outcome
---@field code? integer what it has returned
---@field signal? string name of the signal that ended it: "SIGKILL", ...

---@class moontide.process.Exec: moontide.process.Options
---@field limit? integer bytes, of stdout and stderr each; default 16 MiB
---@field check? boolean whether it is an error that the program does not return 0

---@class moontide.process.Result: moontide.process.Outcome
---@field stdout? string what it has written there, if that is a pipe
---@field stderr? string

--- A program that was to succeed did not; with the fields of the moontide.process.Result. The
--- message has the first line of its stderr.
---@class moontide.ExitError: moontide.Error, moontide.process.Result

--- Runs a program to its end: what it has written, and how it ended. Its input is empty unless
--- there is an option; stdout and stderr are read to their ends, which do not come as long as any
--- process has them, be it one that the program has left behind.
--- Rejects with a moontide.SystemError if it cannot be started; with a LimitError if it writes more
--- than the limit; with the reason of an abort; with a moontide.ExitError if that is wanted: always
--- after the child has been reaped.
---@param command string
---@param arguments? (string|number)[]
---@param options? moontide.process.Exec
---@return moontide.Promise<moontide.process.Result>
function process.exec(command, arguments, options) end

--- A child process. A `<close>` variable closes its pipes, tells it to end, as an abort does, and
--- does not wait.
---@class moontide.Child
---@field pid integer
---@field stdin? moontide.Stream where that is a pipe: to be written and closed
---@field stdout? moontide.Stream
---@field stderr? moontide.Stream
local Child = {}

--- Fulfilled when the child has ended and been reaped; also after that. An abort of the wait leaves
--- the child alone.
---@param options? moontide.Options
---@return moontide.Promise<moontide.process.Outcome>
function Child:wait(options) end

--- Sends it a signal. Raises a moontide.SystemError if that is forbidden.
---@param name? string with or without SIG, default "SIGTERM"
---@return boolean there whether it had not been reaped
function Child:kill(name) end

--- ## `require "moontide.tls"`

--- TLS over streams, where moontide was built with OpenSSL; requiring it raises elsewhere. Failures
--- reject with a moontide.TLSError.
---@class moontide.tls
local tls = {}

--- `code` is OpenSSL's reason or what is wrong with the certificate, without prefix:
--- "CERT_HAS_EXPIRED", "HOSTNAME_MISMATCH", "WRONG_VERSION_NUMBER"; of an alert from the peer,
--- "ALERT_UNKNOWN_CA" and so on.
---@class moontide.TLSError: moontide.Error
---@field code string

--- What many connections can share. `ca`, `cert` and `key` are text (PEM), or the path of a file
--- with it.
---@class moontide.tls.ContextOptions
---@field ca? string certificates of the authorities that are trusted; default: the system's
---@field cert? string one's own certificate, then those between it and the authority
---@field key? string its private key
---@field passphrase? string of the key
---@field alpn? string[] protocols, the preferred one first: a server chooses by its own preference
---@field min_version? "TLSv1.2"|"TLSv1.3" default: "TLSv1.2"
---@field max_version? "TLSv1.2"|"TLSv1.3"
---@field verify? boolean clients: whether the server's certificate and name are checked; default true
---@field verify_client? boolean servers: whether a client has to have a certificate that `ca` has
---signed; default false
---@field server? boolean for `context`: of servers

---@class moontide.tls.Options: moontide.tls.ContextOptions, moontide.Options
---@field context? moontide.tls.Context in place of the options that it was made of
---@field server_name? string clients: host name or address; sent (SNI), and checked
---@field timeout? number ms for the handshake; default 10000

--- Made by `context`; it has nothing for others.
---@class moontide.tls.Context

--- Makes what many connections share: reading certificates takes time, the system's most of all.
--- Without options it is a client's. Raises for what can never work; rejects with a
--- moontide.TLSError, or with a moontide.SystemError of a file.
---@param options? moontide.tls.ContextOptions
---@return moontide.Promise<moontide.tls.Context>
function tls.context(options) end

--- Speaks TLS over a stream, as a client: fulfilled when the handshake is done. From then on the
--- stream belongs to the TLS stream; it is destroyed when the handshake fails, is aborted or takes
--- too long (TimeoutError). Raises for options that can never work, `server_name` is one of them
--- unless `verify` is false.
---@param stream moontide.Stream any stream: tcp, a unix domain socket, TLS
---@param options? moontide.tls.Options
---@return moontide.Promise<moontide.tls.Stream>
function tls.client(stream, options) end

--- The same as a server: it needs `cert` and `key`, or a `context`.
---@param stream moontide.Stream
---@param options moontide.tls.Options
---@return moontide.Promise<moontide.tls.Stream>
function tls.server(stream, options) end

---@class moontide.tls.ServerOptions: moontide.tls.Options
---@field on_error? fun(reason: any) is told why a handshake has failed; else nobody is

--- A server in front of another one: what it accepts has shaken hands. Handshakes run side by side,
--- 256 at most; a client that says nothing keeps nobody else waiting. Closing it closes the other
--- one, which belongs to it. Rejects as `context` does, and closes the other one then.
---@param server moontide.Server
---@param options moontide.tls.ServerOptions
---@return moontide.Promise<moontide.Server>
function tls.listen(server, options) end

--- What a handshake has led to.
---@class moontide.tls.Info
---@field version string "TLSv1.3"
---@field cipher string
---@field alpn? string the protocol agreed on
---@field server_name? string that the client has asked for
---@field peer_subject? string of the peer's certificate, as RFC 2253 writes it: "CN=localhost"
---@field verify_error? string what `verify = false` has let pass

--- A stream like all others. `shutdown` and `close` tell the peer that no more will come
--- (close_notify). An end that the peer has not announced so is an error of reading,
--- UNEXPECTED_EOF_WHILE_READING: who can cut the connection must not be able to cut the text.
---@class moontide.tls.Stream: moontide.Stream
local TLSStream = {}

---@return moontide.tls.Info
function TLSStream:tls_info() end

--- ## `require "moontide.stdio"`

--- The standard streams of the process, each opened when it is first asked for: terminals, pipes,
--- sockets and files alike. Asking raises a moontide.SystemError if the process has none.
---@class moontide.stdio
---@field stdin moontide.Stream
---@field stdout moontide.Stream
---@field stderr moontide.Stream
local stdio = {}

--- ## `require "moontide.busted"`

--- What specs may say to the helper. Only under busted, loaded as its helper.
---@class moontide.busted
local busted_helper = {}

--- Sets how long a test may take, counted from its beginning, and how long its before_each and
--- after_each may: called in a test or a before_each, for that test; elsewhere, for the block or
--- the file that is being run. Raises for a number that is not positive.
---@param ms number math.huge for no limit
function busted_helper.timeout(ms) end

--- Called in a test or its before_each: async functions that wait for nothing that could come are
--- no failure of this test.
function busted_helper.allow_suspended() end

--- ## Semaphores, events, queues

--- `signal` is for the one call; the group in which that is made can cancel it as well. Either way
--- the promise is rejected with the reason, and nothing has been taken.
---@class moontide.Waiting
---@field signal? moontide.AbortSignal

--- A permit. As a `<close>` variable's value it is released at the end of its scope, unless it has
--- been before. Dropping it releases nothing.
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
--- permit that has just been granted.
---@param options? moontide.Waiting
---@return moontide.Promise<moontide.Permit>
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
function Event:wait(options) end

--- Not set.
---@return moontide.Event
function tide.event() end

--- First in, first out. `for item in queue do` awaits each item until the queue is closed and
--- empty; several such loops share the items.
---@class moontide.Queue
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
function Queue:pop(options) end

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
---@param f fun(yield: (fun(...: any): ...), ...: any)
---@return fun(...: any): moontide.Generator, nil, nil, moontide.Generator # what a for loop takes
function tide.generator(f) end

--- A list of all values, the first of each round, that a for loop over the arguments gives: a
--- generator's call, a queue, or any iterator.
---@param iterator moontide.Callable
---@param ... any state, control value and closing value, as for loops take them
---@return moontide.Promise<any[]>
function tide.collect(iterator, ...) end
