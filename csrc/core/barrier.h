/*
 * What keeps a coroutine from yielding: a function on its stack that no yield can pass.
 */
#ifndef TIDE_BARRIER_H
#define TIDE_BARRIER_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* Pushes the name of the innermost such function of the coroutine, which runs or has resumed
 * another one, and the line that has called it, if that is known. [-0, +1, m] */
void tide_barrier_push(lua_State *L, lua_State *co);

#pragma GCC visibility pop

#endif
