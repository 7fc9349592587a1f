/*
 * The body is an async function. `yield` settles the promise of the request that the body works on,
 * a step, and waits for the next one. A request made while the body runs stands in a line.
 *
 * A generator belongs to the scope of the request that it works on, and to none while it waits at a
 * yield. So a cancellation of whoever asks reaches the innermost await, that of the body, and the
 * asker gets what the body makes of it.
 */
#include "core/generator.h"

#include "core/argument.h"
#include "core/context.h"
#include "core/line.h"
#include "core/objects.h"

#define CLASS "moontide.Generator"

typedef enum request_kind { NEXT, THROW, CLOSE } request_kind;

typedef struct generator {
    tide_microtask job; /* as a reaction of its body's promise */
    const void *tag;
    tide_line line;   /* requests that wait for their turn, with a table: the kind, the values */
    tide_node *task;  /* the body, once it has begun */
    tide_node *asker; /* the function that waits at a yield */
    uint32_t call;    /* see watch_calls in task.c: of the body, until it begins */
    int nargs;        /* of the call: the function and its arguments */
    uint8_t state;
    uint8_t asked;  /* the kind of the request that the body works on */
    bool has_woken; /* the body was woken by that, and has not yielded since */
    bool is_closing;
    bool at_home; /* who waits at a yield was in the scope of the request, not in one inside */
} generator;

/* BUSY: the body works on no request. */
enum { NEW, RUNNING, BUSY, YIELDED, DONE };

/* User values. What a generator needs to begin stands, until then, where the body's are later. */
enum {
    SLOT_LINE = 1,
    SLOT_STEP,                 /* the request that the body works on */
    SLOT_TASK,                 /* the body */
    SLOT_CALL = SLOT_TASK,     /* a table: the function, the arguments */
    SLOT_ASKER,                /* the function that waits at a yield */
    SLOT_CONTEXT = SLOT_ASKER, /* where it was called */
    SLOT_CLOSING               /* the error that unwinds the body */
};

static const char tag = 0;

static generator *check_self(lua_State *L) {
    generator *g = lua_touserdata(L, 1);
    if (g == NULL || lua_rawlen(L, 1) != sizeof *g || g->tag != &tag)
        tide_argument_expected(L, 1, CLASS);
    return g;
}

/* ---- requests ---- */

static void run_step(lua_State *L, tide_runtime *rt, int job, void *self) {
    (void)L, (void)rt, (void)job, (void)self; /* that it is settled is not its own job */
}

static const tide_microtask_type step_type = {"step", run_step, NULL, NULL};

static const tide_line_type request_type = {TIDE_LINE_WAITER("generator:next", TIDE_LINE_ITEM),
                                            offsetof(generator, line)};

/* Pushes the step of a request that the body will work on at once. What comes to the body is what
 * comes to it, so that it stands in no list of its scope. [-0, +1, m] */
static void push_step(lua_State *L, tide_runtime *rt) {
    tide_scope *s = tide_scope_push_current(L, rt);
    tide_node *n = tide_promise_new_node(L, rt, &step_type, TIDE_STEP, s != NULL,
                                         s != NULL ? TIDE_SLOT_CONTEXT : TIDE_SLOT_REACTIONS);
    if (s == NULL)
        return;
    n->member.scope = s;
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, TIDE_SLOT_CONTEXT);
}

/* The request at the index is a step from now on. [-0, +0, m] */
static void make_step(lua_State *L, tide_runtime *rt, int request) {
    tide_promise *p = lua_touserdata(L, request);
    if (p->kind == TIDE_STEP)
        return;
    lua_pushnil(L);
    lua_setiuservalue(L, request, TIDE_SLOT_VALUE);
    p->kind = TIDE_STEP;
    p->job.type = &step_type;
    if (p->flags & TIDE_MEMBER)
        tide_scope_unlist(L, rt, request);
}

/* The scope of who asks; a function that is held is in none that is open. */
static tide_scope *scope_of(lua_State *L, int step) {
    const tide_node *n = lua_touserdata(L, step);
    return n->promise.kind == TIDE_STEP && n->promise.flags & TIDE_MEMBER ? n->member.scope : NULL;
}

static bool is_held(lua_State *L, int step) {
    return ((const tide_promise *)lua_touserdata(L, step))->kind == TIDE_TASK;
}

/* Answers with the n values on top. [-n, +0, m] */
static void fulfil_step(lua_State *L, tide_runtime *rt, int step, int n) {
    if (is_held(L, step))
        tide_task_continue(L, rt, step, n);
    else
        tide_promise_fulfil(L, rt, step, n);
}

/* Answers with the reason on top. [-1, +0, m] */
static void reject_step(lua_State *L, tide_runtime *rt, int step) {
    if (is_held(L, step))
        tide_task_continue(L, rt, step, -1);
    else
        tide_promise_reject(L, rt, step);
}

/* Answers with the outcome of the promise on top. [-1, +0, m] */
static void resolve_step(lua_State *L, tide_runtime *rt, int step) {
    if (!is_held(L, step)) {
        tide_promise_resolve(L, rt, step, 1);
        return;
    }
    tide_promise_new(L, rt);
    lua_insert(L, -2);
    tide_promise_resolve(L, rt, lua_gettop(L) - 1, 1);
    tide_task_continue(L, rt, step, 1);
}

/* The body works in the scope of who asked, and has received what that had; in none if that is
 * over, since a request to close outlives it. [-0, +0, m] */
static void enter_scope(lua_State *L, tide_runtime *rt, int self, int step) {
    const generator *g = lua_touserdata(L, self);
    const tide_scope *s = scope_of(L, step);
    int top = lua_gettop(L);
    if (s == NULL || s->closed || g->task == NULL || g->task->promise.state != TIDE_PENDING)
        return;
    lua_getiuservalue(L, self, SLOT_TASK);
    tide_scope_push_of(L, step);
    tide_scope_enter(L, rt, top + 2, top + 1, tide_scope_child(rt, s));
    if (s->cancellation != 0 && g->asked == CLOSE)
        tide_scope_receive(g->task);
    lua_settop(L, top);
}

/* The step has received what the body has. [-0, +0, -] */
static void leave_scope(lua_State *L, tide_runtime *rt, int self, int step) {
    const generator *g = lua_touserdata(L, self);
    tide_node *t = g->task, *n = lua_touserdata(L, step);
    if (t == NULL || t->promise.state != TIDE_PENDING || t->member.scope == NULL)
        return;
    if (n->promise.flags & TIDE_MEMBER && n->member.scope == t->member.scope)
        n->promise.flags |= t->promise.flags & TIDE_RECEIVED;
    lua_getiuservalue(L, self, SLOT_TASK);
    tide_scope_leave(L, rt, lua_gettop(L));
    lua_pop(L, 1);
    t->promise.flags &= (uint16_t)~TIDE_RECEIVED;
}

/* Pushes the step that the body works on; nil: a function that the body has started works in vain.
 * [-0, +1, -] */
static bool push_current(lua_State *L, int self) {
    return lua_getiuservalue(L, self, SLOT_STEP) != LUA_TNIL;
}

/* The step on top, popped, has been dealt with. [-1, +0, -] */
static void drop_step(lua_State *L, tide_runtime *rt, int self, int state) {
    generator *g = lua_touserdata(L, self);
    if (!lua_isnil(L, -1))
        leave_scope(L, rt, self, lua_gettop(L));
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_setiuservalue(L, self, SLOT_STEP);
    g->state = (uint8_t)state;
}

/* ---- working on requests ---- */

static const tide_hold_type yield_type;

/* Pushes the error that unwinds the body. [-0, +1, m] */
static void push_closing(lua_State *L, tide_runtime *rt, int self) {
    generator *g = lua_touserdata(L, self);
    lua_pushliteral(L, "the generator was closed");
    tide_objects_new_error(L, rt, "AbortError");
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, self, SLOT_CLOSING);
    g->is_closing = true;
}

/* The step at the index is worked on from now on. [-0, +0, m] */
static void take_step(lua_State *L, tide_runtime *rt, int self, int step, request_kind kind) {
    generator *g = lua_touserdata(L, self);
    g->asked = (uint8_t)kind;
    enter_scope(L, rt, self, step);
    lua_pushvalue(L, step);
    lua_setiuservalue(L, self, SLOT_STEP);
    g->state = RUNNING;
}

/* Whoever waits at a yield goes on with the step at the index and the n values on top. Room for the
 * job has been made: a finalizer that asks must not come in between. [-n, +0, m] */
static void wake(lua_State *L, tide_runtime *rt, int self, int step, request_kind kind, int n) {
    generator *g = lua_touserdata(L, self);
    take_step(L, rt, self, step, kind);
    if (kind == CLOSE) {
        push_closing(L, rt, self);
        n = 1;
    }
    if (g->asker->promise.job.type != &yield_type.job) { /* it has been cancelled there */
        lua_pop(L, n);
        return;
    }
    lua_pushlightuserdata(L, g);
    lua_insert(L, -n - 1);
    lua_getiuservalue(L, self, SLOT_ASKER);
    lua_insert(L, -n - 2);
    tide_task_continue(L, rt, lua_gettop(L) - n - 1, n + 1);
    lua_pop(L, 1);
}

/* Replaces the table that has come with a request, on top, by its values. [-1, +n, m] */
static request_kind unpack(lua_State *L, int *n) {
    int item = lua_gettop(L);
    lua_rawgeti(L, item, 1);
    request_kind kind = (request_kind)lua_tointeger(L, -1);
    lua_rawgeti(L, item, 2);
    *n = (int)lua_tointeger(L, -1);
    lua_settop(L, item);
    luaL_checkstack(L, *n + LUA_MINSTACK, "too many values");
    for (int i = 1; i <= *n; i++)
        lua_rawgeti(L, item, i + 2);
    lua_remove(L, item);
    return kind;
}

/* Pushes the first request of the line as a step, with its values; false: there is none. Room for
 * jobs has been made. [-0, +(0|1+n), m] */
static bool take_request(lua_State *L, tide_runtime *rt, int self, request_kind *kind, int *n) {
    generator *g = lua_touserdata(L, self);
    if (!tide_line_take(L, self, &g->line))
        return false;
    int step = lua_gettop(L);
    make_step(L, rt, step);
    tide_line_push_item(L, step);
    *kind = unpack(L, n);
    return true;
}

/* Answers a request, with its n values on top, when there is no body to do so. [-n, +0, m] */
static void answer_over(lua_State *L, tide_runtime *rt, int step, request_kind kind, int n) {
    if (kind == THROW) {
        reject_step(L, rt, step);
    } else {
        lua_pop(L, n);
        fulfil_step(L, rt, step, 0);
    }
}

/* Whether the next request is worked on at once. Making room for its jobs can run finalizers, which
 * can ask. */
static bool is_free(lua_State *L, tide_runtime *rt, const generator *g) {
    tide_microtask_reserve(L, rt);
    return g->state != RUNNING && g->state != BUSY;
}

/* Works on the line as far as that goes without the body. [-0, +0, m] */
static void advance(lua_State *L, tide_runtime *rt, int self) {
    generator *g = lua_touserdata(L, self);
    int top = lua_gettop(L), n;
    request_kind kind;
    while (is_free(L, rt, g) && take_request(L, rt, self, &kind, &n)) {
        if (g->state == YIELDED) {
            wake(L, rt, self, top + 1, kind, n);
        } else {
            g->state = DONE;
            answer_over(L, rt, top + 1, kind, n);
        }
        lua_settop(L, top);
    }
}

/* ---- the body ends ---- */

/* The body's promise is rejected, and so is the step that followed it. */
static void run_failed(lua_State *L, tide_runtime *rt, int job, void *self) {
    ((generator *)self)->state = DONE;
    advance(L, rt, job);
}

static const tide_microtask_type failed_type = {"generator", run_failed, NULL, NULL};

/* The step follows the body's promise, at the index, rather than being rejected with the reason: so
 * traces lead into the body. The next ones are answered when it has got there. [-0, +0, m] */
static void fail_like(lua_State *L, tide_runtime *rt, int self, int step, int task) {
    generator *g = lua_touserdata(L, self);
    lua_pushvalue(L, task);
    resolve_step(L, rt, step);
    tide_promise *behind = tide_promise_new(L, rt);
    int at = lua_gettop(L);
    g->job.type = &failed_type;
    lua_pushvalue(L, self);
    tide_promise_then(L, rt, at, behind);
    lua_pushvalue(L, task);
    tide_promise_resolve(L, rt, at, 1);
    lua_pop(L, 1);
}

static bool is_closing_error(lua_State *L, int self, int promise) {
    int top = lua_gettop(L);
    lua_getiuservalue(L, self, SLOT_CLOSING);
    tide_promise_push(L, promise);
    bool is = ((const generator *)lua_touserdata(L, self))->is_closing &&
              lua_rawequal(L, top + 1, top + 2);
    lua_settop(L, top);
    return is;
}

/* The body's promise, above the generator, has settled. */
static void run_settled(lua_State *L, tide_runtime *rt, int self, void *of) {
    generator *g = of;
    const tide_promise *task = lua_touserdata(L, self + 1);
    if (task->state == TIDE_FULFILLED)
        return;
    int step = self + 2;
    bool asked = push_current(L, self);
    lua_pushvalue(L, step);
    drop_step(L, rt, self, BUSY);
    if (asked && !is_closing_error(L, self, self + 1)) {
        fail_like(L, rt, self, step, self + 1);
        return;
    }
    if (asked) {
        fulfil_step(L, rt, step, 0);
    } else { /* nobody hears of it */
        tide_promise_new(L, rt);
        tide_promise_settle_like(L, rt, lua_gettop(L), self + 1);
    }
    g->state = DONE;
    advance(L, rt, self);
}

static const tide_microtask_type settled_type = {"generator", run_settled, NULL, NULL};

/* ---- in the body ---- */

/* Calls await with the values on the stack, and then next. To be called last. */
static int call_await(lua_State *L, tide_runtime *rt, lua_KFunction next) {
    int n = lua_gettop(L);
    lua_pushlightuserdata(L, rt);
    lua_pushcclosure(L, tide_task_await, 1);
    lua_insert(L, 1);
    lua_callk(L, n, LUA_MULTRET, 0, next);
    return next(L, LUA_OK, 0);
}

/* A cancellation that has not arrived yet must not wait for an await that may never come: raises
 * it. To be called last. */
static int raise_cancellation(lua_State *L) {
    lua_settop(L, 0);
    return tide_task_await(L);
}

/* Pushes the generator of a function of the body, below what is on the stack. [-0, +1, -] */
static generator *insert_self(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    return lua_touserdata(L, 1);
}

/* The body has returned what is on the stack, awaited. */
static int finish(lua_State *L, int status, lua_KContext context) {
    tide_runtime *rt = tide_runtime_here(L);
    (void)status, (void)context;
    if (tide_task_is_cancelled(rt))
        return raise_cancellation(L);
    luaL_checkstack(L, LUA_MINSTACK, "too many results");
    int n = lua_gettop(L);
    const generator *g = insert_self(L);
    if (push_current(L, 1)) { /* else the body waits, in vain, in a function that it has started */
        lua_insert(L, 2);
        if (n > 0 && g->asked != CLOSE) {
            lua_pushnil(L);
            lua_insert(L, 3);
            fulfil_step(L, rt, 2, n + 1);
        } else {
            fulfil_step(L, rt, 2, 0);
        }
        lua_settop(L, 2);
    }
    drop_step(L, rt, 1, DONE);
    advance(L, rt, 1);
    return 0;
}

static int body_returned(lua_State *L, int status, lua_KContext context) {
    (void)status, (void)context;
    tide_runtime *rt = tide_runtime_here(L);
    if (tide_task_is_cancelled(rt))
        return raise_cancellation(L);
    return lua_gettop(L) == 0 ? finish(L, LUA_OK, 0) : call_await(L, rt, finish);
}

/* The body has caught what should unwind it: it is left standing, or it might never end. */
static int give_up(lua_State *L, tide_runtime *rt) {
    lua_settop(L, 0);
    insert_self(L);
    push_current(L, 1);
    lua_pushliteral(L, "yield in a generator that is being closed");
    tide_objects_new_error(L, rt, "GeneratorError");
    reject_step(L, rt, 2);
    drop_step(L, rt, 1, DONE);
    advance(L, rt, 1);
    lua_settop(L, 0);
    tide_promise_new(L, rt);
    return tide_task_await(L);
}

/* In a group of its own the body stays in that; else it goes on in the scope of who asks.
 * [-0, +0, m] */
static void follow_asker(lua_State *L, tide_runtime *rt, int self) {
    const generator *g = lua_touserdata(L, self);
    int top = lua_gettop(L);
    if (!g->at_home || !push_current(L, self)) {
        lua_settop(L, top);
        return;
    }
    tide_scope *s = scope_of(L, top + 1);
    if (s != tide_scope_current(L, rt)) {
        if (s != NULL)
            tide_scope_push_of(L, top + 1);
        tide_context_push(L, rt);
        tide_scope_push_context(L, -1, s != NULL ? top + 2 : 0);
        tide_context_set(L, rt);
    }
    lua_settop(L, top);
}

/* Whoever waited at a yield goes on as the request says, with the values above the generator at 1.
 */
static int obey(lua_State *L, tide_runtime *rt) {
    const generator *g = lua_touserdata(L, 1);
    follow_asker(L, rt, 1);
    return g->asked == NEXT ? lua_gettop(L) - 1 : lua_error(L);
}

/* Woken by a request, whose values stand above the generator's address; or cancelled. */
static int resume_yield(lua_State *L, tide_runtime *rt) {
    generator *g = lua_touserdata(L, lua_upvalueindex(2));
    if (!lua_islightuserdata(L, 1) || lua_touserdata(L, 1) != g)
        return tide_task_outcome(L, rt, 1);
    g->has_woken = true;
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_replace(L, 1);
    return obey(L, rt);
}

static void forget_yield(lua_State *L, tide_runtime *rt, int holder, lua_Integer place) {
    (void)L, (void)rt, (void)holder, (void)place; /* who wakes it will see that it is gone */
}

static const tide_hold_type yield_type = {TIDE_HOLD_JOB("yield"), forget_yield, resume_yield, NULL};

/* Waits at a yield for a request; the generator is at 1. */
static int wait_for_request(lua_State *L, tide_runtime *rt, generator *g) {
    tide_node *t = rt->tasks.running.task;
    if (g->asker != t) {
        tide_task_push_running(L, rt);
        lua_setiuservalue(L, 1, SLOT_ASKER);
        g->asker = t;
    }
    g->has_woken = false;
    g->state = YIELDED;
    return tide_task_hold(L, rt, &yield_type, 0);
}

/* Hands the values on the stack to who has asked. */
static int answer(lua_State *L, tide_runtime *rt) {
    int n = lua_gettop(L);
    request_kind kind;
    if (n > LUA_MINSTACK / 2)
        luaL_checkstack(L, LUA_MINSTACK, "too many values");
    generator *g = insert_self(L);
    push_current(L, 1);
    lua_insert(L, 2);
    const tide_scope *s = scope_of(L, 2);
    g->at_home = tide_scope_current(L, rt) == s || (s != NULL && s->closed);
    fulfil_step(L, rt, 2, n);
    drop_step(L, rt, 1, BUSY);
    if (tide_ring_length(&g->line) > 0)
        tide_microtask_reserve(L, rt);
    if (!take_request(L, rt, 1, &kind, &n))
        return wait_for_request(L, rt, g);
    g->has_woken = false;
    take_step(L, rt, 1, 2, kind);
    if (kind == CLOSE)
        push_closing(L, rt, 1);
    lua_remove(L, 2);
    return obey(L, rt);
}

/* Raises what stands in the way of a yield of the values on the stack. */
static void check_yield(lua_State *L, const generator *g) {
    if (g->state != RUNNING)
        luaL_error(L, "yield outside its generator");
    if (lua_isnoneornil(L, 1))
        tide_argument_expected(L, 1, "value");
}

static int yield_awaited(lua_State *L, int status, lua_KContext context) {
    tide_runtime *rt = tide_runtime_here(L);
    (void)status, (void)context;
    check_yield(L, lua_touserdata(L, lua_upvalueindex(2)));
    return tide_task_is_cancelled(rt) ? raise_cancellation(L) : answer(L, rt);
}

/* yield(...), upvalues: the runtime, the generator. It takes a tick, as in ECMA-262. Being woken
 * has taken it already: there a generator goes on at once when it is asked, which a function that
 * awaits cannot. */
static int yield(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const generator *g = lua_touserdata(L, lua_upvalueindex(2));
    check_yield(L, g);
    tide_task_check_suspend(L, rt);
    if (g->is_closing)
        return give_up(L, rt);
    if (g->has_woken && tide_promise_is_plain(L, 1))
        return tide_task_is_cancelled(rt) ? raise_cancellation(L) : answer(L, rt);
    return call_await(L, rt, yield_awaited);
}

/* The body's function: f(yield, ...); called with f and the arguments, upvalues as above. */
static int run_body(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushcclosure(L, yield, 2);
    lua_insert(L, 2);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, body_returned);
    return body_returned(L, LUA_OK, 0);
}

/* ---- asking ---- */

/* Pushes a promise for what the n values on top, popped, ask a generator at 1 which has nothing to
 * begin with. [-n, +1, m] */
static void request(lua_State *L, tide_runtime *rt, request_kind kind, int n) {
    const generator *g = lua_touserdata(L, 1);
    int at = lua_gettop(L) - n + 1;
    if (g->state == YIELDED) {
        push_step(L, rt);
        lua_insert(L, at);
        tide_microtask_reserve(L, rt);
        if (g->state == YIELDED) { /* no finalizer has asked meanwhile */
            wake(L, rt, 1, at, kind, n);
            return;
        }
        lua_remove(L, at);
    }
    lua_createtable(L, n + 2, 0);
    lua_insert(L, at);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, at, i + 2);
    lua_pushinteger(L, kind);
    lua_rawseti(L, at, 1);
    lua_pushinteger(L, n);
    lua_rawseti(L, at, 2);
    lua_pushnil(L); /* no signal */
    tide_line_wait(L, rt, &request_type, 1, at + 1, at);
    if (kind == CLOSE) /* no cancellation takes that out of the line */
        make_step(L, rt, at + 2);
    lua_replace(L, at);
    lua_settop(L, at);
    advance(L, rt, 1);
}

/* Replaces the context and the call, above the step at 2, by the body's task, with the generator as
 * its reaction. [-2, +1, m] */
static tide_node *make_task(lua_State *L, tide_runtime *rt) {
    generator *g = lua_touserdata(L, 1);
    tide_scope *s = scope_of(L, 2);
    if (s != NULL)
        tide_scope_push_of(L, 2);
    tide_scope_push_context(L, 3, s != NULL ? 5 : 0);
    lua_replace(L, 3);
    lua_settop(L, 4);
    luaL_checkstack(L, g->nargs + LUA_MINSTACK, "too many arguments");
    for (int i = 1; i <= g->nargs; i++)
        lua_rawgeti(L, 4, i);
    lua_pushlightuserdata(L, rt);
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, run_body, 2);
    lua_remove(L, 4);
    rt->tasks.call = g->call;
    g->call = 0;
    tide_node *t = tide_task_new_movable(L, rt, g->nargs, 3);
    lua_remove(L, 3);
    g->job.type = &settled_type;
    lua_pushvalue(L, 1);
    tide_promise_then(L, rt, 3, &t->promise);
    return t;
}

/* Begins the body, for a step that stands at 2 then, and calls done. To be called last. */
static int begin(lua_State *L, tide_runtime *rt, lua_KFunction done) {
    generator *g = lua_touserdata(L, 1);
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, SLOT_CONTEXT);
    lua_getiuservalue(L, 1, SLOT_CALL);
    push_step(L, rt);
    lua_insert(L, 2);
    tide_node *t = make_task(L, rt);
    if (g->state != NEW) { /* a finalizer has asked meanwhile */
        lua_settop(L, 1);
        request(L, rt, NEXT, 0);
        return done(L, LUA_OK, 0);
    }
    g->state = DONE; /* unless the next ones succeed */
    g->task = t;
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, 1, SLOT_TASK);
    take_step(L, rt, 1, 2, NEXT);
    return tide_task_begin(L, rt, t, g->nargs, done);
}

/* Asks the generator at 1, with the values above, and calls done with the promise at 2. To be
 * called last. */
static int ask(lua_State *L, tide_runtime *rt, request_kind kind, lua_KFunction done) {
    const generator *g = lua_touserdata(L, 1);
    if (kind != CLOSE && tide_waiter_push_refused(L, rt)) {
        lua_insert(L, 2);
        return done(L, LUA_OK, 0);
    }
    if (g->state == NEW && kind == NEXT)
        return begin(L, rt, done);
    luaL_checkstack(L, LUA_MINSTACK, "too many values");
    request(L, rt, kind, lua_gettop(L) - 1);
    return done(L, LUA_OK, 0);
}

static int return_step(lua_State *L, int status, lua_KContext context) {
    (void)context;
    if (status == LUA_YIELD)
        tide_task_check_own(L, lua_touserdata(L, lua_upvalueindex(1)));
    lua_settop(L, 2);
    return 1;
}

static int await_step(lua_State *L, int status, lua_KContext context) {
    return_step(L, status, context);
    return tide_task_await_top(L);
}

/* ---- methods ---- */

/* generator:next(...) -> promise */
static int generator_next(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    check_self(L);
    return ask(L, rt, NEXT, return_step);
}

/* generator:throw(reason) -> promise */
static int generator_throw(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    check_self(L);
    lua_settop(L, 2);
    return ask(L, rt, THROW, return_step);
}

/* generator:close() -> promise */
static int generator_close(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    check_self(L);
    lua_settop(L, 1);
    return ask(L, rt, CLOSE, return_step);
}

static void forget_asker(lua_State *L, tide_runtime *rt, int holder, lua_Integer place) {
    (void)L, (void)rt, (void)holder, (void)place; /* it is in no scope: no cancellation comes */
}

static void push_body(lua_State *L, int holder) {
    lua_getiuservalue(L, holder, SLOT_TASK);
}

static const tide_hold_type asker_type = {TIDE_HOLD_JOB("generator:next"), forget_asker, NULL,
                                          push_body};

/* for ... in generator. Nobody sees the promise of the step: outside all scopes there is none, the
 * function that asks is held instead. */
static int generator_call(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const generator *g = check_self(L);
    tide_task_check_await(L, rt);
    lua_settop(L, 1);
    tide_microtask_reserve(L, rt);
    if (g->state == YIELDED && tide_scope_current(L, rt) == NULL &&
        tide_task_push_holdable(L, rt)) {
        wake(L, rt, 1, 2, NEXT, 0);
        return tide_task_hold(L, rt, &asker_type, 0);
    }
    return ask(L, rt, NEXT, await_step);
}

static int await_closing(lua_State *L, tide_runtime *rt, bool again);

/* The await of the promise at 3 has ended; again: the one before has failed, with the reason at 4.
 */
static int closing_awaited(lua_State *L, int status, lua_KContext again) {
    const tide_promise *p = lua_touserdata(L, 3);
    if (!again && (status == LUA_OK || status == LUA_YIELD))
        return 0;
    lua_settop(L, 4);
    if (!again && p->state == TIDE_PENDING)
        return await_closing(L, tide_runtime_here(L), true);
    return lua_isnil(L, 2) ? lua_error(L) : 0;
}

static int await_closing(lua_State *L, tide_runtime *rt, bool again) {
    lua_pushlightuserdata(L, rt);
    lua_pushcclosure(L, tide_task_await, 1);
    lua_pushvalue(L, 3);
    return closing_awaited(L, lua_pcallk(L, 1, 0, 0, again, closing_awaited), again);
}

/* The clean-up is waited for also when a cancellation comes in between. An error that has led here,
 * the second argument, is not replaced by one of the clean-up. */
static int generator_close_variable(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const generator *g = check_self(L);
    lua_settop(L, 2);
    if (g->state == DONE)
        return 0;
    request(L, rt, CLOSE, 0);
    return await_closing(L, rt, false);
}

/* ---- making ---- */

/* What generator(f) returns; upvalues: the runtime, f. Its results are what a for loop takes. */
static int new_generator(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    int n = lua_gettop(L) + 1;
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_createtable(L, n, 0);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, 1, i);
    generator *g = lua_newuserdatauv(L, sizeof *g, SLOT_CLOSING);
    *g = (generator){.tag = &tag, .call = rt->tasks.call, .nargs = n};
    rt->tasks.call = 0;
    tide_ring_init(&g->line, SLOT_LINE);
    luaL_setmetatable(L, CLASS);
    lua_insert(L, 1);
    lua_setiuservalue(L, 1, SLOT_CALL);
    tide_context_push(L, rt);
    lua_setiuservalue(L, 1, SLOT_CONTEXT);
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, 1);
    return 4;
}

/* generator(f) -> function */
static int make_generator(lua_State *L) {
    tide_runtime_here(L);
    tide_argument_callable(L, 1);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_pushcclosure(L, new_generator, 2);
    return 1;
}

/* ---- who waits for it ---- */

bool tide_generator_add_waiting(lua_State *L, int object, int list) {
    const generator *g = lua_touserdata(L, object);
    if (lua_rawlen(L, object) != sizeof *g || g->tag != &tag)
        return false;
    if (push_current(L, object))
        lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
    else
        lua_pop(L, 1);
    tide_ring_add_to(L, object, &g->line, list);
    return true;
}

const luaL_Reg tide_generator_functions[] = {{"generator", make_generator}, {NULL, NULL}};

void tide_generator_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {
        {"__call", generator_call}, {"__close", generator_close_variable}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"next", generator_next},
                                       {"throw", generator_throw},
                                       {"close", generator_close},
                                       {NULL, NULL}};
    static const luaL_Reg of_bodies[] = {{"yield", yield}, {NULL, NULL}};
    tide_objects_open_class(L, rt, CLASS, "generator:", metamethods, methods);
    tide_argument_name(L, rt, "", of_bodies);
}
