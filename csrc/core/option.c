#include "core/option.h"

bool tide_option_flag(lua_State *L, int options, const char *name) {
    if (!lua_istable(L, options))
        return false;
    lua_getfield(L, options, name);
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

lua_Integer tide_option_integer(lua_State *L, int options, const char *name, lua_Integer none) {
    if (!lua_istable(L, options))
        return none;
    int is_integer = 1;
    lua_Integer value = none;
    if (lua_getfield(L, options, name) != LUA_TNIL)
        value = lua_tointegerx(L, -1, &is_integer);
    lua_pop(L, 1);
    if (!is_integer)
        luaL_argerror(L, options, lua_pushfstring(L, "field '%s': integer expected", name));
    return value;
}
