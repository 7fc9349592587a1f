#include "net/server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/waiter.h"
#include "core/objects.h"
#include "core/promise.h"
#include "core/task.h"
#include "loop/uverror.h"
#include "net/address.h"
#include "stream/stream.h"

#define METATABLE "moontide.Server"

enum { SLOT_CLOSED = 1 };

static const tide_handle_type handle_type = {.class = METATABLE,
                                             .size = sizeof(tide_server),
                                             .first = offsetof(tide_server, uv),
                                             .uv_size = sizeof((tide_server *)NULL)->uv,
                                             .user_values = SLOT_CLOSED,
                                             .closed_slot = SLOT_CLOSED};

/* ---- accepting ---- */

/* Errors of one connection, or of a lack that will pass: the next one may be accepted. */
static bool is_transient(int status) {
    switch (status) {
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_ENOBUFS:
    case UV_ENOMEM:
    case UV_ECONNABORTED:
    case UV_EPROTO: return true;
    default: return false;
    }
}

static void on_connection(uv_stream_t *uv, int status) {
    tide_server *server = uv->data;
    if (status < 0 && is_transient(status))
        return;
    tide_wait *wait = tide_handle_first_wait(&server->handle);
    if (wait != NULL)
        tide_handle_complete_wait(wait, status);
    else
        server->ready = status == 0;
}

/* The connection is for the one who waits, or for the next who asks. */
static void pass_on(tide_server *server) {
    tide_wait *next = tide_handle_first_wait(&server->handle);
    if (next != NULL)
        tide_handle_complete_wait(next, 0);
    else
        server->ready = true;
}

/* Opens the stream's struct for what the server accepts. */
static int open_accepted(tide_server *server, tide_stream *s) {
    uv_loop_t *loop = &server->handle.rt->loop;
    return server->uv.handle.type == UV_TCP ? uv_tcp_init(loop, &s->uv.tcp)
                                            : uv_pipe_init(loop, &s->uv.pipe, 0);
}

/* What every connection is told; it is on top. */
static int begin_connection(tide_stream *s) {
    if (s->uv.handle.type == UV_TCP)
        uv_tcp_nodelay(&s->uv.tcp, 1);
    return 1;
}

/* Opens the stream, for the connection that libuv has accepted; UV_EAGAIN: there is none. */
static int take_accepted(tide_server *server, tide_stream *s) {
    int status = open_accepted(server, s);
    if (status == 0) {
        tide_stream_opened(s);
        server->ready = false;
        status = uv_accept(&server->uv.stream, &s->uv.stream);
    }
    return status;
}

/* Pushes the connection that is ready and returns 1, or pushes what has failed and returns -1.
 * [-0, +1, m] */
static int push_connection(lua_State *L, tide_runtime *rt, tide_server *server) {
    tide_stream *s = tide_stream_new(L, rt);
    int status = take_accepted(server, s);
    if (status == 0)
        return begin_connection(s);
    tide_stream_destroy(L, s, -1);
    tide_uverror_push(L, rt, status, "accept", NULL);
    return -1;
}

/* A closed server has nothing to give. */
static int finish_accept(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    tide_wait *wait = (tide_wait *)operation;
    tide_server *server = (tide_server *)wait->handle;
    if (wait->status == UV_ECANCELED || !tide_handle_is_open(&server->handle))
        return 0;
    if (operation->aborted) {
        if (wait->status == 0)
            pass_on(server);
        return 0;
    }
    if (wait->status < 0) {
        tide_uverror_push(L, rt, wait->status, "accept", NULL);
        return -1;
    }
    server->ready = true; /* until it is taken, which may fail */
    return push_connection(L, rt, server);
}

static const tide_operation_type accept_type = {finish_accept, tide_operation_release_nothing,
                                                "server:accept", tide_handle_of_wait, NULL};

static tide_server *check_server(lua_State *L) {
    tide_runtime_here(L);
    return tide_handle_check(L, 1, &handle_type);
}

/* s:accept([options]) -> promise of a stream, or of nothing when the server is closed */
static int server_accept(lua_State *L) {
    tide_server *server = check_server(L);
    tide_runtime *rt = server->handle.rt;
    if (tide_waiter_begin(L, rt, 2))
        return 1;
    bool open = tide_handle_is_open(&server->handle);
    if (open && !server->ready) {
        tide_handle_new_wait(L, &server->handle, 1, sizeof(tide_wait), &accept_type);
        tide_operation_attach(L, rt, 3);
        return 1;
    }
    return tide_promise_push_settled(L, rt, open ? push_connection(L, rt, server) : 0);
}

/* A connection from the system's queue: as the stream, which is open. */
static int take_queued(tide_server *server, tide_stream *s) {
    uv_os_fd_t listening;
    int status = uv_fileno(&server->uv.handle, &listening);
    if (status != 0)
        return status;
    int fd = accept(listening, NULL, NULL);
    if (fd < 0)
        return UV_EAGAIN;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    status = server->uv.handle.type == UV_TCP ? uv_tcp_open(&s->uv.tcp, fd)
                                              : uv_pipe_open(&s->uv.pipe, fd);
    if (status != 0)
        close(fd);
    return status;
}

/* accept_now(s) -> a stream that has connected already, or nothing. For who is about to close s. */
static int accept_now(lua_State *L) {
    tide_server *server = check_server(L);
    if (!tide_handle_is_open(&server->handle))
        return 0;
    tide_stream *s = tide_stream_new(L, server->handle.rt);
    int status = take_accepted(server, s);
    if (status == UV_EAGAIN)
        status = take_queued(server, s);
    if (status == 0)
        return begin_connection(s);
    tide_stream_destroy(L, s, -1);
    return 0;
}

/* for connection in s: awaits the next one */
static int server_call(lua_State *L) {
    tide_task_check_await(L, tide_runtime_here(L));
    lua_settop(L, 1);
    server_accept(L);
    return tide_task_await_top(L);
}

/* ---- the rest ---- */

static int server_close(lua_State *L) {
    tide_server *server = check_server(L);
    lua_settop(L, 1);
    tide_handle_push_closed(L, &server->handle, 1);
    tide_handle_close(L, &server->handle, 1);
    return 1;
}

static int server_leave(lua_State *L) {
    tide_server *server = check_server(L);
    tide_handle_close(L, &server->handle, 1);
    return 0;
}

/* s:address() -> {address=, family=, port=} or {path=}, nothing when it is closed */
static int server_address(lua_State *L) {
    tide_server *server = check_server(L);
    if (!tide_handle_is_open(&server->handle))
        return 0;
    return tide_address_push_of(L, &server->uv.handle, false);
}

tide_server *tide_server_new(lua_State *L, tide_runtime *rt) {
    return tide_handle_new(L, rt, &handle_type, 0);
}

void tide_server_listen(lua_State *L, tide_server *server, int status, int backlog,
                        const char *path, const tide_address *address) {
    const char *syscall = "bind";
    if (status == 0) {
        syscall = "listen";
        status = uv_listen(&server->uv.stream, backlog, on_connection);
    }
    if (status == 0)
        return;
    tide_handle_close(L, &server->handle, lua_gettop(L));
    if (path != NULL)
        tide_uverror_push(L, server->handle.rt, status, syscall, path);
    else
        tide_address_push_failure(L, server->handle.rt, status, syscall, address);
    lua_error(L);
}

void tide_server_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {
        {"__call", server_call}, {"__close", server_leave}, {"__gc", tide_handle_gc}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"accept", server_accept},
                                       {"address", server_address},
                                       {"close", server_close},
                                       {NULL, NULL}};
    tide_objects_open_class(L, rt, METATABLE, "server:", metamethods, methods);
}

const luaL_Reg tide_server_functions[] = {{"accept_now", accept_now}, {NULL, NULL}};
