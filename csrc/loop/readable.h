/*
 * A descriptor that a library owns which has sockets of its own to wait for: whenever it is
 * readable, the loop calls a function.
 */
#ifndef TIDE_READABLE_H
#define TIDE_READABLE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Makes the class. [-0, +0, m] */
void tide_readable_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_readable_functions[];

#pragma GCC visibility pop

#endif
