#include "core/coroutine.h"

lua_State *tide_coroutine_new(lua_State *L, tide_node *task) {
    task->promise.at.carrier = -1;
    return lua_newthread(L);
}

lua_State *tide_coroutine_take(lua_State *L, tide_runtime *rt, tide_node *task) {
    if (rt->carriers.count > 0 && lua_gethook(L) == NULL) {
        lua_State *co = rt->carriers.idle[--rt->carriers.count];
        task->promise.at.carrier = rt->carriers.count;
        tide_coroutine_push(L, co);
        return co;
    }
    return tide_coroutine_new(L, task);
}

void tide_coroutine_release(lua_State *L, tide_runtime *rt, tide_node *task) {
    int i = task->promise.at.carrier;
    task->promise.at.carrier = -1;
    if (i < 0 || rt->carriers.idle[i] != task->is.co)
        return;
    rt->carriers.idle[i] = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_carriers);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, i + 1);
    lua_pop(L, 1);
}

void tide_coroutine_return(lua_State *L, tide_runtime *rt, lua_State *co) {
    int i = rt->carriers.count;
    if (i == TIDE_CARRIERS_MAX || lua_gethook(co) != NULL)
        return;
    if (rt->carriers.idle[i] != co) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_carriers);
        tide_coroutine_push(L, co);
        lua_rawseti(L, -2, i + 1);
        lua_pop(L, 1);
        rt->carriers.idle[i] = co;
    }
    rt->carriers.count++;
}
