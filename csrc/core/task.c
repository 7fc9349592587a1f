/*
 * Async functions and await.
 *
 * A call makes a task: a promise whose VALUE is its coroutine until the coroutine is done. The
 * coroutine runs task_body, which calls the function under lua_pcallk: so clean-up after an
 * uncaught error (<close>) runs in the coroutine and may itself await.
 *
 * await, on the coroutine, only checks and yields; the side that resumed it registers the task as
 * a reaction of the promise. When that has settled, the task's job resumes, and await takes the
 * outcome from the promise, which it still has. A call beyond MAX_DEPTH yields too: whoever resumed
 * the caller starts the callee and then continues the caller, so that recursion does not nest C
 * calls.
 */
#include "core/task.h"

#include "core/cancel.h"
#include "core/context.h"
#include "core/coroutine.h"
#include "core/objects.h"
#include "core/scope.h"
#include "core/trace.h"
#include "core/traceback.h"

/* Coroutines resumed inside one another by us; each takes up to three of Lua's 200 C calls, and
 * the user's own pcalls, sorts and metamethods need theirs. */
#define MAX_DEPTH 24

#define SLOT_COROUTINE TIDE_SLOT_VALUE

/* lua_closethread came with 5.4.6, and took the place of lua_resetthread. */
#if LUA_VERSION_RELEASE_NUM >= 50406
#define lua_resetthread(co) lua_closethread((co), NULL)
#endif

/* ---- calls that are watched ---- */

/* One more, or one less, of the calls with that number has not returned. [-0, +0, m] */
static void count_call(lua_State *L, const tide_runtime *rt, lua_Integer call, int change) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_calls);
    lua_rawgeti(L, -1, call);
    lua_pushinteger(L, lua_tointeger(L, -1) + change);
    lua_rawseti(L, -3, call);
    lua_pop(L, 2);
}

/* The function has returned, or never will. [-0, +0, -] */
static void task_ended(lua_State *L, const tide_runtime *rt, tide_promise *t) {
    t->co = NULL;
    if (t->u.call == 0)
        return;
    count_call(L, rt, t->u.call, -1); /* into a place that is there */
    t->u.call = 0;
}

/* watch_calls(counts): counts[number] is from now on how many async functions that were announced
 * by that number, above 0, have not returned. Garbage counts too: it never has. */
static int watch_calls(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_calls);
    return 0;
}

/* announce_call(number): of the next async function that is called */
static int announce_call(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    rt->tasks.call = (uint32_t)luaL_checkinteger(L, 1);
    return 0;
}

/* ---- the body of a coroutine ---- */

/* Below the results stands the message handler, at 1. */
static int task_body_done(lua_State *L, int status, lua_KContext context) {
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - 1;
    tide_runtime *rt = tide_runtime_find(L);
    if (rt->tasks.running.task != NULL && rt->tasks.running.task->co == L)
        rt->tasks.failed = true; /* else somebody else has resumed it */
    return 1;
}

static int task_body(lua_State *L) {
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, task_body_done);
    return task_body_done(L, status, 0);
}

/* ---- running ---- */

void tide_task_fail_job(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *t = self;
    task_ended(L, rt, t);
    if (t->state == TIDE_PENDING)
        tide_promise_reject(L, rt, job);
    else
        lua_pop(L, 1);
}

static const tide_microtask_type task_type = {"async", tide_task_run_job, tide_task_fail_job};

/* The coroutine is done for: rejects the task at the index with the error on co's stack. */
static void task_fail(lua_State *L, tide_runtime *rt, int task) {
    tide_promise *t = lua_touserdata(L, task);
    lua_State *co = t->co;
    task_ended(L, rt, t);
    lua_xmove(co, L, 1);
    tide_trace_take(L, rt, co);
    tide_promise_reject_traced(L, rt, task);
}

/* The coroutine has yielded, but not to us: it is closed, there where it stands. */
static void task_abandon(lua_State *L, tide_runtime *rt, int task) {
    tide_promise *t = lua_touserdata(L, task);
    lua_Debug ar;
    lua_pushliteral(L, "");
    if (lua_getstack(t->co, 1, &ar) && lua_getinfo(t->co, "Sl", &ar) && ar.currentline > 0)
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    lua_pushliteral(L, "an async function yielded without await");
    lua_concat(L, lua_gettop(L) - task);
    tide_trace_note_error(L, rt, t->co, 0);
    lua_resetthread(t->co);
    lua_settop(t->co, 0);
    lua_xmove(L, t->co, 1);
    task_fail(L, rt, task);
}

/* What came of resuming a coroutine. */
typedef struct outcome {
    int status; /* of lua_resume */
    int n;      /* values on its stack */
    tide_yield yield;
    bool failed;
} outcome;

/* Deals with a coroutine that has just been resumed; its task, t, stands on top, at the index.
 * [-0, +0, m] */
static void task_resumed(lua_State *L, tide_runtime *rt, int task, tide_promise *t, outcome o) {
    lua_State *co = t->co;
    if (o.status == LUA_YIELD) {
        tide_coroutine_release(L, rt, t);
        if (o.yield == TIDE_YIELD_AWAIT) {
            lua_xmove(co, L, 1);
            lua_pushvalue(L, task);
            tide_promise_then(L, rt, task + 1, lua_touserdata(L, task + 1));
            lua_pop(L, 1);
        } else if (o.yield == TIDE_YIELD_VALUE) {
            lua_pushvalue(L, task);
            lua_pushnil(L);
            tide_microtask_enqueue(L, rt);
        } else if (o.yield != TIDE_YIELD_HELD) {
            task_abandon(L, rt, task);
        }
    } else if (o.status != LUA_OK) {
        if (lua_status(co) != LUA_OK) /* else it could not even be resumed */
            lua_resetthread(co);
        task_fail(L, rt, task);
    } else if (o.failed) {
        task_fail(L, rt, task);
        tide_coroutine_return(L, rt, co);
    } else {
        if (o.n > LUA_MINSTACK / 2)
            luaL_checkstack(L, o.n + LUA_MINSTACK, "too many results");
        if (o.n > 0)
            lua_xmove(co, L, o.n);
        task_ended(L, rt, t);
        if (t->flags & TIDE_NOTED)
            tide_trace_forget(L, rt, co);
        tide_coroutine_return(L, rt, co);
        tide_promise_resolve(L, rt, task, o.n);
    }
}

/* Resumes the task t at the index with the nargs values on its stack. [-0, +0, -] */
static outcome resume(lua_State *L, tide_runtime *rt, int task, tide_promise *t, bool direct,
                      int nargs) {
    struct tide_running caller = rt->tasks.running;
    outcome o;
    tide_runtime_stress(L);
    rt->tasks.failed = false;
    rt->tasks.running = (struct tide_running){t, L, task, direct};
    rt->tasks.yield = TIDE_YIELD_FOREIGN;
    rt->tasks.depth++;
    o.status = lua_resume(t->co, L, nargs, &o.n);
    rt->tasks.depth--;
    o.yield = rt->tasks.yield;
    o.failed = rt->tasks.failed;
    rt->tasks.yield = TIDE_YIELD_FOREIGN; /* the caller's next yield is its own */
    rt->tasks.failed = false;
    rt->tasks.running = caller;
    return o;
}

/* The same in the task's async context, which it keeps, while the caller has its own back. */
static outcome resume_in_context(lua_State *L, tide_runtime *rt, int task, tide_promise *t,
                                 bool direct, int nargs) {
    outcome o;
    if (!rt->has_context && !(t->flags & TIDE_CONTEXT)) {
        o = resume(L, rt, task, t, direct, nargs);
        if (!rt->has_context)
            return o;
        lua_pushnil(L);
    } else {
        tide_context_push(L, rt);
        tide_context_enter(L, rt, task, TIDE_SLOT_CONTEXT);
        o = resume(L, rt, task, t, direct, nargs);
    }
    if (o.status == LUA_YIELD) {
        tide_context_push(L, rt);
        lua_setiuservalue(L, task, TIDE_SLOT_CONTEXT);
        t->flags |= TIDE_CONTEXT;
    }
    tide_context_set(L, rt);
    return o;
}

/* The coroutine of the task on top was resumed or closed by somebody else while it was ours. */
static void task_lost(lua_State *L, tide_runtime *rt, int task) {
    task_ended(L, rt, lua_touserdata(L, task));
    lua_pushliteral(L, "the coroutine of an async function was resumed or closed by somebody else");
    tide_promise_reject(L, rt, task);
}

/* Runs the task on top until it suspends or is done, with the nargs values on its stack; direct:
 * nobody waits for that on the C stack. Tasks that wait for the one they have just started stand
 * below it, from the index task on. [-0, +0, m] */
static void task_run(lua_State *L, tide_runtime *rt, int task, tide_promise *t, int nargs,
                     bool direct) {
    for (int top = task;;) {
        outcome o = resume_in_context(L, rt, top, t, direct && top == task, nargs);
        if (o.status == LUA_YIELD && o.yield == TIDE_YIELD_START) {
            tide_coroutine_release(L, rt, t);
            luaL_checkstack(L, LUA_MINSTACK, "too many nested async calls");
            lua_xmove(t->co, L, 1);
            t = lua_touserdata(L, ++top);
            nargs = lua_gettop(t->co) - 1;
            continue;
        }
        task_resumed(L, rt, top, t, o);
        for (;;) { /* back to the one that waits for it */
            if (top == task)
                return;
            t = lua_touserdata(L, --top);
            if (lua_status(t->co) == LUA_YIELD)
                break;
            lua_settop(L, top);
            task_lost(L, rt, top);
        }
        lua_xmove(L, t->co, 1);
        nargs = 1;
    }
}

/* What the task awaits has settled; await itself, on the coroutine, still has the promise. Where
 * it waited for no promise, the values to return stand on the coroutine. */
void tide_task_run_job(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *t = self;
    const void *source = lua_touserdata(L, job + 1);
    if (t->co == NULL)
        return; /* an interrupt came first, and it is done */
    if (lua_status(t->co) != LUA_YIELD) {
        task_lost(L, rt, job);
        return;
    }
    if (source != NULL && source != lua_touserdata(t->co, 1))
        return; /* an interrupt came first, and it awaits something else */
    lua_settop(L, job);
    task_run(L, rt, job, t, 0, true); /* what await is to return stands there already */
}

/* ---- receiving a cancellation ---- */

/* Pops a context: whether the promise is rejected with the reason of its scope. [-1, +0, m] */
static bool is_reason(lua_State *L, int promise) {
    int context = lua_gettop(L);
    tide_promise *p = lua_touserdata(L, promise);
    bool same = false;
    if (p->state == TIDE_REJECTED && tide_scope_push(L, context)) {
        lua_rawgeti(L, context + 1, TIDE_SCOPE_REASON);
        tide_promise_push(L, promise);
        same = lua_rawequal(L, -1, -2);
    }
    lua_settop(L, context - 1);
    return same;
}

/* Pops the context of the task t, which has awaited the settled promise: unless it has received the
 * cancellation from that, its next await raises it. [-1, +0, m] */
static void receive(lua_State *L, tide_promise *t, int promise) {
    if (is_reason(L, promise))
        t->flags &= (uint8_t)~TIDE_INTERRUPTED;
    else
        t->flags |= TIDE_INTERRUPTED;
}

/* Like tide_task_run_job, where the task has been cancelled through what it awaits. */
static void run_follower_job(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *t = self;
    const tide_promise *source = lua_touserdata(L, job + 1);
    if (t->co == NULL || (lua_status(t->co) == LUA_YIELD && source != lua_touserdata(t->co, 1)))
        return; /* it stands among the reactions of what it awaited before that, too */
    t->job.type = &task_type;
    if (source->flags & TIDE_INTERRUPTED) {
        lua_getiuservalue(L, job, TIDE_SLOT_CONTEXT);
        receive(L, t, job + 1);
    }
    tide_task_run_job(L, rt, job, self);
}

static const tide_microtask_type follower_type = {"async", run_follower_job, tide_task_fail_job};

/* ---- async ---- */

static bool is_current(lua_State *L, const tide_runtime *rt) {
    return rt->tasks.running.task != NULL && rt->tasks.running.task->co == L;
}

static int start_done(lua_State *L, int status, lua_KContext context) {
    (void)status, (void)context;
    if (!is_current(L, tide_runtime_find(L)))
        return luaL_error(L, "an async function was resumed by somebody else");
    return 1;
}

/* Gives the task on top the context on top of that, popped, and enters it into the list of the
 * context's cancellation scope. [-1, +0, m] */
static void set_context(lua_State *L, tide_runtime *rt, tide_promise *t) {
    int context = lua_gettop(L);
    lua_pushvalue(L, context);
    lua_setiuservalue(L, context - 1, TIDE_SLOT_CONTEXT);
    t->flags |= TIDE_CONTEXT;
    if (tide_scope_push(L, context)) {
        lua_pushvalue(L, context - 1);
        tide_scope_enter(L, rt, context + 1, TIDE_SCOPE_TASKS);
    }
    lua_settop(L, context - 1);
}

/* Makes the task of a call: replaces the arguments and, on top, the function by the task, on whose
 * coroutine they are then. [-(nargs + 1), +1, m] */
static tide_promise *task_new(lua_State *L, tide_runtime *rt, int nargs) {
    tide_promise *t = tide_promise_new_of(L, rt, &task_type, TIDE_SLOT_CONTEXT);
    lua_State *co = tide_coroutine_take(L, rt, t);
    lua_setiuservalue(L, -2, SLOT_COROUTINE);
    if (nargs > LUA_MINSTACK / 2 && !lua_checkstack(co, nargs + LUA_MINSTACK))
        luaL_error(L, "too many arguments");
    t->co = co;
    lua_pushcfunction(co, task_body);
    lua_pushcfunction(co, tide_trace_capture);
    lua_insert(L, -2);
    lua_xmove(L, co, 1); /* the function */
    if (nargs > 0) {
        lua_insert(L, -nargs - 1);
        lua_xmove(L, co, nargs);
    }
    if (rt->tasks.call != 0) {
        uint32_t call = rt->tasks.call;
        rt->tasks.call = 0;
        count_call(L, rt, call, 1);
        t->u.call = call;
    }
    return t;
}

/* Whether the scope of the task on top, if any, has been cancelled. */
static bool is_cancelled(lua_State *L, const tide_promise *t) {
    int task = lua_gettop(L);
    if (!(t->flags & TIDE_CONTEXT))
        return false;
    lua_getiuservalue(L, task, TIDE_SLOT_CONTEXT);
    bool cancelled =
        tide_scope_push(L, task + 1) && lua_rawgeti(L, task + 2, TIDE_SCOPE_REASON) != LUA_TNIL;
    lua_settop(L, task);
    return cancelled;
}

/* Runs the new task, on top of the stack, or has that done; returns its promise. */
static int start(lua_State *L, tide_runtime *rt, tide_promise *t, int nargs) {
    if (tide_task_interrupted(rt) && is_cancelled(L, t))
        t->flags |= TIDE_INTERRUPTED;
    if (rt->tasks.depth >= MAX_DEPTH && is_current(L, rt) && lua_isyieldable(L)) {
        rt->tasks.yield = TIDE_YIELD_START;
        return lua_yieldk(L, 1, 0, start_done);
    }
    task_run(L, rt, lua_gettop(L), t, nargs + 2, false);
    return 1;
}

int tide_task_start(lua_State *L, tide_runtime *rt) {
    int nargs = lua_gettop(L) - 1;
    tide_promise *t = task_new(L, rt, nargs);
    if (rt->has_context) {
        tide_context_push(L, rt);
        set_context(L, rt, t);
    }
    return start(L, rt, t, nargs);
}

/* What async(fn) returns; upvalues: the runtime, fn. */
static int async_call(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_pushvalue(L, lua_upvalueindex(2));
    return tide_task_start(L, rt);
}

static int async(lua_State *L) {
    tide_runtime_here(L);
    tide_objects_check_callable(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_pushcclosure(L, async_call, 2);
    return 1;
}

static int spawn(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_objects_check_callable(L, 1);
    lua_rotate(L, 1, -1);
    return tide_task_start(L, rt);
}

/* spawn_in(context, keeper, interrupted, f, ...): like spawn, in a context of its own; the keeper,
 * or nil, looks after what becomes of it; interrupted: its first await raises the reason of its
 * scope */
static int spawn_in(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    bool interrupted = lua_toboolean(L, 3);
    luaL_checktype(L, 1, LUA_TTABLE);
    tide_scope_check_keeper(L, 2);
    tide_objects_check_callable(L, 4);
    lua_remove(L, 3);
    lua_rotate(L, 3, -1); /* context, keeper, arguments, function */
    int nargs = lua_gettop(L) - 3;
    tide_promise *t = task_new(L, rt, nargs);
    lua_pushvalue(L, 1);
    set_context(L, rt, t);
    t->flags |= interrupted ? TIDE_CHILD | TIDE_INTERRUPTED : TIDE_CHILD;
    if (!lua_isnil(L, 2))
        tide_scope_keep(L, rt, 2);
    return start(L, rt, t, nargs);
}

/* is_child(promise) -> whether it is that of a function started by spawn_in */
static int is_child(lua_State *L) {
    lua_pushboolean(L, tide_promise_check(L, tide_runtime_here(L), 1)->flags & TIDE_CHILD);
    return 1;
}

/* scope_of(promise) -> the scope in whose list of async functions it is, or nil */
static int scope_of(lua_State *L) {
    tide_promise *p = tide_promise_check(L, tide_runtime_here(L), 1);
    lua_settop(L, 1);
    if (p->order != 0 && p->flags & TIDE_CONTEXT) {
        lua_getiuservalue(L, 1, TIDE_SLOT_CONTEXT);
        return tide_scope_push(L, 2);
    }
    return 0;
}

/* interrupted([promise]) -> whether the next await of the running async function raises its scope's
 * reason, or whether that promise was settled without having come to that */
static int interrupted(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    bool result = lua_isnoneornil(L, 1) ? tide_task_interrupted(rt)
                                        : tide_promise_check(L, rt, 1)->flags & TIDE_INTERRUPTED;
    lua_pushboolean(L, result);
    return 1;
}

/* ---- await ---- */

int tide_task_outcome(lua_State *L, tide_runtime *rt, int promise) {
    tide_promise *p = lua_touserdata(L, promise);
    if (p->state == TIDE_FULFILLED && p->n == 1) {
        lua_getiuservalue(L, promise, TIDE_SLOT_VALUE);
        return 1;
    }
    if (p->state == TIDE_FULFILLED)
        return tide_promise_push(L, promise);
    tide_promise_mark_handled(L, rt, promise);
    tide_promise_note_trace(L, rt, promise);
    tide_promise_push(L, promise);
    return lua_error(L);
}

/* The awaiting coroutine goes on: with the outcome of the promise at 1, or the values there. */
static int await_done(lua_State *L, int status, lua_KContext of_promise) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    (void)status;
    if (!is_current(L, rt))
        return luaL_error(L, "an async function was resumed by somebody else");
    return of_promise ? tide_task_outcome(L, rt, 1) : lua_gettop(L);
}

/* A promise for the values, the first of which is no promise, left alone on the stack; false: it is
 * surely no thenable, nothing has changed. */
static bool await_thenable(lua_State *L, tide_runtime *rt) {
    int type = lua_type(L, 1), n = lua_gettop(L);
    if (type != LUA_TTABLE && type != LUA_TUSERDATA)
        return false;
    if (type == LUA_TTABLE && !lua_getmetatable(L, 1)) {
        lua_pushstring(L, "then");
        bool absent = lua_rawget(L, 1) == LUA_TNIL;
        lua_pop(L, 1);
        if (absent)
            return false;
    }
    lua_settop(L, n);
    tide_promise_new(L, rt);
    lua_insert(L, 1);
    tide_promise_resolve(L, rt, 1, n);
    return true;
}

/* ---- top level ---- */

/* Stands among the reactions of what the top level waits for. */
typedef struct waiter {
    tide_microtask job;
    bool done;
} waiter;

static void run_waiter(lua_State *L, tide_runtime *rt, int job, void *self) {
    (void)L, (void)job;
    ((waiter *)self)->done = true;
    if (rt->tasks.waiter == self) /* else that drive ended some other way */
        rt->interrupt = true;
}

static const tide_microtask_type waiter_type = {"await", run_waiter, NULL};

bool tide_task_drive(lua_State *L, tide_runtime *rt, int promise) {
    waiter *w = lua_newuserdatauv(L, sizeof *w, 1);
    *w = (waiter){{&waiter_type}, false};
    lua_pushvalue(L, -1);
    tide_promise_then(L, rt, promise, lua_touserdata(L, promise));
    rt->tasks.waiter = w;
    rt->drive(L, rt);
    lua_pop(L, 1);
    return w->done;
}

int tide_task_deadlock(lua_State *L, tide_runtime *rt, const char *what) {
    lua_pushfstring(L, "%s: %s", what,
                    rt->stopped ? "the loop was stopped"
                                : "nothing is left to run that could settle the promise");
    tide_objects_new_error(L, rt, "DeadlockError");
    return lua_error(L);
}

/* await at top level: drives the loop from here. */
static int await_top(lua_State *L, tide_runtime *rt) {
    int n = lua_gettop(L);
    tide_promise *p = tide_promise_test(L, rt, 1);
    if (p == NULL && !await_thenable(L, rt)) {
        tide_promise_new(L, rt);
        lua_insert(L, 1);
        tide_promise_fulfil(L, rt, 1, n);
    }
    lua_settop(L, 1);
    p = lua_touserdata(L, 1);
    rt->stopped = false;
    bool at_once = p->state != TIDE_PENDING && rt->jobs.count == 0;
    if (!at_once && !tide_task_drive(L, rt, 1))
        return tide_task_deadlock(L, rt, "await");
    return tide_task_outcome(L, rt, 1);
}

/* Raises what stands in the way of an await that cannot suspend. */
static int await_misplaced(lua_State *L, tide_runtime *rt) {
    if (rt->tasks.running.task == NULL)
        return luaL_error(L, "await outside an async function");
    if (!is_current(L, rt))
        return luaL_error(L, "await inside a coroutine that is not an async function");
    tide_traceback_push_barrier(L);
    return luaL_error(L, "await cannot suspend inside %s", lua_tostring(L, -1));
}

/* Raises the cancellation that came while the task was not waiting. */
static int raise_reason(lua_State *L, tide_runtime *rt) {
    rt->tasks.running.task->flags &= (uint8_t)~TIDE_INTERRUPTED;
    tide_context_push(L, rt);
    if (!tide_scope_push(L, lua_gettop(L)))
        return luaL_error(L, "the function was cancelled");
    lua_rawgeti(L, -1, TIDE_SCOPE_REASON);
    return lua_error(L);
}

/* What the interrupted task had to wait for, at 1, has settled: raises the cancellation, or what
 * that has failed with. Then the cancellation counts as received if it had come there. */
static int await_enclosed_done(lua_State *L, int status, lua_KContext reached) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    (void)status;
    if (!is_current(L, rt))
        return luaL_error(L, "an async function was resumed by somebody else");
    tide_promise *t = rt->tasks.running.task, *p = lua_touserdata(L, 1);
    if (p->state == TIDE_FULFILLED)
        return raise_reason(L, rt);
    if (reached && !(p->flags & TIDE_INTERRUPTED)) {
        t->flags &= (uint8_t)~TIDE_INTERRUPTED;
    } else {
        tide_context_push(L, rt);
        receive(L, t, 1);
    }
    return tide_task_outcome(L, rt, 1);
}

/* Asks whether an interrupted task waits for the promise at 1: it does for what runs in its scope.
 * Whether the cancellation has come there, too, is left in reached. */
static bool is_enclosed(lua_State *L, tide_runtime *rt, bool *reached) {
    tide_context_push(L, rt);
    if (!tide_scope_push(L, 2)) {
        lua_settop(L, 1);
        return false;
    }
    lua_pushvalue(L, 1);
    tide_cancel_call(L, rt, "encloses", 2, 2);
    bool enclosed = lua_toboolean(L, -2);
    *reached = lua_toboolean(L, -1);
    lua_settop(L, 1);
    return enclosed;
}

static int await_interrupted(lua_State *L, tide_runtime *rt) {
    bool reached;
    lua_settop(L, 1);
    tide_promise *p = tide_promise_test(L, rt, 1);
    if (p == NULL)
        return raise_reason(L, rt);
    if (!is_enclosed(L, rt, &reached)) {
        tide_promise_mark_handled(L, rt, 1); /* nobody else will look at it */
        return raise_reason(L, rt);
    }
    if (p->state != TIDE_PENDING)
        return await_enclosed_done(L, LUA_OK, reached);
    lua_pushvalue(L, 1);
    rt->tasks.yield = TIDE_YIELD_AWAIT;
    return lua_yieldk(L, 1, reached, await_enclosed_done);
}

int tide_task_await(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    if (!is_current(L, rt))
        return tide_task_at_top_level(rt) ? await_top(L, rt) : await_misplaced(L, rt);
    if (rt->tasks.running.task->flags & TIDE_INTERRUPTED && lua_isyieldable(L))
        return await_interrupted(L, rt);
    bool at_once = rt->tasks.running.direct && tide_microtask_idle(rt) && lua_isyieldable(L);
    tide_promise *p = tide_promise_test(L, rt, 1);
    if (p != NULL && p->state != TIDE_PENDING && at_once)
        return tide_task_outcome(L, rt, 1);
    if (p == NULL && !await_thenable(L, rt)) {
        int n = lua_gettop(L);
        if (at_once)
            return n;
        if (!lua_isyieldable(L))
            return await_misplaced(L, rt);
        rt->tasks.yield = TIDE_YIELD_VALUE;
        return lua_yieldk(L, n, 0, await_done);
    }
    if (!lua_isyieldable(L))
        return await_misplaced(L, rt);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    rt->tasks.yield = TIDE_YIELD_AWAIT;
    return lua_yieldk(L, 1, 1, await_done);
}

void tide_task_check_await(lua_State *L, tide_runtime *rt) {
    if (is_current(L, rt) ? !lua_isyieldable(L) : !tide_task_at_top_level(rt))
        await_misplaced(L, rt);
}

/* check_await(): raises what stands in the way of an await from here */
static int check_await(lua_State *L) {
    tide_task_check_await(L, tide_runtime_here(L));
    return 0;
}

int tide_task_await_top(lua_State *L) {
    lua_replace(L, 1);
    lua_settop(L, 1);
    return tide_task_await(L);
}

/* ---- held tasks ---- */

bool tide_task_push_holdable(lua_State *L, tide_runtime *rt) {
    const struct tide_running *r = &rt->tasks.running;
    if (!is_current(L, rt) || !lua_isyieldable(L) || r->task->flags & TIDE_INTERRUPTED)
        return false;
    lua_pushvalue(r->host, r->index);
    lua_xmove(r->host, L, 1);
    return true;
}

/* The task goes on, with values or a rejected promise. */
static int held_done(lua_State *L, int status, lua_KContext context) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    (void)status, (void)context;
    if (!is_current(L, rt))
        return luaL_error(L, "an async function was resumed by somebody else");
    return tide_promise_test(L, rt, 1) != NULL ? tide_task_outcome(L, rt, 1) : lua_gettop(L);
}

int tide_task_hold(lua_State *L, tide_runtime *rt, const tide_hold_type *type) {
    lua_settop(L, 1);
    rt->tasks.running.task->job.type = &type->job;
    rt->tasks.yield = TIDE_YIELD_HELD;
    return lua_yieldk(L, 0, 0, held_done);
}

void tide_task_continue(lua_State *L, tide_runtime *rt, int task, int n) {
    tide_promise *t = lua_touserdata(L, task);
    if (n < 0) {
        tide_promise_new(L, rt);
        lua_insert(L, -2);
        tide_promise_reject(L, rt, lua_gettop(L) - 1);
        n = 1;
    }
    tide_microtask_reserve(L, rt);
    t->job.type = &task_type;
    if (t->co != NULL && lua_status(t->co) == LUA_YIELD) {
        lua_settop(t->co, 0);
        lua_xmove(L, t->co, n);
    } else {
        lua_pop(L, n); /* its job will find that somebody else has resumed or closed it */
    }
    lua_pushvalue(L, task);
    lua_pushnil(L);
    tide_microtask_enqueue(L, rt);
}

/* Whether the task is held, and nobody else has resumed it. */
static bool is_held(const tide_promise *t) {
    return t->co != NULL && t->job.type->run == tide_task_run_job && t->job.type != &task_type &&
           lua_status(t->co) == LUA_YIELD;
}

/* Pushes who holds the task, which is suspended. [-0, +1, -] */
static void push_holder(lua_State *L, tide_promise *t) {
    lua_pushvalue(t->co, 1);
    lua_xmove(t->co, L, 1);
}

/* The held task at 1 goes on as if it had awaited the settled promise at 2. */
static void release_held(lua_State *L, tide_runtime *rt, tide_promise *t) {
    const tide_hold_type *type = (const tide_hold_type *)t->job.type;
    tide_microtask_reserve(L, rt);
    push_holder(L, t);
    type->forget(L, rt, lua_gettop(L));
    t->job.type = &task_type;
    lua_settop(t->co, 0);
    lua_pushvalue(L, 2);
    lua_xmove(L, t->co, 1);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    tide_microtask_enqueue(L, rt);
}

static int promise_await(lua_State *L) {
    tide_promise_check(L, tide_runtime_here(L), 1);
    return tide_task_await(L);
}

/* ---- cancellation ---- */

static tide_promise *check_promise_here(lua_State *L, tide_runtime **rt) {
    *rt = tide_runtime_here(L);
    return tide_promise_check(L, *rt, 1);
}

/* Pushes what the async function at 1 awaits, or the promise that it has returned, if that is
 * pending; else nil. [-0, +1, -] */
static tide_promise *push_awaited(lua_State *L, tide_runtime *rt, tide_promise *t) {
    if (tide_promise_adopts(t)) {
        lua_getiuservalue(L, 1, TIDE_SLOT_VALUE);
    } else if (t->co != NULL && lua_status(t->co) == LUA_YIELD && lua_checkstack(t->co, 1)) {
        lua_pushvalue(t->co, 1);
        lua_xmove(t->co, L, 1);
    } else {
        lua_pushnil(L);
    }
    tide_promise *p = tide_promise_test(L, rt, -1);
    if (p != NULL && p->state == TIDE_PENDING)
        return p;
    lua_pop(L, 1);
    lua_pushnil(L);
    return NULL;
}

/* awaiting(promise) -> the pending promise that this async function awaits, or has returned, or
 * who holds it, or nil; whether it is an async function that is not over */
static int awaiting(lua_State *L) {
    tide_runtime *rt;
    tide_promise *t = check_promise_here(L, &rt);
    if (is_held(t))
        push_holder(L, t);
    else
        push_awaited(L, rt, t);
    lua_pushboolean(L, t->co != NULL || tide_promise_adopts(t));
    return 2;
}

/* follow(promise): what the async function awaits has been cancelled. If that is settled without
 * having received it, the next await of the function raises it. */
static int follow(lua_State *L) {
    tide_runtime *rt;
    tide_promise *t = check_promise_here(L, &rt);
    if (t->co != NULL)
        t->job.type = &follower_type;
    return 0;
}

/* Takes the task at 1 out of the reactions of the promise that it awaits, if it is the only one;
 * else its job will see that it came too late. */
static void forsake(lua_State *L, tide_runtime *rt, tide_promise *t) {
    tide_promise *p = push_awaited(L, rt, t);
    if (p != NULL && p->n == 1) {
        lua_pushnil(L);
        lua_setiuservalue(L, -2, TIDE_SLOT_REACTIONS);
        p->n = 0;
    }
    lua_pop(L, 1);
}

/* Puts the settled promise at 2 in the place of what the task at 1 awaits or has returned. */
static void replace_awaited(lua_State *L, tide_runtime *rt, tide_promise *t) {
    if (tide_promise_adopts(t)) {
        forsake(L, rt, t);
        tide_promise_adopt_settled(L, rt, 1, 2);
        return;
    }
    luaL_argcheck(L, t->co != NULL && lua_status(t->co) == LUA_YIELD, 1, "not suspended");
    if (is_held(t)) {
        release_held(L, rt, t);
        return;
    }
    luaL_checkstack(t->co, 1, NULL);
    forsake(L, rt, t);
    lua_pushvalue(L, 2);
    lua_xmove(L, t->co, 1);
    lua_replace(t->co, 1);
    lua_pushvalue(L, 1);
    tide_promise_then(L, rt, 2, lua_touserdata(L, 2));
}

/* interrupt(promise, settled): an async function that awaits something, see awaiting, goes on as
 * if it had awaited that settled promise. Without one, its next await raises the reason of its
 * scope; if there is none, that of what follows the promise does. */
static int interrupt(lua_State *L) {
    tide_runtime *rt;
    tide_promise *t = check_promise_here(L, &rt);
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        if (t->state == TIDE_PENDING)
            t->flags |= TIDE_INTERRUPTED;
        return 0;
    }
    tide_promise *settled = tide_promise_check(L, rt, 2);
    luaL_argcheck(L, settled->state != TIDE_PENDING, 2, "settled promise expected");
    replace_awaited(L, rt, t);
    return 0;
}

const luaL_Reg tide_task_functions[] = {{"async", async},
                                        {"spawn", spawn},
                                        {"await", tide_task_await},
                                        {"awaiting", awaiting},
                                        {"check_await", check_await},
                                        {"follow", follow},
                                        {"interrupt", interrupt},
                                        {"interrupted", interrupted},
                                        {"spawn_in", spawn_in},
                                        {"is_child", is_child},
                                        {"scope_of", scope_of},
                                        {"watch_calls", watch_calls},
                                        {"announce_call", announce_call},
                                        {NULL, NULL}};

const luaL_Reg tide_task_methods[] = {{"await", promise_await}, {NULL, NULL}};
