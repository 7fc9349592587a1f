#include "core/place.h"

/* Finds the innermost frame of the program's, from the level on, and pushes its function; nil:
 * there is none. [-0, +1, -] */
static bool find_frame(lua_State *co, const tide_runtime *rt, int level, lua_Debug *ar) {
    for (; lua_getstack(co, level, ar); level++) {
        lua_getinfo(co, "Slf", ar);
        if (ar->currentline > 0 && !tide_runtime_hides(rt, ar->source))
            return true;
        lua_pop(co, 1);
    }
    lua_pushnil(co);
    return false;
}

void tide_place_push(lua_State *L, const tide_runtime *rt, lua_State *co) {
    lua_Debug ar;
    luaL_checkstack(co, 1, NULL);
    bool found = find_frame(co, rt, 0, &ar);
    lua_pop(co, 1);
    if (found)
        lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
    else
        lua_pushliteral(L, "");
}

int tide_place_push_caller(lua_State *L, const tide_runtime *rt) {
    lua_Debug ar;
    return find_frame(L, rt, 1, &ar) ? ar.currentline : 0;
}

void tide_place_push_origin(lua_State *L, const char *maker, int line) {
    lua_Debug ar = {.short_src = "?"};
    if (lua_isfunction(L, -1))
        lua_getinfo(L, ">S", &ar);
    else
        lua_pop(L, 1);
    lua_pushfstring(L, "from %s at %s:%d", maker, ar.short_src, line);
}
