/*
 * Invariants: a promise settles once; its reactions run from the microtask queue, never from
 * here. Room in the queue is made before anything changes, so that a promise is never settled
 * without its reactions being queued.
 */
#include "core/promise.h"

#include <string.h>

#include "core/argument.h"
#include "core/context.h"
#include "core/objects.h"
#include "core/trace.h"

#define resolver_promise lua_upvalueindex(1)
#define resolver_generation lua_upvalueindex(2)

static void reject_with_error(lua_State *L, tide_runtime *rt, int job, void *self);

/* ---- making ---- */

static void run_nothing(lua_State *L, tide_runtime *rt, int job, void *self) {
    (void)L, (void)rt, (void)job, (void)self;
}

static const tide_microtask_type plain_type = {"Promise", run_nothing, reject_with_error, NULL};

void *tide_promise_new_struct(lua_State *L, tide_runtime *rt, const tide_microtask_type *type,
                              tide_promise_kind kind, size_t size, int user_values) {
    bool markable = rt->reports != 0;
    tide_promise *p = lua_newuserdatauv(L, size, user_values + markable);
    memset(p, 0, size);
    p->flags = markable ? TIDE_MARKABLE : 0;
    p->job.type = type;
    p->rt = rt;
    p->kind = (uint8_t)kind;
    p->user_values = (uint8_t)user_values;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_promise_meta);
    lua_setmetatable(L, -2);
    return p;
}

tide_promise *tide_promise_new_of(lua_State *L, tide_runtime *rt, const tide_microtask_type *type,
                                  int user_values) {
    return tide_promise_new_struct(L, rt, type, TIDE_PLAIN, sizeof(tide_promise), user_values);
}

tide_node *tide_promise_new_node(lua_State *L, tide_runtime *rt, const tide_microtask_type *type,
                                 tide_promise_kind kind, bool member, int user_values) {
    size_t size = member ? sizeof(tide_node) : offsetof(tide_node, member);
    tide_node *node = tide_promise_new_struct(L, rt, type, kind, size, user_values);
    if (member)
        node->promise.flags |= TIDE_MEMBER;
    return node;
}

tide_promise *tide_promise_new(lua_State *L, tide_runtime *rt) {
    return tide_promise_new_of(L, rt, &plain_type, TIDE_SLOT_REACTIONS);
}

tide_promise *tide_promise_check(lua_State *L, tide_runtime *rt, int argument) {
    tide_promise *p = tide_promise_test(L, rt, argument);
    if (p == NULL)
        tide_argument_expected(L, argument, "Promise");
    return p;
}

/* ---- settling ---- */

/* Pops the payload and settles; n as in the struct. The queue has room, and the last allocation is
 * done: a finalizer may have settled the promise meanwhile. [-1, +0, m] */
static void settle(lua_State *L, tide_runtime *rt, int promise, tide_promise *p, tide_state state,
                   int n) {
    int reactions = p->n;
    if (p->state != TIDE_PENDING) {
        lua_pop(L, 1);
        return;
    }
    p->at.rejection = 0;
    if (state == TIDE_REJECTED && !(p->flags & TIDE_HANDLED))
        rt->track(L, rt, promise, false);
    if (n == 0 && p->job.type == &plain_type)
        lua_pop(L, 1); /* there is nothing to be replaced */
    else
        lua_setiuservalue(L, promise, TIDE_SLOT_VALUE);
    p->state = (uint8_t)state;
    p->n = n;
    p->job.type = &plain_type;
    if (reactions != 0) {
        lua_getiuservalue(L, promise, TIDE_SLOT_REACTIONS);
        lua_pushnil(L);
        lua_setiuservalue(L, promise, TIDE_SLOT_REACTIONS);
        lua_pushvalue(L, promise);
        tide_microtask_enqueue_reserved(L, rt);
    }
    if (p->flags & TIDE_MEMBER)
        rt->leave(L, rt, promise);
    if (p->flags & TIDE_MARKABLE)
        rt->mark_settled(L, promise);
    if (p->user_values >= TIDE_SLOT_EXTRA && p->kind != TIDE_TASK) {
        lua_pushnil(L);
        lua_setiuservalue(L, promise, TIDE_SLOT_EXTRA);
    }
}

/* Replaces n values by one: nil, the value itself, or a table of them. [-n, +1, m] */
static void pack(lua_State *L, int n) {
    if (n == 1)
        return;
    if (n == 0) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, n, 0);
    lua_insert(L, -n - 1);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, -i - 1, i);
}

void tide_promise_fulfil(lua_State *L, tide_runtime *rt, int promise, int n) {
    pack(L, n);
    tide_microtask_reserve(L, rt);
    settle(L, rt, promise, lua_touserdata(L, promise), TIDE_FULFILLED, n);
}

void tide_promise_reject(lua_State *L, tide_runtime *rt, int promise) {
    tide_microtask_reserve(L, rt);
    settle(L, rt, promise, lua_touserdata(L, promise), TIDE_REJECTED, 1);
}

void tide_promise_reject_traced(lua_State *L, tide_runtime *rt, int promise) {
    tide_promise *p = lua_touserdata(L, promise);
    tide_microtask_reserve(L, rt);
    if (p->state == TIDE_PENDING)
        p->flags |= TIDE_TRACED;
    settle(L, rt, promise, p, TIDE_REJECTED, 1);
}

int tide_promise_push_settled(lua_State *L, tide_runtime *rt, int n) {
    tide_promise_new(L, rt);
    int promise = lua_gettop(L) - (n < 0 ? 1 : n);
    lua_insert(L, promise);
    if (n < 0)
        tide_promise_reject(L, rt, promise);
    else
        tide_promise_fulfil(L, rt, promise, n);
    return 1;
}

int tide_promise_push(lua_State *L, int promise) {
    tide_promise *p = lua_touserdata(L, promise);
    if (p->n == 0)
        return 0;
    lua_getiuservalue(L, promise, TIDE_SLOT_VALUE);
    if (p->n == 1) {
        if (p->flags & TIDE_TRACED) {
            tide_trace_push_reason(L, -1);
            lua_replace(L, -2);
        }
        return 1;
    }
    luaL_checkstack(L, p->n + LUA_MINSTACK, "too many values");
    int packed = lua_gettop(L);
    for (int i = 1; i <= p->n; i++)
        lua_rawgeti(L, packed, i);
    lua_remove(L, packed);
    return p->n;
}

void tide_promise_settle_like(lua_State *L, tide_runtime *rt, int promise, int source) {
    tide_promise *p = lua_touserdata(L, promise), *s = lua_touserdata(L, source);
    tide_microtask_reserve(L, rt);
    lua_getiuservalue(L, source, TIDE_SLOT_VALUE);
    if (p->state == TIDE_PENDING) {
        p->flags |= s->flags & TIDE_TRACED;
        if (s->flags & TIDE_EXCUSED && p->kind != TIDE_TASK) /* a call's scope decides */
            p->flags |= TIDE_EXCUSED | TIDE_HANDLED;
    }
    settle(L, rt, promise, p, s->state, s->n);
}

void tide_promise_reject_like(lua_State *L, tide_runtime *rt, int promise, int source) {
    tide_promise *p = lua_touserdata(L, promise), *s = lua_touserdata(L, source);
    int words = lua_gettop(L);
    bool traced = s->flags & TIDE_TRACED;
    lua_getiuservalue(L, source, TIDE_SLOT_VALUE);
    if (traced)
        tide_trace_push_reason(L, words + 1);
    else
        lua_pushvalue(L, words + 1);
    lua_pushvalue(L, words);
    tide_trace_push_hop(L, words + 2, traced ? words + 1 : 0, 0);
    if (p->state == TIDE_PENDING && s->flags & TIDE_EXCUSED && p->kind != TIDE_TASK)
        p->flags |= TIDE_EXCUSED | TIDE_HANDLED;
    tide_promise_reject_traced(L, rt, promise);
    lua_settop(L, words - 1);
}

/* ---- reactions ---- */

/* Turns the only reaction into a list, with room for the number of holes. Making the table can run
 * finalizers, and they can do anything to the promise: its state is looked at only after that. [-0,
 * +0, m] */
static void make_list(lua_State *L, tide_promise *p, int promise) {
    lua_createtable(L, 4, 1);
    lua_pushinteger(L, 0);
    lua_rawseti(L, -2, 0);
    if (p->state != TIDE_PENDING || p->n != 1 ||
        lua_getiuservalue(L, promise, TIDE_SLOT_REACTIONS) == LUA_TTABLE) {
        lua_settop(L, lua_gettop(L) - (p->state != TIDE_PENDING || p->n != 1 ? 1 : 2));
        return;
    }
    lua_rawseti(L, -2, 1);
    lua_setiuservalue(L, promise, TIDE_SLOT_REACTIONS);
}

/* Pops an object and appends it to the promise's list. [-1, +0, m] */
static void append_reaction(lua_State *L, tide_promise *p, int promise) {
    tide_promise *waiting = tide_promise_test(L, p->rt, -1);
    if (waiting != NULL)
        waiting->at.place = p->n + 1;
    if (p->n == 0) {
        lua_setiuservalue(L, promise, TIDE_SLOT_REACTIONS);
    } else {
        lua_getiuservalue(L, promise, TIDE_SLOT_REACTIONS);
        lua_insert(L, -2);
        lua_rawseti(L, -2, p->n + 1);
        lua_pop(L, 1);
    }
    p->n++;
}

/* Moves what is left in the list on top together. [-0, +0, -] */
static void compact_list(lua_State *L, tide_promise *p) {
    int kept = 0, list = lua_gettop(L);
    for (int i = 1; i <= p->n; i++) {
        lua_rawgeti(L, list, i);
        if (!lua_toboolean(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        tide_promise *waiting = tide_promise_test(L, p->rt, -1);
        if (waiting != NULL)
            waiting->at.place = kept + 1;
        lua_rawseti(L, list, ++kept);
    }
    for (int i = kept + 1; i <= p->n; i++) {
        lua_pushnil(L);
        lua_rawseti(L, list, i);
    }
    p->n = kept;
}

/* Takes an entry out of the list on top. It leaves a hole, false; how many there are is at 0. The
 * last entry is never one, so that who runs the list finds something at its end. [-0, +0, -] */
static void leave_list(lua_State *L, tide_promise *p, int32_t place) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, place);
    lua_rawgeti(L, -1, 0);
    lua_Integer holes = lua_tointeger(L, -1) + 1;
    lua_pop(L, 1);
    for (; p->n > 0; p->n--, holes--) {
        bool hole = lua_rawgeti(L, -1, p->n) == LUA_TBOOLEAN;
        lua_pop(L, 1);
        if (!hole)
            break;
        lua_pushnil(L);
        lua_rawseti(L, -2, p->n);
    }
    if (holes > 8 && holes > p->n / 2) {
        compact_list(L, p);
        holes = 0;
    }
    lua_pushinteger(L, holes);
    lua_rawseti(L, -2, 0);
}

void tide_promise_leave(lua_State *L, int promise, int32_t place) {
    tide_promise *p = lua_touserdata(L, promise);
    if (lua_getiuservalue(L, promise, TIDE_SLOT_REACTIONS) == LUA_TTABLE)
        leave_list(L, p, place);
    else
        p->n = 0;
    lua_pop(L, 1);
    if (p->n == 0) {
        lua_pushnil(L);
        lua_setiuservalue(L, promise, TIDE_SLOT_REACTIONS);
    }
}

void tide_promise_mark_handled(lua_State *L, tide_runtime *rt, int promise) {
    tide_promise *p = lua_touserdata(L, promise);
    if (p->flags & TIDE_HANDLED)
        return;
    p->flags |= TIDE_HANDLED;
    if (p->state == TIDE_REJECTED)
        rt->track(L, rt, promise, true);
}

void tide_promise_reserve(lua_State *L, tide_runtime *rt, int promise, tide_promise *p) {
    if (p->state == TIDE_PENDING && p->n == 1)
        make_list(L, p, promise);
    tide_microtask_reserve(L, rt);
    if (p->state == TIDE_PENDING && p->n > 0) {
        lua_getiuservalue(L, promise, TIDE_SLOT_REACTIONS);
        lua_pushboolean(L, 0);
        lua_rawseti(L, -2, p->n + 1);
        lua_pop(L, 1);
    }
}

void tide_promise_then(lua_State *L, tide_runtime *rt, int promise, tide_promise *p) {
    if (rt->reports != 0)
        rt->look_after(L, rt, promise);
    if (p->state == TIDE_PENDING && p->n == 1)
        make_list(L, p, promise);
    if (p->state == TIDE_PENDING) {
        append_reaction(L, p, promise);
        p->flags |= TIDE_HANDLED;
        return;
    }
    lua_pushvalue(L, promise);
    tide_microtask_enqueue(L, rt);
    if (!(p->flags & TIDE_HANDLED))
        tide_promise_mark_handled(L, rt, promise);
}

/* The fail function of jobs whose object is a promise: it is rejected, unless settled. */
static void reject_with_error(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *p = self;
    if (p->state != TIDE_PENDING) {
        lua_pop(L, 1);
        return;
    }
    p->flags |= TIDE_RESOLVED;
    tide_trace_take(L, rt, L);
    tide_promise_reject_traced(L, rt, job);
}

void tide_promise_note_trace(lua_State *L, tide_runtime *rt, int promise) {
    tide_promise *p = lua_touserdata(L, promise);
    if (!(p->flags & TIDE_TRACED))
        return;
    luaL_checkstack(L, 4, NULL);
    lua_getiuservalue(L, promise, TIDE_SLOT_VALUE);
    tide_trace_note(L, rt, L);
    if (rt->tasks.running.task != NULL)
        rt->tasks.running.task->promise.flags |= TIDE_NOTED;
}

/* ---- resolving ---- */

bool tide_promise_is_plain(lua_State *L, int index) {
    int type = lua_type(L, index);
    if (type != LUA_TTABLE)
        return type != LUA_TUSERDATA;
    if (lua_getmetatable(L, index)) {
        lua_pop(L, 1);
        return false;
    }
    lua_pushliteral(L, "then");
    bool absent = lua_rawget(L, index) == LUA_TNIL;
    lua_pop(L, 1);
    return absent;
}

bool tide_promise_get_then(lua_State *L, int index) {
    index = lua_absindex(L, index);
    int type = lua_type(L, index);
    if (type != LUA_TTABLE && type != LUA_TUSERDATA)
        return false;
    if (luaL_getmetafield(L, index, "__index") != LUA_TNIL) {
        lua_pop(L, 1);
        lua_getfield(L, index, "then");
    } else if (type == LUA_TTABLE) {
        lua_pushstring(L, "then");
        lua_rawget(L, index);
    } else {
        return false;
    }
    if (tide_argument_is_callable(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

static int get_then(lua_State *L) {
    return tide_promise_get_then(L, 1);
}

/* Takes over the outcome of the job's argument; what has come to that has come to the promise. */
static void take_over(lua_State *L, tide_runtime *rt, int job) {
    tide_promise *source = lua_touserdata(L, job + 1);
    if (((tide_promise *)lua_touserdata(L, job))->flags & TIDE_MEMBER)
        rt->awaited(L, job, job + 1);
    if (source->state == TIDE_FULFILLED && source->n > 0)
        tide_promise_resolve(L, rt, job, tide_promise_push(L, job + 1));
    else
        tide_promise_settle_like(L, rt, job, job + 1);
}

static void run_adopt(lua_State *L, tide_runtime *rt, int job, void *self) {
    (void)self;
    take_over(L, rt, job);
}

static const tide_microtask_type adopt_type = {"Promise", run_adopt, reject_with_error, NULL};

/* NewPromiseResolveThenableJob for a promise: what its method next would do. */
static void run_adopt_promise(lua_State *L, tide_runtime *rt, int job, void *self) {
    if (((tide_promise *)self)->state != TIDE_PENDING)
        return; /* a cancellation came first */
    ((tide_promise *)self)->job.type = &adopt_type;
    lua_pushvalue(L, job);
    tide_promise_then(L, rt, job + 1, lua_touserdata(L, job + 1));
}

static const tide_microtask_type adopt_promise_type = {"Promise", run_adopt_promise,
                                                       reject_with_error, NULL};

static const tide_microtask_type adopt_thenable_type;

bool tide_promise_adopts(const tide_promise *p) {
    return p->job.type == &adopt_promise_type || p->job.type == &adopt_type ||
           p->job.type == &adopt_thenable_type;
}

void tide_promise_forsake(lua_State *L, tide_runtime *rt, int promise, int settled) {
    tide_promise *p = lua_touserdata(L, promise);
    if (p->job.type == &adopt_thenable_type) {
        p->u.generation++; /* its functions come too late */
    } else if (p->job.type == &adopt_type) {
        lua_getiuservalue(L, promise, TIDE_SLOT_VALUE);
        tide_promise_leave(L, lua_gettop(L), p->at.place);
        lua_pop(L, 1);
    }
    tide_promise_settle_like(L, rt, promise, settled);
}

/* A throw of a thenable counts only while neither of its functions has been called. */
static void fail_adopt_thenable(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *p = self;
    if (p->flags & TIDE_RESOLVED)
        lua_pop(L, 1);
    else
        reject_with_error(L, rt, job, self);
}

/* NewPromiseResolveThenableJob: the promise's VALUE is a table, the function read from the thenable
 * and the context. */
static void run_adopt_thenable(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *p = self;
    if (p->state != TIDE_PENDING)
        return; /* a cancellation came first */
    p->u.generation++;
    p->flags &= (uint16_t)~TIDE_RESOLVED;
    lua_getiuservalue(L, job, TIDE_SLOT_VALUE);
    lua_pushnil(L);
    lua_setiuservalue(L, job, TIDE_SLOT_VALUE);
    if (lua_rawgeti(L, job + 2, 2) != LUA_TNIL || rt->has_context)
        tide_context_set(L, rt);
    lua_rawgeti(L, job + 2, 1);
    lua_pushvalue(L, job + 1);
    tide_promise_functions(L, p, job);
    lua_call(L, 3, 0);
}

static const tide_microtask_type adopt_thenable_type = {"Promise", run_adopt_thenable,
                                                        fail_adopt_thenable, NULL};

/* Queues the job by which the promise adopts the first of n values; pops them all. */
static void adopt(lua_State *L, tide_runtime *rt, int promise, int n,
                  const tide_microtask_type *type) {
    tide_promise *p = lua_touserdata(L, promise);
    lua_pop(L, n - 1);
    tide_microtask_reserve(L, rt);
    if (p->kind == TIDE_PLAIN && p->user_values >= TIDE_SLOT_EXTRA) {
        lua_pushnil(L);
        lua_setiuservalue(L, promise, TIDE_SLOT_EXTRA);
    }
    p->job.type = type;
    lua_pushvalue(L, promise);
    lua_insert(L, -2);
    tide_microtask_enqueue(L, rt);
}

/* Looks for a thenable; fulfils when there is none, rejects when looking raises. */
static void resolve_object(lua_State *L, tide_runtime *rt, int promise, int n) {
    int first = lua_gettop(L) - n + 1;
    lua_pushcfunction(L, get_then);
    lua_pushvalue(L, first);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        tide_promise_reject(L, rt, promise);
        lua_settop(L, first - 1);
    } else if (lua_toboolean(L, -1)) {
        lua_createtable(L, 2, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
        tide_context_push(L, rt);
        lua_rawseti(L, -2, 2);
        lua_setiuservalue(L, promise, TIDE_SLOT_VALUE);
        adopt(L, rt, promise, n, &adopt_thenable_type);
    } else {
        lua_pop(L, 1);
        tide_promise_fulfil(L, rt, promise, n);
    }
}

void tide_promise_resolve(lua_State *L, tide_runtime *rt, int promise, int n) {
    int first = lua_gettop(L) - n + 1;
    if (n == 0 || tide_promise_is_plain(L, first)) {
        tide_promise_fulfil(L, rt, promise, n);
        return;
    }
    tide_promise *source = tide_promise_test(L, rt, first);
    ((tide_promise *)lua_touserdata(L, promise))->flags |= TIDE_RESOLVED;
    if (source == NULL) {
        resolve_object(L, rt, promise, n);
    } else if (source == lua_touserdata(L, promise)) {
        lua_pop(L, n);
        lua_pushliteral(L, "a promise cannot be resolved with itself");
        tide_objects_new_error(L, rt, "TypeError");
        tide_promise_reject(L, rt, promise);
    } else {
        lua_pushvalue(L, first);
        lua_setiuservalue(L, promise, TIDE_SLOT_VALUE);
        adopt(L, rt, promise, n, &adopt_promise_type);
    }
}

tide_promise *tide_promise_from(lua_State *L, tide_runtime *rt) {
    tide_promise *p = tide_promise_test(L, rt, -1);
    if (p != NULL)
        return p;
    p = tide_promise_new(L, rt);
    lua_insert(L, -2);
    tide_promise_resolve(L, rt, lua_gettop(L) - 1, 1);
    return p;
}

/* ---- resolving functions ---- */

/* The promise of the resolving function of that generation that runs; NULL if it has had its call.
 */
static tide_promise *take_resolver(lua_State *L, uint32_t generation) {
    tide_promise *p = lua_touserdata(L, resolver_promise);
    tide_runtime_enter(L, p->rt);
    if (p->flags & TIDE_RESOLVED || p->u.generation != generation)
        return NULL;
    p->flags |= TIDE_RESOLVED;
    return p;
}

static int resolve_with(lua_State *L, uint32_t generation) {
    tide_promise *p = take_resolver(L, generation);
    if (p != NULL)
        tide_promise_resolve(L, p->rt, resolver_promise, lua_gettop(L));
    return 0;
}

static int reject_with(lua_State *L, uint32_t generation) {
    lua_settop(L, 1);
    tide_promise *p = take_resolver(L, generation);
    if (p != NULL)
        tide_promise_reject(L, p->rt, resolver_promise);
    return 0;
}

static int resolve_first(lua_State *L) {
    return resolve_with(L, 0);
}

static int reject_first(lua_State *L) {
    return reject_with(L, 0);
}

static int resolve_later(lua_State *L) {
    return resolve_with(L, (uint32_t)lua_tointeger(L, resolver_generation));
}

static int reject_later(lua_State *L) {
    return reject_with(L, (uint32_t)lua_tointeger(L, resolver_generation));
}

/* Pushes a resolving function. The first pair, which most promises never have a second one to, need
 * not say which it is. */
static void push_resolver(lua_State *L, const tide_promise *p, int promise, lua_CFunction first,
                          lua_CFunction later) {
    lua_pushvalue(L, promise);
    if (p->u.generation == 0) {
        lua_pushcclosure(L, first, 1);
        return;
    }
    lua_pushinteger(L, p->u.generation);
    lua_pushcclosure(L, later, 2);
}

void tide_promise_functions(lua_State *L, tide_promise *p, int promise) {
    promise = lua_absindex(L, promise);
    push_resolver(L, p, promise, resolve_first, resolve_later);
    push_resolver(L, p, promise, reject_first, reject_later);
}

/* ---- next, catch, finally ---- */

/* Calls the handler on top with the n values of a settled promise; leaves the results and returns
 * how many. [-1, +n, e] */
static int call_handler(lua_State *L, tide_runtime *rt, int job, tide_promise *p, int values) {
    int base = lua_gettop(L) - 1;
    if (p->flags & TIDE_CONTEXT || rt->has_context)
        tide_context_enter(L, rt, job, TIDE_SLOT_CONTEXT);
    int n = 0;
    const tide_promise *source = values != 0 ? lua_touserdata(L, values) : NULL;
    bool traced = source != NULL && source->flags & TIDE_TRACED;
    if (traced) {
        lua_getiuservalue(L, values, TIDE_SLOT_VALUE);
        tide_trace_note_handling(L, rt);
    }
    if (source != NULL)
        n = tide_promise_push(L, values);
    rt->lua.call(L, n, LUA_MULTRET, 0, NULL);
    if (traced)
        tide_trace_forget(L, rt, L);
    n = lua_gettop(L) - base;
    if (n > LUA_MINSTACK / 2)
        luaL_checkstack(L, LUA_MINSTACK, "too many results");
    return n;
}

/* PromiseReactionJob: VALUE and EXTRA hold the handlers. */
static void run_reaction(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *p = self, *source = lua_touserdata(L, job + 1);
    int type = LUA_TNIL;
    if (source->state == TIDE_FULFILLED)
        type = lua_getiuservalue(L, job, TIDE_SLOT_VALUE);
    else if (p->user_values >= TIDE_SLOT_EXTRA)
        type = lua_getiuservalue(L, job, TIDE_SLOT_EXTRA);
    if (type == LUA_TNIL) {
        take_over(L, rt, job);
        return;
    }
    int n = call_handler(L, rt, job, p, job + 1);
    tide_promise_resolve(L, rt, job, n);
}

static const tide_microtask_type reaction_type = {"Promise:next", run_reaction, reject_with_error,
                                                  NULL};

/* The thunk of finally: settles as the promise in VALUE did, whatever its own source says. */
static void run_thunk(lua_State *L, tide_runtime *rt, int job, void *self) {
    (void)self;
    tide_promise *source = lua_touserdata(L, job + 1);
    if (source->state == TIDE_REJECTED) {
        tide_promise_settle_like(L, rt, job, job + 1);
        return;
    }
    lua_getiuservalue(L, job, TIDE_SLOT_VALUE);
    lua_replace(L, job + 1);
    take_over(L, rt, job);
}

static const tide_microtask_type thunk_type = {"Promise:finally", run_thunk, reject_with_error,
                                               NULL};

/* Then Finally / Catch Finally Functions: the handler is VALUE. */
static void run_finally(lua_State *L, tide_runtime *rt, int job, void *self) {
    lua_getiuservalue(L, job, TIDE_SLOT_VALUE);
    int n = call_handler(L, rt, job, self, 0);
    if (n == 0)
        lua_pushnil(L);
    else
        lua_settop(L, job + 2);
    tide_promise *result = tide_promise_from(L, rt);
    tide_promise_new_of(L, rt, &thunk_type, TIDE_SLOT_REACTIONS);
    lua_pushvalue(L, job + 1);
    lua_setiuservalue(L, -2, TIDE_SLOT_VALUE);
    lua_pushvalue(L, -1);
    tide_promise_then(L, rt, job + 2, result);
    tide_promise_resolve(L, rt, job, 1);
}

static const tide_microtask_type finally_type = {"Promise:finally", run_finally, reject_with_error,
                                                 NULL};

/* A derived promise that keeps the handlers at two indices, 0 for none. [-0, +1, m] */
static tide_promise *derive(lua_State *L, tide_runtime *rt, const tide_microtask_type *type, int f,
                            int g) {
    int user_values = g != 0            ? TIDE_SLOT_EXTRA
                      : rt->has_context ? TIDE_SLOT_CONTEXT
                                        : TIDE_SLOT_REACTIONS;
    tide_promise *p = tide_promise_new_of(L, rt, type, user_values);
    if (f != 0) {
        lua_pushvalue(L, f);
        lua_setiuservalue(L, -2, TIDE_SLOT_VALUE);
    }
    if (g != 0) {
        lua_pushvalue(L, g);
        lua_setiuservalue(L, -2, TIDE_SLOT_EXTRA);
    }
    if (rt->has_context) {
        tide_context_push(L, rt);
        lua_setiuservalue(L, -2, TIDE_SLOT_CONTEXT);
        p->flags |= TIDE_CONTEXT;
    }
    return p;
}

static int then_with(lua_State *L, const tide_microtask_type *type, int f, int g) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_promise *source = tide_promise_check(L, rt, 1);
    f = f != 0 && tide_argument_is_callable(L, f) ? f : 0;
    g = g != 0 && tide_argument_is_callable(L, g) ? g : 0;
    derive(L, rt, f == 0 && type == &finally_type ? &reaction_type : type, f, g);
    lua_pushvalue(L, -1);
    tide_promise_then(L, rt, 1, source);
    return 1;
}

static int promise_next(lua_State *L) {
    lua_settop(L, 3);
    return then_with(L, &reaction_type, 2, 3);
}

static int promise_catch(lua_State *L) {
    lua_settop(L, 2);
    return then_with(L, &reaction_type, 0, 2);
}

static int promise_finally(lua_State *L) {
    lua_settop(L, 2);
    return then_with(L, &finally_type, 2, 0);
}

static int promise_state(lua_State *L) {
    static const char *const names[] = {"pending", "fulfilled", "rejected"};
    tide_promise *p = tide_promise_check(L, tide_runtime_here(L), 1);
    lua_settop(L, 1);
    lua_pushstring(L, names[p->state]);
    return p->state == TIDE_PENDING ? 1 : 1 + tide_promise_push(L, 1);
}

static int promise_tostring(lua_State *L) {
    static const char *const names[] = {"pending", "fulfilled", "rejected"};
    tide_promise *p = tide_promise_check(L, lua_touserdata(L, lua_upvalueindex(1)), 1);
    lua_pushfstring(L, "Promise (%s): %p", names[p->state], (void *)p);
    return 1;
}

/* ---- constructor and statics ---- */

/* Rejects the promise at the index with the error on top, if its functions were not used. */
static void reject_unless_resolved(lua_State *L, tide_runtime *rt, int promise) {
    tide_promise *p = lua_touserdata(L, promise);
    if (p->flags & TIDE_RESOLVED)
        lua_pop(L, 1);
    else
        reject_with_error(L, rt, promise, p);
}

static int new_promise(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    lua_settop(L, 1);
    tide_promise *p = tide_promise_new(L, rt);
    if (rt->reports != 0)
        rt->mark_made(L, rt, 2);
    lua_pushcfunction(L, tide_trace_capture);
    lua_pushvalue(L, 1);
    tide_promise_functions(L, p, 2);
    if (lua_pcall(L, 2, 0, 3) != LUA_OK)
        reject_unless_resolved(L, rt, 2);
    lua_settop(L, 2);
    return 1;
}

/* Promise(executor): the __call of the class */
static int call_class(lua_State *L) {
    lua_remove(L, 1);
    return new_promise(L);
}

/* try(f, ...): what f(...) returns or raises. */
static int promise_try(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    tide_promise *p = tide_promise_new(L, rt);
    lua_insert(L, 1);
    lua_pushcfunction(L, tide_trace_capture);
    lua_insert(L, 2);
    int status = lua_pcall(L, lua_gettop(L) - 3, LUA_MULTRET, 2);
    luaL_checkstack(L, LUA_MINSTACK, "too many results");
    if (status == LUA_OK)
        tide_promise_resolve(L, rt, 1, lua_gettop(L) - 2);
    else
        reject_with_error(L, rt, 1, p);
    lua_settop(L, 1);
    return 1;
}

static int promise_resolve(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    if (tide_promise_test(L, rt, 1)) {
        lua_settop(L, 1);
        return 1;
    }
    int n = lua_gettop(L);
    tide_promise_new(L, rt);
    lua_insert(L, 1);
    tide_promise_resolve(L, rt, 1, n);
    return 1;
}

static int promise_reject(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_settop(L, 1);
    tide_promise_new(L, rt);
    lua_insert(L, 1);
    tide_promise_reject(L, rt, 1);
    return 1;
}

static int with_resolvers(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_promise *p = tide_promise_new(L, rt);
    if (rt->reports != 0)
        rt->mark_made(L, rt, lua_gettop(L));
    tide_promise_functions(L, p, -1);
    return 3;
}

const luaL_Reg tide_promise_statics[] = {{"new", new_promise},
                                         {"try", promise_try},
                                         {"resolve", promise_resolve},
                                         {"reject", promise_reject},
                                         {"with_resolvers", with_resolvers},
                                         {NULL, NULL}};

static const luaL_Reg methods[] = {{"next", promise_next},
                                   {"catch", promise_catch},
                                   {"finally", promise_finally},
                                   {"state", promise_state},
                                   {NULL, NULL}};

const luaL_Reg tide_promise_class_methods[] = {{"__call", call_class}, {NULL, NULL}};

static const luaL_Reg metamethods[] = {{"__tostring", promise_tostring}, {NULL, NULL}};

void tide_promise_open(lua_State *L, tide_runtime *rt) {
    lua_createtable(L, 0, 4);
    tide_objects_set_functions(L, rt, "promise:", metamethods);
    lua_pushliteral(L, "Promise");
    lua_setfield(L, -2, "__name");
    lua_newtable(L);
    tide_objects_set_functions(L, rt, "promise:", methods);
    lua_getfield(L, -1, "next");
    lua_setfield(L, -2, "then");
    lua_setfield(L, -2, "__index");
    rt->ref_promise_meta = luaL_ref(L, LUA_REGISTRYINDEX);
    tide_promise_new(L, rt);
    tide_promise_fulfil(L, rt, lua_gettop(L), 0);
    rt->ref_done = luaL_ref(L, LUA_REGISTRYINDEX);
}
