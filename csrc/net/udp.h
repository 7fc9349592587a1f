/*
 * Datagrams of UDP.
 */
#ifndef TIDE_UDP_H
#define TIDE_UDP_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Makes the metatable. [-0, +0, m] */
void tide_udp_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_udp_functions[];

#pragma GCC visibility pop

#endif
