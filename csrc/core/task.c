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

#include "core/argument.h"
#include "core/barrier.h"
#include "core/context.h"
#include "core/mark.h"
#include "core/coroutine.h"
#include "core/objects.h"
#include "core/relay.h"
#include "core/scope.h"
#include "core/trace.h"

/* Coroutines resumed inside one another by us; each takes up to three of Lua's 200 C calls, and
 * the user's own pcalls, sorts and metamethods need theirs. */
#define MAX_DEPTH 24

#define SLOT_COROUTINE TIDE_SLOT_VALUE

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
static void task_ended(lua_State *L, tide_runtime *rt, tide_node *t) {
    t->is.co = NULL;
    if (t->promise.u.call == 0)
        return;
    uint32_t call = rt->end_watched != NULL ? rt->end_watched(rt, t) : t->promise.u.call;
    t->promise.u.call = 0;
    if (call != 0)
        count_call(L, rt, call, -1); /* into a place that is there */
}

/* watch_calls(counts): counts[number] is from now on how many async functions that were announced
 * by that number, above 0, have not returned. Garbage counts too: it never has. */
static int watch_calls(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_check(L, 1, TIDE_KIND_TABLE);
    lua_settop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_calls);
    return 0;
}

/* announce_call(number): of the next async function that is called */
static int announce_call(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    rt->tasks.call = (uint32_t)tide_argument_integer(L, 1, TIDE_ANY);
    return 0;
}

/* ---- the body of a coroutine ---- */

/* Below the results stands the message handler, at 1. */
static int task_body_done(lua_State *L, int status, lua_KContext context) {
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD)
        return lua_gettop(L) - 1;
    tide_runtime *rt = tide_runtime_find(L);
    if (rt->tasks.running.task != NULL && rt->tasks.running.task->is.co == L)
        rt->tasks.failed = true; /* else somebody else has resumed it */
    return 1;
}

static int task_body(lua_State *L) {
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, task_body_done);
    return task_body_done(L, status, 0);
}

/* ---- running ---- */

void tide_task_fail_job(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_node *t = self;
    task_ended(L, rt, t);
    if (t->promise.state == TIDE_PENDING)
        tide_promise_reject(L, rt, job);
    else
        lua_pop(L, 1);
}

static void cancel_task(lua_State *L, tide_runtime *rt, int task, int rejected);

static const tide_microtask_type task_type = {"async", tide_task_run_job, tide_task_fail_job,
                                              cancel_task};

/* The coroutine is done for: rejects the task at the index with the error on co's stack. */
static void task_fail(lua_State *L, tide_runtime *rt, int task) {
    tide_node *t = lua_touserdata(L, task);
    lua_State *co = t->is.co;
    task_ended(L, rt, t);
    lua_xmove(co, L, 1);
    tide_trace_take(L, rt, co);
    tide_promise_reject_traced(L, rt, task);
}

/* Closes the coroutine there where it stands, and rejects the task at the index with what is on
 * top.
 * [-1, +0, m] */
static void task_close(lua_State *L, tide_runtime *rt, int task) {
    tide_node *t = lua_touserdata(L, task);
    tide_trace_note_error(L, rt, t->is.co, 0);
    tide_relay_close(L, rt, t->is.co);
    lua_settop(t->is.co, 0);
    lua_xmove(L, t->is.co, 1);
    task_fail(L, rt, task);
}

/* The coroutine has yielded, but not to us. */
static void task_abandon(lua_State *L, tide_runtime *rt, int task) {
    tide_node *t = lua_touserdata(L, task);
    lua_Debug ar;
    lua_pushliteral(L, "");
    if (lua_getstack(t->is.co, 1, &ar) && lua_getinfo(t->is.co, "Sl", &ar) && ar.currentline > 0)
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    lua_pushliteral(L, "an async function yielded without await");
    lua_concat(L, lua_gettop(L) - task);
    task_close(L, rt, task);
}

/* The function does not stop to catch the reason of its cancellation, long after the grace. */
static void task_give_up(lua_State *L, tide_runtime *rt, int task) {
    tide_scope_receive(lua_touserdata(L, task));
    tide_scope_push_of(L, task);
    tide_scope_push_reason(L, lua_gettop(L));
    lua_replace(L, -2);
    task_close(L, rt, task);
}

/* What came of resuming a coroutine. */
typedef struct outcome {
    int status; /* of lua_resume */
    int n;      /* values on its stack */
    tide_yield yield;
    bool failed;
} outcome;

/* The task that has returned the promise above it is cancelled, and has yet to receive that: as if
 * it awaited the promise. Returns whether it is rejected for that, since it comes from elsewhere.
 */
static bool reject_due(lua_State *L, tide_runtime *rt, int task, tide_node *t) {
    const tide_promise *p = tide_promise_test(L, rt, task + 1);
    if (p == NULL || p->state != TIDE_PENDING || tide_scope_contains(t->member.scope, p))
        return false;
    tide_promise_mark_handled(L, rt, task + 1);
    tide_scope_receive(t);
    tide_scope_push_of(L, task);
    tide_scope_push_reason(L, lua_gettop(L));
    tide_promise_reject(L, rt, task);
    lua_settop(L, task);
    return true;
}

/* Whether the function, which has received a cancellation and now returns, was to pass it on. */
static bool has_swallowed(const tide_runtime *rt, const tide_node *t) {
    const tide_scope *s = t->promise.flags & TIDE_MEMBER ? t->member.scope : NULL;
    return rt->reports & TIDE_REPORT_SWALLOWED && s != NULL && s->cancellation != 0 &&
           s->kind != TIDE_SCOPE_STOP; /* that one may end as it likes */
}

/* Deals with a coroutine that has just been resumed; its task, t, stands on top, at the index.
 * [-0, +0, m] */
static void task_resumed(lua_State *L, tide_runtime *rt, int task, tide_node *t, outcome o) {
    lua_State *co = t->is.co;
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
        } else if (o.yield == TIDE_YIELD_GIVE_UP) {
            task_give_up(L, rt, task);
        } else if (o.yield != TIDE_YIELD_HELD) {
            task_abandon(L, rt, task);
        }
    } else if (o.status != LUA_OK) {
        if (lua_status(co) != LUA_OK) /* else it could not even be resumed */
            lua_closethread(co, L);
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
        if (t->promise.flags & TIDE_NOTED)
            tide_trace_forget(L, rt, co);
        tide_coroutine_return(L, rt, co);
        if (t->promise.flags & TIDE_RECEIVED && has_swallowed(rt, t))
            tide_mark_swallowed(L, rt, task);
        if (o.n == 0 || !tide_scope_is_due(t) || !reject_due(L, rt, task, t))
            tide_promise_resolve(L, rt, task, o.n);
    }
}

/* Resumes the task t at the index with the nargs values on its stack. [-0, +0, -] */
static outcome resume(lua_State *L, tide_runtime *rt, int task, tide_node *t, bool direct,
                      int nargs) {
    struct tide_running caller = rt->tasks.running;
    outcome o;
    tide_runtime_stress(L);
    rt->tasks.failed = false;
    rt->tasks.running = (struct tide_running){t, t->is.co, L, task, direct, false};
    rt->tasks.yield = TIDE_YIELD_FOREIGN;
    rt->tasks.depth++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* a signal from here on finds the coroutine, */
    if (rt->interrupt && rt->interruption.stage == TIDE_SIGNALLED) /* one before did not */
        lua_sethook(t->is.co, rt->interruption.hook, LUA_MASKCOUNT, TIDE_INTERRUPTION_STEPS);
    o.status = rt->lua.resume(t->is.co, L, nargs, &o.n);
    rt->tasks.depth--;
    o.yield = rt->tasks.yield;
    o.failed = rt->tasks.failed;
    rt->tasks.yield = TIDE_YIELD_FOREIGN; /* the caller's next yield is its own */
    rt->tasks.failed = false;
    rt->tasks.running = caller;
    return o;
}

/* Pushes the context that the task at the index keeps, or nil. A task made without one has no user
 * value for it: if it gets one later, its coroutine and that stand in a table. [-0, +1, -] */
static void push_context(lua_State *L, int task, const tide_node *t) {
    if (!(t->promise.flags & TIDE_CONTEXT)) {
        lua_pushnil(L);
    } else if (t->promise.user_values >= TIDE_SLOT_CONTEXT) {
        lua_getiuservalue(L, task, TIDE_SLOT_CONTEXT);
    } else {
        lua_getiuservalue(L, task, SLOT_COROUTINE);
        lua_rawgeti(L, -1, 2);
        lua_replace(L, -2);
    }
}

/* Has the suspended task at the index keep the current context. [-0, +0, m] */
static void keep_context(lua_State *L, tide_runtime *rt, int task, tide_node *t) {
    if (t->promise.user_values >= TIDE_SLOT_CONTEXT) {
        tide_context_push(L, rt);
        lua_setiuservalue(L, task, TIDE_SLOT_CONTEXT);
    } else {
        lua_createtable(L, 2, 0);
        tide_coroutine_push(L, t->is.co);
        lua_rawseti(L, -2, 1);
        tide_context_push(L, rt);
        lua_rawseti(L, -2, 2);
        lua_setiuservalue(L, task, SLOT_COROUTINE);
    }
    t->promise.flags |= TIDE_CONTEXT;
}

/* The same in the task's async context, which it keeps, while the caller has its own back. */
static outcome resume_in_context(lua_State *L, tide_runtime *rt, int task, tide_node *t,
                                 bool direct, int nargs) {
    outcome o;
    if (!rt->has_context && !(t->promise.flags & TIDE_CONTEXT)) {
        o = resume(L, rt, task, t, direct, nargs);
        if (!rt->has_context)
            return o;
        lua_pushnil(L);
    } else {
        tide_context_push(L, rt);
        push_context(L, task, t);
        tide_context_set(L, rt);
        o = resume(L, rt, task, t, direct, nargs);
    }
    if (o.status == LUA_YIELD && (rt->has_context || t->promise.flags & TIDE_CONTEXT))
        keep_context(L, rt, task, t);
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
static void task_run(lua_State *L, tide_runtime *rt, int task, tide_node *t, int nargs,
                     bool direct) {
    for (int top = task;;) {
        outcome o = resume_in_context(L, rt, top, t, direct && top == task, nargs);
        if (o.status == LUA_YIELD && o.yield == TIDE_YIELD_START) {
            tide_coroutine_release(L, rt, t);
            luaL_checkstack(L, LUA_MINSTACK, "too many nested async calls");
            lua_xmove(t->is.co, L, 1);
            t = lua_touserdata(L, ++top);
            nargs = lua_gettop(t->is.co) - 1;
            continue;
        }
        task_resumed(L, rt, top, t, o);
        for (;;) { /* back to the one that waits for it */
            if (top == task)
                return;
            t = lua_touserdata(L, --top);
            if (lua_status(t->is.co) == LUA_YIELD)
                break;
            lua_settop(L, top);
            task_lost(L, rt, top);
        }
        lua_xmove(L, t->is.co, 1);
        nargs = 1;
    }
}

/* What the task awaits has settled; await itself, on the coroutine, still has the promise. Where
 * it waited for no promise, the values to return stand on the coroutine. */
void tide_task_run_job(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_node *t = self;
    if (t->is.co == NULL)
        return; /* somebody else has closed it, and its task is rejected */
    if (lua_status(t->is.co) != LUA_YIELD) {
        task_lost(L, rt, job);
        return;
    }
    t->promise.at.carrier = -1;
    if (tide_scope_is_due(t) && !lua_isnil(L, job + 1)) {
        rt->awaited(L, job, job + 1);
        if (t->promise.flags & TIDE_RECEIVED &&
            ((tide_promise *)lua_touserdata(L, job + 1))->state == TIDE_REJECTED)
            tide_mark_cancelled(L, rt, job, t->is.co);
    }
    lua_settop(L, job);
    task_run(L, rt, job, t, 0, true); /* what await is to return stands there already */
}

/* ---- async ---- */

static bool is_current(lua_State *L, const tide_runtime *rt) {
    return rt->tasks.running.co == L;
}

void tide_task_check_own(lua_State *L, tide_runtime *rt) {
    if (!tide_relay_goes_on(L, rt))
        tide_relay_refuse(L, rt);
}

static int start_done(lua_State *L, int status, lua_KContext context) {
    (void)status, (void)context;
    tide_task_check_own(L, tide_runtime_find(L));
    return 1;
}

enum {
    MEMBER = 1,
    STAYS =
        2 /* is going to wait for long, on a coroutine whose stack no other call has made grow */
};

/* Makes the task of a call: replaces the arguments and, on top, the function by the task, on whose
 * coroutine they are then. What has started it has that name; NULL: it was called.
 * [-(nargs + 1), +1, m] */
static tide_node *task_new(lua_State *L, tide_runtime *rt, const char *starter, int nargs, int how,
                           int user_values) {
    tide_node *t =
        tide_promise_new_node(L, rt, &task_type, TIDE_TASK, (how & MEMBER) != 0, user_values);
    tide_mark_made(L, rt, -1, starter, -2);
    if (starter != NULL)
        tide_mark_used(L, rt, -1);
    lua_State *co = how & STAYS ? tide_coroutine_new(L, t) : tide_coroutine_take(L, rt, t);
    lua_setiuservalue(L, -2, SLOT_COROUTINE);
    if (nargs > LUA_MINSTACK / 2 && !lua_checkstack(co, nargs + LUA_MINSTACK))
        luaL_error(L, "too many arguments");
    t->is.co = co;
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
        t->promise.u.call = call;
    }
    return t;
}

/* Runs the new task, on top of the stack, or has that done; returns its promise, or what done
 * does. */
static int start(lua_State *L, tide_runtime *rt, tide_node *t, int nargs, lua_KFunction done) {
    if (rt->tasks.depth >= MAX_DEPTH && is_current(L, rt) && lua_isyieldable(L)) {
        rt->tasks.yield = TIDE_YIELD_START;
        return lua_yieldk(L, 1, 0, done);
    }
    task_run(L, rt, lua_gettop(L), t, nargs + 2, false);
    return 1;
}

/* Gives the task on top the context on top of that, popped. [-1, +0, -] */
static void set_context(lua_State *L, tide_node *t) {
    lua_setiuservalue(L, -2, TIDE_SLOT_CONTEXT);
    t->promise.flags |= TIDE_CONTEXT;
}

static inline int start_call(lua_State *L, tide_runtime *rt, const char *starter) {
    int nargs = lua_gettop(L) - 1;
    if (!rt->has_context) {
        tide_node *t = task_new(L, rt, starter, nargs, 0, TIDE_SLOT_REACTIONS);
        return start(L, rt, t, nargs, start_done);
    }
    tide_scope *s = tide_scope_push_current(L, rt);
    if (s != NULL)
        lua_insert(L, 1);
    tide_node *t = task_new(L, rt, starter, nargs, s != NULL ? MEMBER : 0,
                            s != NULL ? TIDE_SLOT_EXTRA : TIDE_SLOT_CONTEXT);
    tide_context_push(L, rt);
    set_context(L, t);
    if (s != NULL)
        tide_scope_enter(L, rt, 1, lua_gettop(L), tide_scope_child(rt, s));
    return start(L, rt, t, nargs, start_done);
}

int tide_task_start(lua_State *L, tide_runtime *rt) {
    return start_call(L, rt, "run");
}

static int start_body_done(lua_State *L, int status, lua_KContext context) {
    start_done(L, status, context);
    lua_settop(L, 1);
    return 1;
}

/* The task of the call that is on top, from the index 3 on, as a child of the scope at 1, in the
 * context at 2. [-(nargs + 1), +1, m] */
static tide_node *new_child(lua_State *L, tide_runtime *rt, const char *starter, int nargs, int how,
                            uint64_t child) {
    tide_node *t = task_new(L, rt, starter, nargs, MEMBER | how, TIDE_SLOT_EXTRA);
    int task = lua_gettop(L);
    lua_pushvalue(L, 2);
    set_context(L, t);
    tide_scope_enter(L, rt, 1, task, child);
    t->promise.flags |= TIDE_CHILD;
    lua_pushvalue(L, 1);
    tide_promise_then(L, rt, task, &t->promise);
    tide_scope_hold(L, 1);
    return t;
}

int tide_task_start_body(lua_State *L, tide_runtime *rt, bool stays) {
    int nargs = lua_gettop(L) - 3;
    tide_node *t = new_child(L, rt, "group", nargs, stays ? STAYS : 0, 0);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, TIDE_SLOT_VALUE);
    tide_scope_begin(L, rt, 1);
    start(L, rt, t, nargs, start_body_done);
    lua_settop(L, 1);
    return 1;
}

int tide_task_start_child(lua_State *L, tide_runtime *rt) {
    int nargs = lua_gettop(L) - 3;
    tide_scope *s = lua_touserdata(L, 1);
    tide_node *t = new_child(L, rt, "group:spawn", nargs, 0, s->children + 1);
    s->children++;
    if (s->cancellation != 0) { /* it is of the group, whoever spawns it */
        t->promise.flags &= (uint16_t)~TIDE_RECEIVED;
        t->promise.flags |= TIDE_LATE;
    }
    return start(L, rt, t, nargs, start_done);
}

/* detach(f, ...) -> promise: like spawn, outside all scopes; other context is kept */
static int detach(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    lua_rotate(L, 1, -1);
    int nargs = lua_gettop(L) - 1;
    tide_node *t = task_new(L, rt, "detach", nargs, 0, TIDE_SLOT_CONTEXT);
    tide_context_push(L, rt);
    tide_scope_push_context(L, -1, 0);
    lua_replace(L, -2);
    set_context(L, t);
    return start(L, rt, t, nargs, start_done);
}

tide_node *tide_task_new_movable(lua_State *L, tide_runtime *rt, int nargs, int context) {
    tide_node *t = task_new(L, rt, "generator", nargs, MEMBER, TIDE_SLOT_EXTRA);
    if (lua_toboolean(L, context)) {
        lua_pushvalue(L, context);
        set_context(L, t);
    }
    return t;
}

int tide_task_begin(lua_State *L, tide_runtime *rt, tide_node *t, int nargs, lua_KFunction done) {
    start(L, rt, t, nargs, done);
    return done(L, LUA_OK, 0);
}

/* What async(fn) returns; upvalues: the runtime, fn. */
static int async_call(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_pushvalue(L, lua_upvalueindex(2));
    return start_call(L, rt, NULL);
}

static int async(lua_State *L) {
    tide_runtime_here(L);
    tide_argument_callable(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_pushcclosure(L, async_call, 2);
    return 1;
}

static int spawn(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    lua_rotate(L, 1, -1);
    return start_call(L, rt, "spawn");
}

/* ---- await ---- */

int tide_task_outcome(lua_State *L, tide_runtime *rt, int promise) {
    tide_mark_used(L, rt, promise);
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
    tide_task_check_own(L, rt);
    return of_promise ? tide_task_outcome(L, rt, 1) : lua_gettop(L);
}

/* stands_for(f, call): the function f calls call, which is what async() has returned, and is taken
 * for it */
static int stands_for(lua_State *L) {
    const tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    tide_argument_callable(L, 2);
    lua_settop(L, 2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_stand_ins);
    lua_insert(L, 1);
    lua_rawset(L, 1);
    return 0;
}

/* Raises if the function at 1 is an async one: its call is awaited, not itself. */
static void check_called(lua_State *L, const tide_runtime *rt) {
    lua_Debug ar;
    int top = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_stand_ins);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, -2) == LUA_TNIL)
        lua_pushvalue(L, 1);
    if (lua_tocfunction(L, -1) != async_call) {
        lua_settop(L, top);
        return;
    }
    lua_getupvalue(L, -1, 2);
    lua_getinfo(L, ">S", &ar);
    if (*ar.what == 'C')
        luaL_error(L, "await of an async function that was not called");
    luaL_error(L, "await of an async function that was not called: function <%s:%d>", ar.short_src,
               ar.linedefined);
}

/* A promise for the values, the first of which is no promise, left alone on the stack; false: it is
 * surely no thenable, nothing has changed. */
static bool await_thenable(lua_State *L, tide_runtime *rt) {
    int type = lua_type(L, 1), n = lua_gettop(L);
    if (type == LUA_TFUNCTION)
        check_called(L, rt);
    if ((type != LUA_TTABLE && type != LUA_TUSERDATA) || tide_promise_is_plain(L, 1))
        return false;
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
    if (rt->tasks.waiter != self)
        return; /* that drive ended some other way */
    rt->tasks.answered = true;
    rt->interrupt = true;
}

static const tide_microtask_type waiter_type = {"await", run_waiter, NULL, NULL};

/* Drives the loop until the waiter is told that the promise at the index has settled, or nothing is
 * left. [-0, +0, e] */
static void drive_for(lua_State *L, tide_runtime *rt, waiter *w, int promise) {
    rt->tasks.waiter = w;
    rt->tasks.driver = L;
    rt->tasks.awaited = lua_touserdata(L, promise);
    rt->drive(L, rt);
}

bool tide_task_drive(lua_State *L, tide_runtime *rt, int promise) {
    waiter *w = lua_newuserdatauv(L, sizeof *w, 1);
    *w = (waiter){{&waiter_type}, false};
    lua_pushvalue(L, -1);
    tide_promise_then(L, rt, promise, lua_touserdata(L, promise));
    drive_for(L, rt, w, promise);
    if (!w->done && !rt->stopped && !rt->interruption.due) {
        lua_gc(L, LUA_GCCOLLECT, 0); /* permits that were dropped may be what all wait for */
        if (rt->jobs.count > 0)
            drive_for(L, rt, w, promise);
    }
    lua_pop(L, 1);
    return w->done;
}

/* Sets the field tasks of the error on top: who is suspended, the top level awaiting the promise at
 * 1. Where there is no memory for that, the error has to do. [-0, +0, m] */
static void add_tasks(lua_State *L, const tide_runtime *rt) {
    if (lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_deadlock) != LUA_TFUNCTION) {
        lua_pop(L, 1);
        return;
    }
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 1, 1, 0);
    if (status == LUA_OK)
        lua_setfield(L, -2, "tasks");
    else if (status == LUA_ERRMEM)
        lua_pop(L, 1);
    else
        lua_error(L);
}

int tide_task_deadlock(lua_State *L, tide_runtime *rt, const char *what) {
    lua_pushfstring(L, "%s: %s", what,
                    rt->stopped ? "the loop was stopped"
                                : "nothing is left to run that could settle the promise");
    tide_objects_new_error(L, rt, "DeadlockError");
    if (!rt->stopped)
        add_tasks(L, rt);
    return lua_error(L);
}

/* The top level, which awaits the promise at 1, is interrupted: what that stands for is given up.
 */
static int interrupt_top(lua_State *L, tide_runtime *rt) {
    tide_promise *p = tide_promise_test(L, rt, 1);
    if (p != NULL)
        tide_promise_mark_handled(L, rt, 1);
    if (p != NULL && p->state == TIDE_PENDING && p->kind == TIDE_WAITER) {
        tide_task_push_interruption(L, rt);
        p->job.type->cancel(L, rt, 1, lua_gettop(L));
    }
    return tide_task_raise_interruption(L, rt);
}

/* await at top level: drives the loop from here. */
static int await_top(lua_State *L, tide_runtime *rt) {
    int n = lua_gettop(L);
    tide_promise *p = tide_promise_test(L, rt, 1);
    if (rt->interruption.due)
        return interrupt_top(L, rt);
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
        return rt->interruption.due ? interrupt_top(L, rt) : tide_task_deadlock(L, rt, "await");
    if (rt->interruption.due && p->state == TIDE_REJECTED)
        rt->interruption.due = false; /* that is what has become of what was interrupted */
    return tide_task_outcome(L, rt, 1);
}

/* Raises what stands in the way of an await that cannot suspend. */
static int await_misplaced(lua_State *L, tide_runtime *rt) {
    if (rt->tasks.running.task == NULL)
        return luaL_error(L, "await outside an async function");
    lua_State *co = rt->tasks.running.co;
    if (co == NULL || (co != L && lua_isyieldable(co)))
        return luaL_error(L, "await inside a coroutine that is not an async function: "
                             "those of moontide.coroutine may await");
    tide_barrier_push(L, co);
    return luaL_error(L, "await cannot suspend inside %s", lua_tostring(L, -1));
}

/* ---- await by who has been cancelled ---- */

void tide_task_push_running(lua_State *L, const tide_runtime *rt) {
    const struct tide_running *r = &rt->tasks.running;
    luaL_checkstack(r->host, 1, NULL);
    lua_pushvalue(r->host, r->index);
    lua_xmove(r->host, L, 1);
}

/* Raises the reason in the running task. */
static int raise_reason(lua_State *L, tide_runtime *rt) {
    tide_task_push_running(L, rt);
    int task = lua_gettop(L);
    if (((tide_node *)lua_touserdata(L, task))->member.scope == NULL)
        return luaL_error(L, "the function was cancelled");
    tide_scope_receive(rt->tasks.running.task);
    rt->tasks.running.task->promise.flags |= TIDE_INTERRUPTED;
    tide_mark_cancelled(L, rt, task, L);
    tide_scope_push_of(L, task);
    tide_scope_push_reason(L, task + 1);
    return lua_error(L);
}

/* What the task had to wait for, at 1, is over: it raises the reason, unless that has failed. */
static int await_late_done(lua_State *L, int status, lua_KContext context) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    (void)status, (void)context;
    tide_task_check_own(L, rt);
    const tide_promise *p = lua_touserdata(L, 1);
    return p->state == TIDE_FULFILLED ? raise_reason(L, rt) : tide_task_outcome(L, rt, 1);
}

/* What it had to wait for, if anything, is over: it raises the reason, whatever came of that. */
static int await_again_done(lua_State *L, int status, lua_KContext context) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    (void)status, (void)context;
    tide_task_check_own(L, rt);
    return raise_reason(L, rt);
}

/* Counts an await after the grace; whether it is one too many. */
static bool has_lost_patience(lua_State *L, const tide_runtime *rt) {
    int top = lua_gettop(L);
    tide_task_push_running(L, rt);
    tide_scope_push_of(L, top + 1);
    tide_scope_push_rare(L, top + 2, TIDE_RARE_CAUGHT);
    if (lua_isnil(L, -1)) {
        lua_newtable(L);
        lua_replace(L, top + 3);
        lua_pushvalue(L, top + 3);
        tide_scope_set_rare(L, top + 2, TIDE_RARE_CAUGHT);
    }
    lua_pushvalue(L, top + 1);
    lua_rawget(L, top + 3);
    lua_Integer n = lua_tointeger(L, -1) + 1;
    lua_pushvalue(L, top + 1);
    lua_pushinteger(L, n);
    lua_rawset(L, top + 3);
    lua_settop(L, top);
    return n > TIDE_SCOPE_PATIENCE;
}

/* Suspends the running task, which awaits the promise at 1. That who has resumed it can register it
 * there is made sure of: else nobody would resume it. */
static int suspend(lua_State *L, tide_runtime *rt, lua_KContext context, lua_KFunction done) {
    tide_promise *p = lua_touserdata(L, 1);
    lua_settop(L, 1);
    if (p->n > 0 || p->state != TIDE_PENDING)
        tide_promise_reserve(L, rt, 1, p);
    lua_pushvalue(L, 1);
    rt->tasks.yield = TIDE_YIELD_AWAIT;
    return lua_yieldk(L, 1, context, done);
}

/* Every await after the grace raises the reason, a turn of the loop later, so that others get
 * theirs. */
static int await_after_grace(lua_State *L, tide_runtime *rt, bool inside) {
    if (has_lost_patience(L, rt)) {
        rt->tasks.yield = TIDE_YIELD_GIVE_UP;
        return lua_yieldk(L, 0, 0, await_again_done);
    }
    if (inside)
        return suspend(L, rt, 0, await_again_done);
    lua_settop(L, 0);
    rt->push_turn(L, rt);
    return suspend(L, rt, 0, await_again_done);
}

/* The running task awaits what is at 1 while a cancellation is due, or after the grace. Negative:
 * as if there was none, since it gets a result that came before, or what has become of a call. */
static int await_cancelled(lua_State *L, tide_runtime *rt, tide_node *t) {
    const tide_scope *s = t->member.scope;
    tide_promise *p = tide_promise_test(L, rt, 1);
    bool inside = p != NULL && tide_scope_contains(s, p),
         pending = inside && p->state == TIDE_PENDING;
    if (p != NULL && (!inside || s->expired))
        tide_promise_mark_handled(L, rt, 1); /* nobody else will look at it */
    if (s->expired)
        return await_after_grace(L, rt, pending);
    if (pending)
        return suspend(L, rt, 0, await_late_done);
    if (p != NULL && p->state == TIDE_FULFILLED && !(t->promise.flags & TIDE_LATE)) {
        t->promise.flags |= TIDE_LATE;
        return -1;
    }
    return inside && p->state == TIDE_REJECTED ? -1 : raise_reason(L, rt);
}

int tide_task_await(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    if (!is_current(L, rt))
        return tide_task_at_top_level(rt) ? await_top(L, rt) : await_misplaced(L, rt);
    tide_node *t = rt->tasks.running.task;
    if (t->promise.flags & TIDE_MEMBER) {
        t->promise.flags &= (uint16_t)~TIDE_INTERRUPTED;
        int n = tide_task_is_cancelled(rt) && lua_isyieldable(L) ? await_cancelled(L, rt, t) : -1;
        if (n >= 0)
            return n;
    }
    bool at_once = rt->tasks.running.direct && tide_microtask_idle(rt) && lua_isyieldable(L);
    tide_promise *p = tide_promise_test(L, rt, 1);
    if (p != NULL && p->state != TIDE_PENDING && at_once) {
        if (tide_scope_is_due(t)) {
            tide_task_push_running(L, rt);
            rt->awaited(L, lua_gettop(L), 1);
        }
        return tide_task_outcome(L, rt, 1);
    }
    if (p == NULL && !await_thenable(L, rt)) {
        int n = lua_gettop(L);
        if (at_once)
            return n;
        if (!lua_isyieldable(L))
            return await_misplaced(L, rt);
        tide_microtask_reserve(L, rt);
        rt->tasks.yield = TIDE_YIELD_VALUE;
        return lua_yieldk(L, n, 0, await_done);
    }
    return lua_isyieldable(L) ? suspend(L, rt, 1, await_done) : await_misplaced(L, rt);
}

void tide_task_check_await(lua_State *L, tide_runtime *rt) {
    if (is_current(L, rt) ? !lua_isyieldable(L) : !tide_task_at_top_level(rt))
        await_misplaced(L, rt);
}

void tide_task_check_suspend(lua_State *L, tide_runtime *rt) {
    if (!is_current(L, rt) || !lua_isyieldable(L))
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
    if (!is_current(L, rt) || !lua_isyieldable(L) || tide_task_is_cancelled(rt))
        return false;
    lua_pushvalue(r->host, r->index);
    lua_xmove(r->host, L, 1);
    return true;
}

/* The task goes on, with values or a promise. */
static int held_done(lua_State *L, int status, lua_KContext hold_type) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    const tide_hold_type *type = (const tide_hold_type *)hold_type;
    (void)status;
    tide_task_check_own(L, rt);
    if (type->resume != NULL)
        return type->resume(L, rt);
    const tide_promise *p = tide_promise_test(L, rt, 1);
    if (p == NULL && !await_thenable(L, rt))
        return lua_gettop(L);
    p = lua_touserdata(L, 1);
    return p->state == TIDE_PENDING ? tide_task_await(L) : tide_task_outcome(L, rt, 1);
}

/* What is held has the holder and its place there on its coroutine. */
int tide_task_hold(lua_State *L, tide_runtime *rt, const tide_hold_type *type, lua_Integer place) {
    lua_settop(L, 1);
    lua_pushinteger(L, place);
    rt->tasks.running.task->promise.job.type = &type->job;
    rt->tasks.yield = TIDE_YIELD_HELD;
    return lua_yieldk(L, 0, (lua_KContext)type, held_done);
}

void tide_task_move_held(tide_node *task, lua_Integer place) {
    lua_State *co = task->is.co;
    if (co == NULL || lua_status(co) != LUA_YIELD || lua_gettop(co) < 2)
        return;
    lua_pushinteger(co, place);
    lua_replace(co, 2);
}

void tide_task_continue(lua_State *L, tide_runtime *rt, int task, int n) {
    tide_node *t = lua_touserdata(L, task);
    if (n < 0) {
        tide_promise_new(L, rt);
        lua_insert(L, -2);
        tide_promise_reject(L, rt, lua_gettop(L) - 1);
        n = 1;
    }
    tide_microtask_reserve(L, rt);
    t->promise.job.type = &task_type;
    if (t->is.co != NULL && lua_status(t->is.co) == LUA_YIELD) {
        lua_settop(t->is.co, 0);
        if (n > LUA_MINSTACK / 2)
            luaL_checkstack(t->is.co, n, "too many values");
        lua_xmove(L, t->is.co, n);
    } else {
        lua_pop(L, n); /* its job will find that somebody else has resumed or closed it */
    }
    lua_pushvalue(L, task);
    lua_pushnil(L);
    tide_microtask_enqueue(L, rt);
}

/* The task at the index goes on as if it had awaited the promise that is rejected with the reason.
 */
static void go_on_rejected(lua_State *L, tide_runtime *rt, tide_node *t, int task, int rejected) {
    tide_microtask_reserve(L, rt);
    tide_scope_receive(t);
    t->promise.flags |= TIDE_INTERRUPTED;
    tide_mark_cancelled(L, rt, task, t->is.co);
    lua_settop(t->is.co, 0);
    lua_pushvalue(L, rejected);
    lua_xmove(L, t->is.co, 1);
    lua_pushvalue(L, task);
    lua_pushvalue(L, rejected);
    tide_microtask_enqueue_reserved(L, rt);
}

/* Somebody else has closed or resumed the task's coroutine, which is dead by now: its job finds
 * out. */
static bool queue_lost(lua_State *L, tide_runtime *rt, int task, const tide_node *t) {
    lua_Debug ar;
    if (t->is.co == NULL || lua_status(t->is.co) == LUA_YIELD ||
        (lua_status(t->is.co) == LUA_OK &&
         (lua_gettop(t->is.co) > 0 || lua_getstack(t->is.co, 0, &ar))))
        return false;
    lua_pushvalue(L, task);
    lua_pushnil(L);
    tide_microtask_enqueue(L, rt);
    return true;
}

void tide_task_cancel_held(lua_State *L, tide_runtime *rt, int task, int rejected) {
    tide_node *t = lua_touserdata(L, task);
    const tide_hold_type *type = (const tide_hold_type *)t->promise.job.type;
    if (queue_lost(L, rt, task, t) || t->is.co == NULL || lua_status(t->is.co) != LUA_YIELD ||
        !lua_checkstack(t->is.co, 1))
        return;
    lua_pushvalue(t->is.co, 1);
    lua_xmove(t->is.co, L, 1); /* who holds it */
    type->forget(L, rt, lua_gettop(L), lua_tointeger(t->is.co, 2));
    lua_pop(L, 1);
    t->promise.job.type = &task_type;
    go_on_rejected(L, rt, t, task, rejected);
}

/* A suspended task that awaits something from elsewhere leaves that. What is of the scope it waits
 * for, but not for ever: functions that await one another are interrupted when the grace is over.
 */
static void cancel_task(lua_State *L, tide_runtime *rt, int task, int rejected) {
    tide_node *t = lua_touserdata(L, task);
    if (queue_lost(L, rt, task, t) || !tide_scope_push_awaited(L, rt, task))
        return;
    const tide_promise *p = lua_touserdata(L, -1);
    bool leaves = !tide_scope_contains(t->member.scope, p) ||
                  (t->member.scope->expired && tide_scope_awaits_itself(L, rt, task));
    if (leaves)
        tide_promise_leave(L, lua_gettop(L), t->promise.at.place);
    lua_pop(L, 1);
    if (leaves)
        go_on_rejected(L, rt, t, task, rejected);
}

/* ---- interruption ---- */

bool tide_task_is_call(const tide_promise *p) {
    return p->kind == TIDE_TASK || p->kind == TIDE_STEP || p->kind == TIDE_SCOPE;
}

void tide_task_push_interruption(lua_State *L, tide_runtime *rt) {
    tide_promise *p = tide_promise_new(L, rt);
    p->flags |= TIDE_HANDLED | TIDE_EXCUSED;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->interruption.ref_reason);
    tide_promise_reject(L, rt, lua_gettop(L) - 1);
}

/* Whether the running task, which is in no scope, has yet to be interrupted: it is from here on. */
static bool interrupt_running(tide_node *t) {
    if (t->promise.flags & TIDE_RECEIVED)
        return false;
    tide_scope_receive(t);
    t->promise.flags |= TIDE_INTERRUPTED;
    return true;
}

int tide_task_raise_interruption(lua_State *L, tide_runtime *rt) {
    tide_node *t = rt->tasks.running.task;
    if (t == NULL) {
        if (!rt->interruption.due)
            return 0;
        rt->interruption.due = false;
    } else if (t->promise.flags & TIDE_MEMBER && t->member.scope != NULL) {
        bool due = rt->tasks.running.co == L && tide_task_is_cancelled(rt);
        return due ? raise_reason(L, rt) : 0;
    } else if (rt->tasks.running.co != L || !interrupt_running(t)) {
        return 0;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->interruption.ref_reason);
    return lua_error(L);
}

/* Interrupts the suspended task at the index where it awaits what is on top. */
static void interrupt_await(lua_State *L, tide_runtime *rt, tide_node *t, int task) {
    tide_promise *p = lua_touserdata(L, -1);
    int awaited = lua_gettop(L);
    tide_task_push_interruption(L, rt);
    if (p->kind == TIDE_WAITER) {
        tide_scope_receive(t);
        t->promise.flags |= TIDE_INTERRUPTED;
        p->job.type->cancel(L, rt, awaited, awaited + 1);
    } else {
        tide_promise_leave(L, awaited, t->promise.at.place);
        go_on_rejected(L, rt, t, task, awaited + 1);
    }
    lua_settop(L, awaited);
}

/* A function that is about to go on is interrupted there if it does not come back soon. */
static void watch(const tide_runtime *rt, const tide_node *t) {
    if (t->is.co != NULL && lua_status(t->is.co) == LUA_YIELD)
        lua_sethook(t->is.co, rt->interruption.hook, LUA_MASKCOUNT, TIDE_INTERRUPTION_STEPS);
}

/* Interrupts a task that is held, or pushes the call that is interrupted instead. */
static bool interrupt_held(lua_State *L, tide_runtime *rt, const tide_node *t, int task) {
    const tide_hold_type *type = (const tide_hold_type *)t->promise.job.type;
    if (type->push_call != NULL) {
        lua_pushvalue(t->is.co, 1);
        lua_xmove(t->is.co, L, 1); /* who holds it */
        type->push_call(L, lua_gettop(L));
        lua_remove(L, -2);
        return false;
    }
    tide_task_push_interruption(L, rt);
    tide_task_cancel_held(L, rt, task, lua_gettop(L));
    return t->promise.flags & TIDE_RECEIVED;
}

bool tide_task_interrupt(lua_State *L, tide_runtime *rt, int task) {
    tide_node *t = lua_touserdata(L, task);
    if (t->promise.state != TIDE_PENDING || t->is.co == NULL || t->promise.flags & TIDE_RECEIVED ||
        queue_lost(L, rt, task, t)) {
        lua_pushnil(L);
        return true;
    }
    if (t->promise.job.type->cancel == tide_task_cancel_held)
        return interrupt_held(L, rt, t, task);
    const tide_promise *before = tide_promise_test(L, rt, -1);
    if (!tide_scope_push_awaited(L, rt, task)) {
        watch(rt, t);
        lua_pushvalue(L, -1);
        return false;
    }
    const tide_promise *p = lua_touserdata(L, -1);
    if (before != NULL && before != p && before->state == TIDE_REJECTED)
        return true;
    if (tide_task_is_call(p) && (before == NULL || before == p))
        return false;
    interrupt_await(L, rt, t, task);
    return true;
}

/* ---- functions ---- */

static int promise_await(lua_State *L) {
    tide_promise_check(L, tide_runtime_here(L), 1);
    return tide_task_await(L);
}

/* ---- cancellation ---- */

bool tide_task_is_cancelled(const tide_runtime *rt) {
    const tide_node *t = rt->tasks.running.task;
    if (t == NULL || !(t->promise.flags & TIDE_MEMBER) || t->member.scope == NULL)
        return false;
    return tide_scope_is_due(t) || t->member.scope->expired;
}

/* cancelled() -> whether the next await of the running async function raises a reason */
static int cancelled(lua_State *L) {
    lua_pushboolean(L, tide_task_is_cancelled(tide_runtime_here(L)));
    return 1;
}

void tide_task_receive(lua_State *L, tide_runtime *rt, int reason) {
    const tide_node *t = rt->tasks.running.task;
    int top = lua_gettop(L);
    if (t == NULL || !tide_scope_is_due(t))
        return;
    tide_task_push_running(L, rt);
    tide_scope_push_of(L, top + 1);
    tide_scope_push_reason(L, top + 2);
    if (lua_rawequal(L, reason, -1))
        tide_scope_receive(rt->tasks.running.task);
    lua_settop(L, top);
}

/* interrupted() -> whether a cancellation has ended the last await of the running async function */
static int interrupted(lua_State *L) {
    const tide_node *t = tide_runtime_here(L)->tasks.running.task;
    lua_pushboolean(L, t != NULL && t->promise.flags & TIDE_INTERRUPTED);
    return 1;
}

/* receive(reason) */
static int receive(lua_State *L) {
    lua_settop(L, 1);
    tide_task_receive(L, tide_runtime_here(L), 1);
    return 0;
}

/* is_inside(promise) -> whether it is that of a call or a group in the scope of the running
 * function */
static int is_inside(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const tide_node *t = rt->tasks.running.task;
    const tide_promise *p = tide_promise_test(L, rt, 1);
    lua_pushboolean(L, p != NULL && t != NULL && t->promise.flags & TIDE_MEMBER &&
                           t->member.scope != NULL && tide_scope_contains(t->member.scope, p));
    return 1;
}

/* awaited(promise) -> the pending promise that the async function, or who adopts, waits for */
static int awaited(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const tide_promise *p = tide_promise_check(L, rt, 1);
    return p->state == TIDE_PENDING && tide_scope_push_awaited(L, rt, 1);
}

const luaL_Reg tide_task_functions[] = {{"async", async},
                                        {"spawn", spawn},
                                        {"detach", detach},
                                        {"await", tide_task_await},
                                        {"awaited", awaited},
                                        {"check_await", check_await},
                                        {"cancelled", cancelled},
                                        {"interrupted", interrupted},
                                        {"is_inside", is_inside},
                                        {"receive", receive},
                                        {"watch_calls", watch_calls},
                                        {"announce_call", announce_call},
                                        {"stands_for", stands_for},
                                        {NULL, NULL}};

const luaL_Reg tide_task_methods[] = {{"await", promise_await}, {NULL, NULL}};

void tide_task_open(tide_runtime *rt) {
    rt->body_function = task_body;
}
