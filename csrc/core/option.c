#include "core/option.h"

/* Stores the value on top. */
static void store(lua_State *L, const tide_option *option, void *into) {
    char *at = (char *)into + option->offset;
    switch (option->kind) {
    case TIDE_KIND_FLAG: *(bool *)at = lua_toboolean(L, -1); break;
    case TIDE_KIND_FAMILY:
    case TIDE_KIND_INTEGER: *(lua_Integer *)at = lua_tointeger(L, -1); break;
    case TIDE_KIND_NUMBER: *(lua_Number *)at = lua_tonumber(L, -1); break;
    default: break;
    }
}

bool tide_option_push(lua_State *L, int argument, const tide_option *option) {
    if (lua_getfield(L, argument, option->name) == LUA_TNIL)
        return false;
    if (tide_argument_push_problem(L, -1, option->kind, option->range))
        tide_argument_fail(L, argument,
                           lua_pushfstring(L, "field '%s': %s", option->name, lua_tostring(L, -1)));
    return true;
}

void tide_option_read(lua_State *L, int argument, const tide_option *list, void *into) {
    if (lua_isnoneornil(L, argument))
        return;
    tide_argument_check(L, argument, TIDE_KIND_TABLE);
    for (; list->name != NULL; list++) {
        if (tide_option_push(L, argument, list))
            store(L, list, into);
        lua_pop(L, 1);
    }
}
