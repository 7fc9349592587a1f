/*
 * libuv goes on polling while the function has yet to be called: then it is called once for all
 * that has come.
 *
 * Held, it keeps the loop alive, and its slot of the anchor table has the object. Otherwise whoever
 * has the object is all that keeps it, so the object is found by way of a table that holds it
 * weakly.
 */
#include "loop/readable.h"

#include <limits.h>

#include "core/argument.h"
#include "core/objects.h"
#include "loop/fork.h"
#include "loop/handle.h"
#include "loop/uverror.h"

#define METATABLE "moontide.Readable"

enum { SLOT_FUNCTION = 1 };

typedef struct readable {
    tide_handle handle;
    tide_completion ready;
    bool held;
    uv_poll_t uv;
} readable;

/* All of it is zero where there was no memory for its anchor. */
static void release(tide_handle *handle) {
    readable *r = (readable *)handle;
    if (r->ready.link.next != NULL)
        tide_list_remove(&r->ready.link);
}

static const tide_handle_type handle_type = {.class = METATABLE,
                                             .size = sizeof(readable),
                                             .first = offsetof(readable, uv),
                                             .uv_size = sizeof(uv_poll_t),
                                             .user_values = SLOT_FUNCTION,
                                             .release = release};

/* ---- the objects, weakly ---- */

static const char objects_key = 0;

/* Pushes the table of objects by their blocks. [-0, +1, m] */
static void push_objects(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &objects_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &objects_key);
}

/* ---- readiness ---- */

static void deliver(lua_State *L, tide_runtime *rt, tide_completion *completion) {
    const readable *r = tide_list_entry(completion, readable, ready);
    (void)rt;
    push_objects(L);
    if (!tide_handle_is_open(&r->handle) || lua_rawgetp(L, -1, r) == LUA_TNIL)
        return;
    lua_getiuservalue(L, -1, SLOT_FUNCTION);
    lua_call(L, 0, 0);
}

static void discard(tide_completion *completion) {
    (void)completion;
}

static const tide_completion_type ready_type = {deliver, discard};

static void on_poll(uv_poll_t *uv, int status, int events) {
    readable *r = uv->data;
    (void)status;
    (void)events;
    tide_completion_add(r->handle.rt, &r->ready);
}

/* ---- methods ---- */

static readable *check_readable(lua_State *L) {
    tide_runtime_here(L);
    return tide_handle_check(L, 1, &handle_type);
}

/* r:hold(held): whether it keeps the loop alive */
static int readable_hold(lua_State *L) {
    readable *r = check_readable(L);
    bool held = lua_toboolean(L, 2);
    if (held == r->held || !tide_handle_is_open(&r->handle))
        return 0;
    r->held = held;
    if (held) {
        tide_handle_anchor(L, &r->handle, 1);
        tide_handle_hold(&r->handle);
    } else {
        tide_handle_let_go(&r->handle);
        tide_handle_unanchor(L, &r->handle);
    }
    return 0;
}

static int readable_close(lua_State *L) {
    readable *r = check_readable(L);
    release(&r->handle);
    tide_handle_close(L, &r->handle, 1);
    return 0;
}

/* ---- making ---- */

/* readable(fd, f) -> object: f is called whenever the descriptor is readable, until it is closed,
 * which has to come before the descriptor is */
static int new_readable(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_Integer fd = tide_argument_integer(L, 1, (tide_range){0, INT_MAX});
    tide_argument_callable(L, 2);
    lua_settop(L, 2);
    tide_fork_check(rt);
    readable *r = tide_handle_new(L, rt, &handle_type, 0);
    tide_completion_init(&r->ready, &ready_type);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, 3, SLOT_FUNCTION);
    push_objects(L);
    lua_pushvalue(L, 3);
    lua_rawsetp(L, 4, r);
    lua_settop(L, 3);
    int status = uv_poll_init(&rt->loop, &r->uv, (int)fd);
    if (status < 0) {
        tide_uverror_push(L, rt, status, "poll", NULL);
        return lua_error(L);
    }
    tide_handle_opened(&r->handle);
    uv_poll_start(&r->uv, UV_READABLE, on_poll);
    return 1;
}

void tide_readable_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {{"__gc", tide_handle_gc}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"close", readable_close}, {"hold", readable_hold}, {NULL, NULL}};
    tide_objects_open_class(L, rt, METATABLE, "readable:", metamethods, methods);
}

const luaL_Reg tide_readable_functions[] = {{"readable", new_readable}, {NULL, NULL}};
