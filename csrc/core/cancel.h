/*
 * Cancellation of operations by AbortSignals. What a signal is and which one counts is policy of
 * lua/moontide/abort.lua; here is how an operation asks for it. Without options and without an
 * async context nothing is asked.
 */
#ifndef TIDE_CANCEL_H
#define TIDE_CANCEL_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Leaves the arguments up to the options and, above them, the signal to heed or nil. Returns
 * whether it has been aborted already: then a rejected promise is on top, to be returned. Raises
 * what is wrong with the options, in the name of the function. */
bool tide_cancel_begin(lua_State *L, tide_runtime *rt, int options, const char *name);

/* Calls a function of the policy by its name with the n values on top. [-n, +results, e] */
void tide_cancel_call(lua_State *L, tide_runtime *rt, const char *name, int n, int results);

extern const luaL_Reg tide_cancel_functions[];

#pragma GCC visibility pop

#endif
