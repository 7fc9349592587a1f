/*
 * Async generators, after ECMA-262's AsyncGenerator objects.
 */
#ifndef TIDE_GENERATOR_H
#define TIDE_GENERATOR_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_generator_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_generator_functions[];

#pragma GCC visibility pop

#endif
