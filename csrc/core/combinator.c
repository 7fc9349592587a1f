/*
 * The aggregate promise keeps the results so far as its VALUE and, for the keyed ones, the list
 * of keys as EXTRA. Each input promise gets an element among its reactions: an index and, as user
 * value, the aggregate.
 */
#include "core/combinator.h"

#include "core/argument.h"
#include "core/objects.h"
#include "core/trace.h"

typedef struct element {
    tide_microtask job;
    lua_Integer index;
    bool keyed;
} element;

static void run_all(lua_State *L, tide_runtime *rt, int job, void *self);
static void run_all_settled(lua_State *L, tide_runtime *rt, int job, void *self);
static void run_any(lua_State *L, tide_runtime *rt, int job, void *self);
static void run_race(lua_State *L, tide_runtime *rt, int job, void *self);
static void fail_element(lua_State *L, tide_runtime *rt, int job, void *self);

static const tide_microtask_type all_type = {"Promise.all", run_all, fail_element, NULL};
static const tide_microtask_type all_settled_type = {"Promise.all_settled", run_all_settled,
                                                     fail_element, NULL};
static const tide_microtask_type any_type = {"Promise.any", run_any, fail_element, NULL};
static const tide_microtask_type race_type = {"Promise.race", run_race, fail_element, NULL};

/* ---- places ---- */

/* Pushes what stands for the value on top in the name of a place, in its place. [-1, +1, m] */
static void name_key(lua_State *L) {
    if (lua_type(L, -1) == LUA_TSTRING)
        lua_pushfstring(L, "'%s'", lua_tostring(L, -1));
    else if (lua_type(L, -1) == LUA_TNUMBER)
        lua_pushstring(L, lua_tostring(L, -1));
    else
        lua_pushstring(L, luaL_typename(L, -1));
    lua_replace(L, -2);
}

/* Pushes what an element is called. [-0, +1, m] */
static void push_place(lua_State *L, int index) {
    const element *e = lua_touserdata(L, index);
    if (!e->keyed) {
        lua_pushfstring(L, "%s [%d]", e->job.type->name, (int)e->index);
        return;
    }
    int top = lua_gettop(L);
    lua_getiuservalue(L, index, 1);
    lua_getiuservalue(L, top + 1, TIDE_SLOT_EXTRA);
    lua_rawgeti(L, top + 2, e->index);
    name_key(L);
    lua_pushfstring(L, "%s_keyed [%s]", e->job.type->name, lua_tostring(L, -1));
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

bool tide_combinator_push_place(lua_State *L, int index) {
    const element *e = lua_touserdata(L, index);
    if (e == NULL || lua_rawlen(L, index) != sizeof *e ||
        (e->job.type != &all_type && e->job.type != &all_settled_type && e->job.type != &any_type &&
         e->job.type != &race_type))
        return false;
    push_place(L, index);
    return true;
}

/* ---- elements ---- */

/* Pushes the aggregate of an element; NULL, with nothing pushed, if it has settled. */
static tide_promise *push_aggregate(lua_State *L, int job) {
    lua_getiuservalue(L, job, 1);
    tide_promise *aggregate = lua_touserdata(L, -1);
    if (aggregate->state == TIDE_PENDING)
        return aggregate;
    lua_pop(L, 1);
    return NULL;
}

/* Pushes the first value, or the reason, of a settled promise. */
static void push_first(lua_State *L, int promise) {
    int base = lua_gettop(L);
    tide_promise_push(L, promise);
    lua_settop(L, base + 1);
}

/* Replaces the list of results on top by a table with the aggregate's keys. */
static void apply_keys(lua_State *L, int keys) {
    int results = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, keys);
    lua_createtable(L, 0, (int)n);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, keys, i);
        lua_rawgeti(L, results, i);
        lua_rawset(L, -3);
    }
    lua_replace(L, results);
}

/* Every element has its result. */
static void fulfil_with_results(lua_State *L, tide_runtime *rt, int aggregate) {
    if (lua_getiuservalue(L, aggregate, TIDE_SLOT_EXTRA) == LUA_TTABLE) {
        int keys = lua_gettop(L);
        lua_getiuservalue(L, aggregate, TIDE_SLOT_VALUE);
        apply_keys(L, keys);
        tide_promise_resolve(L, rt, aggregate, 1); /* a key may be "then" */
    } else {
        lua_getiuservalue(L, aggregate, TIDE_SLOT_VALUE);
        tide_promise_fulfil(L, rt, aggregate, 1);
    }
}

/* Traces of the errors, where there are any, are the aggregate's EXTRA. */
static void reject_with_results(lua_State *L, tide_runtime *rt, int aggregate) {
    lua_pushliteral(L, "all promises were rejected");
    tide_objects_new_error(L, rt, "AggregateError");
    lua_getiuservalue(L, aggregate, TIDE_SLOT_VALUE);
    lua_setfield(L, -2, "errors");
    if (lua_getiuservalue(L, aggregate, TIDE_SLOT_EXTRA) == LUA_TNIL) {
        lua_pop(L, 1);
        tide_promise_reject(L, rt, aggregate);
        return;
    }
    int traces = lua_gettop(L);
    lua_pushliteral(L, "Promise.any");
    tide_trace_push_hop(L, traces - 1, 0, traces);
    tide_promise_reject_traced(L, rt, aggregate);
    lua_settop(L, traces - 2);
}

/* Keeps the trace of a rejected promise, if it has one, for the aggregate. */
static void keep_trace(lua_State *L, const element *e, int aggregate, int source) {
    if (!(((const tide_promise *)lua_touserdata(L, source))->flags & TIDE_TRACED))
        return;
    if (lua_getiuservalue(L, aggregate, TIDE_SLOT_EXTRA) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, aggregate, TIDE_SLOT_EXTRA);
    }
    lua_getiuservalue(L, source, TIDE_SLOT_VALUE);
    lua_rawseti(L, -2, e->index);
    lua_pop(L, 1);
}

/* Stores the value on top as the element's result; the last one settles. [-1, +0, m] */
static void store(lua_State *L, tide_runtime *rt, const element *e, int aggregate,
                  void (*finish)(lua_State *, tide_runtime *, int)) {
    tide_promise *a = lua_touserdata(L, aggregate);
    lua_getiuservalue(L, aggregate, TIDE_SLOT_VALUE);
    lua_insert(L, -2);
    lua_rawseti(L, -2, e->index);
    lua_pop(L, 1);
    if (--a->u.remaining == 0)
        finish(L, rt, aggregate);
}

static void run_all(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *source = lua_touserdata(L, job + 1);
    if (push_aggregate(L, job) == NULL)
        return;
    if (source->state == TIDE_REJECTED) {
        push_place(L, job);
        tide_promise_reject_like(L, rt, job + 2, job + 1);
        return;
    }
    push_first(L, job + 1);
    store(L, rt, self, job + 2, fulfil_with_results);
}

static void run_all_settled(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *source = lua_touserdata(L, job + 1);
    if (push_aggregate(L, job) == NULL)
        return;
    bool fulfilled = source->state == TIDE_FULFILLED;
    lua_createtable(L, 0, 2);
    lua_pushstring(L, fulfilled ? "fulfilled" : "rejected");
    lua_setfield(L, -2, "status");
    push_first(L, job + 1);
    lua_setfield(L, -2, fulfilled ? "value" : "reason");
    store(L, rt, self, job + 2, fulfil_with_results);
}

static void run_any(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *source = lua_touserdata(L, job + 1);
    if (push_aggregate(L, job) == NULL)
        return;
    if (source->state == TIDE_FULFILLED) {
        tide_promise_settle_like(L, rt, job + 2, job + 1);
        return;
    }
    keep_trace(L, self, job + 2, job + 1);
    push_first(L, job + 1);
    store(L, rt, self, job + 2, reject_with_results);
}

static void run_race(lua_State *L, tide_runtime *rt, int job, void *self) {
    const tide_promise *source = lua_touserdata(L, job + 1);
    (void)self;
    if (push_aggregate(L, job) == NULL)
        return;
    if (source->state == TIDE_FULFILLED) {
        tide_promise_settle_like(L, rt, job + 2, job + 1);
        return;
    }
    push_place(L, job);
    tide_promise_reject_like(L, rt, job + 2, job + 1);
}

/* A memory error while an element is dealt with rejects the aggregate. */
static void fail_element(lua_State *L, tide_runtime *rt, int job, void *self) {
    (void)self;
    if (push_aggregate(L, job) == NULL)
        return;
    lua_insert(L, -2);
    tide_promise_reject(L, rt, lua_gettop(L) - 1);
}

/* Attaches an element to the promise for the value on top. [-1, +0, m] */
static void attach(lua_State *L, tide_runtime *rt, int aggregate, const tide_microtask_type *type,
                   lua_Integer index, bool keyed) {
    tide_promise *p = tide_promise_from(L, rt);
    element *e = lua_newuserdatauv(L, sizeof *e, 1);
    *e = (element){{type}, index, keyed};
    lua_pushvalue(L, aggregate);
    lua_setiuservalue(L, -2, 1);
    tide_promise_then(L, rt, lua_gettop(L) - 1, p);
    lua_pop(L, 1);
}

/* The aggregate at 2 for n inputs; its results so far are an empty list. The type is never queued:
 * only its name is used. [-0, +1, m] */
static void new_aggregate(lua_State *L, tide_runtime *rt, const tide_microtask_type *type,
                          lua_Integer n) {
    if (n < 0 || n >= INT32_MAX)
        tide_argument_fail(L, 1, "too many elements");
    tide_promise *a = tide_promise_new_of(L, rt, type, TIDE_SLOT_EXTRA);
    a->u.remaining = (uint32_t)n;
    lua_createtable(L, (int)n, 1);
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
    lua_setiuservalue(L, -2, TIDE_SLOT_VALUE);
}

/* The number of elements of the list at 1: its field n, or its length. */
static lua_Integer list_length(lua_State *L) {
    tide_argument_check(L, 1, TIDE_KIND_TABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "n");
    lua_Integer n = lua_isinteger(L, 2) ? lua_tointeger(L, 2) : luaL_len(L, 1);
    lua_settop(L, 1);
    return n;
}

/* Combines the list at 1; finish settles the aggregate of an empty one. */
static int combine(lua_State *L, const tide_microtask_type *type,
                   void (*finish)(lua_State *, tide_runtime *, int)) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_Integer n = list_length(L);
    new_aggregate(L, rt, type, n);
    if (n == 0 && finish != NULL)
        finish(L, rt, 2);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, 1, i);
        attach(L, rt, 2, type, i, false);
    }
    lua_settop(L, 2);
    return 1;
}

static int all(lua_State *L) {
    return combine(L, &all_type, fulfil_with_results);
}

static int all_settled(lua_State *L) {
    return combine(L, &all_settled_type, fulfil_with_results);
}

static int any(lua_State *L) {
    return combine(L, &any_type, reject_with_results);
}

static int race(lua_State *L) {
    return combine(L, &race_type, NULL);
}

/* Replaces the table at 1 by the list of its values; pushes that of its keys, at 2. */
static lua_Integer list_pairs(lua_State *L) {
    tide_argument_check(L, 1, TIDE_KIND_TABLE);
    lua_settop(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    lua_Integer n = 0;
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_rawseti(L, 3, ++n);
        lua_pushvalue(L, -1);
        lua_rawseti(L, 2, n);
    }
    lua_replace(L, 1);
    return n;
}

static int combine_keyed(lua_State *L, const tide_microtask_type *type) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_Integer n = list_pairs(L);
    new_aggregate(L, rt, type, n);
    lua_insert(L, 2);
    lua_setiuservalue(L, 2, TIDE_SLOT_EXTRA);
    if (n == 0)
        fulfil_with_results(L, rt, 2);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, 1, i);
        attach(L, rt, 2, type, i, true);
    }
    lua_settop(L, 2);
    return 1;
}

static int all_keyed(lua_State *L) {
    return combine_keyed(L, &all_type);
}

static int all_settled_keyed(lua_State *L) {
    return combine_keyed(L, &all_settled_type);
}

/* ---- what is waited for ---- */

static bool is_ours(const tide_microtask *job) {
    return job->type == &all_type || job->type == &all_settled_type || job->type == &any_type ||
           job->type == &race_type;
}

bool tide_combinator_push_name(lua_State *L, const tide_promise *p) {
    if (!is_ours(&p->job))
        return false;
    if (p->u.remaining == 0)
        lua_pushfstring(L, "%s of nothing", p->job.type->name);
    else
        lua_pushfstring(L, "%s [%d]", p->job.type->name, (int)p->u.remaining);
    return true;
}

bool tide_combinator_push_of(lua_State *L, int reaction) {
    const element *e = lua_touserdata(L, reaction);
    if (lua_rawlen(L, reaction) != sizeof *e || !is_ours(&e->job))
        return false;
    lua_getiuservalue(L, reaction, 1);
    return true;
}

const luaL_Reg tide_combinator_functions[] = {
    {"all", all},   {"all_settled", all_settled}, {"any", any},
    {"race", race}, {"all_keyed", all_keyed},     {"all_settled_keyed", all_settled_keyed},
    {NULL, NULL}};
