/*
 * TCP: connecting and listening at addresses, and what only its streams have.
 */
#ifndef TIDE_TCP_H
#define TIDE_TCP_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Adds methods to the type of streams. */
void tide_tcp_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_tcp_functions[];

#pragma GCC visibility pop

#endif
