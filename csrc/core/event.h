/*
 * Events: something that has happened, or not.
 */
#ifndef TIDE_EVENT_H
#define TIDE_EVENT_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_event_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_event_functions[];

#pragma GCC visibility pop

#endif
