#include "loop/handle.h"

#include <string.h>

#include "core/argument.h"
#include "core/promise.h"
#include "loop/fork.h"

enum { SLOT_OF_HANDLE = TIDE_SLOT_OPERATION };

typedef struct object {
    const void *tag;     /* tells objects from other userdata */
    tide_handle *handle; /* the last user value holds the block */
} object;

static const char tag = 0;

static int slot_of_block(const tide_handle_type *type) {
    return type->user_values + 1;
}

static void deliver_closed(lua_State *L, tide_runtime *rt, tide_completion *completion);

static void discard_closed(tide_completion *completion) {
    (void)completion;
}

static const tide_completion_type closed_type = {deliver_closed, discard_closed};

/* ---- objects ---- */

void *tide_handle_of(lua_State *L, int index) {
    return ((object *)lua_touserdata(L, index))->handle;
}

/* The handle of the object at the index, or NULL: it is none. */
static tide_handle *test_handle(lua_State *L, int index) {
    const object *o = lua_touserdata(L, index);
    return o != NULL && lua_rawlen(L, index) == sizeof *o && o->tag == &tag ? o->handle : NULL;
}

void *tide_handle_test(lua_State *L, int index, const tide_handle_type *type) {
    tide_handle *handle = test_handle(L, index);
    const tide_handle_type *is = handle != NULL ? handle->type : NULL;
    while (is != NULL && is != type)
        is = is->base;
    return is != NULL ? handle : NULL;
}

void *tide_handle_check(lua_State *L, int argument, const tide_handle_type *type) {
    void *handle = tide_handle_test(L, argument, type);
    if (handle == NULL)
        tide_argument_expected(L, argument, type->class);
    return handle;
}

/* ---- anchors ---- */

void tide_handle_push_anchored(lua_State *L, const tide_handle *handle) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, handle->rt->ref_anchors);
    lua_rawgeti(L, -1, handle->slot);
}

/* Slots exist: nothing is allocated. */
void tide_handle_anchor(lua_State *L, const tide_handle *handle, int index) {
    index = lua_absindex(L, index);
    lua_rawgeti(L, LUA_REGISTRYINDEX, handle->rt->ref_anchors);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, handle->slot);
    lua_pop(L, 1);
}

void tide_handle_unanchor(lua_State *L, const tide_handle *handle) {
    if (handle->closing || handle->slot == LUA_NOREF)
        return; /* it was finalized although it is anchored: the state closes */
    lua_rawgeti(L, LUA_REGISTRYINDEX, handle->rt->ref_anchors);
    lua_rawgeti(L, -1, handle->slot);
    lua_getiuservalue(L, -1, slot_of_block(handle->type));
    lua_rawseti(L, -3, handle->slot);
    lua_pop(L, 2);
}

static void free_slot(lua_State *L, tide_handle *handle) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, handle->rt->ref_anchors);
    luaL_unref(L, -1, handle->slot);
    lua_pop(L, 1);
    handle->slot = LUA_NOREF;
}

/* ---- libuv's structs ---- */

static uv_handle_t *struct_at(tide_handle *handle, int i) {
    const tide_handle_type *type = handle->type;
    return (uv_handle_t *)((char *)handle + type->first + type->uv_size * (size_t)i);
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
    int slot = handle->type->closed_slot;
    tide_handle_push_anchored(L, handle);
    free_slot(L, handle);
    handle->closing = false;
    rt->handle_count--;
    if (slot != 0 && lua_getiuservalue(L, -1, slot) != LUA_TNIL)
        tide_promise_fulfil(L, rt, lua_gettop(L), 0);
}

static void on_close(uv_handle_t *uv) {
    tide_handle *handle = uv->data;
    if (--handle->open == 0)
        tide_completion_add(handle->rt, &handle->closed);
}

void tide_handle_begin_close(tide_handle *handle) {
    tide_fork_check(handle->rt);
    handle->closing = true;
    while (!tide_list_empty(&handle->waits))
        tide_handle_complete_wait(tide_handle_first_wait(handle), UV_ECANCELED);
    for (int i = 0; i < handle->count; i++)
        uv_close(struct_at(handle, i), on_close);
}

void tide_handle_close(lua_State *L, tide_handle *handle, int index) {
    if (!tide_handle_is_open(handle))
        return;
    tide_handle_anchor(L, handle, index);
    tide_handle_begin_close(handle);
}

void tide_handle_push_closed(lua_State *L, tide_handle *handle, int index) {
    index = lua_absindex(L, index);
    if (handle->open == 0) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, handle->rt->ref_done);
    } else if (lua_getiuservalue(L, index, handle->type->closed_slot) == LUA_TNIL) {
        lua_pop(L, 1);
        tide_promise_new(L, handle->rt);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, index, handle->type->closed_slot);
    }
}

static void release(tide_handle *handle) {
    if (handle->type->release != NULL)
        handle->type->release(handle);
}

int tide_handle_gc(lua_State *L) {
    tide_handle *handle = test_handle(L, 1);
    if (handle == NULL)
        return tide_argument_expected(L, 1, "handle");
    if (handle->rt->closed)
        return 0; /* the runtime has closed it */
    release(handle);
    if (tide_handle_is_open(handle))
        tide_handle_close(L, handle, 1);
    else if (!handle->closing && handle->slot != LUA_NOREF)
        free_slot(L, handle);
    return 0;
}

/* The handle that the slot holds whose value is on top, or NULL: it is another one's. What has no
 * metatable there begins with a completion. */
static tide_handle *test_anchored(lua_State *L) {
    tide_handle *handle = test_handle(L, -1);
    if (handle != NULL || lua_type(L, -1) != LUA_TUSERDATA || lua_getmetatable(L, -1))
        return handle;
    handle = lua_touserdata(L, -1);
    return handle->closed.type == &closed_type ? handle : NULL;
}

void tide_handle_release_all(lua_State *L, tide_runtime *rt) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    int anchors = lua_gettop(L);
    for (lua_Integer slot = (lua_Integer)lua_rawlen(L, anchors); slot > 0; slot--) {
        lua_rawgeti(L, anchors, slot);
        tide_handle *handle = test_anchored(L);
        if (handle != NULL)
            release(handle);
        lua_settop(L, anchors);
    }
    lua_pop(L, 1);
}

/* ---- making ---- */

/* Pushes a block. [-0, +1, m] */
static tide_handle *push_block(lua_State *L, tide_runtime *rt, const tide_handle_type *type,
                               size_t extra) {
    tide_handle *handle = lua_newuserdatauv(L, type->size + extra, 0);
    memset(handle, 0, type->size + extra);
    tide_completion_init(&handle->closed, &closed_type);
    tide_list_init(&handle->waits);
    handle->rt = rt;
    handle->type = type;
    handle->slot = LUA_NOREF;
    return handle;
}

void *tide_handle_new(lua_State *L, tide_runtime *rt, const tide_handle_type *type, size_t extra) {
    object *o = lua_newuserdatauv(L, sizeof *o, slot_of_block(type));
    tide_handle *handle = push_block(L, rt, type, extra);
    *o = (object){&tag, handle};
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, slot_of_block(type));
    luaL_getmetatable(L, type->class);
    lua_setmetatable(L, -3);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_insert(L, -2);
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
