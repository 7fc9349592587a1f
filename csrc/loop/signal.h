/*
 * Signals of the system, as async iterators.
 */
#ifndef TIDE_SIGNAL_H
#define TIDE_SIGNAL_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Makes the metatable. [-0, +0, m] */
void tide_signal_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_signal_functions[];

#pragma GCC visibility pop

#endif
