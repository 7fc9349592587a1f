#include "core/floating.h"

#include "core/argument.h"
#include "core/objects.h"

#define CLASS "moontide.Floating"

/* User values of a mark. */
enum { SLOT_PLACE = 1, SLOT_FUNCTION };

/* Pushes the place of the user's that is running, without the colon and space. [-0, +1, m] */
static void push_place(lua_State *L) {
    size_t length;
    tide_argument_push_where(L);
    const char *place = lua_tolstring(L, -1, &length);
    lua_pushlstring(L, place, length > 2 ? length - 2 : 0);
    lua_replace(L, -2);
}

void tide_floating_mark(lua_State *L, tide_runtime *rt, int promise, int function) {
    promise = lua_absindex(L, promise);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_floating);
    lua_pushvalue(L, promise);
    lua_newuserdatauv(L, 0, SLOT_FUNCTION);
    push_place(L);
    lua_setiuservalue(L, -2, SLOT_PLACE);
    if (function != 0) {
        lua_pushvalue(L, function);
        lua_setiuservalue(L, -2, SLOT_FUNCTION);
    }
    luaL_setmetatable(L, CLASS);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Pushes the table of marks, and the mark of the promise at the index; false: there is none, and
 * nothing is pushed. [-0, +(0|2), -] */
static bool push_mark(lua_State *L, const tide_runtime *rt, int promise) {
    promise = lua_absindex(L, promise);
    if (!lua_checkstack(L, 4))
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_floating);
    lua_pushvalue(L, promise);
    if (lua_rawget(L, -2) == LUA_TUSERDATA)
        return true;
    lua_pop(L, 2);
    return false;
}

void tide_floating_unmark(lua_State *L, tide_runtime *rt, int promise) {
    promise = lua_absindex(L, promise);
    if (!push_mark(L, rt, promise))
        return;
    lua_pushnil(L);
    lua_setmetatable(L, -2); /* the collector finds nothing to tell */
    lua_pop(L, 1);
    lua_pushvalue(L, promise);
    lua_pushnil(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

bool tide_floating_push_place(lua_State *L, tide_runtime *rt, int promise) {
    if (!rt->watches_floating || !push_mark(L, rt, promise))
        return false;
    lua_getiuservalue(L, -1, SLOT_PLACE);
    lua_replace(L, -3);
    lua_pop(L, 1);
    return true;
}

/* The promise of a mark is gone, and nobody has looked after it. */
static int mark_gc(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    if (rt->closed || !rt->watches_floating || luaL_testudata(L, 1, CLASS) == NULL)
        return 0;
    lua_settop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_on_floating);
    lua_getiuservalue(L, 1, SLOT_PLACE);
    lua_getiuservalue(L, 1, SLOT_FUNCTION);
    lua_call(L, 2, 0);
    return 0;
}

/* watch_floating(f or nil): f(place, function or nil) is called by the collector */
static int watch_floating(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    rt->watches_floating = lua_toboolean(L, 1);
    lua_settop(L, rt->watches_floating ? 1 : 0);
    if (!rt->watches_floating)
        lua_pushboolean(L, 0); /* nil would free the slot for others */
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_on_floating);
    return 0;
}

const luaL_Reg tide_floating_functions[] = {{"watch_floating", watch_floating}, {NULL, NULL}};

void tide_floating_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {{"__gc", mark_gc}, {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};
    tide_objects_open_class(L, rt, CLASS, "", metamethods, none);
}
