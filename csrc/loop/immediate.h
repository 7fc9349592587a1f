/*
 * Immediates: what runs after the I/O of a turn.
 */
#ifndef TIDE_IMMEDIATE_H
#define TIDE_IMMEDIATE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_immediate_open(tide_runtime *rt);

/* The phase begins: what is queued from here on is left to the next turn. */
void tide_immediate_begin(tide_runtime *rt);

/* Runs the next of the phase; false: there is none. [-0, +0, e] */
bool tide_immediate_fire(lua_State *L, tide_runtime *rt);

static inline bool tide_immediate_waiting(const tide_runtime *rt) {
    return rt->immediates.live > 0;
}

extern const luaL_Reg tide_immediate_functions[];

#pragma GCC visibility pop

#endif
