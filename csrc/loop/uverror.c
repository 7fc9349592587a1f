#include "loop/uverror.h"

#include "core/objects.h"

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
