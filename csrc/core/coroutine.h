/*
 * The coroutines of async functions: one that is done serves another call.
 */
#ifndef TIDE_COROUTINE_H
#define TIDE_COROUTINE_H

#include "core/promise.h"

#pragma GCC visibility push(hidden)

/* Pushes a new coroutine. [-0, +1, m] */
lua_State *tide_coroutine_new(lua_State *L, tide_node *task);

/* Pushes a coroutine with an empty stack, an idle one if there is one. The table of idle ones
 * goes on holding it until it suspends or its place is needed: most calls never suspend, and
 * take and return theirs without touching the table. Under a debug hook, which a new coroutine
 * inherits, none is used again. [-0, +1, m] */
lua_State *tide_coroutine_take(lua_State *L, tide_runtime *rt, tide_node *task);

/* The task suspends: only what will resume it may keep its coroutine alive. */
void tide_coroutine_release(lua_State *L, tide_runtime *rt, tide_node *task);

/* Keeps a finished coroutine, whose stack is empty, so that it looks dead to everybody else. */
void tide_coroutine_return(lua_State *L, tide_runtime *rt, lua_State *co);

/* Pushes the coroutine onto another one's stack. [-0, +1, -] */
static inline void tide_coroutine_push(lua_State *L, lua_State *co) {
    lua_pushthread(co);
    lua_xmove(co, L, 1);
}

#pragma GCC visibility pop

#endif
