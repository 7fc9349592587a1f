#include "loop/handle.h"

#include <string.h>

#include "core/argument.h"
#include "core/promise.h"
#include "loop/fork.h"

enum { SLOT_OF_HANDLE = TIDE_SLOT_OPERATION };

/* ---- libuv's structs ---- */

static uv_handle_t *struct_at(tide_handle *handle, int i) {
    return (uv_handle_t *)((char *)handle + handle->first + handle->size * (size_t)i);
}

static void set_refd(tide_handle *handle, bool refd) {
    for (int i = 0; i < handle->count; i++)
        (refd ? uv_ref : uv_unref)(struct_at(handle, i));
}

void tide_handle_hold(tide_handle *handle) {
    if (handle->holds++ == 0)
        set_refd(handle, true);
}

void tide_handle_let_go(tide_handle *handle) {
    if (--handle->holds == 0)
        set_refd(handle, false);
}

void tide_handle_opened(tide_handle *handle) {
    uv_handle_t *uv = struct_at(handle, handle->count++);
    uv->data = handle;
    uv_unref(uv);
    if (handle->open++ == 0)
        handle->rt->handle_count++;
}

/* ---- closing ---- */

static void deliver_closed(lua_State *L, tide_runtime *rt, tide_completion *completion) {
    tide_handle *handle = tide_list_entry(completion, tide_handle, closed);
    int slot = handle->slot;
    handle->slot = LUA_NOREF;
    handle->closing = false;
    rt->handle_count--;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_rawgeti(L, -1, slot);
    luaL_unref(L, -2, slot);
    if (handle->closed_slot != 0 && lua_getiuservalue(L, -1, handle->closed_slot) != LUA_TNIL)
        tide_promise_fulfil(L, rt, lua_gettop(L), 0);
}

static void discard_closed(tide_completion *completion) {
    (void)completion;
}

static const tide_completion_type closed_type = {deliver_closed, discard_closed};

static void on_close(uv_handle_t *uv) {
    tide_handle *handle = uv->data;
    if (--handle->open == 0)
        tide_completion_add(handle->rt, &handle->closed);
}

void tide_handle_set_slot(lua_State *L, const tide_handle *handle) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, handle->rt->ref_anchors);
    lua_insert(L, -2);
    lua_rawseti(L, -2, handle->slot); /* the slot exists: nothing is allocated */
    lua_pop(L, 1);
}

void tide_handle_anchor(lua_State *L, tide_handle *handle, int index) {
    if (!handle->closing)
        return;
    lua_pushvalue(L, index);
    tide_handle_set_slot(L, handle);
}

void tide_handle_close(lua_State *L, tide_handle *handle, int index) {
    if (!tide_handle_is_open(handle))
        return;
    tide_handle_close_held(handle);
    tide_handle_anchor(L, handle, index);
}

void tide_handle_close_held(tide_handle *handle) {
    tide_fork_check(handle->rt);
    handle->closing = true;
    while (!tide_list_empty(&handle->waits))
        tide_handle_complete_wait(tide_handle_first_wait(handle), UV_ECANCELED);
    for (int i = 0; i < handle->count; i++)
        uv_close(struct_at(handle, i), on_close);
}

void tide_handle_push_closed(lua_State *L, tide_handle *handle, int index) {
    index = lua_absindex(L, index);
    if (handle->open == 0) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, handle->rt->ref_done);
    } else if (lua_getiuservalue(L, index, handle->closed_slot) == LUA_TNIL) {
        lua_pop(L, 1);
        tide_promise_new(L, handle->rt);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, index, handle->closed_slot);
    }
}

/* The handle at the index, or NULL. */
static tide_handle *test_handle(lua_State *L, int index) {
    tide_handle *handle = lua_touserdata(L, index);
    bool is_handle = lua_type(L, index) == LUA_TUSERDATA &&
                     lua_rawlen(L, index) >= sizeof *handle && handle->closed.type == &closed_type;
    return is_handle ? handle : NULL;
}

int tide_handle_gc(lua_State *L) {
    tide_handle *handle = test_handle(L, 1);
    if (handle == NULL)
        return tide_argument_expected(L, 1, "handle");
    if (handle->rt == NULL || handle->rt->closed)
        return 0; /* half made, or the runtime has closed it */
    if (tide_handle_is_open(handle)) {
        tide_handle_close(L, handle, 1);
    } else if (!handle->closing && handle->slot != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, handle->rt->ref_anchors);
        luaL_unref(L, -1, handle->slot);
        handle->slot = LUA_NOREF;
    }
    return 0;
}

/* ---- making ---- */

void *tide_handle_new(lua_State *L, tide_runtime *rt, size_t size, int user_values,
                      const char *metatable, size_t first, size_t uv_size) {
    tide_handle *handle = lua_newuserdatauv(L, size, user_values);
    memset(handle, 0, size);
    tide_completion_init(&handle->closed, &closed_type);
    tide_list_init(&handle->waits);
    handle->slot = LUA_NOREF;
    handle->first = first;
    handle->size = uv_size;
    handle->rt = rt;
    luaL_setmetatable(L, metatable);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_pushboolean(L, 0);
    handle->slot = luaL_ref(L, -2);
    lua_pop(L, 1);
    return handle;
}

/* ---- waiting ---- */

/* An abort: the wait leaves the line, so what comes next is for the one behind it. */
static void cancel_wait(tide_operation *operation) {
    tide_wait *wait = (tide_wait *)operation;
    if (!tide_list_empty(&wait->link))
        tide_handle_complete_wait(wait, UV_ECANCELED);
}

void *tide_handle_new_wait(lua_State *L, tide_handle *handle, int index, size_t size,
                           const tide_operation_type *type) {
    index = lua_absindex(L, index);
    tide_wait *wait = tide_operation_new(L, handle->rt, size, SLOT_OF_HANDLE, type);
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -3, SLOT_OF_HANDLE);
    wait->operation.cancel = cancel_wait;
    wait->handle = handle;
    wait->status = 0;
    tide_list_init(&wait->link);
    tide_operation_begin(L, &wait->operation, -2);
    if (tide_list_empty(&handle->waits))
        tide_handle_hold(handle);
    tide_list_append(&handle->waits, &wait->link);
    return wait;
}

void tide_handle_push_of_wait(lua_State *L, int index) {
    lua_getiuservalue(L, index, SLOT_OF_HANDLE);
}

const void *tide_handle_of_wait(const tide_operation *operation) {
    return ((const tide_wait *)operation)->handle;
}

void tide_handle_complete_wait(tide_wait *wait, int status) {
    tide_list_remove(&wait->link);
    if (tide_list_empty(&wait->handle->waits))
        tide_handle_let_go(wait->handle);
    wait->status = status;
    tide_operation_complete(&wait->operation);
}

/* ---- for tests ---- */

/* is_open(object) -> whether that is a handle which nobody has closed; nil if it is no handle */
static int is_open(lua_State *L) {
    const tide_handle *handle = test_handle(L, 1);
    if (handle == NULL)
        return 0;
    lua_pushboolean(L, tide_handle_is_open(handle));
    return 1;
}

const luaL_Reg tide_handle_functions[] = {{"is_open", is_open}, {NULL, NULL}};
