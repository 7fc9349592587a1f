/*
 * Queues of values between functions.
 */
#ifndef TIDE_QUEUE_H
#define TIDE_QUEUE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_queue_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_queue_functions[];

#pragma GCC visibility pop

#endif
