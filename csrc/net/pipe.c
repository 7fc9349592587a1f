#include <string.h>
#include <sys/un.h>

#include "core/functions.h"
#include "core/option.h"
#include "loop/handle.h"
#include "net/server.h"
#include "stream/stream.h"

static const char *path_problem(const char *path) {
    if (*path == '\0')
        return "the path is empty";
    return strlen(path) < sizeof((struct sockaddr_un *)0)->sun_path ? NULL : "the path is too long";
}

/* The path at 1. What libuv would cut off, it must not see. */
static const char *check_path(lua_State *L) {
    const char *path = tide_argument_text(L, 1), *problem = path_problem(path);
    if (problem != NULL)
        tide_argument_fail(L, 1, problem);
    return path;
}

/* pipe_problem(path) -> why a string cannot be the path of a socket, or nil */
static int pipe_problem(lua_State *L) {
    lua_pushstring(L, path_problem(tide_argument_text(L, 1)));
    return 1;
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
    static const tide_option list[] = {TIDE_BACKLOG(0), {.name = NULL}};
    lua_Integer backlog = TIDE_SERVER_BACKLOG;
    tide_option_read(L, 2, list, &backlog);
    lua_settop(L, 2);
    tide_server *server = tide_server_new(L, rt);
    int status = uv_pipe_init(&rt->loop, &server->uv.pipe, 0);
    if (status == 0) {
        tide_handle_opened(&server->handle);
        status = uv_pipe_bind(&server->uv.pipe, path);
    }
    tide_server_listen(L, server, status, (int)backlog, path, NULL);
    return 1;
}

const luaL_Reg tide_pipe_functions[] = {{"pipe_connect", pipe_connect},
                                        {"pipe_listen", pipe_listen},
                                        {"pipe_problem", pipe_problem},
                                        {NULL, NULL}};
