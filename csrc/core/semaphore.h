/*
 * Semaphores, mutexes and their permits.
 */
#ifndef TIDE_SEMAPHORE_H
#define TIDE_SEMAPHORE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_semaphore_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_semaphore_functions[];

#pragma GCC visibility pop

#endif
