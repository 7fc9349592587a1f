#include "core/forgotten.h"

#include "core/argument.h"
#include "core/objects.h"

/* Raises in the name of the innermost function of Lua's: pairs, say, may stand in between. */
static int ask(lua_State *L, const char *what) {
    lua_Debug ar = {.currentline = -1};
    for (int level = 1; ar.currentline < 0 && lua_getstack(L, level, &ar); level++)
        lua_getinfo(L, "Sl", &ar);
    lua_pushliteral(L, "");
    if (ar.currentline > 0)
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    lua_pushfstring(L, "%s (did you forget await?)", what);
    lua_concat(L, ar.currentline > 0 ? 3 : 2);
    return lua_error(L);
}

static const char *key_name(lua_State *L, int key) {
    return lua_type(L, key) == LUA_TNUMBER || lua_type(L, key) == LUA_TSTRING
               ? luaL_tolstring(L, key, NULL)
               : luaL_typename(L, key);
}

/* Of the table of methods: there is no such method. */
static int forgotten_index(lua_State *L) {
    return ask(L, lua_pushfstring(L, "a promise has no field '%s'", key_name(L, 2)));
}

static int forgotten_newindex(lua_State *L) {
    return ask(L, lua_pushfstring(L, "a promise takes no field '%s'", key_name(L, 2)));
}

static int forgotten_arithmetic(lua_State *L) {
    return ask(L, "arithmetic on a promise");
}

static int forgotten_concat(lua_State *L) {
    return ask(L, "concatenation of a promise");
}

static int forgotten_length(lua_State *L) {
    return ask(L, "length of a promise");
}

static int forgotten_order(lua_State *L) {
    return ask(L, "comparison of a promise");
}

static int forgotten_pairs(lua_State *L) {
    return ask(L, "iteration over a promise");
}

static int forgotten_close(lua_State *L) {
    return lua_isnil(L, 2) ? ask(L, "a promise as the value of a <close> variable") : 0;
}

void tide_forgotten_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {{"__newindex", forgotten_newindex},
                                           {"__add", forgotten_arithmetic},
                                           {"__sub", forgotten_arithmetic},
                                           {"__mul", forgotten_arithmetic},
                                           {"__div", forgotten_arithmetic},
                                           {"__mod", forgotten_arithmetic},
                                           {"__pow", forgotten_arithmetic},
                                           {"__unm", forgotten_arithmetic},
                                           {"__idiv", forgotten_arithmetic},
                                           {"__band", forgotten_arithmetic},
                                           {"__bor", forgotten_arithmetic},
                                           {"__bxor", forgotten_arithmetic},
                                           {"__bnot", forgotten_arithmetic},
                                           {"__shl", forgotten_arithmetic},
                                           {"__shr", forgotten_arithmetic},
                                           {"__concat", forgotten_concat},
                                           {"__call", tide_argument_refuse_call},
                                           {"__len", forgotten_length},
                                           {"__lt", forgotten_order},
                                           {"__le", forgotten_order},
                                           {"__pairs", forgotten_pairs},
                                           {"__close", forgotten_close},
                                           {NULL, NULL}};
    static const luaL_Reg of_methods[] = {{"__index", forgotten_index}, {NULL, NULL}};
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_promise_meta);
    tide_objects_set_functions(L, rt, "promise:", metamethods);
    lua_getfield(L, -1, "__index");
    lua_newtable(L);
    tide_objects_set_functions(L, rt, "promise:", of_methods);
    lua_setmetatable(L, -2);
    lua_pop(L, 2);
}
