#include "core/context.h"

void tide_context_set(lua_State *L, tide_runtime *rt) {
    rt->has_context = lua_toboolean(L, -1);
    rt->scope_is_known = false;
    if (!rt->has_context) {
        lua_pop(L, 1);
        lua_pushboolean(L, 0);
    }
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_context);
}

void tide_context_enter(lua_State *L, tide_runtime *rt, int index, int user_value) {
    if (lua_getiuservalue(L, index, user_value) != LUA_TNIL || rt->has_context)
        tide_context_set(L, rt);
    else
        lua_pop(L, 1);
}

void tide_context_push(lua_State *L, tide_runtime *rt) {
    if (rt->has_context)
        lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_context);
    else
        lua_pushnil(L);
}

/* swap_context(value) -> the previous one */
static int swap_context(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_settop(L, 1);
    tide_context_push(L, rt);
    lua_insert(L, 1);
    tide_context_set(L, rt);
    return 1;
}

/* context() -> the current one */
static int context(lua_State *L) {
    tide_context_push(L, tide_runtime_here(L));
    return 1;
}

const luaL_Reg tide_context_functions[] = {
    {"context", context}, {"swap_context", swap_context}, {NULL, NULL}};
