/*
 * The resolver blocks, for seconds at times, so it runs in libuv's thread pool. libuv lets lookups
 * have half of the threads at most, whichever way they are spread over loops, and keeps the others
 * in a line of their own: uv_cancel takes them out of it. What has only to be parsed needs no
 * thread.
 */
#include <string.h>

#include "core/waiter.h"
#include "core/functions.h"
#include "core/option.h"
#include "core/promise.h"
#include "core/runtime.h"
#include "loop/fork.h"
#include "loop/operation.h"
#include "loop/uverror.h"
#include "net/address.h"

enum { SLOT_HOST = TIDE_SLOT_OPERATION };

/* ---- addresses ---- */

static bool same_address(const struct sockaddr *a, const struct sockaddr *b) {
    if (a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    const struct sockaddr_in6 *x = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in6 *y = (const struct sockaddr_in6 *)b;
    return x->sin6_scope_id == y->sin6_scope_id &&
           memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
}

/* [-0, +1, m] */
static void push_entry(lua_State *L, const struct sockaddr *a) {
    lua_createtable(L, 0, 2);
    tide_address_push(L, a);
    lua_setfield(L, -2, "address");
    lua_pushinteger(L, tide_address_family(a));
    lua_setfield(L, -2, "family");
}

/* Pushes a SystemError that names the host. [-0, +1, m] */
static void push_failure(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                         const char *host) {
    tide_uverror_push(L, rt, status, syscall, host);
    lua_pushnil(L);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, host);
    lua_setfield(L, -2, "host");
}

/* ---- lookup ---- */

typedef struct lookup {
    tide_operation operation;
    uv_getaddrinfo_t request;
    const char *host; /* user value SLOT_HOST holds it */
    bool all;
    int status;
} lookup;

static void on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *list) {
    lookup *l = request->data;
    (void)list; /* the request has it */
    l->status = status;
    tide_operation_complete(&l->operation);
}

static bool seen_before(const struct addrinfo *list, const struct addrinfo *entry) {
    for (; list != entry; list = list->ai_next) {
        if (same_address(list->ai_addr, entry->ai_addr))
            return true;
    }
    return false;
}

/* The first entry that is an address and none of those before it, or NULL. */
static const struct addrinfo *next_address(const struct addrinfo *list,
                                           const struct addrinfo *entry) {
    while (entry != NULL && (tide_address_family(entry->ai_addr) == 0 || seen_before(list, entry)))
        entry = entry->ai_next;
    return entry;
}

static int finish_lookup(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    lookup *l = (lookup *)operation;
    const struct addrinfo *list = l->status < 0 ? NULL : l->request.addrinfo;
    const struct addrinfo *entry = next_address(list, list);
    if (entry == NULL) {
        int status = l->status < 0 ? l->status : UV_EAI_NODATA;
        push_failure(L, rt, status, "getaddrinfo", l->host);
        return -1;
    }
    if (!l->all) {
        tide_address_push(L, entry->ai_addr);
        lua_pushinteger(L, tide_address_family(entry->ai_addr));
        return 2;
    }
    lua_newtable(L);
    for (lua_Integer i = 1; entry != NULL; i++) {
        push_entry(L, entry->ai_addr);
        lua_rawseti(L, -2, i);
        entry = next_address(list, entry->ai_next);
    }
    return 1;
}

static void release_lookup(tide_operation *operation) {
    lookup *l = (lookup *)operation;
    if (l->status == 0)
        uv_freeaddrinfo(l->request.addrinfo);
}

static void describe_lookup(lua_State *L, const tide_operation *operation, int index) {
    (void)index;
    lua_pushfstring(L, "dns.lookup '%s'", ((const lookup *)operation)->host);
}

static const tide_operation_type lookup_type = {finish_lookup, release_lookup, "dns.lookup", NULL,
                                                describe_lookup};

typedef struct lookup_options {
    lua_Integer family; /* 4, 6 or 0 for any */
    bool all;
} lookup_options;

static const tide_option lookup_list[] = {
    {"all", TIDE_KIND_FLAG, TIDE_ANY, offsetof(lookup_options, all)},
    {"family", TIDE_KIND_FAMILY, TIDE_ANY, offsetof(lookup_options, family)},
    {.name = NULL}};

/* The host is an address: returns a promise that is settled. */
static int lookup_address(lua_State *L, tide_runtime *rt, const tide_address *a,
                          lookup_options options) {
    if (options.family != 0 && options.family != tide_address_family(&a->any)) {
        push_failure(L, rt, UV_EAI_ADDRFAMILY, "getaddrinfo", lua_tostring(L, 1));
        return tide_promise_push_settled(L, rt, -1);
    }
    if (!options.all) {
        tide_address_push(L, &a->any);
        lua_pushinteger(L, tide_address_family(&a->any));
        return tide_promise_push_settled(L, rt, 2);
    }
    lua_createtable(L, 1, 0);
    push_entry(L, &a->any);
    lua_rawseti(L, -2, 1);
    return tide_promise_push_settled(L, rt, 1);
}

/* Starts the lookup of the host at 1; returns the promise. The signal is at 3. */
static int start_lookup(lua_State *L, tide_runtime *rt, lookup_options options) {
    /* One type of socket: the resolver gives each address once for every type. */
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (options.family != 0)
        hints.ai_family = options.family == 4 ? AF_INET : AF_INET6;
    lookup *l = tide_operation_new(L, rt, sizeof *l, SLOT_HOST, &lookup_type);
    l->host = lua_tostring(L, 1);
    l->all = options.all;
    l->status = -1;
    l->request.data = l;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -3, SLOT_HOST);
    tide_operation_begin(L, &l->operation, -2);
    tide_fork_prepare_work(rt);
    int status = uv_getaddrinfo(&rt->loop, &l->request, on_lookup, l->host, NULL, &hints);
    if (status < 0)
        on_lookup(&l->request, status, NULL);
    else
        l->operation.request = (uv_req_t *)&l->request;
    tide_operation_attach_loosely(L, rt, 3);
    return 1;
}

/* lookup(host, [options]) -> promise */
static int dns_lookup(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const char *host = tide_argument_text(L, 1);
    lookup_options options = {0, false};
    tide_option_read(L, 2, lookup_list, &options);
    if (tide_waiter_begin(L, rt, 2))
        return 1;
    tide_address a;
    return tide_address_parse(host, &a) ? lookup_address(L, rt, &a, options)
                                        : start_lookup(L, rt, options);
}

/* ---- reverse ---- */

typedef struct reverse {
    tide_operation operation;
    uv_getnameinfo_t request;
    const char *host; /* user value SLOT_HOST holds it */
    int status;
} reverse;

static void on_reverse(uv_getnameinfo_t *request, int status, const char *host,
                       const char *service) {
    reverse *r = request->data;
    (void)host; /* the request has it */
    (void)service;
    r->status = status;
    tide_operation_complete(&r->operation);
}

static int finish_reverse(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    reverse *r = (reverse *)operation;
    if (r->status < 0) {
        push_failure(L, rt, r->status, "getnameinfo", r->host);
        return -1;
    }
    lua_pushstring(L, r->request.host);
    return 1;
}

static void release_reverse(tide_operation *operation) {
    (void)operation;
}

static void describe_reverse(lua_State *L, const tide_operation *operation, int index) {
    (void)index;
    lua_pushfstring(L, "dns.reverse '%s'", ((const reverse *)operation)->host);
}

static const tide_operation_type reverse_type = {finish_reverse, release_reverse, "dns.reverse",
                                                 NULL, describe_reverse};

/* reverse(address, [options]) -> promise */
static int dns_reverse(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_address a;
    tide_address_check_host(L, 1, &a);
    if (tide_waiter_begin(L, rt, 2))
        return 1;
    reverse *r = tide_operation_new(L, rt, sizeof *r, SLOT_HOST, &reverse_type);
    r->host = lua_tostring(L, 1);
    r->request.data = r;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -3, SLOT_HOST);
    tide_operation_begin(L, &r->operation, -2);
    tide_fork_prepare_work(rt);
    int status = uv_getnameinfo(&rt->loop, &r->request, on_reverse, &a.any, NI_NAMEREQD);
    if (status < 0)
        on_reverse(&r->request, status, NULL, NULL);
    else
        r->operation.request = (uv_req_t *)&r->request;
    tide_operation_attach_loosely(L, rt, 3);
    return 1;
}

const luaL_Reg tide_dns_functions[] = {
    {"lookup", dns_lookup}, {"reverse", dns_reverse}, {NULL, NULL}};
