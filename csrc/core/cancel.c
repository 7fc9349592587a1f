#include "core/cancel.h"

#include "core/argument.h"

void tide_cancel_call(lua_State *L, tide_runtime *rt, const char *name, int n, int results) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_cancel_policy);
    lua_getfield(L, -1, name);
    lua_replace(L, -2);
    lua_insert(L, -n - 1);
    lua_call(L, n, results);
}

/* set_cancel_policy(policy): a table of functions
 *   watch(promise, signal) -> function: the signal cancels the promise, a waiter; takes that back
 *   leave(place) -> whether it was in a line, which it has left
 *   new_signal([reason]) -> signal of a group, aborted already if it has been cancelled
 *   abort_all(signals, reason): those of groups that are cancelled */
static int set_cancel_policy(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_check(L, 1, TIDE_KIND_TABLE);
    lua_settop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_cancel_policy);
    return 0;
}

const luaL_Reg tide_cancel_functions[] = {{"set_cancel_policy", set_cancel_policy}, {NULL, NULL}};
