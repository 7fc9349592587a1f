#include "loop/clock.h"

#include "core/argument.h"
#include "core/promise.h"

void tide_clock_release(lua_State *L, tide_runtime *rt) {
    int base = lua_gettop(L);
    lua_Integer n = rt->test.blocked;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->test.ref_blocked);
    rt->test.blocked = 0;
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, base + 1, i);
        lua_pushboolean(L, 0);
        lua_rawseti(L, base + 1, i);
        tide_promise_fulfil(L, rt, base + 2, 0);
        lua_settop(L, base + 1);
    }
    lua_settop(L, base);
}

/* blocked() -> promise, fulfilled when nothing can go on without I/O or time */
static int blocked(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_promise_new(L, rt);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->test.ref_blocked);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, rt->test.blocked + 1);
    lua_pop(L, 1);
    rt->test.blocked++;
    return 1;
}

/* Time may go back when the clock changes; a turn that has begun must not count by the old one. */
static void change_clock(tide_runtime *rt, bool is_virtual) {
    rt->test.is_virtual = is_virtual;
    rt->turn_now = tide_clock_now(rt);
}

/* start_clock(jumps): time becomes virtual */
static int start_clock(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    if (rt->test.is_virtual)
        return luaL_error(L, "the clock is virtual already");
    rt->test.now = uv_hrtime();
    rt->test.jumps = lua_toboolean(L, 1);
    change_clock(rt, true);
    return 0;
}

static int stop_clock(lua_State *L) {
    change_clock(tide_runtime_here(L), false);
    return 0;
}

/* clock_ns() -> the virtual time: whole ns, so that nothing is lost on the way through Lua */
static int clock_ns(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)tide_clock_now(tide_runtime_here(L)));
    return 1;
}

/* set_clock(ns): it does not go back */
static int set_clock(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    uint64_t now = (uint64_t)tide_argument_integer(L, 1, TIDE_ANY);
    if (!rt->test.is_virtual)
        return luaL_error(L, "the clock is not virtual");
    if (now > rt->test.now)
        rt->test.now = now;
    return 0;
}

/* shuffle(seed): nil for none */
static int shuffle(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    bool none = lua_isnoneornil(L, 1);
    rt->test.shuffle = none ? 0 : (uint64_t)tide_argument_integer(L, 1, TIDE_ANY) * 2 + 1;
    return 0;
}

const luaL_Reg tide_clock_functions[] = {{"blocked", blocked},
                                         {"start_clock", start_clock},
                                         {"stop_clock", stop_clock},
                                         {"clock_ns", clock_ns},
                                         {"set_clock", set_clock},
                                         {"shuffle", shuffle},
                                         {NULL, NULL}};
