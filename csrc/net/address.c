#include "net/address.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/objects.h"
#include "loop/uverror.h"
#include "stream/stream.h"

bool tide_address_parse(const char *text, tide_address *address) {
    memset(address, 0, sizeof *address);
    if (uv_ip4_addr(text, 0, &address->v4) == 0)
        return true;
    return uv_ip6_addr(text, 0, &address->v6) == 0 &&
           (strchr(text, '%') == NULL || address->v6.sin6_scope_id != 0);
}

void tide_address_check(lua_State *L, int host, int port, tide_address *address) {
    tide_address_check_host(L, host, address);
    tide_address_set_port(address, tide_argument_integer(L, port, TIDE_PORT));
}

void tide_address_check_host(lua_State *L, int argument, tide_address *address) {
    if (!tide_address_parse(tide_argument_text(L, argument), address))
        tide_argument_fail(L, argument, "IP address expected");
}

void tide_address_set_port(tide_address *address, lua_Integer port) {
    if (address->any.sa_family == AF_INET)
        address->v4.sin_port = htons((uint16_t)port);
    else
        address->v6.sin6_port = htons((uint16_t)port);
}

int tide_address_family(const struct sockaddr *a) {
    return a->sa_family == AF_INET ? 4 : a->sa_family == AF_INET6 ? 6 : 0;
}

static int port_of(const struct sockaddr *a) {
    return ntohs(a->sa_family == AF_INET ? ((const struct sockaddr_in *)a)->sin_port
                                         : ((const struct sockaddr_in6 *)a)->sin6_port);
}

void tide_address_push(lua_State *L, const struct sockaddr *a) {
    char text[INET6_ADDRSTRLEN], zone[UV_IF_NAMESIZE];
    size_t size = sizeof zone;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
    if (tide_address_family(a) == 4) {
        uv_ip4_name((const struct sockaddr_in *)a, text, sizeof text);
        lua_pushstring(L, text);
        return;
    }
    uv_ip6_name(v6, text, sizeof text);
    if (v6->sin6_scope_id == 0)
        lua_pushstring(L, text);
    else if (uv_if_indextoname(v6->sin6_scope_id, zone, &size) == 0)
        lua_pushfstring(L, "%s%%%s", text, zone);
    else
        lua_pushfstring(L, "%s%%%d", text, (int)v6->sin6_scope_id);
}

void tide_address_push_table(lua_State *L, const struct sockaddr *a) {
    lua_createtable(L, 0, 3);
    tide_address_push(L, a);
    lua_setfield(L, -2, "address");
    lua_pushinteger(L, tide_address_family(a));
    lua_setfield(L, -2, "family");
    lua_pushinteger(L, port_of(a));
    lua_setfield(L, -2, "port");
}

void tide_address_push_name(lua_State *L, const struct sockaddr *a) {
    tide_address_push(L, a);
    const char *form = tide_address_family(a) == 6 ? "[%s]:%d" : "%s:%d";
    lua_pushfstring(L, form, lua_tostring(L, -1), port_of(a));
    lua_remove(L, -2);
}

void tide_address_push_failure(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                               const tide_address *address) {
    if (address == NULL) {
        tide_uverror_push(L, rt, status, syscall, NULL);
        return;
    }
    tide_address_push_name(L, &address->any);
    tide_uverror_push(L, rt, status, syscall, lua_tostring(L, -1));
    lua_replace(L, -2);
    lua_pushnil(L);
    lua_setfield(L, -2, "path");
    tide_address_push(L, &address->any);
    lua_setfield(L, -2, "address");
    lua_pushinteger(L, port_of(&address->any));
    lua_setfield(L, -2, "port");
}

int tide_address_share_port(const uv_handle_t *socket) {
#ifdef SO_REUSEPORT
    uv_os_fd_t fd;
    int on = 1, status = uv_fileno(socket, &fd);
    if (status == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        status = uv_translate_sys_error(errno);
    return status;
#else
    (void)socket;
    return UV_ENOTSUP;
#endif
}

/* ---- of sockets ---- */

/* Pushes the path of a pipe, nil where it has none. */
static void push_path(lua_State *L, const uv_pipe_t *pipe, bool peer) {
    char path[256];
    size_t size = sizeof path;
    int status = (peer ? uv_pipe_getpeername : uv_pipe_getsockname)(pipe, path, &size);
    if (status == 0 && size > 0)
        lua_pushlstring(L, path, size);
    else
        lua_pushnil(L);
}

int tide_address_push_of(lua_State *L, const uv_handle_t *handle, bool peer) {
    tide_address address;
    int size = sizeof address;
    if (handle->type == UV_NAMED_PIPE) {
        lua_createtable(L, 0, 1);
        push_path(L, (const uv_pipe_t *)handle, peer);
        lua_setfield(L, -2, "path");
        return 1;
    }
    const uv_tcp_t *tcp = (const uv_tcp_t *)handle;
    if (handle->type != UV_TCP ||
        (peer ? uv_tcp_getpeername : uv_tcp_getsockname)(tcp, &address.any, &size) != 0)
        return 0;
    tide_address_push_table(L, &address.any);
    return 1;
}

static int push_address(lua_State *L, bool peer) {
    tide_runtime_here(L);
    tide_stream *s = tide_stream_check(L, 1);
    return tide_stream_is_open(s) ? tide_address_push_of(L, &s->uv.handle, peer) : 0;
}

/* s:local_address() -> {address=, family=, port=} or {path=}; nothing where there is none */
static int stream_local_address(lua_State *L) {
    return push_address(L, false);
}

/* s:peer_address(), the same */
static int stream_peer_address(lua_State *L) {
    return push_address(L, true);
}

void tide_address_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg methods[] = {{"local_address", stream_local_address},
                                       {"peer_address", stream_peer_address},
                                       {NULL, NULL}};
    tide_stream_push_methods(L);
    tide_objects_set_functions(L, rt, "stream:", methods);
    lua_pop(L, 1);
}
