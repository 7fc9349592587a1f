#include "core/objects.h"

void tide_objects_new_error(lua_State *L, tide_runtime *rt, const char *name) {
    lua_createtable(L, 0, 2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_error_meta);
    lua_setmetatable(L, -2);
}

void tide_uverror_push(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                       const char *path) {
    tide_uverror_push_pair(L, rt, status, syscall, path, NULL);
}

void tide_uverror_push_pair(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                            const char *path, const char *dest) {
    char code[64], text[256];
    uv_err_name_r(status, code, sizeof code);
    uv_strerror_r(status, text, sizeof text);
    if (dest != NULL)
        lua_pushfstring(L, "%s: %s, %s '%s' -> '%s'", code, text, syscall, path, dest);
    else if (path != NULL)
        lua_pushfstring(L, "%s: %s, %s '%s'", code, text, syscall, path);
    else
        lua_pushfstring(L, "%s: %s, %s", code, text, syscall);
    tide_objects_new_error(L, rt, "SystemError");
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "errno");
    lua_pushstring(L, syscall);
    lua_setfield(L, -2, "syscall");
    lua_pushstring(L, path);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, dest);
    lua_setfield(L, -2, "dest");
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
    const char *name = luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
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
