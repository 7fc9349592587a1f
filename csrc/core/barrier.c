#include "core/barrier.h"

#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

/* Looks for a function among the fields of the module on top; replaces the module by the
 * function's full name, or removes it. [-1, +(0|1), m] */
static bool find_in_module(lua_State *L, int function, const char *module) {
    int table = lua_gettop(L);
    if (lua_istable(L, table)) {
        lua_pushnil(L);
        while (lua_next(L, table)) {
            if (lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, function)) {
                bool global = strcmp(module, LUA_GNAME) == 0;
                lua_pushfstring(L, "%s%s%s", global ? "" : module, global ? "" : ".",
                                lua_tostring(L, -2));
                lua_replace(L, table);
                lua_settop(L, table);
                return true;
            }
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    return false;
}

/* Replaces the function on top by the name that a loaded module has for it, or nil. The standard
 * libraries come first: others like to repeat their functions. [-1, +1, m] */
static void push_global_name(lua_State *L) {
    static const char *const standard[] = {
        LUA_GNAME,     LUA_STRLIBNAME, LUA_TABLIBNAME,  LUA_COLIBNAME,
        LUA_DBLIBNAME, LUA_IOLIBNAME,  LUA_UTF8LIBNAME, NULL};
    int function = lua_gettop(L);
    bool found = false;
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (int i = 0; !found && standard[i] != NULL; i++) {
        lua_getfield(L, function + 1, standard[i]);
        found = find_in_module(L, function, standard[i]);
    }
    if (!found)
        lua_pushnil(L);
    while (!found && lua_next(L, function + 1)) {
        if (lua_type(L, -2) == LUA_TSTRING)
            found = find_in_module(L, function, lua_tostring(L, -2));
        else
            lua_pop(L, 1);
    }
    if (!found)
        lua_pushnil(L);
    lua_replace(L, function);
    lua_settop(L, function);
}

static bool yields_through(const char *name) {
    static const char *const names[] = {"pcall", "xpcall", "dofile", NULL};
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Pushes a name for the frame if a yield cannot pass it. [-0, +(0|1), m] */
static bool push_barrier_name(lua_State *L, lua_State *co, lua_Debug *ar) {
    lua_getinfo(co, "Snf", ar);
    lua_xmove(co, L, 1);
    if (*ar->namewhat == 'm' && ar->name != NULL && strcmp(ar->name, "__gc") == 0) {
        lua_pop(L, 1);
        lua_pushliteral(L, "a __gc metamethod");
        return true;
    }
    if (*ar->what != 'C') {
        lua_pop(L, 1);
        return false;
    }
    push_global_name(L);
    const char *name = lua_tostring(L, -1);
    if (name == NULL)
        lua_pushfstring(L, "the C function '%s'", ar->name != NULL ? ar->name : "?");
    else if (yields_through(name)) {
        lua_pop(L, 1);
        return false;
    }
    return true;
}

void tide_barrier_push(lua_State *L, lua_State *co) {
    lua_Debug ar;
    int level = 1;
    for (; lua_getstack(co, level, &ar); level++)
        if (push_barrier_name(L, co, &ar))
            break;
    if (!lua_getstack(co, level, &ar)) {
        lua_pushliteral(L, "a C function");
        return;
    }
    for (level++; lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "Sl", &ar);
        if (ar.currentline > 0) {
            lua_pushfstring(L, "%s, called from %s:%d", lua_tostring(L, -1), ar.short_src,
                            ar.currentline);
            return;
        }
    }
}
