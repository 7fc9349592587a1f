/*
 * What has been found and not yet looked into stands on a list, so that nothing recurs; what has
 * been found is marked by its address. The collector stands still meanwhile: a finalizer could
 * change the very table that is being gone through.
 *
 * What only C holds is not seen: values below the first function that a host has called on a
 * state's main thread.
 */
#include "core/heap.h"

#include <string.h>

/* Indices of the stack of walk_all(); above them it works. */
enum { WALK = 1, MARKS, OPEN, FOUND };

/* Of a stack, so many frames are looked at, the innermost: finding one takes the longer the further
 * out it is. */
#define LEVELS_MAX 10000

typedef struct walk {
    tide_runtime *rt;
    tide_heap_test *wanted;
    lua_Integer open, found; /* lengths of the lists */
} walk;

/* ---- marking ---- */

/* Marks the object on top; whether it had not been found before. [-0, +0, m] */
static bool mark(lua_State *L) {
    const void *address = lua_topointer(L, -1);
    bool fresh = lua_rawgetp(L, MARKS, address) == LUA_TNIL;
    lua_pop(L, 1);
    if (fresh) {
        lua_pushboolean(L, 1);
        lua_rawsetp(L, MARKS, address);
    }
    return fresh;
}

/* Pops a value, to be looked into later if it is an object that can hold others. [-1, +0, m] */
static void add(lua_State *L, walk *w) {
    switch (lua_type(L, -1)) {
    case LUA_TTABLE:
    case LUA_TFUNCTION:
    case LUA_TUSERDATA:
    case LUA_TTHREAD:
        if (mark(L))
            lua_rawseti(L, OPEN, ++w->open);
        else
            lua_pop(L, 1);
        break;
    default: lua_pop(L, 1);
    }
}

/* ---- looking into objects, which are on top ---- */

/* What the table's metatable, on top, says that it does not hold: its keys, its values.
 * [-0, +0, m] */
static void read_mode(lua_State *L, bool *weak_keys, bool *weak_values) {
    lua_pushliteral(L, "__mode");
    lua_rawget(L, -2);
    const char *mode = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    *weak_keys = strchr(mode, 'k') != NULL;
    *weak_values = strchr(mode, 'v') != NULL;
    lua_pop(L, 1);
}

static void add_table(lua_State *L, walk *w) {
    bool weak_keys = false, weak_values = false;
    int table = lua_gettop(L);
    if (lua_getmetatable(L, table)) {
        read_mode(L, &weak_keys, &weak_values);
        add(L, w);
    }
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (weak_values)
            lua_pop(L, 1);
        else
            add(L, w);
        lua_pushvalue(L, -1);
        if (weak_keys)
            lua_pop(L, 1);
        else
            add(L, w);
    }
}

static void add_function(lua_State *L, walk *w) {
    int function = lua_gettop(L);
    for (int i = 1; lua_getupvalue(L, function, i) != NULL; i++)
        add(L, w);
}

static void add_userdata(lua_State *L, walk *w) {
    int object = lua_gettop(L);
    if (w->wanted(L, w->rt, object)) {
        lua_pushvalue(L, object);
        lua_rawseti(L, FOUND, ++w->found);
    }
    if (lua_getmetatable(L, object))
        add(L, w);
    for (int i = 1; lua_getiuservalue(L, object, i) != LUA_TNONE; i++)
        add(L, w);
    lua_pop(L, 1);
}

/* Takes what is on top of the coroutine's stack from there. [-0, +0, m] */
static void add_from(lua_State *L, walk *w, lua_State *co) {
    lua_xmove(co, L, 1);
    add(L, w);
}

/* The frame's function, its variables, what else it works on, and its extra arguments. */
static void add_frame(lua_State *L, walk *w, lua_State *co, lua_Debug *ar) {
    lua_getinfo(co, "f", ar);
    add_from(L, w, co);
    for (int i = 1; lua_getlocal(co, ar, i) != NULL; i++)
        add_from(L, w, co);
    for (int i = -1; lua_getlocal(co, ar, i) != NULL; i--)
        add_from(L, w, co);
}

/* One that has not begun, or is not there to run, has values but no frame. */
static void add_coroutine(lua_State *L, walk *w) {
    lua_State *co = lua_tothread(L, -1);
    lua_Debug ar;
    int level = 0;
    if (!lua_checkstack(co, 1))
        return; /* it is full, and there is no memory */
    for (; level < LEVELS_MAX && lua_getstack(co, level, &ar); level++)
        add_frame(L, w, co, &ar);
    for (int i = level == 0 ? lua_gettop(co) : 0; i > 0; i--) {
        lua_pushvalue(co, i);
        add_from(L, w, co);
    }
}

/* ---- walking ---- */

static void look_into_next(lua_State *L, walk *w) {
    lua_rawgeti(L, OPEN, w->open);
    lua_pushnil(L);
    lua_rawseti(L, OPEN, w->open--);
    switch (lua_type(L, -1)) {
    case LUA_TTABLE: add_table(L, w); break;
    case LUA_TFUNCTION: add_function(L, w); break;
    case LUA_TUSERDATA: add_userdata(L, w); break;
    default: add_coroutine(L, w);
    }
    lua_settop(L, FOUND);
}

/* Marks what stands there: that is ours. */
static void ignore(lua_State *L, int index) {
    lua_pushvalue(L, index);
    mark(L);
    lua_pop(L, 1);
}

/* walk_all(walk) -> list */
static int walk_all(lua_State *L) {
    walk *w = lua_touserdata(L, WALK);
    lua_newtable(L);
    lua_newtable(L);
    lua_newtable(L);
    ignore(L, MARKS);
    ignore(L, OPEN);
    ignore(L, FOUND);
    lua_pushvalue(L, LUA_REGISTRYINDEX);
    add(L, w);
    lua_pushthread(L);
    add(L, w);
    while (w->open > 0)
        look_into_next(L, w);
    return 1;
}

void tide_heap_push_list(lua_State *L, tide_runtime *rt, tide_heap_test *wanted) {
    walk w = {rt, wanted, 0, 0};
    bool collects = lua_gc(L, LUA_GCISRUNNING) > 0;
    lua_pushcfunction(L, walk_all);
    lua_pushlightuserdata(L, &w);
    if (collects)
        lua_gc(L, LUA_GCSTOP);
    int status = lua_pcall(L, 1, 1, 0);
    if (collects)
        lua_gc(L, LUA_GCRESTART);
    if (status != LUA_OK)
        lua_error(L);
}
