#include "core/objects.h"

#include "core/argument.h"

/* ---- classes ---- */

void tide_objects_set_functions(lua_State *L, tide_runtime *rt, const char *prefix,
                                const luaL_Reg *functions) {
    tide_argument_name(L, rt, prefix, functions);
    lua_pushlightuserdata(L, rt);
    luaL_setfuncs(L, functions, 1);
}

void tide_objects_open_class(lua_State *L, tide_runtime *rt, const char *name, const char *prefix,
                             const luaL_Reg *metamethods, const luaL_Reg *methods) {
    luaL_newmetatable(L, name);
    tide_objects_set_functions(L, rt, prefix, metamethods);
    lua_newtable(L);
    tide_objects_set_functions(L, rt, prefix, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void tide_objects_push_methods(lua_State *L, const char *name) {
    luaL_getmetatable(L, name);
    lua_getfield(L, -1, "__index");
    lua_replace(L, -2);
}

/* ---- errors ---- */

void tide_objects_new_error(lua_State *L, tide_runtime *rt, const char *name) {
    lua_createtable(L, 0, 2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_error_meta);
    lua_setmetatable(L, -2);
}

/* Does without metamethods of the fields' values: an error must always be printable. */
static int error_tostring(lua_State *L) {
    lua_settop(L, 1);
    const char *name = NULL, *message = NULL;
    if (lua_istable(L, 1)) {
        lua_getfield(L, 1, "name");
        name = lua_tostring(L, 2);
        lua_getfield(L, 1, "message");
        message = lua_tostring(L, 3);
    }
    name = name != NULL ? name : "Error";
    if (message != NULL && *message != '\0')
        lua_pushfstring(L, "%s: %s", name, message);
    else
        lua_pushstring(L, name);
    return 1;
}

/* new_error(name, message) -> error object */
static int new_error(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const char *name = tide_argument_text(L, 1);
    tide_argument_check(L, 2, TIDE_KIND_STRING);
    lua_settop(L, 2);
    tide_objects_new_error(L, rt, name);
    return 1;
}

const luaL_Reg tide_objects_functions[] = {{"new_error", new_error}, {NULL, NULL}};

void tide_objects_open(lua_State *L, tide_runtime *rt) {
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "moontide.Error");
    lua_setfield(L, -2, "__name");
    rt->ref_error_meta = luaL_ref(L, LUA_REGISTRYINDEX);
}
