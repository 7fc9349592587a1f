/*
 * What tests need of the loop: virtual time, a moment when all is blocked, a shuffle.
 */
#ifndef TIDE_CLOCK_H
#define TIDE_CLOCK_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Nothing can go on without I/O or time: fulfils the promises that wait for this. [-0, +0, m] */
void tide_clock_release(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_clock_functions[];

#pragma GCC visibility pop

#endif
