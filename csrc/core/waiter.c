/*
 * The function that takes a waiter off its signal is the waiter's EXTRA.
 */
#include "core/waiter.h"

#include "core/cancel.h"
#include "core/option.h"

void tide_waiter_run(lua_State *L, tide_runtime *rt, int job, void *self) {
    (void)L, (void)rt, (void)job, (void)self; /* that it is ended is not its own job */
}

/* ---- beginning ---- */

bool tide_waiter_push_refused(lua_State *L, tide_runtime *rt) {
    const tide_scope *s = rt->has_context ? tide_scope_current(L, rt) : NULL;
    if (s == NULL || !tide_scope_refuses(rt, s))
        return false;
    tide_scope_push_current(L, rt);
    tide_scope_push_rejected(L, rt, lua_gettop(L));
    lua_remove(L, -2);
    return true;
}

/* Pushes a rejected promise if the signal on top has been aborted. [-0, +(0|1), e] */
static bool push_aborted(lua_State *L, tide_runtime *rt) {
    lua_getfield(L, -1, "aborted");
    bool aborted = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (aborted) {
        lua_getfield(L, -1, "reason");
        tide_promise_push_settled(L, rt, -1);
    }
    return aborted;
}

bool tide_waiter_begin_with(lua_State *L, tide_runtime *rt, int options) {
    static const tide_option signal = {.name = "signal", .kind = TIDE_KIND_SIGNAL};
    lua_settop(L, options);
    if (lua_isnil(L, options)) {
        lua_pushnil(L);
        return tide_waiter_push_refused(L, rt);
    }
    tide_argument_check(L, options, TIDE_KIND_TABLE);
    bool heeds = tide_option_push(L, options, &signal);
    return (heeds && push_aborted(L, rt)) || tide_waiter_push_refused(L, rt);
}

tide_node *tide_waiter_prepare(lua_State *L, tide_runtime *rt, const tide_waiter_type *type,
                               int owner, bool heeds) {
    bool inside = tide_scope_current(L, rt) != NULL;
    int user_values = heeds ? TIDE_SLOT_EXTRA : inside ? TIDE_SLOT_CONTEXT : TIDE_SLOT_REACTIONS;
    if (user_values < type->user_values)
        user_values = type->user_values;
    tide_node *w = tide_promise_new_node(L, rt, &type->job, TIDE_WAITER, inside, user_values);
    if (owner != 0) {
        lua_pushvalue(L, owner);
        lua_setiuservalue(L, -2, TIDE_SLOT_VALUE);
    }
    return w;
}

void tide_waiter_enter(lua_State *L, tide_runtime *rt, int waiter, int signal) {
    const tide_node *w = lua_touserdata(L, waiter);
    int top = lua_gettop(L);
    if (w->promise.flags & TIDE_MEMBER) {
        const tide_scope *s = tide_scope_push_current(L, rt);
        if (s != NULL)
            tide_scope_enter(L, rt, top + 1, waiter, tide_scope_child(rt, s));
        lua_settop(L, top);
    }
    if (!lua_toboolean(L, signal)) {
        lua_pushnil(L);
        return;
    }
    lua_pushvalue(L, waiter);
    lua_pushvalue(L, signal);
    tide_cancel_call(L, rt, "watch", 2, 1);
}

tide_node *tide_waiter_new(lua_State *L, tide_runtime *rt, const tide_waiter_type *type, int owner,
                           int signal) {
    bool heeds = lua_toboolean(L, signal);
    tide_node *w = tide_waiter_prepare(L, rt, type, owner, heeds);
    tide_waiter_enter(L, rt, lua_gettop(L), signal);
    if (heeds)
        lua_setiuservalue(L, -2, TIDE_SLOT_EXTRA);
    else
        lua_pop(L, 1);
    return w;
}

/* ---- ending ---- */

/* Pushes what takes the waiter off its signal, below the n values on top; false: it heeds none.
 * [-0, +(0|1), -] */
static bool insert_heeding(lua_State *L, int waiter, int n) {
    const tide_promise *p = lua_touserdata(L, waiter);
    if (p->user_values < TIDE_SLOT_EXTRA)
        return false;
    if (lua_getiuservalue(L, waiter, TIDE_SLOT_EXTRA) != LUA_TFUNCTION) {
        lua_pop(L, 1);
        return false;
    }
    lua_insert(L, -n - 1);
    return true;
}

/* Calls that, once the waiter is settled: if there is no memory for it, an abort will come too
 * late.
 * [-(0|1), +0, -] */
static void stop_heeding(lua_State *L, bool heeds) {
    if (heeds && lua_pcall(L, 0, 0, 0) != LUA_OK)
        lua_pop(L, 1);
}

void tide_waiter_wake(lua_State *L, tide_runtime *rt, int waiter, int n) {
    bool heeds = insert_heeding(L, waiter, n);
    tide_promise_fulfil(L, rt, waiter, n);
    stop_heeding(L, heeds);
}

void tide_waiter_resolve(lua_State *L, tide_runtime *rt, int waiter, int n) {
    bool heeds = insert_heeding(L, waiter, n);
    tide_promise_resolve(L, rt, waiter, n);
    stop_heeding(L, heeds);
}

void tide_waiter_fail(lua_State *L, tide_runtime *rt, int waiter) {
    bool heeds = insert_heeding(L, waiter, 1);
    tide_promise_reject(L, rt, waiter);
    stop_heeding(L, heeds);
}

static const tide_waiter_type *type_of(const tide_promise *p) {
    return p->kind == TIDE_WAITER && p->job.type->run == tide_waiter_run
               ? (const tide_waiter_type *)p->job.type
               : NULL;
}

void tide_waiter_cancel(lua_State *L, tide_runtime *rt, int waiter, int rejected) {
    tide_promise *p = lua_touserdata(L, waiter);
    if (!type_of(p)->forget(L, rt, waiter))
        return;
    p->flags |= TIDE_HANDLED | TIDE_EXCUSED;
    bool heeds = insert_heeding(L, waiter, 0);
    tide_promise_settle_like(L, rt, waiter, rejected);
    stop_heeding(L, heeds);
}

/* cancel_waiter(promise, reason): ends it, if it is one that waits */
static int cancel_waiter(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const tide_waiter_type *type = type_of(tide_promise_check(L, rt, 1));
    lua_settop(L, 2);
    if (type != NULL && type->forget(L, rt, 1))
        tide_waiter_fail(L, rt, 1);
    return 0;
}

/* ---- those of Lua: in a line ---- */

/* The policy takes the owner, the place in a line, out of that. */
static bool forget_place(lua_State *L, tide_runtime *rt, int waiter) {
    lua_getiuservalue(L, waiter, TIDE_SLOT_VALUE);
    tide_cancel_call(L, rt, "leave", 1, 1);
    bool waits = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return waits;
}

static const tide_waiter_type place_type = {TIDE_WAITER_JOB("wait"), forget_place, 0};

/* refused() -> a rejected promise, if the running function has been cancelled and its next await
 * will say so */
static int refused(lua_State *L) {
    return tide_waiter_push_refused(L, tide_runtime_here(L));
}

/* new_waiter(owner, [signal]) -> promise */
static int new_waiter(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_check(L, 1, TIDE_KIND_TABLE);
    lua_settop(L, 2);
    tide_waiter_new(L, rt, &place_type, 1, 2);
    return 1;
}

/* wake_waiter(promise, ...): resolves it, once */
static int wake_waiter(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_promise_check(L, rt, 1);
    tide_waiter_resolve(L, rt, 1, lua_gettop(L) - 1);
    return 0;
}

/* fail_waiter(promise, reason), once */
static int fail_waiter(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_promise_check(L, rt, 1);
    lua_settop(L, 2);
    tide_waiter_fail(L, rt, 1);
    return 0;
}

const luaL_Reg tide_waiter_functions[] = {
    {"cancel_waiter", cancel_waiter}, {"new_waiter", new_waiter}, {"wake_waiter", wake_waiter},
    {"fail_waiter", fail_waiter},     {"refused", refused},       {NULL, NULL}};
