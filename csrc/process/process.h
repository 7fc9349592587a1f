/*
 * Child processes.
 */
#ifndef TIDE_PROCESS_H
#define TIDE_PROCESS_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Makes the metatable. [-0, +0, m] */
void tide_process_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_process_functions[];

#pragma GCC visibility pop

#endif
