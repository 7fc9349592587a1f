/*
 * The async context: a table, or none, that what is started here has where it goes on.
 */
#ifndef TIDE_CONTEXT_H
#define TIDE_CONTEXT_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Pops a table, or nil for none, and makes it the current one. [-1, +0, -] */
void tide_context_set(lua_State *L, tide_runtime *rt);

/* Makes the one in a user value of the object at the index current. [-0, +0, -] */
void tide_context_enter(lua_State *L, tide_runtime *rt, int index, int user_value);

/* None is current from here on. [-0, +0, -] */
static inline void tide_context_leave(lua_State *L, tide_runtime *rt) {
    if (!rt->has_context)
        return;
    lua_pushnil(L);
    tide_context_set(L, rt);
}

/* Pushes the current one. [-0, +1, -] */
void tide_context_push(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_context_functions[];

#pragma GCC visibility pop

#endif
