/*
 * libuv hands over up to 32 datagrams at a time, and reading goes on between two receives: what
 * nobody waits for is kept, up to KEPT_MAX bytes. Then reading stops, and the system's buffer is
 * the bound; beyond it the system drops what comes, as datagrams are.
 *
 * A datagram is one block of memory from the moment libuv asks where to put it. It has one owner:
 * the callback, then the receive that it is for, or the list of those kept.
 */
#include "net/udp.h"

#include <stdlib.h>
#include <string.h>

#include "core/waiter.h"
#include "core/objects.h"
#include "core/option.h"
#include "core/promise.h"
#include "core/task.h"
#include "loop/burst.h"
#include "loop/handle.h"
#include "loop/operation.h"
#include "loop/uverror.h"
#include "net/address.h"

#define METATABLE "moontide.net.UDP"

enum { KEPT_MAX = 64 * 1024, LENGTH_MAX = 64 * 1024, PORT_MAX = 65535 };

typedef struct datagram {
    struct datagram *next;
    int status; /* 0, or an error that came in place of a datagram */
    bool truncated;
    tide_address from;
    size_t length;
    char data[];
} datagram;

typedef struct udp {
    tide_handle handle;
    uv_udp_t uv;
    datagram *first, *last; /* kept */
    size_t kept;            /* bytes, what they cost besides included */
    size_t length_max;      /* of a datagram that is received whole */
    bool reading;
    tide_burst burst; /* of sends */
} udp;

typedef struct receiving {
    tide_wait wait;
    datagram *datagram; /* for this one, or NULL */
} receiving;

/* ---- datagrams that are kept ---- */

static size_t cost(const datagram *d) {
    return sizeof *d + d->length;
}

static void keep(udp *s, datagram *d) {
    d->next = NULL;
    if (s->first == NULL)
        s->first = d;
    else
        s->last->next = d;
    s->last = d;
    s->kept += cost(d);
}

static void keep_in_front(udp *s, datagram *d) {
    d->next = s->first;
    if (s->first == NULL)
        s->last = d;
    s->first = d;
    s->kept += cost(d);
}

static void drop_first(udp *s) {
    datagram *d = s->first;
    s->first = d->next;
    s->kept -= cost(d);
    free(d);
}

static void drop_all(udp *s) {
    while (s->first != NULL)
        drop_first(s);
}

/* ---- the handle ---- */

static void release(tide_handle *handle) {
    drop_all((udp *)handle);
}

static const tide_handle_type handle_type = {.class = METATABLE,
                                             .size = sizeof(udp),
                                             .first = offsetof(udp, uv),
                                             .uv_size = sizeof(uv_udp_t),
                                             .release = release};

/* ---- errors and settled promises ---- */

static int fail(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                const tide_address *address) {
    tide_address_push_failure(L, rt, status, syscall, address);
    return lua_error(L);
}

static udp *check_udp(lua_State *L) {
    tide_runtime_here(L);
    return tide_handle_check(L, 1, &handle_type);
}

/* The same for what cannot be done any more when it is closed. */
static udp *check_open(lua_State *L, const char *syscall) {
    udp *s = check_udp(L);
    if (!tide_handle_is_open(&s->handle))
        fail(L, s->handle.rt, UV_EBADF, syscall, NULL);
    return s;
}

/* ---- receiving ---- */

static void stop_reading(udp *s) {
    if (s->reading)
        uv_udp_recv_stop(&s->uv);
    s->reading = false;
}

static void on_alloc(uv_handle_t *uv, size_t suggested, uv_buf_t *buffer) {
    udp *s = uv->data;
    (void)suggested;
    datagram *d = malloc(sizeof *d + s->length_max);
    *buffer = d == NULL ? uv_buf_init(NULL, 0) : uv_buf_init(d->data, (unsigned)s->length_max);
}

/* Fills in what libuv says of a datagram. Without memory there is none: NULL. */
static datagram *describe(const uv_buf_t *buffer, ssize_t n, const struct sockaddr *from,
                          unsigned flags) {
    if (buffer->base == NULL)
        return NULL;
    datagram *d = (datagram *)(buffer->base - offsetof(datagram, data));
    d->status = n < 0 ? (int)n : 0;
    d->length = n < 0 ? 0 : (size_t)n;
    d->truncated = (flags & UV_UDP_PARTIAL) != 0;
    memset(&d->from, 0, sizeof d->from);
    if (from != NULL)
        memcpy(&d->from, from, from->sa_family == AF_INET6 ? sizeof d->from.v6 : sizeof d->from.v4);
    return d;
}

static void on_receive(uv_udp_t *uv, ssize_t n, const uv_buf_t *buffer, const struct sockaddr *from,
                       unsigned flags) {
    udp *s = uv->data;
    datagram *d = describe(buffer, n, from, flags);
    receiving *r = (receiving *)tide_handle_first_wait(&s->handle);
    if (n == 0 && from == NULL) { /* nothing was there */
        free(d);
    } else if (r != NULL) {
        r->datagram = d;
        tide_handle_complete_wait(&r->wait, d == NULL ? UV_ENOMEM : 0);
    } else if (d != NULL) {
        datagram *smaller = realloc(d, cost(d));
        keep(s, smaller == NULL ? d : smaller);
        if (s->kept >= KEPT_MAX)
            stop_reading(s);
    }
}

/* Pushes what a receive is fulfilled with, or rejected: then returns -1. [-0, +(2|1), m] */
static int push_datagram(lua_State *L, tide_runtime *rt, const datagram *d) {
    if (d->status < 0) {
        tide_address_push_failure(L, rt, d->status, "recvmsg", NULL);
        return -1;
    }
    lua_pushlstring(L, d->data, d->length);
    tide_address_push_table(L, &d->from.any);
    if (d->truncated) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "truncated");
    }
    return 2;
}

/* The datagram of a receive that was aborted is for the next one. */
static void give_back(receiving *r) {
    udp *s = (udp *)r->wait.handle;
    receiving *next = (receiving *)tide_handle_first_wait(&s->handle);
    if (r->datagram == NULL || !tide_handle_is_open(&s->handle))
        return;
    if (next != NULL) {
        next->datagram = r->datagram;
        tide_handle_complete_wait(&next->wait, 0);
    } else {
        keep_in_front(s, r->datagram);
    }
    r->datagram = NULL;
}

static int finish_receive(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    receiving *r = (receiving *)operation;
    if (operation->aborted) {
        give_back(r);
        return 0;
    }
    if (r->datagram != NULL)
        return push_datagram(L, rt, r->datagram);
    if (r->wait.status == UV_ECANCELED) /* closed */
        return 0;
    tide_address_push_failure(L, rt, r->wait.status, "recvmsg", NULL);
    return -1;
}

static void release_receive(tide_operation *operation) {
    receiving *r = (receiving *)operation;
    free(r->datagram);
    r->datagram = NULL;
}

static const tide_operation_type receive_type = {finish_receive, release_receive, "udp:receive",
                                                 tide_handle_of_wait, NULL};

/* Waits for the next datagram; the signal to heed is at 3. */
static int wait_for_datagram(lua_State *L, tide_runtime *rt, udp *s) {
    receiving *r = tide_handle_new_wait(L, &s->handle, 1, sizeof *r, &receive_type);
    r->datagram = NULL;
    if (!s->reading) {
        int status = uv_udp_recv_start(&s->uv, on_alloc, on_receive);
        s->reading = status == 0;
        if (status < 0)
            tide_handle_complete_wait(&r->wait, status);
    }
    tide_operation_attach(L, rt, 3);
    return 1;
}

/* s:receive([options]) -> promise of the data and where it came from, or of nothing when closed */
static int udp_receive(lua_State *L) {
    udp *s = check_udp(L);
    tide_runtime *rt = s->handle.rt;
    if (tide_waiter_begin(L, rt, 2))
        return 1;
    if (!tide_handle_is_open(&s->handle))
        return tide_promise_push_settled(L, rt, 0);
    if (s->first == NULL)
        return wait_for_datagram(L, rt, s);
    int n = push_datagram(L, rt, s->first);
    tide_promise_push_settled(L, rt, n);
    drop_first(s);
    return 1;
}

/* for data, peer in s: awaits the next one */
static int udp_call(lua_State *L) {
    tide_task_check_await(L, tide_runtime_here(L));
    lua_settop(L, 1);
    udp_receive(L);
    return tide_task_await_top(L);
}

/* ---- sending ---- */

typedef struct sending {
    tide_operation operation;
    uv_udp_send_t request;
    tide_address to;
    bool addressed;
    int status;
} sending;

enum { SLOT_DATA = TIDE_SLOT_OPERATION, SLOT_SOCKET };

static void on_send(uv_udp_send_t *request, int status) {
    sending *o = request->data;
    o->status = status;
    tide_operation_complete(&o->operation);
}

static int finish_send(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    sending *o = (sending *)operation;
    if (o->status == 0)
        return 0;
    tide_address_push_failure(L, rt, o->status, "sendmsg", o->addressed ? &o->to : NULL);
    return -1;
}

static const tide_operation_type send_type = {finish_send, tide_operation_release_nothing,
                                              "udp:send", NULL, NULL};

/* The data at 2 waits until the system takes it. The signal to heed is on top. */
static int queue_send(lua_State *L, udp *s, const uv_buf_t *data, const tide_address *to) {
    tide_runtime *rt = s->handle.rt;
    int signal = lua_gettop(L);
    sending *o = tide_operation_new(L, rt, sizeof *o, SLOT_SOCKET, &send_type);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -3, SLOT_DATA);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -3, SLOT_SOCKET);
    o->addressed = to != NULL;
    if (to != NULL)
        o->to = *to;
    o->request.data = o;
    tide_operation_begin(L, &o->operation, -2);
    int status = uv_udp_send(&o->request, &s->uv, data, 1, to == NULL ? NULL : &o->to.any, on_send);
    if (status < 0)
        on_send(&o->request, status);
    tide_operation_attach(L, rt, signal);
    return 1;
}

/* Has the system take the datagram at once, unless there were many in this turn; a status. */
static int try_send(udp *s, const uv_buf_t *data, const tide_address *to) {
    if (!tide_burst_goes_on(&s->burst, s->handle.rt))
        return UV_EAGAIN;
    return uv_udp_try_send(&s->uv, data, 1, to == NULL ? NULL : &to->any);
}

/* Whether the arguments name an address; else they are for a connected socket. */
static bool is_addressed(lua_State *L) {
    return !lua_isnoneornil(L, 4) || !(lua_isnoneornil(L, 3) || lua_istable(L, 3));
}

/* s:send(data, [host, port], [options]) -> promise */
static int udp_send(lua_State *L) {
    udp *s = check_udp(L);
    tide_runtime *rt = s->handle.rt;
    tide_address address, *to = NULL;
    size_t length;
    const char *text = tide_argument_data(L, 2, &length);
    if (is_addressed(L)) {
        tide_address_check(L, 3, 4, &address);
        to = &address;
    }
    if (length > INT32_MAX)
        tide_argument_fail(L, 2, "too long for a datagram");
    if (tide_waiter_begin(L, rt, to == NULL ? 3 : 5))
        return 1;
    uv_buf_t data = uv_buf_init((char *)text, (unsigned)length);
    int status = UV_EBADF;
    if (tide_handle_is_open(&s->handle))
        status = try_send(s, &data, to);
    if (status == UV_EAGAIN)
        return queue_send(L, s, &data, to);
    if (status >= 0)
        return tide_promise_push_settled(L, rt, 0);
    tide_address_push_failure(L, rt, status, "sendmsg", to);
    return tide_promise_push_settled(L, rt, -1);
}

/* ---- addresses ---- */

static int udp_connect(lua_State *L) {
    tide_address to;
    udp *s = check_open(L, "connect");
    tide_address_check(L, 2, 3, &to);
    int status = uv_udp_connect(&s->uv, &to.any);
    return status < 0 ? fail(L, s->handle.rt, status, "connect", &to) : 0;
}

static int udp_disconnect(lua_State *L) {
    udp *s = check_open(L, "connect");
    int status = uv_udp_connect(&s->uv, NULL);
    return status < 0 ? fail(L, s->handle.rt, status, "connect", NULL) : 0;
}

/* s:address() -> table */
static int udp_address(lua_State *L) {
    udp *s = check_open(L, "getsockname");
    tide_address address;
    int size = sizeof address;
    int status = uv_udp_getsockname(&s->uv, &address.any, &size);
    if (status < 0)
        return fail(L, s->handle.rt, status, "getsockname", NULL);
    tide_address_push_table(L, &address.any);
    return 1;
}

/* s:peer_address() -> table, or nil: not connected */
static int udp_peer_address(lua_State *L) {
    udp *s = check_open(L, "getpeername");
    tide_address address;
    int size = sizeof address;
    int status = uv_udp_getpeername(&s->uv, &address.any, &size);
    if (status == UV_ENOTCONN)
        lua_pushnil(L);
    else if (status < 0)
        return fail(L, s->handle.rt, status, "getpeername", NULL);
    else
        tide_address_push_table(L, &address.any);
    return 1;
}

/* ---- settings ---- */

static int set(lua_State *L, const udp *s, int status) {
    return status < 0 ? fail(L, s->handle.rt, status, "setsockopt", NULL) : 0;
}

static int udp_set_broadcast(lua_State *L) {
    udp *s = check_open(L, "setsockopt");
    bool on = tide_argument_flag(L, 2);
    return set(L, s, uv_udp_set_broadcast(&s->uv, on));
}

static int udp_set_ttl(lua_State *L) {
    udp *s = check_open(L, "setsockopt");
    int hops = (int)tide_argument_integer(L, 2, (tide_range){1, 255});
    return set(L, s, uv_udp_set_ttl(&s->uv, hops));
}

static int udp_set_multicast_ttl(lua_State *L) {
    udp *s = check_open(L, "setsockopt");
    int hops = (int)tide_argument_integer(L, 2, (tide_range){0, 255});
    return set(L, s, uv_udp_set_multicast_ttl(&s->uv, hops));
}

static int udp_set_multicast_loop(lua_State *L) {
    udp *s = check_open(L, "setsockopt");
    bool on = tide_argument_flag(L, 2);
    return set(L, s, uv_udp_set_multicast_loop(&s->uv, on));
}

/* The address at the argument; NULL where it may be missing, and is. */
static const char *check_address(lua_State *L, int argument, bool may_miss) {
    tide_address address;
    if (may_miss && lua_isnoneornil(L, argument))
        return NULL;
    tide_address_check_host(L, argument, &address);
    return lua_tostring(L, argument);
}

static int udp_set_multicast_interface(lua_State *L) {
    udp *s = check_open(L, "setsockopt");
    const char *interface = check_address(L, 2, true);
    return set(L, s, uv_udp_set_multicast_interface(&s->uv, interface));
}

static int change_group(lua_State *L, uv_membership membership) {
    udp *s = check_open(L, "setsockopt");
    const char *group = check_address(L, 2, false);
    const char *interface = check_address(L, 3, true);
    const char *source = check_address(L, 4, true);
    if (source == NULL)
        return set(L, s, uv_udp_set_membership(&s->uv, group, interface, membership));
    return set(L, s, uv_udp_set_source_membership(&s->uv, group, interface, source, membership));
}

/* s:join_group(address, [interface], [source]) */
static int udp_join_group(lua_State *L) {
    return change_group(L, UV_JOIN_GROUP);
}

static int udp_leave_group(lua_State *L) {
    return change_group(L, UV_LEAVE_GROUP);
}

/* ---- closing ---- */

static int udp_close(lua_State *L) {
    udp *s = check_udp(L);
    drop_all(s);
    tide_handle_close(L, &s->handle, 1);
    return 0;
}

/* ---- making ---- */

typedef struct udp_options {
    tide_address address; /* to be bound to */
    lua_Integer family, port, max_length;
    bool reuse_address, reuse_port, ipv6_only, broadcast;
} udp_options;

/* Sets the address from the options at 1; without a host, any of the family's. [-0, +0, e] */
static void set_address(lua_State *L, udp_options *options) {
    static const tide_option field = {.name = "host", .kind = TIDE_KIND_TEXT};
    const char *host = options->family == 6 ? "::" : "0.0.0.0";
    tide_address *address = &options->address;
    lua_settop(L, 1);
    if (lua_istable(L, 1) && tide_option_push(L, 1, &field))
        host = lua_tostring(L, 2);
    if (!tide_address_parse(host, address))
        tide_argument_fail(L, 1, "field 'host': IP address expected");
    if (options->family != 0 && options->family != tide_address_family(&address->any))
        tide_argument_fail(L, 1, "field 'host': of another family");
    tide_address_set_port(address, options->port);
    lua_settop(L, 1);
}

#define FIELD(name) offsetof(udp_options, name)

/* Reads the options at 1, if there are any. */
static udp_options check_options(lua_State *L) {
    static const tide_option list[] = {
        {"family", TIDE_KIND_FAMILY, TIDE_ANY, FIELD(family)},
        {"port", TIDE_KIND_INTEGER, TIDE_PORT, FIELD(port)},
        {"max_length", TIDE_KIND_INTEGER, {1, LENGTH_MAX}, FIELD(max_length)},
        {"reuse_address", TIDE_KIND_FLAG, TIDE_ANY, FIELD(reuse_address)},
        {"reuse_port", TIDE_KIND_FLAG, TIDE_ANY, FIELD(reuse_port)},
        {"ipv6_only", TIDE_KIND_FLAG, TIDE_ANY, FIELD(ipv6_only)},
        {"broadcast", TIDE_KIND_FLAG, TIDE_ANY, FIELD(broadcast)},
        {.name = NULL}};
    udp_options options = {.max_length = LENGTH_MAX};
    tide_option_read(L, 1, list, &options);
    set_address(L, &options);
    return options;
}

/* What libuv is told of them. */
static unsigned flags_of(const udp_options *options) {
    return (options->reuse_address ? UV_UDP_REUSEADDR : 0u) |
           (options->ipv6_only ? UV_UDP_IPV6ONLY : 0u);
}

/* Opens the new socket; the call that failed, and its status. */
static const char *open_socket(tide_runtime *rt, udp *s, const udp_options *options, int *status) {
    *status = uv_udp_init_ex(&rt->loop, &s->uv, options->address.any.sa_family);
    if (*status < 0)
        return "socket";
    tide_handle_opened(&s->handle);
    if (options->reuse_port)
        *status = tide_address_share_port((const uv_handle_t *)&s->uv);
    if (*status == 0 && options->broadcast)
        *status = uv_udp_set_broadcast(&s->uv, 1);
    if (*status < 0)
        return "setsockopt";
    *status = uv_udp_bind(&s->uv, &options->address.any, flags_of(options));
    return "bind";
}

/* udp([options]) -> socket */
static int new_udp(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    udp_options options = check_options(L);
    udp *s = tide_handle_new(L, rt, &handle_type, 0);
    s->length_max = (size_t)options.max_length;
    int status;
    const char *call = open_socket(rt, s, &options, &status);
    if (status == 0)
        return 1;
    tide_handle_close(L, &s->handle, lua_gettop(L));
    return fail(L, rt, status, call, &options.address);
}

void tide_udp_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {
        {"__call", udp_call}, {"__close", udp_close}, {"__gc", tide_handle_gc}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"address", udp_address},
                                       {"close", udp_close},
                                       {"connect", udp_connect},
                                       {"disconnect", udp_disconnect},
                                       {"join_group", udp_join_group},
                                       {"leave_group", udp_leave_group},
                                       {"peer_address", udp_peer_address},
                                       {"receive", udp_receive},
                                       {"send", udp_send},
                                       {"set_broadcast", udp_set_broadcast},
                                       {"set_multicast_interface", udp_set_multicast_interface},
                                       {"set_multicast_loop", udp_set_multicast_loop},
                                       {"set_multicast_ttl", udp_set_multicast_ttl},
                                       {"set_ttl", udp_set_ttl},
                                       {NULL, NULL}};
    tide_objects_open_class(L, rt, METATABLE, "udp:", metamethods, methods);
}

const luaL_Reg tide_udp_functions[] = {{"udp", new_udp}, {NULL, NULL}};
