/*
 * What the core asks of Lua when something is cancelled: AbortSignals are Lua's
 * (lua/moontide/async/abort.lua), and so are the places in lines.
 */
#ifndef TIDE_CANCEL_H
#define TIDE_CANCEL_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Calls a function of the policy by its name with the n values on top. [-n, +results, e] */
void tide_cancel_call(lua_State *L, tide_runtime *rt, const char *name, int n, int results);

extern const luaL_Reg tide_cancel_functions[];

#pragma GCC visibility pop

#endif
