/*
 * Timers: timeouts, intervals and sleeps, in a heap of our own.
 */
#ifndef TIDE_TIMER_H
#define TIDE_TIMER_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Makes the metatable of callbacks' handles. [-0, +0, m] */
void tide_timer_open(lua_State *L, tide_runtime *rt);

/* The runtime closes: frees the heap. Cannot fail. */
void tide_timer_close(lua_State *L, tide_runtime *rt);

/* Whether there is a timer at all, and when the first is due, in ns of uv_hrtime. */
bool tide_timer_next(const tide_runtime *rt, uint64_t *due);

/* Fires the first timer if it is due now; false: none is. [-0, +0, e] */
bool tide_timer_fire(lua_State *L, tide_runtime *rt, uint64_t now);

/* An interval whose callback has returned, or raised, waits anew. [-0, +0, m] */
void tide_timer_rearm(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_timer_functions[], tide_timer_test_functions[];

#pragma GCC visibility pop

#endif
