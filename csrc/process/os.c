/*
 * What libuv knows of the system. Nothing here waits but random bytes.
 *
 * Lists come from libuv in memory of its own, and pushing them can fail: that is done by a function
 * of its own under lua_pcall, so that the list is freed in any case.
 */
#include <stdio.h>
#include <string.h>

#include "core/argument.h"
#include "core/waiter.h"
#include "core/functions.h"
#include "core/promise.h"
#include "core/runtime.h"
#include "loop/fork.h"
#include "loop/operation.h"
#include "loop/uverror.h"

/* So many random bytes take no longer to get than a thread takes to begin; the system gives them
 * all at once or not at all. */
#define RANDOM_AT_ONCE 256
#define RANDOM_MAX 0x7fffffff /* libuv's limit */

/* Raises a SystemError if the status is one. */
static void check_status(lua_State *L, tide_runtime *rt, int status, const char *syscall) {
    if (status >= 0)
        return;
    tide_uverror_push(L, rt, status, syscall, NULL);
    lua_error(L);
}

static void set_integer(lua_State *L, const char *name, uint64_t value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

/* ---- texts whose length is not known beforehand ---- */

typedef int (*get_text)(const char *name, char *buffer, size_t *size);

/* Pushes a text and returns true; false where there is none: nothing is pushed. */
static bool push_text(lua_State *L, tide_runtime *rt, get_text get, const char *name,
                      const char *syscall) {
    char small[256], *text = small;
    size_t size = sizeof small;
    int status = get(name, text, &size);
    for (; status == UV_ENOBUFS; status = get(name, text, &size))
        text = lua_newuserdatauv(L, size, 0); /* a thread may make it longer meanwhile */
    if (status == UV_ENOENT)
        return false;
    check_status(L, rt, status, syscall);
    lua_pushlstring(L, text, size);
    return true;
}

static int return_text(lua_State *L, get_text get, const char *syscall) {
    tide_runtime *rt = tide_runtime_here(L);
    if (!push_text(L, rt, get, NULL, syscall))
        check_status(L, rt, UV_ENOENT, syscall);
    return 1;
}

static int get_hostname(const char *name, char *buffer, size_t *size) {
    (void)name;
    return uv_os_gethostname(buffer, size);
}

static int get_homedir(const char *name, char *buffer, size_t *size) {
    (void)name;
    return uv_os_homedir(buffer, size);
}

static int get_tmpdir(const char *name, char *buffer, size_t *size) {
    (void)name;
    return uv_os_tmpdir(buffer, size);
}

static int os_hostname(lua_State *L) {
    return return_text(L, get_hostname, "gethostname");
}

static int os_homedir(lua_State *L) {
    return return_text(L, get_homedir, "homedir");
}

static int os_tmpdir(lua_State *L) {
    return return_text(L, get_tmpdir, "tmpdir");
}

/* ---- lists of libuv's ---- */

typedef struct list {
    union {
        uv_cpu_info_t *cpus;
        uv_interface_address_t *interfaces;
        uv_env_item_t *variables;
    } of;
    int count;
} list;

/* Pushes what the function makes of the list, and frees that; raises what it raised. [-0, +1, e] */
static void push_list(lua_State *L, list *l, lua_CFunction push, void (*release)(list *l)) {
    lua_pushcfunction(L, push);
    lua_pushlightuserdata(L, l);
    int status = lua_pcall(L, 1, 1, 0);
    release(l);
    if (status != LUA_OK)
        lua_error(L);
}

static void push_cpu(lua_State *L, const uv_cpu_info_t *cpu) {
    lua_createtable(L, 0, 3);
    set_string(L, "model", cpu->model);
    set_integer(L, "speed", (uint64_t)cpu->speed);
    lua_createtable(L, 0, 5);
    set_integer(L, "user", cpu->cpu_times.user);
    set_integer(L, "nice", cpu->cpu_times.nice);
    set_integer(L, "sys", cpu->cpu_times.sys);
    set_integer(L, "idle", cpu->cpu_times.idle);
    set_integer(L, "irq", cpu->cpu_times.irq);
    lua_setfield(L, -2, "times");
}

static int push_cpus(lua_State *L) {
    const list *l = lua_touserdata(L, 1);
    lua_createtable(L, l->count, 0);
    for (int i = 0; i < l->count; i++) {
        push_cpu(L, &l->of.cpus[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static void release_cpus(list *l) {
    uv_free_cpu_info(l->of.cpus, l->count);
}

/* cpus() -> list */
static int os_cpus(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    list l;
    check_status(L, rt, uv_cpu_info(&l.of.cpus, &l.count), "cpu_info");
    push_list(L, &l, push_cpus, release_cpus);
    return 1;
}

static void push_interface(lua_State *L, const uv_interface_address_t *i) {
    bool v4 = i->address.address4.sin_family == AF_INET;
    const unsigned char *mac = (const unsigned char *)i->phys_addr;
    char text[INET6_ADDRSTRLEN];
    lua_createtable(L, 0, 7);
    set_string(L, "name", i->name);
    if (v4)
        uv_ip4_name(&i->address.address4, text, sizeof text);
    else
        uv_ip6_name(&i->address.address6, text, sizeof text);
    set_string(L, "address", text);
    if (v4)
        uv_ip4_name(&i->netmask.netmask4, text, sizeof text);
    else
        uv_ip6_name(&i->netmask.netmask6, text, sizeof text);
    set_string(L, "netmask", text);
    set_integer(L, "family", v4 ? 4 : 6);
    if (!v4 && i->address.address6.sin6_scope_id != 0)
        set_integer(L, "scope_id", i->address.address6.sin6_scope_id);
    snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
             mac[4], mac[5]);
    set_string(L, "mac", text);
    lua_pushboolean(L, i->is_internal);
    lua_setfield(L, -2, "internal");
}

static int push_interfaces(lua_State *L) {
    const list *l = lua_touserdata(L, 1);
    lua_createtable(L, l->count, 0);
    for (int i = 0; i < l->count; i++) {
        push_interface(L, &l->of.interfaces[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static void release_interfaces(list *l) {
    uv_free_interface_addresses(l->of.interfaces, l->count);
}

/* interfaces() -> list */
static int os_interfaces(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    list l;
    int status = uv_interface_addresses(&l.of.interfaces, &l.count);
    check_status(L, rt, status, "interface_addresses");
    push_list(L, &l, push_interfaces, release_interfaces);
    return 1;
}

/* ---- the environment ---- */

static int push_variables(lua_State *L) {
    const list *l = lua_touserdata(L, 1);
    lua_createtable(L, 0, l->count);
    for (int i = 0; i < l->count; i++)
        set_string(L, l->of.variables[i].name, l->of.variables[i].value);
    return 1;
}

static void release_variables(list *l) {
    uv_os_free_environ(l->of.variables, l->count);
}

/* environ() -> table */
static int os_environ(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    list l;
    check_status(L, rt, uv_os_environ(&l.of.variables, &l.count), "environ");
    push_list(L, &l, push_variables, release_variables);
    return 1;
}

static const char *check_name(lua_State *L) {
    const char *name = tide_argument_text(L, 1);
    if (*name == '\0' || strchr(name, '=') != NULL)
        tide_argument_fail(L, 1, "name of a variable expected");
    return name;
}

/* getenv(name) -> string or nil */
static int os_getenv(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    if (!push_text(L, rt, uv_os_getenv, check_name(L), "getenv"))
        lua_pushnil(L);
    return 1;
}

/* setenv(name, value) */
static int os_setenv(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const char *name = check_name(L), *value = tide_argument_text(L, 2);
    check_status(L, rt, uv_os_setenv(name, value), "setenv");
    return 0;
}

/* unsetenv(name) */
static int os_unsetenv(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    check_status(L, rt, uv_os_unsetenv(check_name(L)), "unsetenv");
    return 0;
}

/* ---- numbers ---- */

static int os_total_memory(lua_State *L) {
    tide_runtime_here(L);
    lua_pushinteger(L, (lua_Integer)uv_get_total_memory());
    return 1;
}

static int os_free_memory(lua_State *L) {
    tide_runtime_here(L);
    lua_pushinteger(L, (lua_Integer)uv_get_free_memory());
    return 1;
}

static int os_available_parallelism(lua_State *L) {
    tide_runtime_here(L);
    lua_pushinteger(L, uv_available_parallelism());
    return 1;
}

/* load_average() -> of 1, 5 and 15 minutes */
static int os_load_average(lua_State *L) {
    tide_runtime_here(L);
    double load[3];
    uv_loadavg(load);
    for (int i = 0; i < 3; i++)
        lua_pushnumber(L, load[i]);
    return 3;
}

/* uptime() -> s */
static int os_uptime(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    double seconds;
    check_status(L, rt, uv_uptime(&seconds), "uptime");
    lua_pushnumber(L, seconds);
    return 1;
}

/* hrtime() -> ns of a monotonic clock */
static int os_hrtime(lua_State *L) {
    tide_runtime_here(L);
    lua_pushinteger(L, (lua_Integer)uv_hrtime());
    return 1;
}

static int os_pid(lua_State *L) {
    tide_runtime_here(L);
    lua_pushinteger(L, uv_os_getpid());
    return 1;
}

static int os_ppid(lua_State *L) {
    tide_runtime_here(L);
    lua_pushinteger(L, uv_os_getppid());
    return 1;
}

/* ---- who and what ---- */

/* uname() -> table */
static int os_uname(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    uv_utsname_t name;
    check_status(L, rt, uv_os_uname(&name), "uname");
    lua_createtable(L, 0, 4);
    set_string(L, "sysname", name.sysname);
    set_string(L, "release", name.release);
    set_string(L, "version", name.version);
    set_string(L, "machine", name.machine);
    return 1;
}

static int push_user(lua_State *L) {
    const uv_passwd_t *user = lua_touserdata(L, 1);
    lua_createtable(L, 0, 5);
    set_string(L, "username", user->username);
    set_integer(L, "uid", (uint64_t)user->uid);
    set_integer(L, "gid", (uint64_t)user->gid);
    set_string(L, "shell", user->shell);
    set_string(L, "homedir", user->homedir);
    return 1;
}

/* user() -> table */
static int os_user(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    uv_passwd_t user;
    check_status(L, rt, uv_os_get_passwd(&user), "getpwuid");
    lua_pushcfunction(L, push_user);
    lua_pushlightuserdata(L, &user);
    int status = lua_pcall(L, 1, 1, 0);
    uv_os_free_passwd(&user);
    return status == LUA_OK ? 1 : lua_error(L);
}

/* ---- random bytes ---- */

typedef struct random_bytes {
    tide_operation operation;
    uv_random_t request;
    size_t count;
    int status;
    char bytes[];
} random_bytes;

static void on_random(uv_random_t *request, int status, void *bytes, size_t count) {
    random_bytes *r = request->data;
    (void)bytes;
    (void)count;
    r->status = status;
    tide_operation_complete(&r->operation);
}

static int finish_random(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    random_bytes *r = (random_bytes *)operation;
    if (r->status < 0) {
        tide_uverror_push(L, rt, r->status, "random", NULL);
        return -1;
    }
    lua_pushlstring(L, r->bytes, r->count);
    return 1;
}

static void release_random(tide_operation *operation) {
    (void)operation;
}

static const tide_operation_type random_type = {finish_random, release_random, "os.random_bytes",
                                                NULL, NULL};

/* Returns a settled promise for that many bytes. */
static int random_at_once(lua_State *L, tide_runtime *rt, size_t n) {
    char bytes[RANDOM_AT_ONCE];
    tide_promise_new(L, rt);
    int promise = lua_gettop(L);
    int status = n == 0 ? 0 : uv_random(NULL, NULL, bytes, n, 0, NULL);
    if (status < 0) {
        tide_uverror_push(L, rt, status, "random", NULL);
        tide_promise_reject(L, rt, promise);
    } else {
        lua_pushlstring(L, bytes, n);
        tide_promise_fulfil(L, rt, promise, 1);
    }
    return 1;
}

/* random_bytes(n, [options]) -> promise */
static int os_random_bytes(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_Integer n = tide_argument_integer(L, 1, (tide_range){0, RANDOM_MAX});
    if (tide_waiter_begin(L, rt, 2))
        return 1;
    if (n <= RANDOM_AT_ONCE)
        return random_at_once(L, rt, (size_t)n);
    random_bytes *r = tide_operation_new(L, rt, sizeof *r + (size_t)n, 0, &random_type);
    r->count = (size_t)n;
    r->request.data = r;
    tide_operation_begin(L, &r->operation, -2);
    tide_fork_prepare_work(rt);
    int status = uv_random(&rt->loop, &r->request, r->bytes, r->count, 0, on_random);
    if (status < 0)
        on_random(&r->request, status, NULL, 0);
    else
        r->operation.request = (uv_req_t *)&r->request;
    tide_operation_attach_loosely(L, rt, 3);
    return 1;
}

const luaL_Reg tide_os_functions[] = {{"available_parallelism", os_available_parallelism},
                                      {"cpus", os_cpus},
                                      {"environ", os_environ},
                                      {"free_memory", os_free_memory},
                                      {"getenv", os_getenv},
                                      {"homedir", os_homedir},
                                      {"hostname", os_hostname},
                                      {"hrtime", os_hrtime},
                                      {"interfaces", os_interfaces},
                                      {"load_average", os_load_average},
                                      {"pid", os_pid},
                                      {"ppid", os_ppid},
                                      {"random_bytes", os_random_bytes},
                                      {"setenv", os_setenv},
                                      {"tmpdir", os_tmpdir},
                                      {"total_memory", os_total_memory},
                                      {"uname", os_uname},
                                      {"unsetenv", os_unsetenv},
                                      {"uptime", os_uptime},
                                      {"user", os_user},
                                      {NULL, NULL}};
