#include "core/cancel.h"

#include "loop/operation.h"

void tide_cancel_call(lua_State *L, tide_runtime *rt, const char *name, int n, int results) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_cancel_policy);
    lua_getfield(L, -1, name);
    lua_replace(L, -2);
    lua_insert(L, -n - 1);
    lua_call(L, n, results);
}

static bool has_policy(lua_State *L, tide_runtime *rt) {
    bool found = lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_cancel_policy) == LUA_TTABLE;
    lua_pop(L, 1);
    return found;
}

bool tide_cancel_begin(lua_State *L, tide_runtime *rt, int options, const char *name) {
    lua_settop(L, options);
    if ((lua_isnil(L, options) && !rt->has_context) || !has_policy(L, rt)) {
        lua_pushnil(L);
        return false;
    }
    lua_pushvalue(L, options);
    lua_pushinteger(L, options);
    lua_pushstring(L, name);
    tide_cancel_call(L, rt, "find", 3, 2);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

/* [runtime, operation, promise, signal, how] -> promise */
static int call_attach(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, 1);
    const char *how = lua_touserdata(L, 5);
    lua_settop(L, 4);
    tide_cancel_call(L, rt, how, 3, 1);
    return 1;
}

/* Nobody gets the promise of an operation whose signal could not be heeded: it must not go on for
 * ever. */
static void attach(lua_State *L, tide_runtime *rt, int signal, const char *how) {
    int operation = lua_gettop(L) - 1;
    if (lua_isnil(L, signal)) {
        lua_remove(L, operation);
        return;
    }
    lua_pushcfunction(L, call_attach);
    lua_pushlightuserdata(L, rt);
    lua_pushvalue(L, operation);
    lua_pushvalue(L, operation + 1);
    lua_pushvalue(L, signal);
    lua_pushlightuserdata(L, (void *)how);
    if (lua_pcall(L, 5, 1, 0) != LUA_OK) {
        tide_operation_abandon(lua_touserdata(L, operation));
        lua_error(L);
    }
    lua_replace(L, operation);
    lua_settop(L, operation);
}

void tide_cancel_attach(lua_State *L, tide_runtime *rt, int signal) {
    attach(L, rt, signal, "attach");
}

void tide_cancel_attach_loosely(lua_State *L, tide_runtime *rt, int signal) {
    attach(L, rt, signal, "attach_loosely");
}

/* set_cancel_policy(policy): a table of functions
 *   find(options, position, name) -> signal or nil, rejected promise or nil
 *   attach(operation, promise, signal) -> promise
 *   attach_loosely(operation, promise, signal) -> promise
 *   leave(place) -> whether it was in a line, which it has left
 *   watch(promise, signal) -> function: the signal wakes the promise, a waiter's; takes that back
 *   encloses(scope, promise) -> whether an async function of the scope that is cancelled late waits
 *     for that promise, whether the cancellation has come to what that stands for */
static int set_cancel_policy(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_cancel_policy);
    return 0;
}

const luaL_Reg tide_cancel_functions[] = {{"set_cancel_policy", set_cancel_policy}, {NULL, NULL}};
