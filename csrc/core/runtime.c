/*
 * The life of a runtime: found or made, and closed by its __gc.
 *
 * Order of making: the userdata with safe fields (closed), the metatable, then whatever can fail.
 * Closing runs no Lua: handles are closed, the loop runs dry, what libuv gives back is freed.
 */
#include "core/runtime.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/completion.h"
#include "fs/descriptor.h"
#include "core/microtask.h"
#include "loop/operation.h"

static const char registry_key = 0;

void *tide_runtime_realloc(lua_State *L, void *block, size_t old_size, size_t new_size) {
    void *ud;
    lua_Alloc allocate = lua_getallocf(L, &ud);
    void *moved = allocate(ud, block, old_size, new_size);
    if (moved == NULL && new_size > 0) {
        lua_gc(L, LUA_GCCOLLECT, 0);
        moved = allocate(ud, block, old_size, new_size);
        if (moved == NULL)
            luaL_error(L, "not enough memory");
    }
    return moved;
}

void tide_objects_set_functions(lua_State *L, tide_runtime *rt, const luaL_Reg *functions) {
    lua_pushlightuserdata(L, rt);
    luaL_setfuncs(L, functions, 1);
}

void tide_objects_open_class(lua_State *L, tide_runtime *rt, const char *name,
                             const luaL_Reg *metamethods, const luaL_Reg *methods) {
    luaL_newmetatable(L, name);
    tide_objects_set_functions(L, rt, metamethods);
    lua_newtable(L);
    tide_objects_set_functions(L, rt, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void tide_objects_push_methods(lua_State *L, const char *name) {
    luaL_getmetatable(L, name);
    lua_getfield(L, -1, "__index");
    lua_replace(L, -2);
}

bool tide_objects_is_callable(lua_State *L, int index) {
    int type = lua_type(L, index);
    if (type == LUA_TFUNCTION || type <= LUA_TNIL)
        return type == LUA_TFUNCTION;
    if (luaL_getmetafield(L, index, "__call") == LUA_TNIL)
        return false;
    lua_pop(L, 1);
    return true;
}

void tide_objects_check_callable(lua_State *L, int argument) {
    if (!tide_objects_is_callable(L, argument))
        luaL_typeerror(L, argument, "function");
}

/* ---- context ---- */

void tide_context_set(lua_State *L, tide_runtime *rt) {
    rt->has_context = lua_toboolean(L, -1);
    if (!rt->has_context) {
        lua_pop(L, 1);
        lua_pushboolean(L, 0);
    }
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_context);
}

void tide_context_enter(lua_State *L, tide_runtime *rt, int index, int user_value) {
    if (lua_getiuservalue(L, index, user_value) != LUA_TNIL || rt->has_context)
        tide_context_set(L, rt);
    else
        lua_pop(L, 1);
}

void tide_context_push(lua_State *L, tide_runtime *rt) {
    if (rt->has_context)
        lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_context);
    else
        lua_pushnil(L);
}

/* swap_context(value) -> the previous one */
static int swap_context(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_settop(L, 1);
    tide_context_push(L, rt);
    lua_insert(L, 1);
    tide_context_set(L, rt);
    return 1;
}

/* context() -> the current one */
static int context(lua_State *L) {
    tide_context_push(L, tide_runtime_here(L));
    return 1;
}

const luaL_Reg tide_context_functions[] = {
    {"context", context}, {"swap_context", swap_context}, {NULL, NULL}};

/* ---- making and closing ---- */

static void on_walk_close(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static int close_runtime(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, 1);
    rt->closed = true;
    if (rt->loop_open) {
        rt->loop_open = false;
        tide_operation_cancel_all(rt);
        uv_walk(&rt->loop, on_walk_close, NULL);
        uv_run(&rt->loop, UV_RUN_DEFAULT);
        tide_completion_discard_all(rt);
        tide_descriptor_close_all(rt);
        if (uv_loop_close(&rt->loop) != 0)
            abort(); /* a handle survived its runtime: memory is about to be corrupted */
    }
    tide_microtask_close(L, rt);
    tide_bytes_close_pool(&rt->blocks);
    tide_runtime_realloc(L, rt->timers.heap, rt->timers.capacity * sizeof *rt->timers.heap, 0);
    rt->timers.heap = NULL;
    rt->timers.capacity = rt->timers.count = 0;
    return 0;
}

static int new_table_ref(lua_State *L, int array_size) {
    lua_createtable(L, array_size, 0);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* A slot for a value that may be missing; false, then: nil would free the slot for others. */
static int new_slot(lua_State *L) {
    lua_pushboolean(L, 0);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void open_tables(lua_State *L, tide_runtime *rt) {
    rt->ref_anchors = new_table_ref(L, 0);
    rt->ref_carriers = new_table_ref(L, TIDE_CARRIERS_MAX);
    rt->ref_immediates = new_table_ref(L, 0);
    rt->ref_jobs = new_table_ref(L, 0);
    rt->ref_polls = new_table_ref(L, 0);
    rt->ref_rejected = new_table_ref(L, 0);
    rt->test.ref_blocked = new_table_ref(L, 0);
    rt->ref_reported = new_table_ref(L, 0);
    rt->ref_late = new_table_ref(L, 0);
    rt->ref_calls = new_slot(L);
    rt->ref_cancel_policy = new_slot(L);
    rt->ref_context = new_slot(L);
    rt->ref_on_handled = new_slot(L);
    rt->ref_on_unhandled = new_slot(L);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    rt->ref_traces = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* A process may be started without standard streams. What is opened then would get their numbers,
 * be written to by whoever prints, and libuv refuses to close it. */
static void fill_standard_descriptors(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static void open_loop(lua_State *L, tide_runtime *rt) {
    fill_standard_descriptors();
    int status = uv_loop_init(&rt->loop);
    if (status != 0)
        luaL_error(L, "cannot open an event loop: %s", uv_strerror(status));
    rt->loop_open = true;
    uv_timer_init(&rt->loop, &rt->alarm);
}

tide_runtime *tide_runtime_find(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    tide_runtime *rt = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return rt;
}

tide_runtime *tide_runtime_new(lua_State *L) {
    tide_runtime *rt = lua_newuserdatauv(L, sizeof *rt, 0);
    memset(rt, 0, sizeof *rt);
    rt->closed = true;
    rt->timers.firing = LUA_NOREF;
    tide_list_init(&rt->operations);
    tide_list_init(&rt->completed);
    tide_list_init(&rt->fresh_polls);
    tide_list_init(&rt->resting);
    tide_list_init(&rt->descriptors);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, close_runtime);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    open_tables(L, rt);
    open_loop(L, rt);
    return rt;
}

void tide_runtime_register(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
    rt->closed = false;
}
