/*
 * Waking a host that has a loop of its own: what is called outside a turn may need one.
 */
#ifndef TIDE_WAKE_H
#define TIDE_WAKE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_wake_open(tide_runtime *rt);

/* A drive begins: whoever drives knows. */
void tide_wake_rest(tide_runtime *rt);

/* A drive is over: the next call from outside wakes the host. */
void tide_wake_watch(tide_runtime *rt);

extern const luaL_Reg tide_wake_functions[];

#pragma GCC visibility pop

#endif
