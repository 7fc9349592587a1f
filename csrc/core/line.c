/*
 * A waiter has its place in at.place, 0 once it has left; a held task's stands on its coroutine.
 */
#include "core/line.h"

#define PLACE_SOON (-1) /* it can be cancelled, but is not in the line yet */

/* ---- places ---- */

static void set_place(lua_State *L, uint32_t place) {
    tide_promise *p = lua_touserdata(L, -1);
    if (p->kind == TIDE_TASK)
        tide_task_move_held((tide_node *)p, (lua_Integer)place);
    else
        p->at.place = (int32_t)place;
}

void tide_line_reserve(lua_State *L, int object, tide_line *line) {
    tide_ring_reserve(L, object, line, set_place);
}

bool tide_line_forget(lua_State *L, tide_runtime *rt, int waiter) {
    tide_promise *p = lua_touserdata(L, waiter);
    const tide_line_type *type = (const tide_line_type *)p->job.type;
    int32_t place = p->at.place;
    (void)rt;
    p->at.place = 0;
    if (place <= 0)
        return place == PLACE_SOON;
    lua_getiuservalue(L, waiter, TIDE_SLOT_VALUE);
    char *object = lua_touserdata(L, -1);
    tide_ring_remove(L, lua_gettop(L), (tide_line *)(void *)(object + type->offset),
                     (uint32_t)place);
    lua_pop(L, 1);
    if (p->user_values >= TIDE_LINE_ITEM) {
        lua_pushnil(L);
        lua_setiuservalue(L, waiter, TIDE_LINE_ITEM);
    }
    return true;
}

/* ---- waiting ---- */

/* The waiter on top enters its scope, and heeds the signal at the index, if there is one. */
static void enter(lua_State *L, tide_runtime *rt, int signal) {
    tide_waiter_enter(L, rt, lua_gettop(L), signal);
    if (lua_toboolean(L, signal))
        lua_setiuservalue(L, -2, TIDE_SLOT_EXTRA);
    else
        lua_pop(L, 1);
}

void tide_line_wait(lua_State *L, tide_runtime *rt, const tide_line_type *type, int object,
                    int signal, int item) {
    tide_line *line = (tide_line *)(void *)((char *)lua_touserdata(L, object) + type->offset);
    bool heeds = lua_toboolean(L, signal);
    tide_node *w = tide_waiter_prepare(L, rt, &type->waiter, object, heeds);
    w->promise.at.place = PLACE_SOON;
    tide_line_reserve(L, object, line); /* nothing is to fail once it has entered its scope */
    if (heeds || w->promise.flags & TIDE_MEMBER)
        enter(L, rt, signal);
    if (w->promise.state != TIDE_PENDING)
        return;
    tide_line_reserve(L, object, line);
    if (item != 0) {
        lua_pushvalue(L, item);
        lua_setiuservalue(L, -2, TIDE_LINE_ITEM);
    }
    lua_pushvalue(L, -1);
    w->promise.at.place = (int32_t)tide_ring_append(L, object, line);
}

int tide_line_hold(lua_State *L, tide_runtime *rt, tide_line *line, const tide_hold_type *type) {
    tide_line_reserve(L, 1, line);
    uint32_t place = tide_ring_append(L, 1, line);
    return tide_task_hold(L, rt, type, (lua_Integer)place);
}

/* ---- serving ---- */

bool tide_line_take(lua_State *L, int object, tide_line *line) {
    if (!tide_ring_take(L, object, line))
        return false;
    tide_promise *p = lua_touserdata(L, -1);
    if (p->kind != TIDE_TASK)
        p->at.place = 0;
    return true;
}

void tide_line_serve(lua_State *L, tide_runtime *rt, int who, int n) {
    const tide_promise *p = lua_touserdata(L, who);
    if (p->kind == TIDE_TASK)
        tide_task_continue(L, rt, who, n);
    else if (p->user_values < TIDE_SLOT_EXTRA) /* it heeds no signal */
        tide_promise_resolve(L, rt, who, n);
    else
        tide_waiter_resolve(L, rt, who, n);
}

void tide_line_push_item(lua_State *L, int waiter) {
    lua_getiuservalue(L, waiter, TIDE_LINE_ITEM);
    lua_pushnil(L);
    lua_setiuservalue(L, waiter, TIDE_LINE_ITEM);
}

/* ---- what the classes have in common ---- */

int tide_line_push_done(lua_State *L, const tide_runtime *rt) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_done);
    return 1;
}
