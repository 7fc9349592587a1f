/*
 * Without options, the running context's scope has a list of its waiters: that costs no call into
 * Lua. Under a signal of the options' it is a listener of that; the function that takes it off is
 * the waiter's EXTRA.
 */
#include "core/waiter.h"

#include "core/cancel.h"
#include "core/context.h"
#include "core/scope.h"

void tide_waiter_run(lua_State *L, tide_runtime *rt, int job, void *self) {
    (void)L, (void)rt, (void)job, (void)self;
}

/* ---- going to sleep ---- */

/* Pushes the scope of the running context, false where there is none; whether it is there. Two
 * values at most are left below it. */
static bool push_scope(lua_State *L, tide_runtime *rt) {
    tide_context_push(L, rt);
    return tide_scope_push(L, lua_gettop(L));
}

/* The running function has been cancelled, and its next await will say so: what it asks for now is
 * refused. Pushes a rejected promise. */
static bool push_refused(lua_State *L, tide_runtime *rt) {
    if (!push_scope(L, rt) || lua_rawgeti(L, -1, TIDE_SCOPE_REASON) == LUA_TNIL)
        return false;
    tide_promise_new(L, rt);
    lua_insert(L, -2);
    tide_promise_reject(L, rt, lua_gettop(L) - 1);
    return true;
}

bool tide_waiter_begin_with(lua_State *L, tide_runtime *rt, int options, const char *name) {
    lua_settop(L, options);
    if (!lua_isnil(L, options))
        return tide_cancel_begin(L, rt, options, name);
    lua_pushboolean(L, 0);
    if (push_refused(L, rt))
        return true;
    lua_settop(L, options + 1);
    return false;
}

/* Enters the promise on top into the list of the running context's scope, unless that has been
 * cancelled: then this is clean-up. */
static void enter_scope(lua_State *L, tide_runtime *rt) {
    int promise = lua_gettop(L);
    if (rt->has_context && push_scope(L, rt)) {
        if (lua_rawgeti(L, -1, TIDE_SCOPE_REASON) == LUA_TNIL) {
            lua_pushvalue(L, promise);
            tide_scope_enter(L, rt, promise + 2, TIDE_SCOPE_WAITERS);
        }
    }
    lua_settop(L, promise);
}

/* Has the signal at the index wake the promise on top. */
static void heed_signal(lua_State *L, tide_runtime *rt, int signal) {
    int promise = lua_gettop(L);
    lua_pushvalue(L, promise);
    lua_pushvalue(L, signal);
    tide_cancel_call(L, rt, "watch", 2, 1);
    lua_setiuservalue(L, promise, TIDE_SLOT_EXTRA);
}

tide_promise *tide_waiter_new(lua_State *L, tide_runtime *rt, const tide_waiter_type *type,
                              int owner, int heeded) {
    bool by_context = lua_type(L, heeded) == LUA_TBOOLEAN, by_signal = lua_toboolean(L, heeded);
    tide_promise *p =
        tide_promise_new_of(L, rt, &type->job, by_signal ? TIDE_SLOT_EXTRA : TIDE_SLOT_REACTIONS);
    if (owner != 0) {
        lua_pushvalue(L, owner);
        lua_setiuservalue(L, -2, TIDE_SLOT_VALUE);
    }
    if (by_context)
        enter_scope(L, rt);
    else if (by_signal)
        heed_signal(L, rt, heeded);
    return p;
}

/* ---- waking up ---- */

/* Takes the listener off the signal. */
static void stop_heeding(lua_State *L, int waiter) {
    const tide_promise *p = lua_touserdata(L, waiter);
    if (p->user_values < TIDE_SLOT_EXTRA)
        return;
    if (lua_getiuservalue(L, waiter, TIDE_SLOT_EXTRA) == LUA_TFUNCTION)
        lua_call(L, 0, 0);
    else
        lua_pop(L, 1);
}

void tide_waiter_wake(lua_State *L, tide_runtime *rt, int waiter, int n) {
    stop_heeding(L, waiter);
    tide_promise_fulfil(L, rt, waiter, n);
}

void tide_waiter_fail(lua_State *L, tide_runtime *rt, int waiter) {
    stop_heeding(L, waiter);
    tide_promise_reject(L, rt, waiter);
}

/* Wakes the promise at the index with the reason on top, if it is asleep. That nobody awaits it is
 * no unhandled rejection, if it is excused. [-1, +0, m] */
static void cancel(lua_State *L, tide_runtime *rt, int waiter, bool excused) {
    tide_promise *p = lua_touserdata(L, waiter);
    const tide_waiter_type *type = (const tide_waiter_type *)p->job.type;
    if (type->job.run != tide_waiter_run || !type->forget(L, rt, waiter)) {
        lua_pop(L, 1);
        return;
    }
    if (excused)
        p->flags |= TIDE_HANDLED;
    tide_waiter_fail(L, rt, waiter);
}

/* cancel_sleeper(promise, reason, excused) */
static int cancel_sleeper(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_promise_check(L, rt, 1);
    lua_settop(L, 3);
    bool excused = lua_toboolean(L, 3);
    lua_settop(L, 2);
    cancel(L, rt, 1, excused);
    return 0;
}

/* cancel_sleepers(scopes, reason): those of the scopes, in the order in which they went to sleep */
static int cancel_sleepers(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    tide_scope_members(L, 1, TIDE_SCOPE_WAITERS);
    for (lua_Integer i = 1; lua_rawgeti(L, 3, i) != LUA_TNIL; i++) {
        lua_pushvalue(L, 2);
        cancel(L, rt, 4, true);
        lua_settop(L, 3);
    }
    return 0;
}

/* ---- those of Lua: in a line ---- */

/* The policy takes the owner, the place in a line, out of that. */
static bool forget_place(lua_State *L, tide_runtime *rt, int waiter) {
    lua_getiuservalue(L, waiter, TIDE_SLOT_VALUE);
    tide_cancel_call(L, rt, "leave", 1, 1);
    bool asleep = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return asleep;
}

static const tide_waiter_type place_type = {{"wait", tide_waiter_run, NULL}, forget_place};

/* refused() -> a rejected promise, if the running function has been cancelled and its next await
 * will say so */
static int refused(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    return tide_task_interrupted(rt) && push_refused(L, rt);
}

/* new_sleeper(owner, heeded) -> promise; heeded is a signal, false for the scope of the running
 * context, nil for nothing */
static int new_sleeper(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    tide_waiter_new(L, rt, &place_type, 1, 2);
    return 1;
}

/* wake_sleeper(promise, ...): resolves it, once */
static int wake_sleeper(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_promise_check(L, rt, 1);
    stop_heeding(L, 1);
    tide_promise_resolve(L, rt, 1, lua_gettop(L) - 1);
    return 0;
}

/* fail_sleeper(promise, reason), once */
static int fail_sleeper(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_promise_check(L, rt, 1);
    lua_settop(L, 2);
    tide_waiter_fail(L, rt, 1);
    return 0;
}

const luaL_Reg tide_waiter_functions[] = {{"cancel_sleeper", cancel_sleeper},
                                          {"cancel_sleepers", cancel_sleepers},
                                          {"new_sleeper", new_sleeper},
                                          {"wake_sleeper", wake_sleeper},
                                          {"fail_sleeper", fail_sleeper},
                                          {"refused", refused},
                                          {NULL, NULL}};
