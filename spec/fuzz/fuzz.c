/*
 * What libFuzzer calls: a function of Lua, the one that the script FUZZ_SCRIPT returns, with each
 * input. What that raises ends the run. The parser of requests is linked in, and instrumented; all
 * else is found as programs find it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

int luaopen_moontide_llhttp_core(lua_State *L);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lua_State *state;

static int describe(lua_State *L) {
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static void check(int status) {
    if (status == LUA_OK)
        return;
    fprintf(stderr, "%s\n", lua_tostring(state, -1));
    abort();
}

/* Leaves the handler of errors and the function on the stack. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *script = getenv("FUZZ_SCRIPT");
    (void)argc, (void)argv;
    if (script == NULL) {
        fputs("FUZZ_SCRIPT is not set\n", stderr);
        exit(2);
    }
    state = luaL_newstate();
    luaL_openlibs(state);
    luaL_getsubtable(state, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(state, luaopen_moontide_llhttp_core);
    lua_setfield(state, -2, "moontide.llhttp_core");
    lua_settop(state, 0);
    lua_pushcfunction(state, describe);
    if (luaL_loadfile(state, script) != LUA_OK)
        check(LUA_ERRSYNTAX);
    check(lua_pcall(state, 0, 1, 1));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lua_pushvalue(state, 2);
    lua_pushlstring(state, (const char *)data, size);
    check(lua_pcall(state, 1, 0, 1));
    return 0;
}
