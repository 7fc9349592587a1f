/*
 * The host's function is called where a call into moontide begins, since there nothing is half
 * done, whatever the call is going to do. So what it will need is not known yet: until the next
 * turn, a host may not wait at all.
 */
#include "loop/wake.h"

#include "core/argument.h"

static int text_of(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* What the function raises must not become an error of whatever has called into moontide, nor what
 * the __tostring of that raises. */
static void call_host(lua_State *L, tide_runtime *rt) {
    lua_pushcfunction(L, text_of);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_on_wake);
    if (lua_pcall(L, 0, 0, -2) != LUA_OK) {
        lua_warning(L, "error in on_wake (", 1);
        lua_warning(L, lua_tostring(L, -1), 1);
        lua_warning(L, ")", 0);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* For as long as the function runs, it is as if the loop ran: it cannot drive it. */
static void wake(lua_State *L, tide_runtime *rt) {
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    rt->attention = false;
    rt->woken = rt->running = true;
    call_host(L, rt);
    rt->running = false;
}

void tide_wake_rest(tide_runtime *rt) {
    rt->attention = rt->woken = false;
}

void tide_wake_watch(tide_runtime *rt) {
    rt->attention = rt->host_listens;
}

/* on_wake(f) */
static int on_wake(lua_State *L) {
    tide_runtime *rt = tide_runtime_peek(L);
    if (lua_isnoneornil(L, 1))
        lua_settop(L, 0);
    else
        tide_argument_callable(L, 1);
    rt->host_listens = lua_gettop(L) > 0;
    rt->woken &= rt->host_listens;
    if (!rt->host_listens)
        lua_pushboolean(L, 0); /* nil would free the slot for others */
    lua_settop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_on_wake);
    if (!rt->running)
        tide_wake_watch(rt);
    return 0;
}

const luaL_Reg tide_wake_functions[] = {{"on_wake", on_wake}, {NULL, NULL}};

void tide_wake_open(tide_runtime *rt) {
    rt->wake = wake;
}
