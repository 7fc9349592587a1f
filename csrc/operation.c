#include "operation.h"

#include "promise.h"

enum { UV_PROMISE = 1 };

void *tide_operation_new(lua_State *L, tide_runtime *rt, size_t size, int user_values,
                         const tide_operation_type *type) {
    tide_operation *operation = lua_newuserdatauv(L, size, user_values);
    tide_list_init(&operation->link);
    operation->rt = rt;
    operation->type = type;
    operation->request = NULL;
    operation->slot = LUA_NOREF;
    tide_promise_new(L, rt);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, UV_PROMISE);
    return operation;
}

void tide_operation_begin(lua_State *L, tide_operation *operation, int index) {
    tide_runtime *rt = operation->rt;
    index = lua_absindex(L, index);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_pushvalue(L, index);
    operation->slot = luaL_ref(L, -2);
    lua_pop(L, 1);
    tide_list_append(&rt->operations, &operation->link);
    rt->operation_count++;
}

void tide_operation_complete(tide_operation *operation) {
    tide_list_remove(&operation->link);
    tide_list_append(&operation->rt->completed, &operation->link);
}

static int call_finish(lua_State *L) {
    tide_operation *operation = lua_touserdata(L, 1);
    int n = operation->type->finish(L, operation->rt, operation);
    lua_pushboolean(L, n >= 0);
    lua_insert(L, 2);
    return lua_gettop(L) - 1;
}

/* The one that completed first; while a test shuffles, any of those that have. */
static tide_operation *next_completed(tide_runtime *rt) {
    tide_list *link = rt->completed.next;
    if (rt->test.shuffle != 0) {
        uint64_t count = 1;
        for (tide_list *each = link->next; each != &rt->completed; each = each->next)
            count++;
        for (uint64_t i = tide_random(rt, count); i > 0; i--)
            link = link->next;
    }
    return tide_list_entry(link, tide_operation, link);
}

void tide_operation_settle_next(lua_State *L, tide_runtime *rt) {
    tide_operation *operation = next_completed(rt);
    int base = lua_gettop(L);
    tide_stress(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_rawgeti(L, -1, operation->slot);
    lua_getiuservalue(L, -1, UV_PROMISE);
    int promise = base + 3;
    lua_pushcfunction(L, call_finish);
    lua_pushvalue(L, base + 2);
    int status = lua_pcall(L, 1, LUA_MULTRET, 0);
    tide_list_remove(&operation->link);
    rt->operation_count--;
    luaL_unref(L, base + 1, operation->slot);
    operation->type->release(operation);
    if (status == LUA_OK && lua_toboolean(L, promise + 1))
        tide_promise_fulfil(L, rt, promise, lua_gettop(L) - promise - 1);
    else
        tide_promise_reject(L, rt, promise);
    lua_settop(L, base);
}

/* cancel(operation): asks libuv to give it up; it may be too late for that */
static int cancel(lua_State *L) {
    tide_runtime_here(L);
    tide_operation *operation = lua_touserdata(L, 1);
    luaL_argexpected(L, operation != NULL, 1, "operation");
    if (operation->request != NULL && !tide_list_empty(&operation->link))
        uv_cancel(operation->request);
    return 0;
}

const luaL_Reg tide_operation_functions[] = {{"cancel", cancel}, {NULL, NULL}};

void tide_operation_cancel_all(tide_runtime *rt) {
    for (tide_list *link = rt->operations.next; link != &rt->operations; link = link->next) {
        tide_operation *operation = tide_list_entry(link, tide_operation, link);
        if (operation->request != NULL)
            uv_cancel(operation->request);
    }
}

void tide_operation_free_all(tide_runtime *rt) {
    while (!tide_list_empty(&rt->completed)) {
        tide_operation *operation = tide_list_entry(rt->completed.next, tide_operation, link);
        tide_list_remove(&operation->link);
        operation->type->release(operation);
    }
}
