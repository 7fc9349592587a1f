#include <string.h>
#include <sys/un.h>

#include "core/functions.h"
#include "core/runtime.h"
#include "loop/handle.h"
#include "net/server.h"
#include "stream/stream.h"

/* The path at 1. What libuv would cut off, it must not see. */
static const char *check_path(lua_State *L) {
    size_t length;
    const char *path = luaL_checklstring(L, 1, &length);
    luaL_argcheck(L, length > 0 && strlen(path) == length, 1, "path expected");
    luaL_argcheck(L, length < sizeof((struct sockaddr_un *)0)->sun_path, 1, "path too long");
    return path;
}

/* pipe_connect(path) -> stream, promise of nothing: the stream is connected */
static int pipe_connect(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const char *path = check_path(L);
    lua_settop(L, 1);
    tide_stream *s = tide_stream_new(L, rt);
    uv_connect_t *request = tide_stream_connect_new(L, s, 2, path);
    int status = uv_pipe_init(&rt->loop, &s->uv.pipe, 0);
    if (status == 0) {
        tide_stream_opened(s);
        uv_pipe_connect(request, &s->uv.pipe, path, tide_stream_connect_done);
    }
    tide_stream_connect_begin(L, 3, status);
    lua_remove(L, 3);
    return 2;
}

/* pipe_listen(path, [options]) -> server; raises a SystemError */
static int pipe_listen(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const char *path = check_path(L);
    int backlog = tide_server_check_backlog(L, 2);
    lua_settop(L, 2);
    tide_server *server = tide_server_new(L, rt);
    int status = uv_pipe_init(&rt->loop, &server->uv.pipe, 0);
    if (status == 0) {
        tide_handle_opened(&server->handle);
        status = uv_pipe_bind(&server->uv.pipe, path);
    }
    tide_server_listen(L, server, status, backlog, path);
    return 1;
}

const luaL_Reg tide_pipe_functions[] = {
    {"pipe_connect", pipe_connect}, {"pipe_listen", pipe_listen}, {NULL, NULL}};
