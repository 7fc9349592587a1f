/*
 * Text of traces, which continue across awaits.
 */
#ifndef TIDE_TRACEBACK_H
#define TIDE_TRACEBACK_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Pushes a description of the C call that keeps L from yielding. [-0, +1, m] */
void tide_traceback_push_barrier(lua_State *L);

extern const luaL_Reg tide_traceback_functions[];

#pragma GCC visibility pop

#endif
