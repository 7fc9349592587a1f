/*
 * Changes of files and directories, as async iterators.
 */
#ifndef TIDE_WATCH_H
#define TIDE_WATCH_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Makes the metatable. [-0, +0, m] */
void tide_watch_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_watch_functions[];

#pragma GCC visibility pop

#endif
