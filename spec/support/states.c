/*
 * A Lua module with other states in it, for specs: open() -> state; run(state, code) runs that in a
 * thread of its own and waits for it; close(state); raise(signal).
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>

typedef struct call {
    lua_State *L;
    const char *code;
    int status;
} call;

static lua_State **check_state(lua_State *L) {
    return luaL_checkudata(L, 1, "state");
}

static int open_state(lua_State *L) {
    lua_State **state = lua_newuserdatauv(L, sizeof(lua_State *), 0);
    luaL_newmetatable(L, "state");
    lua_setmetatable(L, -2);
    *state = luaL_newstate();
    luaL_openlibs(*state);
    return 1;
}

static void *run_call(void *arg) {
    call *c = arg;
    c->status = luaL_dostring(c->L, c->code);
    return NULL;
}

static int run(lua_State *L) {
    pthread_t thread;
    call c = {*check_state(L), luaL_checkstring(L, 2), LUA_OK};
    if (pthread_create(&thread, NULL, run_call, &c) != 0)
        return luaL_error(L, "no thread");
    pthread_join(thread, NULL);
    if (c.status != LUA_OK)
        return luaL_error(L, "%s", lua_tostring(c.L, -1));
    return 0;
}

static int close_state(lua_State *L) {
    lua_close(*check_state(L));
    return 0;
}

static int raise_signal(lua_State *L) {
    raise((int)luaL_checkinteger(L, 1));
    return 0;
}

int luaopen_states(lua_State *L) {
    static const luaL_Reg functions[] = {{"open", open_state},
                                         {"run", run},
                                         {"close", close_state},
                                         {"raise", raise_signal},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
