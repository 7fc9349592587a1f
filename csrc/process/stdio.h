/*
 * The standard streams of this process, and what terminals can do.
 */
#ifndef TIDE_STDIO_H
#define TIDE_STDIO_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Adds the methods of terminals to those of streams. [-0, +0, m] */
void tide_stdio_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_stdio_functions[];

#pragma GCC visibility pop

#endif
