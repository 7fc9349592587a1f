/*
 * Readiness of file descriptors that others own.
 */
#ifndef TIDE_POLL_H
#define TIDE_POLL_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Makes the metatable. [-0, +0, m] */
void tide_poll_open(lua_State *L, tide_runtime *rt);

/* Before the loop polls: who waits for a descriptor that has been closed meanwhile gets the error.
 * Cannot fail. */
void tide_poll_check(tide_runtime *rt);

extern const luaL_Reg tide_poll_functions[];

#pragma GCC visibility pop

#endif
