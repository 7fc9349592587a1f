/*
 * Suspended functions, and who waits for whom: what lua/moontide/async/tasks.lua tells of.
 */
#ifndef TIDE_SUSPENSION_H
#define TIDE_SUSPENSION_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* What a pending promise is that is no suspended function's, for those who wait for it. [-0, +0, -]
 */
const char *tide_suspension_name(lua_State *L, int promise);

/* Where the coroutine stands, or one inside it that awaits: the innermost line that is none of the
 * library's, if there is one. [-0, +0, -] */
bool tide_suspension_find_place(lua_State *L, tide_runtime *rt, lua_State *co, lua_Debug *ar);

extern const luaL_Reg tide_suspension_functions[];

#pragma GCC visibility pop

#endif
