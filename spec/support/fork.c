/*
 * A Lua module that forks, for specs: fork() -> pid, 0 in the child; wait(pid) -> exit status, or
 * minus the signal.
 */
#include <lauxlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int fork_process(lua_State *L) {
    lua_pushinteger(L, fork());
    return 1;
}

static int wait_for(lua_State *L) {
    int status;
    if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0)
        return luaL_error(L, "waitpid failed");
    lua_pushinteger(L, WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
    return 1;
}

int luaopen_fork(lua_State *L) {
    static const luaL_Reg functions[] = {{"fork", fork_process}, {"wait", wait_for}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
