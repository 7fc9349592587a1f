/*
 * Async generators, after ECMA-262's AsyncGenerator objects.
 */
#ifndef TIDE_GENERATOR_H
#define TIDE_GENERATOR_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_generator_open(lua_State *L, tide_runtime *rt);

/* Appends to the list at the other index whom the object, if it is a generator, answers: promises,
 * the first of which may be a held task. [-0, +0, m] */
bool tide_generator_add_waiting(lua_State *L, int object, int list);

extern const luaL_Reg tide_generator_functions[];

#pragma GCC visibility pop

#endif
