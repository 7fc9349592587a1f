/*
 * Order of making: the userdata with safe fields (closed), the metatable, then whatever can fail.
 */
#include "core/runtime.h"

#include <string.h>

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

static int new_table_ref(lua_State *L, int array_size) {
    lua_createtable(L, array_size, 0);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static int new_weak_table_ref(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
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
    rt->ref_prefixes = new_table_ref(L, 0);
    rt->ref_rejected = new_table_ref(L, 0);
    rt->test.ref_blocked = new_table_ref(L, 0);
    rt->ref_reported = new_table_ref(L, 0);
    rt->ref_reports = new_table_ref(L, 0);
    rt->ref_late = new_table_ref(L, 0);
    rt->ref_calls = new_slot(L);
    rt->ref_cancel_policy = new_slot(L);
    rt->ref_context = new_slot(L);
    rt->ref_deadlock = new_slot(L);
    rt->ref_driver = new_slot(L);
    rt->ref_on_handled = new_slot(L);
    rt->ref_on_unhandled = new_slot(L);
    rt->ref_on_wake = new_slot(L);
    rt->ref_origin = new_slot(L);
    rt->ref_trace_format = new_slot(L);
    rt->ref_contexts = new_weak_table_ref(L);
    rt->ref_on_report = new_slot(L);
    rt->ref_relays = new_weak_table_ref(L);
    rt->ref_stand_ins = new_weak_table_ref(L);
    rt->ref_traces = new_weak_table_ref(L);
}

tide_runtime *tide_runtime_find(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    tide_runtime *rt = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return rt;
}

static void check_open(lua_State *L, const tide_runtime *rt) {
    if (rt->closed)
        luaL_error(L, "the runtime is closed");
}

void tide_runtime_attend(lua_State *L, tide_runtime *rt) {
    check_open(L, rt);
    rt->wake(L, rt);
}

tide_runtime *tide_runtime_peek(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    check_open(L, rt);
    return rt;
}

bool tide_runtime_hides(const tide_runtime *rt, const char *source) {
    for (int i = 0; i < TIDE_HIDDEN_MAX && rt->hidden[i].prefix != NULL; i++)
        if (strncmp(source, rt->hidden[i].prefix, rt->hidden[i].length) == 0)
            return true;
    return false;
}

tide_runtime *tide_runtime_new(lua_State *L, lua_CFunction close) {
    tide_runtime *rt = lua_newuserdatauv(L, sizeof *rt, 0);
    memset(rt, 0, sizeof *rt);
    rt->closed = rt->attention = true;
    rt->timers.firing = LUA_NOREF;
    rt->lua.resume = lua_resume;
    rt->lua.call = lua_callk;
    rt->lua.move = lua_xmove;
    tide_list_init(&rt->operations);
    tide_list_init(&rt->completed);
    tide_list_init(&rt->fresh_polls);
    tide_list_init(&rt->resting);
    tide_list_init(&rt->descriptors);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    open_tables(L, rt);
    return rt;
}

void tide_runtime_register(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
    rt->closed = rt->attention = false;
}
