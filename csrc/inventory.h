/*
 * What keeps the loop alive: for lua/moontide/async/handles.lua.
 */
#ifndef TIDE_INVENTORY_H
#define TIDE_INVENTORY_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_inventory_functions[];

#pragma GCC visibility pop

#endif
