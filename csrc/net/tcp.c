#include "net/tcp.h"

#include "core/objects.h"
#include "core/option.h"
#include "loop/handle.h"
#include "loop/uverror.h"
#include "net/address.h"
#include "net/server.h"
#include "stream/stream.h"

/* ---- connecting ---- */

/* The fields local_address and local_port of the options at 3; false: there are none. Without an
 * address it is any of the remote one's family. [-0, +0, e] */
static bool check_local(lua_State *L, const tide_address *remote, tide_address *local) {
    static const tide_option ports[] = {{"local_port", TIDE_KIND_INTEGER, TIDE_PORT, 0},
                                        {.name = NULL}};
    static const tide_option host = {.name = "local_address", .kind = TIDE_KIND_TEXT};
    lua_Integer port = -1;
    tide_option_read(L, 3, ports, &port);
    bool given = lua_istable(L, 3) && tide_option_push(L, 3, &host);
    const char *any = remote->any.sa_family == AF_INET ? "0.0.0.0" : "::";
    bool valid = tide_address_parse(given ? lua_tostring(L, -1) : any, local);
    lua_settop(L, 3);
    if (!valid)
        tide_argument_fail(L, 3, "field 'local_address': IP address expected");
    if (port > 0)
        tide_address_set_port(local, port);
    return given || port >= 0;
}

/* tcp_connect(address, port, [options]) -> stream, promise of nothing: the stream is connected.
 * Destroying the stream gives up. */
static int tcp_connect(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_address remote, local;
    lua_settop(L, 3);
    tide_address_check(L, 1, 2, &remote);
    bool bound = check_local(L, &remote, &local);
    tide_address_push_name(L, &remote.any);
    const char *name = lua_tostring(L, 4);
    tide_stream *s = tide_stream_new(L, rt);
    uv_connect_t *request = tide_stream_connect_new(L, s, 5, name);
    int status = uv_tcp_init(&rt->loop, &s->uv.tcp);
    if (status == 0)
        tide_stream_opened(s);
    if (status == 0 && bound)
        status = uv_tcp_bind(&s->uv.tcp, &local.any, 0);
    if (status == 0)
        status = uv_tcp_connect(request, &s->uv.tcp, &remote.any, tide_stream_connect_done);
    tide_stream_connect_begin(L, 6, status);
    if (status == 0)
        uv_tcp_nodelay(&s->uv.tcp, 1);
    lua_remove(L, 6);
    return 2;
}

/* ---- listening ---- */

typedef struct listening {
    lua_Integer backlog;
    bool ipv6_only, reuse_port;
} listening;

/* tcp_listen(address, port, [options]) -> server; raises a SystemError */
static int tcp_listen(lua_State *L) {
    static const tide_option list[] = {
        TIDE_BACKLOG(offsetof(listening, backlog)),
        {"ipv6_only", TIDE_KIND_FLAG, TIDE_ANY, offsetof(listening, ipv6_only)},
        {"reuse_port", TIDE_KIND_FLAG, TIDE_ANY, offsetof(listening, reuse_port)},
        {.name = NULL}};
    tide_runtime *rt = tide_runtime_here(L);
    tide_address local;
    lua_settop(L, 3);
    tide_address_check(L, 1, 2, &local);
    listening options = {TIDE_SERVER_BACKLOG, false, false};
    tide_option_read(L, 3, list, &options);
    tide_server *server = tide_server_new(L, rt);
    int status = uv_tcp_init_ex(&rt->loop, &server->uv.tcp, local.any.sa_family);
    if (status == 0)
        tide_handle_opened(&server->handle);
    if (status == 0 && options.reuse_port)
        status = tide_address_share_port(&server->uv.handle);
    if (status == 0)
        status = uv_tcp_bind(&server->uv.tcp, &local.any, options.ipv6_only ? UV_TCP_IPV6ONLY : 0);
    tide_server_listen(L, server, status, (int)options.backlog, NULL, &local);
    return 1;
}

/* ---- methods of streams ---- */

/* Pushes nothing where it has worked; raises a SystemError. */
static int check_status(lua_State *L, tide_runtime *rt, int status) {
    lua_settop(L, 1);
    if (status == 0)
        return 1;
    tide_uverror_push(L, rt, status, "setsockopt", NULL);
    return lua_error(L);
}

static uv_tcp_t *check_tcp(lua_State *L) {
    tide_stream *s = tide_stream_check(L, 1);
    if (!tide_stream_is_open(s))
        tide_argument_fail(L, 1, "it is closed");
    if (s->uv.handle.type != UV_TCP)
        tide_argument_fail(L, 1, "tcp stream expected");
    return &s->uv.tcp;
}

/* s:set_nodelay(on) -> s */
static int set_nodelay(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    uv_tcp_t *tcp = check_tcp(L);
    return check_status(L, rt, uv_tcp_nodelay(tcp, tide_argument_flag(L, 2)));
}

/* s:set_keepalive(seconds or false) -> s */
static int set_keepalive(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    uv_tcp_t *tcp = check_tcp(L);
    lua_Integer seconds = 0;
    if (!lua_isboolean(L, 2) || lua_toboolean(L, 2))
        seconds = tide_argument_integer(L, 2, (tide_range){1, 32767});
    return check_status(L, rt, uv_tcp_keepalive(tcp, seconds > 0, (unsigned)seconds));
}

void tide_tcp_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg methods[] = {
        {"set_keepalive", set_keepalive}, {"set_nodelay", set_nodelay}, {NULL, NULL}};
    tide_stream_push_methods(L);
    tide_objects_set_functions(L, rt, "stream:", methods);
    lua_pop(L, 1);
}

/* family(text) -> 4 or 6, or nil for what is no address */
static int family(lua_State *L) {
    tide_address address;
    if (!tide_address_parse(tide_argument_text(L, 1), &address))
        return 0;
    lua_pushinteger(L, tide_address_family(&address.any));
    return 1;
}

const luaL_Reg tide_tcp_functions[] = {
    {"family", family}, {"tcp_connect", tcp_connect}, {"tcp_listen", tcp_listen}, {NULL, NULL}};
