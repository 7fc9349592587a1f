#include "core/cancel.h"

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
