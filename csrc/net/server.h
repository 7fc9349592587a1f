/*
 * Servers: handles of libuv's that listen, tcp or pipe.
 *
 * libuv accepts one connection and no more until it has been taken: the others wait in the
 * system's queue, whose length is the backlog.
 */
#ifndef TIDE_SERVER_H
#define TIDE_SERVER_H

#include <limits.h>

#include "net/address.h"
#include "core/option.h"
#include "loop/handle.h"

#pragma GCC visibility push(hidden)

typedef struct tide_server {
    tide_handle handle;
    bool ready; /* a connection can be taken, which has not been promised to anybody */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
} tide_server;

/* Pushes a new server, of which nothing is open. [-0, +1, m] */
tide_server *tide_server_new(lua_State *L, tide_runtime *rt);

/* How many connections may wait in the system's queue: the option, and what it is without. */
#define TIDE_BACKLOG(offset)                                                                       \
    { "backlog", TIDE_KIND_INTEGER, {1, INT_MAX}, offset }
enum { TIDE_SERVER_BACKLOG = 511 };

/* Has the server on top, bound with that status, listen; raises what has failed, in the name of
 * the path or the address, after closing it. [-0, +0, e] */
void tide_server_listen(lua_State *L, tide_server *server, int status, int backlog,
                        const char *path, const tide_address *address);

void tide_server_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_server_functions[];

#pragma GCC visibility pop

#endif
