/*
 * Promise.all and the others.
 */
#ifndef TIDE_COMBINATOR_H
#define TIDE_COMBINATOR_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Pushes what the element of a combinator at the index is called, such as "Promise.all [2]"; false:
 * it is none. [-0, +(0|1), m] */
bool tide_combinator_push_place(lua_State *L, int element);

extern const luaL_Reg tide_combinator_functions[];

#pragma GCC visibility pop

#endif
