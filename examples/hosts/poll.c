/*
 * A host with a loop of its own, made of poll(2): it waits for its own input and for moontide at
 * once, and calls into Lua when a line has come.
 *
 *     cc -o host examples/hosts/poll.c $(pkg-config --cflags --libs lua5.4) -Wl,-export-dynamic
 *     printf 'one\ntwo\n' | ./host
 *
 * The script below answers each line after a while, the later ones sooner.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static const char script[] = "local tide = require 'moontide'\n"
                             "local ms = 300\n"
                             "local function answer(line)\n"
                             "  ms = ms - 100\n"
                             "  tide.await(tide.sleep(ms))\n"
                             "  print('answer to ' .. line)\n"
                             "end\n"
                             "function on_line(line) tide.spawn(answer, line) end\n"
                             "return tide\n";

typedef struct host {
    lua_State *L;
    bool woken; /* a turn is due, whatever the timeout was */
} host;

static void fail(lua_State *L) {
    fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    exit(1);
}

/* Calls a function of moontide's, which stands at 1. Leaves one result. */
static void call(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK)
        fail(L);
}

static int call_integer(lua_State *L, const char *name) {
    call(L, name);
    int result = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return result;
}

/* What on_wake calls: it only notes. */
static int on_wake(lua_State *L) {
    host *h = lua_touserdata(L, lua_upvalueindex(1));
    h->woken = true;
    return 0;
}

static void open_moontide(host *h) {
    lua_State *L = h->L;
    if (luaL_dostring(L, script))
        fail(L);
    lua_getfield(L, 1, "on_wake");
    lua_pushlightuserdata(L, h);
    lua_pushcclosure(L, on_wake, 1);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK)
        fail(L);
}

/* One turn; returns whether anything is left. */
static bool turn(host *h) {
    h->woken = false;
    call(h->L, "step");
    bool alive = lua_toboolean(h->L, -1);
    lua_pop(h->L, 1);
    return alive;
}

/* A callback of the host's own: outside the turns. Returns false at the end of the input. */
static bool read_lines(host *h) {
    char text[4096];
    ssize_t n = read(STDIN_FILENO, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        lua_getglobal(h->L, "on_line");
        lua_pushstring(h->L, line);
        if (lua_pcall(h->L, 1, 0, 0) != LUA_OK)
            fail(h->L);
    }
    return n > 0;
}

static void loop(host *h) {
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
    bool alive = false;
    while (alive || fds[0].fd >= 0) {
        fds[1].fd = call_integer(h->L, "backend_fd");
        int timeout = h->woken ? 0 : call_integer(h->L, "backend_timeout");
        int ready = poll(fds, 2, timeout);
        if (fds[0].revents != 0 && !read_lines(h))
            fds[0].fd = -1;
        if (ready == 0 || fds[1].revents != 0 || h->woken)
            alive = turn(h);
    }
}

int main(void) {
    host h = {luaL_newstate(), false};
    if (h.L == NULL)
        return 1;
    luaL_openlibs(h.L);
    open_moontide(&h);
    loop(&h);
    lua_close(h.L);
    return 0;
}
