/*
 * Floating promises, for debug mode: those of calls and operations that nobody looks after.
 *
 * Each that is made has a mark in a table with weak keys. Whoever awaits the promise, or attaches
 * something to it, takes the mark off; a mark that the collector finds tells the watcher.
 */
#ifndef TIDE_FLOATING_H
#define TIDE_FLOATING_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_floating_mark(lua_State *L, tide_runtime *rt, int promise, int function);
void tide_floating_unmark(lua_State *L, tide_runtime *rt, int promise);

/* The promise at the index is the program's from now on; function is the index of the async
 * function that was called, or 0. [-0, +0, m] */
static inline void tide_floating_made(lua_State *L, tide_runtime *rt, int promise, int function) {
    if (rt->watches_floating)
        tide_floating_mark(L, rt, promise, function);
}

/* Somebody looks after it. [-0, +0, -] */
static inline void tide_floating_used(lua_State *L, tide_runtime *rt, int promise) {
    if (rt->watches_floating)
        tide_floating_unmark(L, rt, promise);
}

/* Pushes "file:line" of where a promise that has its mark was made; false: it has none.
 * [-0, +(0|1), -] */
bool tide_floating_push_place(lua_State *L, tide_runtime *rt, int promise);

void tide_floating_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_floating_functions[];

#pragma GCC visibility pop

#endif
