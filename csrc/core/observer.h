/*
 * The observer: it tells of calls of async functions, when they run, what they wait for, and who
 * wakes them, as trace events.
 *
 * A runtime that is not observed does nothing for that: what the observer has to see, it sees by
 * standing in the place of functions of Lua's that the core calls by way of the runtime
 * (rt->lua), and of one of the loop's (rt->drive).
 */
#ifndef TIDE_OBSERVER_H
#define TIDE_OBSERVER_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* The loop waits for what comes from outside; does so no more. There is an observer. What has been
 * told is in the files while the loop blocks: a program may be killed there. */
void tide_observer_begin_poll(lua_State *L, tide_runtime *rt, bool may_block);
void tide_observer_end_poll(lua_State *L, tide_runtime *rt);

/* The runtime closes: ends the files. Cannot fail. */
void tide_observer_close(tide_runtime *rt);

extern const luaL_Reg tide_observer_functions[];

#pragma GCC visibility pop

#endif
